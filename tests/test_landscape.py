"""Every way of giving a model, data and a loss, against the same thing unrolled by hand in plain torch."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    TensorDataset,
    WeightedRandomSampler,
)

import singulab as sl
from networks import (
    Bigram,
    displaced,
    filled,
    gradient,
    integers,
    moved,
    normal,
    perceptron,
    regression,
)
from singulab import losses, potential
from singulab.data import tree_map
from singulab.landscape import FunctionLandscape
from singulab.losses import NextTokenFromHidden
from singulab.sample import run
from singulab.sample.run import Simulation
from untouched import Counting, assert_same, everything

N = 20
DOUBLE = torch.float64
X = normal(N, 3, dtype=DOUBLE)
Y = normal(N, 2, seed=5, dtype=DOUBLE)
CLASSES = integers(2, N)
SOFT = (2 * normal(N, 2, seed=6, dtype=DOUBLE)).softmax(1)
IMAGES = normal(N, 2, 3, 3, dtype=DOUBLE)
PIXELS = integers(4, N, 3, 3)
PIXELS[0, 0], PIXELS[7, :, 1] = -100, -100
IDS = integers(7, N, 6)
LENGTHS = 2 + integers(5, N, seed=3)
MASK = (torch.arange(6) < LENGTHS[:, None]).long()
MASKED_LABELS = IDS.masked_fill(MASK == 0, -100)
COUNTED = MASK[:, 1:].double()


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, a, b):
        return self.a(a) * torch.tanh(self.b(b))


def images() -> nn.Module:
    layers = [nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout(0.5)]
    model = filled(nn.Sequential(*layers, nn.Conv2d(5, 4, 1)))
    model[1].running_mean.copy_(normal(5))
    model[1].running_var.copy_(normal(5).exp())
    return model.double().train()


def network() -> nn.Module:
    return perceptron(dtype=DOUBLE)


def bigram() -> nn.Module:
    return filled(Bigram()).double()


# ── losses per datum, by hand ─────────────────────────────────────────────────────────────────


def squares(model, teacher=None, *, sigma=1.0) -> Tensor:
    target = Y if teacher is None else teacher(X)
    return 0.5 * ((target - model(X)) / sigma).square().sum(1)


def residual_squares(model, teacher=None) -> Tensor:
    at_center = network()
    sigma = (Y - at_center(X)).square().mean().sqrt().detach()
    return squares(model, teacher, sigma=sigma)


def log_losses(model, teacher=None, *, inputs=(X,), target=CLASSES) -> Tensor:
    log_q = model(*inputs).log_softmax(1)
    if teacher is None:
        return -log_q.gather(1, target[:, None])[:, 0]
    p = teacher(*inputs).softmax(1)
    return (p * (p.log() - log_q)).sum(1)


def soft_log_losses(model, teacher=None) -> Tensor:
    return -(SOFT * model(X).log_softmax(1)).sum(1)


def pixel_losses(model, teacher=None) -> Tensor:
    log_q = model(IMAGES).log_softmax(1)
    if teacher is not None:
        p = teacher(IMAGES).softmax(1)
        return (p * (p.log() - log_q)).sum(1).flatten(1).mean(1)
    counted = PIXELS != -100
    each = -log_q.gather(1, PIXELS.clamp(min=0)[:, None])[:, 0] * counted
    return each.flatten(1).sum(1) / counted.flatten(1).sum(1)


def token_losses(model, teacher=None, *, counted=None, attention=None, unit="sequence") -> Tensor:
    counted = torch.ones(N, 5, dtype=DOUBLE) if counted is None else counted
    log_q = model(IDS, attention)[:, :-1].log_softmax(-1)
    if teacher is None:
        each = -log_q.gather(-1, IDS[:, 1:, None])[..., 0]
    else:
        p = teacher(IDS, attention)[:, :-1].softmax(-1)
        each = (p * (p.log() - log_q)).sum(-1)
    per = counted.sum(1) if unit == "sequence" else counted.sum() / N
    return (each * counted).sum(1) / per


def absolute(model, teacher=None) -> Tensor:
    target = Y if teacher is None else teacher(X)
    return (model(X) - target).abs().pow(1.5).sum(1)


class Case(NamedTuple):
    model: Callable[[], nn.Module]
    data: Any
    loss: Any
    direct: Callable[..., Tensor]  # losses of all data, given the model and perhaps its teacher
    labels: str = "data"
    rows: int = N


def by_output(output, target):
    return (output - target).abs().pow(1.5).sum(1)


def by_model(model, batch):
    return (model(batch[0]) - batch[1]).abs().pow(1.5).sum(1)


def by_token(model, batch):
    log_q = model(batch["input_ids"])[:, :-1].log_softmax(-1)
    each = -log_q.gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    return sl.Losses(each, batch["attention_mask"][:, 1:].bool())


PADDED = {"input_ids": IDS, "attention_mask": MASK}
CASES = {
    "gaussian": Case(network, (X, Y), "gaussian", squares),
    "sigma": Case(network, (X, Y), sl.gaussian(0.5), lambda m: squares(m, sigma=0.5)),
    "sigma by output": Case(
        network,
        (X, Y),
        sl.gaussian(torch.tensor([0.5, 2.0], dtype=DOUBLE)),
        lambda m: squares(m, sigma=torch.tensor([0.5, 2.0])),
    ),
    "residual sigma": Case(network, (X, Y), sl.gaussian("residual"), residual_squares),
    "cross_entropy": Case(network, (X, CLASSES), "cross_entropy", log_losses),
    "class probabilities": Case(network, (X, SOFT), "cross_entropy", soft_log_losses),
    "pixels, batch norm, dropout": Case(images, (IMAGES, PIXELS), "cross_entropy", pixel_losses),
    "next_token": Case(bigram, IDS, "next_token", token_losses),
    "padded": Case(
        bigram,
        PADDED,
        "next_token",
        lambda m: token_losses(m, counted=COUNTED, attention=MASK),
    ),
    "labels": Case(
        bigram, (IDS, MASKED_LABELS), "next_token", lambda m: token_losses(m, counted=COUNTED)
    ),
    "tokens": Case(
        bigram,
        PADDED,
        sl.next_token(unit="token"),
        lambda m: token_losses(m, counted=COUNTED, attention=MASK, unit="token"),
    ),
    "tied": Case(lambda: filled(Bigram(tied=True)).double(), IDS, "next_token", token_losses),
    "function of output": Case(network, (X, Y), by_output, absolute),
    "function of model": Case(network, (X, Y), by_model, absolute),
    "function by token": Case(bigram, PADDED, by_token, lambda m: token_losses(m, counted=COUNTED)),
    "inputs by name": Case(
        lambda: filled(TwoInputs()).double(),
        {"a": X, "b": Y, "label": CLASSES},
        "cross_entropy",
        lambda m: log_losses(m, inputs=(X, Y)),
    ),
    "inputs in order": Case(
        lambda: filled(TwoInputs()).double(),
        ((X, Y), CLASSES),
        "cross_entropy",
        lambda m: log_losses(m, inputs=(X, Y)),
    ),
    "behavioural gaussian": Case(
        network, (X, Y), sl.gaussian(0.5), lambda *m: squares(*m, sigma=0.5), "model"
    ),
    "behavioural residual sigma": Case(
        network, (X, Y), sl.gaussian("residual"), residual_squares, "model"
    ),
    "behavioural cross_entropy": Case(network, (X, CLASSES), "cross_entropy", log_losses, "model"),
    "behavioural pixels": Case(images, (IMAGES, PIXELS), "cross_entropy", pixel_losses, "model"),
    "behavioural next_token": Case(
        bigram,
        PADDED,
        "next_token",
        lambda *m: token_losses(*m, counted=COUNTED, attention=MASK),
        "model",
    ),
    "behavioural tokens": Case(
        bigram,
        PADDED,
        sl.next_token(unit="token"),
        lambda *m: token_losses(*m, counted=COUNTED, attention=MASK, unit="token"),
        "model",
    ),
    "behavioural function": Case(network, (X, Y), by_output, absolute, "model"),
}


def made(case: Case, **knobs: Any) -> tuple[nn.Module, sl.LocalPotential]:
    model = case.model()
    knobs = {"nbeta": 7.0, "localization": 3.0, "batch_size": 8, **knobs}
    return model, sl.LocalPotential.of(model, case.data, case.loss, labels=case.labels, **knobs)


def direct_losses(case: Case, model: nn.Module, flat: Tensor) -> tuple[nn.Module, Tensor]:
    """The model at a flat vector of weights, and its losses on all data."""
    there = moved(model, flat)
    if case.labels == "data":
        return there, case.direct(there)
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    return there, case.direct(there, teacher)


@pytest.mark.parametrize("name", CASES)
def test_the_loss_at_the_center_is_the_direct_mean_over_all_data(name):
    case = CASES[name]
    model, potential = made(case)
    _, each = direct_losses(case, model, potential.center)
    expected = float(each.detach().mean())
    assert potential.landscape.center_loss == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert (abs(expected) < 1e-9) == (case.labels == "model")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("stacked", [False, True])
def test_gradients_and_paired_losses_are_those_of_the_unwrapped_model(name, stacked):
    case = CASES[name]
    model, potential = made(case)
    potential.landscape.stacked = stacked
    position = displaced(potential.center, 2)
    batch = potential.landscape.feed(seed=0, num_chains=2, batch_size=8)([0, 1], 4)
    with potential.landscape.ready():
        seen = potential.evaluate(position, batch)
    at_center = direct_losses(case, model, potential.center)[1].detach()
    for chain, row in enumerate(batch[1]):
        there, each = direct_losses(case, model, position[chain])
        first, second = (each - at_center)[row].view(2, 4).mean(1)
        slopes = [gradient(there, half, retain=True) for half in (first, second)]
        tether = 3.0 * (position[chain] - potential.center)
        close = {"rtol": 1e-9, "atol": 1e-9}
        expected = torch.stack([first, second]).detach()
        assert torch.allclose(seen.half_excess[chain], expected, **close)
        assert torch.allclose(seen.gradient[chain], 3.5 * (slopes[0] + slopes[1]) + tether, **close)
        assert torch.allclose(seen.half_gap[chain], 3.5 * (slopes[0] - slopes[1]), **close)
    assert torch.allclose(seen.excess, seen.half_excess.mean(1))


@pytest.mark.parametrize("name", ["gaussian", "tokens", "behavioural next_token"])
@pytest.mark.parametrize("batch_size", [6, N])
def test_a_pass_over_all_data_is_their_mean_whatever_the_batch_size(name, batch_size):
    case = CASES[name]
    model, potential = made(case, batch_size=batch_size)
    position = displaced(potential.center, 2)
    with potential.landscape.ready():
        seen, cost = potential.evaluate_full(position)
    at_center = direct_losses(case, model, potential.center)[1].detach()
    for chain in range(2):
        there, each = direct_losses(case, model, position[chain])
        excess = (each - at_center).mean()
        slope = 7.0 * gradient(there, excess) + 3.0 * (position[chain] - potential.center)
        assert float(seen.excess[chain]) == pytest.approx(float(excess.detach()), rel=1e-9)
        assert torch.allclose(seen.gradient[chain], slope, rtol=1e-9, atol=1e-9)
    assert cost == pytest.approx(N / batch_size * potential.landscape.cost)


# ── batches and their halves ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size, halves, used", [(N, 1, N), (9, 2, 8), (8, 2, 8), (2, 2, 2)])
def test_a_batch_has_two_halves_unless_it_is_all_data(size, halves, used):
    model, potential = made(CASES["gaussian"])
    rows = torch.arange(size)[None]
    position = displaced(potential.center, 1)
    with potential.landscape.ready():
        seen = potential.evaluate(position, (tree_map(lambda t: t[rows], (X, Y)), rows))
    assert seen.half_excess.shape == (1, halves)
    assert (seen.half_gap is None) == (halves == 1)
    change = squares(moved(model, position[0])) - squares(model)
    assert float(seen.excess) == pytest.approx(float(change[:used].mean().detach()))


def test_an_odd_batch_size_is_made_even():
    sizes = {
        wanted: made(CASES["gaussian"], batch_size=wanted)[1].batch_size for wanted in (1, 7, 8)
    }
    assert sizes == {1: 2, 7: 8, 8: 8}
    assert made(CASES["gaussian"], batch_size=10**6)[1].batch_size == N


def weighted(**knobs: Any) -> DataLoader:
    weights = [3.0] * 5 + [1.0] * (N - 5)
    return DataLoader(TensorDataset(X, Y), sampler=WeightedRandomSampler(weights, N), **knobs)


def test_a_weighted_sampler_makes_the_loss_a_weighted_mean():
    model = network()
    potential = sl.LocalPotential.of(model, weighted(batch_size=8), "gaussian", nbeta=7.0)
    share = torch.tensor([3.0] * 5 + [1.0] * (N - 5), dtype=DOUBLE) / 30
    expected = float((squares(model) * share).sum().detach())
    assert potential.landscape.center_loss == pytest.approx(expected)
    position = displaced(potential.center, 1)
    with potential.landscape.ready():
        seen, _ = potential.evaluate_full(position)
    there = moved(model, position[0])
    excess = ((squares(there) - squares(model).detach()) * share).sum()
    slope = 7.0 * gradient(there, excess)
    slope += potential.localization * (position[0] - potential.center)
    assert float(seen.excess) == pytest.approx(float(excess.detach()))
    assert torch.allclose(seen.gradient[0], slope)


def test_weighted_batches_as_large_as_the_data_are_still_noisy():
    potential = sl.LocalPotential.of(network(), weighted(batch_size=N), "gaussian", nbeta=7.0)
    assert not potential.exact
    assert potential.noise_factor == 1
    feed = potential.landscape.feed(seed=0, num_chains=1, batch_size=N)
    with potential.landscape.ready():
        gap = potential.evaluate(potential.center[None], feed([0], 0)).half_gap
    assert float(gap.norm()) > 0


class Sequences(Dataset):
    """Token sequences of unequal length."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        return {"input_ids": IDS[index, : LENGTHS[index]]}


def padded(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return sl.data.pad(rows)


@pytest.mark.parametrize("labels", ["data", "model"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_data_too_uneven_for_memory_are_padded_per_batch(monkeypatch, num_workers, labels):
    monkeypatch.setattr(sl.data, "_CHUNK", 4)
    loader = DataLoader(Sequences(), batch_size=8, collate_fn=padded, num_workers=num_workers)
    model = bigram()
    potential = sl.LocalPotential.of(model, loader, "next_token", labels=labels, nbeta=7.0)
    assert potential.landscape.stacked is False
    case = CASES["padded" if labels == "data" else "behavioural next_token"]
    at_center = direct_losses(case, model, potential.center)[1].detach()
    assert potential.landscape.center_loss == pytest.approx(float(at_center.mean()), abs=1e-9)
    position = displaced(potential.center, 1)
    feed = potential.landscape.feed(seed=0, num_chains=2, batch_size=8)
    with potential.landscape.ready():
        for step in (0, 1):
            for chain in (0, 1):
                batch = feed([chain], step)
                there, each = direct_losses(case, model, position[0])
                excess = (each - at_center)[batch[1][0]].mean()
                slope = gradient(there, excess)
                seen = potential.landscape.slope(position, batch)
                assert float(seen.excess.mean()) == pytest.approx(float(excess.detach()))
                assert torch.allclose(seen.gradient[0].mean(0), slope)
        assert torch.allclose(
            potential.evaluate_full(position)[0].excess, (each - at_center).mean()
        )


# ── streams ───────────────────────────────────────────────────────────────────────────────────


class Stream(IterableDataset):
    def __iter__(self):
        return zip(X, Y, strict=True)


@pytest.mark.parametrize("labels", ["data", "model"])
@pytest.mark.parametrize(
    "source", [Stream(), DataLoader(Stream(), batch_size=8)], ids=["single data", "batches"]
)
def test_the_losses_of_a_stream_are_paired_on_the_same_batch(source, labels):
    model = network()
    potential = sl.LocalPotential.of(
        model, source, sl.gaussian(0.5), nbeta=7.0, labels=labels, batch_size=8
    )
    assert potential.num_data is None
    assert potential.beta is None
    assert potential.landscape.cost == pytest.approx(4 / 3)
    case = CASES["sigma" if labels == "data" else "behavioural gaussian"]
    at_center = direct_losses(case, model, potential.center)[1].detach()
    feed = potential.landscape.feed(seed=0, num_chains=1, batch_size=8)
    position = displaced(potential.center, 1)
    with potential.landscape.ready():
        for step, rows in enumerate((slice(0, 8), slice(8, 16))):
            there, each = direct_losses(case, model, position[0])
            excess = (each - at_center)[rows].mean()
            seen = potential.landscape.slope(position, feed([0], step))
            assert float(seen.excess.mean()) == pytest.approx(float(excess.detach()))
            assert torch.allclose(seen.gradient[0].mean(0), gradient(there, excess))


@pytest.mark.parametrize("source", [Stream(), (X, Y)], ids=["stream", "in memory"])
def test_a_function_that_does_not_vanish_at_its_teacher_is_paired_all_the_same(source):
    def loss(output, target):
        return (output - target).square().sum(1) + (0.5 + output).square().sum(1)

    model, stream = network(), isinstance(source, Stream)
    made = sl.LocalPotential.of(model, source, loss, labels="model", nbeta=7.0, batch_size=8)
    assert made.landscape.cost == pytest.approx(5 / 3 if stream else 1.0)
    position = displaced(made.center, 1)
    batch = made.landscape.feed(seed=0, num_chains=1, batch_size=8)([0], 0)
    rows = torch.arange(8) if stream else batch[1][0]
    with made.landscape.ready():
        seen = made.landscape.slope(position, batch)
    there = moved(model, position[0])
    excess = loss(there(X), model(X)) - loss(model(X), model(X))
    assert float(seen.excess.mean()) == pytest.approx(float(excess[rows].mean().detach()))


def test_the_last_batch_of_a_stream_may_be_smaller():
    loader = DataLoader(Stream(), batch_size=12)  # 12 and 8
    potential = sl.LocalPotential.of(network(), loader, "gaussian", nbeta=7.0)
    trace = sl.sample(potential, "sgld", step_size=1e-3, num_chains=2, num_draws=4)
    assert trace["excess_loss"].shape == (2, 4)


def test_a_stream_has_no_pass_over_all_data():
    potential = sl.LocalPotential.of(network(), Stream(), "gaussian", nbeta=7.0, batch_size=8)
    with pytest.raises(ValueError, match="a stream has no full-data gradient"):
        potential.evaluate_full(potential.center[None])
    with pytest.raises(ValueError, match="sigma='residual' needs data of stable order"):
        sl.LocalPotential.of(network(), Stream(), sl.gaussian("residual"), nbeta=7.0, batch_size=8)


# ── what a model may be ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stacked", [False, True])
def test_a_bfloat16_model_moves_on_float32_masters(stacked):
    model = perceptron(dtype=torch.bfloat16)
    data = tuple(tensor.bfloat16() for tensor in regression(N))
    potential = sl.LocalPotential.of(model, data, "gaussian", nbeta=7.0, batch_size=N)
    potential.landscape.stacked = stacked
    assert potential.center.dtype == torch.float32
    position = displaced(potential.center, 2)
    rows = torch.arange(N).repeat(2, 1)
    with potential.landscape.ready():
        seen = potential.evaluate(position, (tree_map(lambda t: t[rows], data), rows))
    assert seen.gradient.dtype == seen.excess.dtype == torch.float32

    def loss(there: nn.Module) -> Tensor:  # outputs in bfloat16, residuals in float32
        return 0.5 * (data[1].float() - there(data[0]).float()).square().sum(1).mean()

    rounding = 0.02 if stacked else 1e-5  # of bfloat16 outputs; vmap sums in another order
    for chain in range(2):
        there = moved(model, position[chain].bfloat16())
        excess = float((loss(there) - loss(model)).detach())
        assert float(seen.excess[chain]) == pytest.approx(excess, rel=rounding)
        slope = 7.0 * gradient(there, loss(there)).float()
        slope += potential.localization * (position[chain] - potential.center)
        assert torch.allclose(seen.gradient[chain], slope, rtol=0.02, atol=0.02)


def test_a_model_comes_back_exactly_as_it_was():
    model = filled(Counting())
    model.layers[0].bias.requires_grad_(False)
    model.layers[3].bias.grad = torch.ones(2)
    data = regression(N)
    before = everything(model)
    potential = sl.LocalPotential.of(model, data, "gaussian", batch_size=8)
    sl.sample(potential, "sgld", step_size=1e-4, num_chains=2, num_draws=5)
    sl.sample(potential, "mala", step_size=1e-4, num_chains=2, num_draws=3)
    assert_same(before, everything(model))
    assert "layers.0.bias" in potential.components


def test_a_model_comes_back_after_a_failure_in_the_loss():
    model = filled(Counting())
    before = everything(model)
    calls = iter(range(100))

    def fails(output, target):
        if next(calls) > 10:
            raise ZeroDivisionError("in the loss")
        return (output - target).square().sum(1)

    potential = sl.LocalPotential.of(model, regression(N), fails, batch_size=8)
    with pytest.raises(ZeroDivisionError, match="in the loss"):
        sl.sample(potential, "sgld", step_size=1e-4, num_draws=50, stacked=False)
    assert_same(before, everything(model))


def test_evaluation_mode_lasts_until_the_outermost_user_is_done():
    model = filled(Counting())
    landscape = sl.LocalPotential.of(model, regression(N), "gaussian").landscape
    with landscape.ready():
        with landscape.ready():
            pass
        assert not any(module.training for module in model.modules())
    assert model.layers[1].training
    assert not model.layers[2].training


def test_measuring_inside_inference_mode_works():
    model, data = perceptron(), regression(N)
    with torch.inference_mode():
        potential = sl.LocalPotential.of(model, data, "gaussian")
        trace = sl.sample(potential, "sgld", step_size=1e-4, num_draws=3)
    assert trace.dead_chains == ()


class NoVmap(nn.Module):
    """A model that branches on its values, as vmap cannot."""

    def __init__(self):
        super().__init__()
        self.layers = perceptron()

    def forward(self, x):
        out = self.layers(x)
        return out if float(out.detach().sum()) > 0 else 1.0 * out


@pytest.mark.parametrize("together", [0.9, 1.1])
def test_chains_are_stacked_only_where_that_is_faster(monkeypatch, together):
    potential = sl.LocalPotential.of(perceptron(), regression(N), "gaussian", batch_size=8)
    landscape = potential.landscape
    slowdown = iter([4.0] + [1.0] * 5)  # the first call of all is slow for another reason

    def seconds(function: Callable[[], Any]) -> float:
        function()
        return (together if landscape.stacked else 1.0) * next(slowdown)

    monkeypatch.setattr(run, "_seconds", seconds)
    Simulation(potential, sl.SGLD(step_size=1e-4), num_chains=3, seed=0)
    assert landscape.stacked == (together < 1)


def test_a_model_that_vmap_cannot_run_falls_back_aloud(caplog):
    potential = sl.LocalPotential.of(NoVmap(), regression(N), "gaussian", batch_size=8)
    trace = sl.sample(potential, "sgld", step_size=1e-4, num_draws=3)
    assert potential.landscape.stacked is False
    assert "chains run in turn: the model does not run under vmap" in potential.landscape.notes[0]
    assert "does not run under vmap" in caplog.text
    assert trace.dead_chains == ()


def test_a_loss_that_does_not_depend_on_the_selected_weights_is_refused():
    model = nn.ModuleDict({"used": nn.Linear(3, 2), "unused": nn.Linear(3, 2)})
    model.forward = lambda x: model["used"](x)
    potential = sl.LocalPotential.of(model, regression(N), "gaussian", weights="unused.*")
    with pytest.raises(ValueError, match="does not depend on the selected weights"):
        sl.sample(potential, "sgld", step_size=1e-4)
    both = sl.LocalPotential.of(model, regression(N), "gaussian", batch_size=N)
    with both.landscape.ready():
        seen = both.landscape.slope(
            both.center[None], both.landscape.feed(seed=0, num_chains=1, batch_size=N)([0], 0)
        )
    assert bool((seen.gradient[0, 0, 8:] == 0).all())


# ── the hand-unrolled chain ───────────────────────────────────────────────────────────────────


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return x + self.attention(x, x, x)[0]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_chain_of_one_head_is_the_chain_of_the_model_with_all_else_held(stacked):
    """SGLD on one head against a plain loop with gradient and noise zeroed outside its rows."""
    model = filled(SelfAttention()).double()
    inputs, targets = normal(N, 4, 8, dtype=DOUBLE), normal(N, 4, 8, seed=3, dtype=DOUBLE)
    name, rows = "attention.in_proj_weight", slice(12, 16)
    mask = torch.zeros(24, 8, dtype=torch.bool)
    mask[rows] = True
    head = sl.head(name, 1, num_heads=2, block=1, num_blocks=3)
    traces = []
    for weights in (head, {name: mask}):
        potential = sl.LocalPotential.of(
            model,
            (inputs, targets),
            "gaussian",
            weights=weights,
            nbeta=9.0,
            localization=2.0,
            batch_size=8,
        )
        trace = sl.sample(
            potential, "sgld", step_size=0.01, num_chains=2, num_draws=6, seed=3, stacked=stacked
        )
        traces.append(trace["excess_loss"])
    assert (traces[0] == traces[1]).all()

    noise = sl.rng.Noise(3, 32, dtype=DOUBLE)
    minibatches = sl.rng.Minibatches(3, num_data=N, batch_size=8)
    twin = copy.deepcopy(model)
    for chain in range(2):
        twin.load_state_dict(model.state_dict())
        weight = twin.attention.in_proj_weight
        for step in range(6):
            batch = minibatches.indices([chain], step)[0]

            def loss(there, batch=batch):
                return 0.5 * (there(inputs[batch]) - targets[batch]).square().sum((1, 2)).mean()

            excess = float((loss(twin) - loss(model)).detach())
            assert traces[0][chain, step] == pytest.approx(excess, rel=1e-9)
            (slope,) = torch.autograd.grad(loss(twin), weight)
            drift = 9.0 * slope + 2.0 * (weight - model.attention.in_proj_weight).detach()
            everywhere = torch.zeros(24, 8, dtype=DOUBLE)
            everywhere[rows] = noise.normal([chain], step).view(4, 8)
            weight.data += (-0.005 * drift + 0.1 * everywhere) * mask


# ── control ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stacked", [True, False])
def test_control_takes_the_noise_at_the_center_off_the_gradient_and_nothing_else(stacked):
    _, potential = made(CASES["gaussian"], batch_size=8)
    landscape = potential.landscape
    landscape.stacked = stacked
    feed = landscape.feed(seed=0, num_chains=2, batch_size=8)
    here = potential.center.expand(2, -1)
    with landscape.ready():
        assert landscape.prepare_control() == pytest.approx(N / 8)
        assert landscape.prepare_control() == pytest.approx(N / 8)  # a later run pays it too
        everywhere = potential.evaluate_full(here)[0].gradient
        for step in range(3):
            batch = feed([0, 1], step)
            at_center = potential.evaluate(here, batch, control=True)
            torch.testing.assert_close(at_center.gradient, everywhere)
            torch.testing.assert_close(at_center.half_gap, torch.zeros_like(here))
            away = displaced(potential.center, 2)
            plain, controlled, center = (
                potential.evaluate(p, batch, control=c)
                for p, c in ((away, False), (away, True), (here, False))
            )
            taken = plain.gradient - controlled.gradient
            torch.testing.assert_close(taken, center.gradient - everywhere)
            assert torch.equal(plain.half_excess, controlled.half_excess)


# ── scores ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["gaussian", "cross_entropy", "padded"])
def test_the_second_moment_of_score_gradients_is_the_gauss_newton_matrix(unchecked, name):
    # at most 60² entries at 5.5 standard errors: a false alarm less than once in 1 000 choices of the seed
    case = CASES[name]
    if name == "padded":
        case = case._replace(model=lambda: filled(Bigram(7, 2)).double())
    model, potential = made(case, batch_size=N)
    landscape, position = potential.landscape, displaced(potential.center, 1)
    batch = landscape.feed(seed=0, num_chains=1, batch_size=N)([0], 0)
    generator = torch.Generator().manual_seed(0)

    def drawn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)

    with landscape.ready():
        samples = torch.cat([landscape.score_gradients(position, batch, drawn) for _ in range(500)])
    there = moved(model, position[0])
    output = there(IDS, MASK) if name == "padded" else there(X)
    rows = [
        torch.cat(
            [
                g.reshape(-1)
                for g in torch.autograd.grad(entry, list(there.parameters()), retain_graph=True)
            ]
        )
        for entry in output.reshape(-1)
    ]
    jacobian = torch.stack(rows).view(N, -1, potential.dim)
    data = {"gaussian": (X, Y), "cross_entropy": (X, CLASSES), "padded": PADDED}[name]

    def mean_loss(f: Tensor) -> Tensor:
        return landscape.loss.values(f, data, None).mean()

    bend = torch.autograd.functional.hessian(mean_loss, output.detach())
    bend = bend.reshape(N, jacobian.shape[1], N, jacobian.shape[1])
    exact = torch.einsum("bip,bicj,cjq->pq", jacobian, bend, jacobian)
    products = torch.einsum("kp,kq->kpq", samples, samples)
    error = products.std(0) / len(samples) ** 0.5
    assert bool(((products.mean(0) - exact).abs() <= 5.5 * error + 1e-9).all())
    assert float(error.max()) < 0.1 * float(exact.abs().max())


def test_each_half_of_a_batch_gives_a_sample_of_the_same_matrix():
    _, potential = made(CASES["gaussian"])
    landscape = potential.landscape
    batch = landscape.feed(seed=0, num_chains=2, batch_size=8)([0, 1], 0)
    with landscape.ready():
        samples = landscape.score_gradients(displaced(potential.center, 2), batch, torch.ones_like)
        one = landscape.score_gradients(
            displaced(potential.center, 2)[1:],
            (tree_map(lambda t: t[1:, 4:], batch[0]), None),
            torch.ones_like,
        )
    assert samples.shape == (4, potential.dim)
    # a half of 4 data, cut in two again, has √2 times the two samples' half difference … of linear u
    assert torch.allclose(samples[3], (one[0] + one[1]) / 2**0.5)


# ── causal models whose head is applied in chunks ─────────────────────────────────────────────


@pytest.fixture
def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=13, n_positions=6)
    return filled(transformers.GPT2LMHeadModel(config), scale=0.5)


@pytest.mark.parametrize("labels", ["data", "model"])
@pytest.mark.parametrize("unit", ["sequence", "token"])
def test_a_gpt2_with_its_head_in_chunks_is_the_same_landscape(monkeypatch, gpt2, unit, labels):
    data = {"input_ids": IDS, "attention_mask": MASK}
    before = everything(gpt2)
    knobs = {"nbeta": 7.0, "localization": 1.0, "labels": labels, "batch_size": 8}
    plain = sl.LocalPotential.of(gpt2, data, sl.next_token(unit=unit), **knobs)
    monkeypatch.setattr(potential, "_LOGITS_BYTES", 0)
    monkeypatch.setattr(losses, "_CHUNK_NUMBERS", 300)
    apart = sl.LocalPotential.of(gpt2, data, sl.next_token(unit=unit), **knobs)
    assert isinstance(apart.landscape.loss, NextTokenFromHidden)
    assert not isinstance(plain.landscape.loss, NextTokenFromHidden)
    assert apart.landscape.center_loss == pytest.approx(plain.landscape.center_loss, rel=1e-6)
    assert apart.num_data == plain.num_data
    position = displaced(plain.center, 1, size=0.05)
    batch = plain.landscape.feed(seed=0, num_chains=1, batch_size=8)([0], 0)
    seen = []
    for each in (plain, apart):
        each.landscape.stacked = False
        with each.landscape.ready():
            seen.append(each.evaluate(position, batch))
    assert torch.allclose(seen[0].excess, seen[1].excess, rtol=1e-4, atol=1e-6)
    assert torch.allclose(seen[0].gradient, seen[1].gradient, rtol=1e-3, atol=1e-5)
    assert_same(before, everything(gpt2))


def test_a_head_is_not_taken_apart_where_the_logits_are_more_than_it(monkeypatch, gpt2):
    monkeypatch.setattr(potential, "_LOGITS_BYTES", 0)
    original = gpt2.forward

    def capped(*args, **kwargs):
        out = original(*args, **kwargs)
        out.logits = 3.0 * torch.tanh(out.logits / 3.0)
        return out

    gpt2.forward = capped
    of = sl.LocalPotential.of(gpt2, {"input_ids": IDS}, "next_token", nbeta=7.0)
    assert not isinstance(of.landscape.loss, NextTokenFromHidden)


def test_a_gpt2_counts_its_tied_embedding_once(gpt2):
    of = sl.LocalPotential.of(gpt2, {"input_ids": IDS}, "next_token")
    assert "lm_head.weight" not in of.components
    assert of.dim == gpt2.num_parameters()
    loss = gpt2.eval()(
        input_ids=IDS, labels=IDS
    ).loss  # the mean over all tokens, all of one length
    assert of.landscape.center_loss == pytest.approx(float(loss.detach()), rel=1e-6)


# ── what tells one measurement from another ───────────────────────────────────────────────────


def seen(case: Case = CASES["gaussian"], **knobs: Any) -> dict[str, str]:
    return made(case, **knobs)[1].landscape.fingerprints()


def test_the_same_inputs_have_the_same_fingerprints():
    for name in ("gaussian", "function of output", "behavioural next_token"):
        assert seen(CASES[name]) == seen(CASES[name])


def _slower(output, target):
    return (output - target).abs().pow(1.4).sum(1)


_slower.__qualname__ = by_output.__qualname__
GAUSSIAN, FUNCTION = CASES["gaussian"], CASES["behavioural function"]
MASK_A = {"0.weight": torch.arange(12).view(4, 3) < 3}
MASK_B = {"0.weight": torch.arange(12).view(4, 3) > 8}


def big(case: Case) -> Case:
    """The same data, but not in memory."""
    return case._replace(data=Held(case.data))


class Held(Dataset):
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return N

    def __getitem__(self, index):
        return tuple(part[index] for part in self.data)


@pytest.mark.parametrize(
    "part, one, other",
    [
        (
            "weights",
            (GAUSSIAN,),
            (GAUSSIAN._replace(model=lambda: perceptron(seed=1, dtype=DOUBLE)),),
        ),
        ("weights", (GAUSSIAN, {"weights": "0.*"}), (GAUSSIAN, {"weights": "2.*"})),
        ("weights", (GAUSSIAN, {"weights": MASK_A}), (GAUSSIAN, {"weights": MASK_B})),
        ("data", (GAUSSIAN,), (GAUSSIAN._replace(data=(X, Y + 1e-3)),)),
        ("data", (GAUSSIAN,), (GAUSSIAN._replace(data=(X.flip(0), Y.flip(0))),)),
        ("data", (big(GAUSSIAN),), (big(GAUSSIAN._replace(data=(X, Y + 1))),)),
        (
            "data",
            (big(GAUSSIAN._replace(labels="model")),),
            (big(GAUSSIAN._replace(labels="model", data=(X + 1, Y))),),
        ),
        (
            "data",
            (GAUSSIAN._replace(data=weighted(batch_size=8)),),
            (GAUSSIAN._replace(data=TensorDataset(X, Y)),),
        ),
        ("loss", (GAUSSIAN,), (GAUSSIAN._replace(loss=sl.gaussian(2.0)),)),
        ("loss", (GAUSSIAN,), (GAUSSIAN._replace(labels="model"),)),
        ("loss", (CASES["padded"],), (CASES["tokens"],)),
        ("loss", (FUNCTION,), (FUNCTION._replace(loss=_slower),)),
        (
            "loss",
            (GAUSSIAN._replace(loss=sl.gaussian(torch.ones(2)))),
            (GAUSSIAN._replace(loss=sl.gaussian(torch.tensor([1.0, 1.0001])))),
        ),
    ],
)
def test_whatever_matters_changes_a_fingerprint(monkeypatch, part, one, other):
    monkeypatch.setattr(sl.data, "_IN_MEMORY_BYTES", 100)
    found = [
        seen(given[0], **(given[1] if len(given) > 1 else {}))
        if not isinstance(given, Case)
        else seen(given)
        for given in (one, other)
    ]
    assert found[0][part] != found[1][part]


def test_frozen_statistics_are_part_of_the_weights():
    one, other = filled(Counting()), filled(Counting())
    other.layers[1].running_mean += 0.1
    prints = [
        sl.LocalPotential.of(m, regression(N), "gaussian").landscape.fingerprints()
        for m in (one, other)
    ]
    assert prints[0]["weights"] != prints[1]["weights"]


# ── a loss given as a function ────────────────────────────────────────────────────────────────


def test_a_function_of_tensors_gives_its_own_values_and_gradients():
    center = {"a": normal(2, 3, dtype=DOUBLE), "b": normal(4, seed=3, dtype=DOUBLE)}

    def loss(w: dict[str, Tensor]) -> Tensor:
        return (w["a"].square().sum((1, 2)) * w["b"].sum(1)).sin()

    landscape = FunctionLandscape(loss, center)
    assert landscape.components == ("a", "b")
    assert landscape.dim == 10
    position = displaced(landscape.center, 3)
    slope = landscape.slope(position)
    for chain, row in enumerate(position):
        leaf = row.clone().requires_grad_()
        value = (leaf[:6].square().sum() * leaf[6:].sum()).sin()
        at_center = (landscape.center[:6].square().sum() * landscape.center[6:].sum()).sin()
        assert float(slope.excess[chain, 0]) == pytest.approx(float((value - at_center).detach()))
        (expected,) = torch.autograd.grad(value, leaf)
        assert torch.allclose(slope.gradient[chain, 0], expected)


@pytest.mark.parametrize(
    "loss, sentence",
    [
        (lambda w: w["x"].sum(), r"one value per chain, shape \[1\], got \(\)"),
        (lambda w: w["x"], r"one value per chain, shape \[1\], got \(1, 3\)"),
        (lambda w: 0.5, r"one value per chain, shape \[1\], got float"),
        (lambda w: w["x"].log().sum(1), "the loss at the center is -inf; it must be finite"),
        (
            lambda w: w["x"].detach().sum(1),
            "does not depend on the weights, or is not differentiable",
        ),
    ],
)
def test_a_wrong_function_says_what_is_wrong(unchecked, loss, sentence):
    def evaluate():
        landscape = FunctionLandscape(loss, {"x": torch.zeros(3)})
        landscape.slope(landscape.center[None])

    with pytest.raises(ValueError, match=sentence):
        evaluate()
