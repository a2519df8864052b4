"""Whole measurements of networks of every kind, and of situations that must not be believed."""

import math
from typing import Any

import pytest
import torch
from torch import nn

import singulab as sl
from networks import filled, integers, normal, perceptron
from singulab.sample.sgld import SGLD
from singulab.zoo import (
    ConvolutionalConfig,
    TransformerConfig,
    attention_only_transformer,
    convolutional_network,
)
from untouched import assert_same, everything

ALWAYS = {
    "monte_carlo_error",
    "drift",
    "r_hat",
    "virial",
    "virial_by_component",
    "noise_share",
    "step_halving",
    "sign",
    "heat_capacity",
    "lost_update_fraction",
    "living_chains",
    "budget",
}


def assert_finished(m: sl.Measurement, quantity: str = "behavioural_llc") -> None:
    """A finite λ̂ > 0 with all that must be said beside it; whether it passes is up to the budget."""
    assert m.quantity == quantity
    assert math.isfinite(m.llc.value)
    assert m.llc.value > 0
    assert math.isfinite(m.llc.se)
    names = [check.name for check in m.checks]
    assert len(set(names)) == len(names)
    assert set(names) >= ALWAYS | ({"criticality"} if quantity == "llc" else set())
    for check in m.checks:
        assert math.isfinite(check.value), check
        assert check.passed or check.advice.endswith("."), check
    assert m.gradients["total"] == pytest.approx(
        sum(cost for name, cost in m.gradients.items() if name != "total")
    )
    assert 0 < m.radius < math.inf
    assert m.trace is not None
    assert m.trace.dead_chains == ()
    assert m.settings.found


def test_a_convolutional_network_ends_with_a_behavioural_llc(unchecked):
    model = convolutional_network(ConvolutionalConfig(width=2, num_classes=3))
    data = normal(200, 64), integers(3, 200)
    before = everything(model)
    m = sl.measure(model, data, labels="model", max_gradients=400, batch_size=32, num_chains=2)
    assert_finished(m)
    assert m.num_weights == sum(p.numel() for p in model.parameters())
    assert m.gradients["total"] <= 1.05 * 400
    assert_same(before, everything(model))


def test_a_gpt2_ends_with_a_behavioural_llc(unchecked):
    transformers = pytest.importorskip("transformers")
    datasets = pytest.importorskip("datasets")
    config = transformers.GPT2Config(
        n_layer=2, n_head=2, n_embd=8, vocab_size=17, n_positions=12, bos_token_id=0, eos_token_id=0
    )
    model = filled(transformers.GPT2LMHeadModel(config), scale=0.7)
    lengths = (4 + integers(8, 60)).tolist()
    table = datasets.Dataset.from_dict(
        {"input_ids": [integers(17, n, seed=i).tolist() for i, n in enumerate(lengths)]}
    )
    before = everything(model)
    m = sl.measure(
        model,
        table,
        "next_token",
        labels="model",
        weights=["transformer.h.*"],
        max_gradients=200,
        batch_size=12,
        num_chains=2,
    )
    assert_finished(m)
    assert (m.unit, m.num_data) == ("sequence", 60)
    assert_same(before, everything(model))


def transformer(config: TransformerConfig, n: int, tokens: int, **knobs: Any) -> sl.Measurement:
    model = attention_only_transformer(config)
    before = everything(model)
    ids = integers(config.vocabulary, n, tokens)
    m = sl.measure(model, ids, sl.next_token(unit="token"), labels="model", **knobs)
    assert_finished(m)
    assert (m.unit, m.num_data) == ("token", n * (tokens - 1))
    assert m.num_weights == sum(p.numel() for p in model.parameters())
    assert_same(before, everything(model))
    return m


def test_an_attention_only_transformer_ends_with_a_behavioural_llc(unchecked):
    config = TransformerConfig(vocabulary=30, context=8, width=8, num_heads=2)
    transformer(config, 64, 8, max_gradients=200, batch_size=16, num_chains=2)


@pytest.mark.slow
def test_a_transformer_of_three_million_weights_ends_with_a_behavioural_llc(unchecked):
    m = transformer(TransformerConfig(), 48, 16, max_gradients=300, batch_size=4, num_chains=2)
    assert m.num_weights > 3_000_000


def test_one_head_of_a_transformer_ends_with_a_label_llc(unchecked):
    config = TransformerConfig(vocabulary=12, context=6, width=8, num_heads=2, num_layers=1)
    model = attention_only_transformer(config)
    name = "blocks.0.attention.query_key_value.weight"
    m = sl.measure(
        model,
        integers(12, 64, 6),
        "next_token",
        weights=[sl.head(name, 1, num_heads=2, block=block, num_blocks=3) for block in range(3)],
        max_gradients=300,
        batch_size=16,
        num_chains=2,
    )
    assert m.num_weights == 3 * 4 * 8
    assert m.trace is not None
    assert len(m.trace.dataset["component"]) == 3
    assert {check.name for check in m.checks} >= ALWAYS | {"criticality"}


def test_a_function_as_loss_ends_with_a_behavioural_llc(unchecked):
    def absolute(output, target):
        return ((output - target).square() + 1e-2).sqrt().sum(1) - 0.2

    m = sl.measure(
        perceptron(),
        (normal(100, 3), normal(100, 2)),
        absolute,
        labels="model",
        max_gradients=500,
        batch_size=20,
        num_chains=2,
    )
    assert_finished(m)


def test_a_stream_ends_with_a_label_llc(unchecked):
    x = normal(120, 3)
    batches = [(x[a : a + 12], x[a : a + 12, :2].tanh()) for a in range(0, 120, 12)]

    class Batches:
        def __iter__(self):
            return iter(batches)

    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2, 3))
        model[0].bias.zero_()
    m = sl.measure(model, sl.Data(Batches(), n=120), "gaussian", max_gradients=600, num_chains=2)
    assert_finished(m, "llc")
    assert m.nbeta == pytest.approx(120 / math.log(120))


# ── what must not be believed ─────────────────────────────────────────────────────────────────


def failed(m: sl.Measurement) -> set[str]:
    assert not m.passed
    names = {check.name for check in m.checks if not check.passed}
    assert all(check.advice.endswith(".") for check in m.checks if not check.passed)
    return names


DATA = normal(80, 3), normal(80, 2, seed=5)


def test_an_untrained_network_fails_by_name(unchecked):
    m = sl.measure(perceptron(), DATA, "gaussian", max_gradients=500, batch_size=20, num_chains=2)
    assert failed(m) & {"criticality", "sign"}


@pytest.mark.parametrize("localization, local", [(2000.0, True), (0.1, False)])
def test_chains_that_go_farther_than_the_weights_are_long_are_not_local(localization, local):
    m = sl.measure(
        perceptron(), DATA, "gaussian", localization=localization, labels="model",
        max_gradients=2000, batch_size=20,
    )  # fmt: skip
    assert (m.relative_radius < 1) == local
    assert any(f"not local: chains go {m.relative_radius:.1f} times" in n for n in m.notes) != local


def test_a_function_of_coordinates_has_no_length_to_go_beyond():
    potential = sl.LocalPotential.from_function(
        lambda w: w["x"].sub(0.01).square().sum(1), {"x": torch.full((2,), 0.01)},
        nbeta=50.0, localization=1.0,
    )  # fmt: skip
    m = sl.measure(potential, max_gradients=100_000)
    assert m.relative_radius > 1
    assert m.trace.reach is None
    assert m.passed
    assert not any("not local" in note for note in m.notes)


def test_what_does_not_move_counts_for_how_far_is_far():
    model = perceptron()
    whole = math.sqrt(sum(float(p.detach().double().square().sum()) for p in model.parameters()))
    m = sl.measure(
        model, DATA, "gaussian", weights="2.bias", localization=0.1, labels="model",
        max_gradients=1000, batch_size=20,
    )  # fmt: skip
    assert m.trace.reach == pytest.approx(m.radius / whole, rel=0.05)  # burn-in included
    assert m.trace.reach < m.relative_radius


@pytest.mark.parametrize(
    "kernel", ["sgld", "leimkuhler_matthews", "baoab", "rmsprop_sgld", "sgnht"]
)
def test_an_exploding_step_fails_by_name_and_never_raises(unchecked, kernel):
    settings = sl.Settings(kernel=kernel, step_size=1e4, num_draws=60, num_chains=2)
    m = sl.measure(perceptron(), DATA, "gaussian", settings=settings)
    assert "living_chains" in failed(m)
    assert math.isnan(m.llc.value)
    assert m.to_dict()["llc"]["value"] is None
    assert any("blew up" in note for note in m.notes)


@pytest.mark.parametrize("kernel", ["mala", "hmc"])
def test_an_accepted_kernel_with_a_huge_step_fails_by_name_and_never_raises(unchecked, kernel):
    settings = sl.Settings(kernel=kernel, step_size=1e4, num_draws=40, num_chains=2, num_leapfrog=4)
    m = sl.measure(perceptron(), DATA, "gaussian", settings=settings)
    assert "acceptance" in failed(m)


def test_one_chain_that_explodes_is_left_out_aloud(unchecked, monkeypatch):
    original = SGLD.step

    def step(self, state, target):
        moved, info = original(self, state, target)
        if target.step == 50 and 1 in target.chains:
            moved.position[target.chains.index(1)] = math.inf
        return moved, info

    monkeypatch.setattr(SGLD, "step", step)
    settings = sl.Settings(kernel="sgld", step_size=1e-4, num_draws=90, num_chains=4)
    m = sl.measure(perceptron(), DATA, "gaussian", settings=settings)
    check = next(check for check in m.checks if check.name == "living_chains")
    assert (check.passed, check.value) == (False, 1.0)
    assert len(m.llc.per_chain) == 3
    assert math.isfinite(m.llc.value)
    assert m.trace is not None
    assert m.trace.dead_chains == (1,)


@pytest.mark.parametrize("budget", [1, 20, 60, 150])
def test_too_small_a_budget_fails_by_name_and_is_not_overdrawn_silently(unchecked, budget):
    m = sl.measure(
        perceptron(), DATA, "gaussian", labels="model", max_gradients=budget, batch_size=20,
        num_chains=2,
    )  # fmt: skip
    assert failed(m) & {"budget", "monte_carlo_error"}
    if m.gradients["total"] > 1.05 * budget:
        assert "budget" in failed(m)


def test_a_loss_that_is_nan_away_from_the_center_fails_by_name(unchecked):
    def brittle(output, target):
        far = (output - target).square().sum(1)
        return torch.where(far > 1e-12, far * math.nan, far)

    knobs = {"labels": "model", "batch_size": 20, "num_chains": 2}
    m = sl.measure(perceptron(), DATA, brittle, max_gradients=1000, **knobs)
    assert "living_chains" in failed(m)
    assert math.isnan(m.llc.value)
    short = sl.measure(perceptron(), DATA, brittle, max_gradients=300, **knobs)
    assert failed(short) & {"budget", "living_chains"}
    assert short.gradients["total"] < 1.5 * 300


def test_a_flat_loss_is_sampled_at_the_width_of_its_tether(unchecked):
    model = nn.Linear(3, 2)
    m = sl.measure(
        model,
        (torch.zeros(40, 3), torch.zeros(40, 2)),
        sl.gaussian(1e3),
        labels="model",
        max_gradients=600,
        num_chains=2,
    )
    assert m.radius == pytest.approx(math.sqrt(m.num_weights / m.localization), rel=0.3)
    assert abs(m.llc.value) < 0.01
