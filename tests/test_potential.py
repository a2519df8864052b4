import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import singulab as sl
from networks import classification, displaced, normal, perceptron, regression
from singulab.potential import default_localization

MODEL, DATA = perceptron(), regression(24)


def of(*, model=MODEL, data=DATA, loss="gaussian", **knobs) -> sl.LocalPotential:
    return sl.LocalPotential.of(model, data, loss, **knobs)


def square(w):
    return 0.5 * w["x"].square().sum(1)


class Stream(IterableDataset):
    def __iter__(self):
        return zip(*DATA, strict=True)


@pytest.mark.parametrize("batch_size", [None, 2, 8])
def test_nbeta_is_n_over_log_n_whatever_the_batch_size(batch_size):
    potential = of(batch_size=batch_size)
    assert potential.nbeta == pytest.approx(24 / math.log(24))
    assert potential.beta == pytest.approx(1 / math.log(24))
    assert potential.num_data == 24


def test_n_counts_what_the_unit_says():
    ids = {"input_ids": torch.ones(4, 6, dtype=torch.long), "attention_mask": torch.ones(4, 6)}
    ids["attention_mask"][1, 3:] = 0
    model = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 3))
    model.forward = lambda input_ids, attention_mask: model[1](model[0](input_ids))
    sequences = of(model=model, data=ids, loss="next_token")
    tokens = of(model=model, data=ids, loss=sl.next_token(unit="token"))
    assert (sequences.unit, sequences.num_data) == ("sequence", 4)
    assert (tokens.unit, tokens.num_data) == ("token", 17)
    assert tokens.nbeta == pytest.approx(17 / math.log(17))
    assert (of().unit, of(labels="model").quantity) == ("datum", "behavioural_llc")


def test_a_stream_says_its_n_or_is_given_nbeta():
    known = of(data=sl.Data(Stream(), n=24), batch_size=8)
    assert known.nbeta == pytest.approx(24 / math.log(24))
    with pytest.raises(ValueError, match=r"n is unknown, so .* is too; pass nbeta=…, or sl.Data"):
        of(data=Stream(), batch_size=8)
    assert of(data=Stream(), batch_size=8, nbeta=5).nbeta == 5.0


def test_the_default_tether_puts_a_flat_landscape_at_a_share_of_the_norm():
    potential = of(relative_radius=0.2)
    norm = float(potential.center.norm())
    assert potential.localization == pytest.approx(potential.dim / (0.2 * norm) ** 2)
    # a flat landscape is N(w*, 1/γ): its rms radius is √(d/γ)
    assert math.sqrt(potential.dim / potential.localization) == pytest.approx(0.2 * norm)
    assert default_localization(0.0, 5, 0.3) == 1.0


def test_another_temperature_shares_the_landscape():
    potential = of()
    other = potential.at(nbeta=3.0, localization=0.0)
    assert (other.nbeta, other.localization) == (3.0, 0.0)
    assert other.landscape is potential.landscape
    assert potential.at() == potential


def test_energy_is_the_potential_of_the_gradient():
    potential = of(batch_size=24)
    position = displaced(potential.center).requires_grad_()
    rows = torch.arange(24).repeat(3, 1)
    batch = tuple(t[rows] for t in DATA), rows
    with potential.landscape.ready():
        seen = potential.evaluate(position.detach(), batch)
    outputs = torch.stack(
        [torch.func.functional_call(MODEL, _named(row), (DATA[0],)) for row in position]
    )
    loss = 0.5 * (outputs - DATA[1]).square().sum(2).mean(1)
    plain = potential.nbeta * (loss - potential.landscape.center_loss)
    tether = 0.5 * potential.localization * (position - potential.center).square().sum(1)
    (slope,) = torch.autograd.grad((plain + tether).sum(), position)
    energy = potential.energy(position.detach(), seen.excess)
    assert torch.allclose(energy, (plain + tether).detach(), rtol=1e-5)
    assert torch.allclose(seen.gradient, slope, rtol=1e-4, atol=1e-4)


def _named(flat):
    parts = flat.split([p.numel() for p in MODEL.parameters()])
    names = dict(MODEL.named_parameters())
    return {n: part.view(p.shape) for (n, p), part in zip(names.items(), parts, strict=True)}


def test_a_function_has_the_potential_it_says():
    center = {"x": normal(3, dtype=torch.float64)}
    potential = sl.LocalPotential.from_function(square, center, nbeta=5.0, localization=2.0)
    position = displaced(potential.center)
    seen = potential.evaluate(position, None)
    assert torch.allclose(seen.gradient, 5.0 * position + 2.0 * (position - potential.center))
    expected = square({"x": position}) - square({"x": potential.center[None]})
    assert torch.allclose(seen.excess, expected)
    assert seen.half_gap is None
    assert seen.gradient.dtype == potential.center.dtype == torch.float64
    assert potential.exact
    assert potential.noise_factor == 0
    sized = sl.LocalPotential.from_function(square, center, num_data=100)
    assert sized.nbeta == pytest.approx(100 / math.log(100))
    with pytest.raises(ValueError, match="the number of data n is unknown"):
        sl.LocalPotential.from_function(square, center)


@pytest.mark.parametrize(
    "batch_size, exact, factor", [(24, True, 0.0), (6, False, 0.75), (100, True, 0.0)]
)
def test_the_noise_of_a_batch_shrinks_with_the_share_of_data_in_it(batch_size, exact, factor):
    potential = of(batch_size=batch_size)
    assert potential.exact is exact
    assert potential.noise_factor == pytest.approx(factor)


def test_half_gaps_measure_the_noise_of_the_gradient(unchecked):
    """E[gap²]·(1 − B/n) is the variance of the batch gradient, drawn without replacement."""
    potential = of(batch_size=6)
    center = potential.center[None]
    feed = potential.landscape.feed(seed=0, num_chains=1, batch_size=6)
    with potential.landscape.ready():
        seen = [potential.evaluate(center, feed([0], step)) for step in range(400)]
    gradients = torch.cat([s.gradient for s in seen])
    mean = potential.evaluate_full(center)[0].gradient[0]
    errors = (gradients - mean).square().sum(1)
    gaps = torch.cat([s.half_gap for s in seen]).square().sum(1) * potential.noise_factor
    difference = errors - gaps
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / 400**0.5
    assert float(difference.std()) / 400**0.5 < 0.1 * float(errors.mean())
    z = (gradients.mean(0) - mean) / (gradients.std(0) / 400**0.5)
    assert float(z.abs().max()) < 4.5  # 26 weights: a false alarm once in 5 000 choices of the seed


def test_a_loader_chooses_the_batch_size():
    loader = DataLoader(TensorDataset(*DATA), batch_size=6)
    assert of(data=loader).batch_size == 6
    assert of(data=loader, batch_size=4).batch_size == 4
    assert of().batch_size == 24


@pytest.mark.parametrize(
    "knobs, error, sentence",
    [
        ({"model": lambda x: x}, TypeError, "model must be a torch.nn.Module, got function"),
        ({"model": nn.Tanh()}, ValueError, "no weights selected: the model has no parameters"),
        ({"labels": "both"}, ValueError, "labels must be 'data' or 'model', got 'both'"),
        ({"nbeta": 0.0}, ValueError, "nbeta must be positive and finite, got 0.0"),
        ({"nbeta": math.nan}, ValueError, "nbeta must be positive and finite, got nan"),
        (
            {"localization": -1.0},
            ValueError,
            "localization must be finite and not negative, got -1",
        ),
        ({"localization": math.inf}, ValueError, "localization must be finite and not negative"),
        ({"relative_radius": 0.0}, ValueError, "relative_radius must be positive, got 0.0"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        (
            {"loss": lambda model, batch: model(batch[0]).sum(1), "labels": "model"},
            TypeError,
            r"labels=\"model\" needs the model's output, and loss\(model, batch\) hides it",
        ),
        (
            {
                "loss": lambda f, y: nn.functional.nll_loss(f, y.long(), reduction="none"),
                "labels": "model",
            },
            TypeError,
            "gives the loss the model's own output as target, which this loss does not accept",
        ),
        (
            {"loss": sl.gaussian("residual"), "data": (DATA[0], DATA[1][:, :1])},
            ValueError,
            r"needs targets of the outputs' shape \(24, 2\), got \(24, 1\)",
        ),
        (
            {"loss": sl.gaussian("residual"), "data": (DATA[0], MODEL(DATA[0]).detach())},
            ValueError,
            "sigma='residual' is zero",
        ),
        (
            {"loss": lambda f, y: (f - y).square().sum(1).log() * math.nan},
            ValueError,
            r"the loss at w\* is NaN or infinite for 24 of 24 data \(first: 0\)",
        ),
        (
            {"data": Stream(), "batch_size": 8, "nbeta": 1.0, "loss": lambda f, y: f.sum(1) / 0},
            ValueError,
            r"the loss at w\* is NaN or infinite; check the model's weights, the data and the loss",
        ),
        (
            {"data": DataLoader(Stream(), batch_size=1), "nbeta": 1.0},
            ValueError,
            "batches hold one datum; at least 2 are needed",
        ),
        (
            {"data": (torch.full((4, 6), -100), torch.full((4, 6), -100)), "loss": "next_token"},
            ValueError,
            "no token counts: every target is padding or −100",
        ),
    ],
)
def test_a_wrong_argument_says_what_is_wrong(unchecked, knobs, error, sentence):
    with pytest.raises(error, match=sentence):
        of(**knobs)


def test_fixed_weights_that_are_not_finite_show_in_the_loss():
    model = perceptron()
    model[0].bias.data[0] = math.nan
    with pytest.raises(ValueError, match=r"0\.bias holds NaN or infinite weights"):
        of(model=model)
    with pytest.raises(ValueError, match=r"the loss at w\* is NaN or infinite for 24 of 24"):
        of(model=model, weights="2.*")


def test_a_potential_is_frozen_and_checks_its_numbers():
    potential = of(data=classification(24), loss="cross_entropy")
    with pytest.raises(ValueError, match="nbeta must be positive"):
        replace(potential, nbeta=-1.0)
    with pytest.raises(AttributeError):
        potential.nbeta = 3.0


def test_a_network_rescaled_with_its_units_has_the_same_potential() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    ).double()
    x = torch.randn(64, 3, dtype=torch.float64)
    data, factor = (x, model(x).detach()), 1e4
    plain = sl.LocalPotential.of(model, data, sl.gaussian(), localization=2.0)
    with torch.no_grad():
        model[0].weight.mul_(factor)
        model[0].bias.mul_(factor)
        model[2].weight.div_(factor)
    units = {"0.*": factor, "2.weight": 1 / factor}
    scaled = sl.LocalPotential.of(model, data, sl.gaussian(), localization=2.0, units=units)
    position = plain.center + 0.1 * torch.randn(3, plain.dim, dtype=torch.float64)
    torch.testing.assert_close(scaled.center, plain.center)
    one, other = (p.evaluate_full(position)[0] for p in (plain, scaled))
    torch.testing.assert_close(other.gradient, one.gradient)
    torch.testing.assert_close(other.excess, one.excess)
    assert scaled.landscape.fingerprints() != plain.landscape.fingerprints()
