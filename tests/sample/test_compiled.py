"""Compiled steps: the numbers of plain ones up to rounding, made once, and plain ones where they cannot be had."""

import math
import warnings
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import singulab as sl
from networks import displaced, integers, normal, perceptron
from singulab.data import Feed
from singulab.sample import compiled as compiling
from singulab.sample.compiled import CompiledEvaluation
from singulab.sample.run import Simulation
from singulab.zoo import CASES, DeepLinear, NetworkCase

N, BATCH, CHAINS = 40, 8, 3
ROUNDING = 1e-4  # of the largest element


@pytest.fixture(scope="module")
def compiler():
    """Without a compiler that works, compiled steps are plain ones, as a test below wants."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.compile(lambda x: x + 1, options={"cpp_wrapper": True})(torch.ones(2))
    except Exception as error:  # noqa: BLE001 - whatever is missing
        pytest.skip(f"native code cannot be made here: {type(error).__name__}")


def potential_of(model: nn.Module, data, loss="cross_entropy", **knobs) -> sl.LocalPotential:
    potential = sl.LocalPotential.of(model, data, loss, batch_size=BATCH, localization=2.0, **knobs)
    potential.landscape.stacked = True  # which is faster depends on the clock
    return potential


def feed_of(potential: sl.LocalPotential) -> Feed:
    return potential.landscape.feed(seed=4, num_chains=CHAINS, batch_size=BATCH)


def both(potential: sl.LocalPotential, *, gap: bool, control: bool = False):
    """What the native function and the potential say of the same chains at a step never seen before."""
    chains, feed = list(range(CHAINS)), feed_of(potential)
    native = CompiledEvaluation(potential, feed)
    with potential.landscape.ready():
        native(displaced(potential.center, CHAINS), chains, 0, gap=gap, control=control)
        position = displaced(potential.center, CHAINS, seed=11)
        found = native(position, chains, 7, gap=gap, control=control)
        wanted = potential.evaluate(position, feed(chains, 7), gap=gap, control=control)
    assert_native(potential)
    return found, wanted._replace(dots=dots(potential, wanted) if gap else None)


def dots(potential: sl.LocalPotential, evaluation) -> Tensor:
    """δ·∇U by component, then |δ|²."""
    bounds = [*potential.landscape.offsets, potential.dim]
    each = evaluation.displacement * evaluation.gradient
    parts = [each[:, start:stop].sum(1) for start, stop in pairwise(bounds)]
    return torch.stack([*parts, evaluation.displacement.norm(dim=1).square()], 1)


def assert_native(potential: sl.LocalPotential) -> None:
    kept = potential.landscape.compiled.values()
    assert kept
    assert not any(isinstance(each, str) for each in kept), list(kept)


def assert_close(found, wanted) -> None:
    for name, one in wanted._asdict().items():
        other = getattr(found, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert float((one - other).abs().max()) <= ROUNDING * float(one.abs().max()), name


def convolution() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )


@pytest.mark.parametrize("gap", [True, False])
@pytest.mark.parametrize(
    "model, knobs",
    [(perceptron, {}), (perceptron, {"labels": "model"}), (convolution, {})],
    ids=["data", "model", "convolution"],
)
def test_a_compiled_gradient_is_the_gradient(compiler, model, knobs, gap):
    width = 3 if model is perceptron else 6
    potential = potential_of(model(), (normal(N, width), integers(2, N)), **knobs)
    assert_close(*both(potential, gap=gap))


def test_tall_layers_are_turned_over_and_the_noise_at_the_center_comes_off(compiler):
    case = DeepLinear(
        name="", widths=(3, 5, 2), rank=2, num_data=N, batch_size=BATCH, label_noise=1.0, seed=0
    )
    potential = potential_of(case.model(), case.data(), "gaussian")
    potential.landscape.prepare_control()
    found, wanted = both(potential, gap=True, control=True)
    assert_close(found, wanted)
    assert found.linear_noise is not None


def test_other_temperatures_and_tethers_compile_nothing_anew(compiler):
    potential = potential_of(perceptron(), (normal(N, 3), integers(2, N)))
    assert_close(*both(potential, gap=False))
    (native,) = potential.landscape.compiled.values()
    other = potential.at(nbeta=3 * potential.nbeta, localization=0.01)
    assert_close(*both(other, gap=False))
    assert list(potential.landscape.compiled.values()) == [native]


@pytest.mark.parametrize("kernel", ["sgld", "leimkuhler_matthews", "baoab"])
def test_compiled_chains_follow_the_plain_ones(compiler, kernel):
    made = [potential_of(perceptron(), (normal(N, 3), integers(2, N))) for _ in range(2)]
    traces = [
        sl.sample(potential, kernel, step_size=1e-4, num_draws=6, seed=5, compiled=compiled)
        for potential, compiled in zip(made, (False, True), strict=True)
    ]
    assert_native(made[1])
    assert not made[0].landscape.compiled
    plain, native = (trace.energy for trace in traces)
    assert abs(plain - native).max() < 1e-3 * abs(plain).max()
    plain, native = (trace["radius_squared"] for trace in traces)
    assert abs(plain - native).max() < 1e-3 * abs(plain).max()


def test_a_compiled_measurement_finds_the_known_value(compiler):
    case = CASES["P3"]
    assert isinstance(case, NetworkCase)
    truth = case.truth(100.0)
    potential = sl.LocalPotential.of(
        case.model(), case.data(), case.loss, localization=100.0, batch_size=case.batch_size
    )
    potential.landscape.stacked = True
    m = sl.measure(potential, settings=sl.Settings(max_gradients=5000, compiled=True), seed=0)
    assert_native(potential)
    assert abs(m.llc.value - truth.value) < 4 * math.hypot(m.llc.se, truth.error)


def broken(*_: object, **__: object):
    raise RuntimeError("InvalidCxxCompiler: no compiler was found")


def test_without_a_compiler_the_run_is_the_plain_one_and_says_so(monkeypatch):
    monkeypatch.setattr(torch, "compile", broken)
    potential = potential_of(perceptron(), (normal(N, 3), integers(2, N)))
    knobs = {"max_gradients": 300, "num_chains": 2}
    plain, uncompiled, again = (
        sl.measure(potential, settings=sl.Settings(**knobs, compiled=compiled))
        for compiled in (False, True, False)
    )
    assert uncompiled.llc == plain.llc == again.llc
    (note,) = [note for note in uncompiled.notes if "compiled" in note]
    assert "no compiler was found" in note
    assert note not in again.notes


def test_a_compiler_that_is_killed_once_changes_nothing(compiler, monkeypatch):
    native, recordings = compiling._native, []

    def killed_once(recording, **knobs):
        recordings.append(recording.code)
        if len(recordings) == 1:
            raise RuntimeError("killed")
        return native(recording, **knobs)

    monkeypatch.setattr(compiling, "_native", killed_once)
    potential = potential_of(perceptron(), (normal(N, 3), integers(2, N)))
    assert_close(*both(potential, gap=False))
    first, second = recordings
    assert first == second


def twice(gradient: Tensor, *others: Tensor | None) -> tuple[Tensor | None, ...]:
    return 2 * gradient, *others


def a_little_energy(
    gradient: Tensor, excess: Tensor, half_excess: Tensor, *others: Tensor | None
) -> tuple[Tensor | None, ...]:
    return gradient, excess, half_excess + 1e-4 * half_excess.abs().max(), *others


def a_larger_radius(*fields: Tensor | None) -> tuple[Tensor | None, ...]:
    dots = fields[-1]
    assert dots is not None
    return *fields[:-1], torch.cat([dots[:, :-1], 1.001 * dots[:, -1:]], 1)


@pytest.mark.parametrize(
    "wrong, gap", [(twice, False), (a_little_energy, False), (a_larger_radius, True)]
)
def test_native_code_that_computes_something_else_is_not_used(monkeypatch, wrong, gap):
    monkeypatch.setattr(
        compiling, "_native", lambda recording, on_cpu: lambda *given: wrong(*recording(*given))
    )
    potential = potential_of(perceptron(), (normal(N, 3), integers(2, N)))
    chains, feed = list(range(CHAINS)), feed_of(potential)
    position = displaced(potential.center, CHAINS)
    with potential.landscape.ready():
        evaluate = CompiledEvaluation(potential, feed)
        found = evaluate(position, chains, 0, gap=gap, control=False)
        wanted = potential.evaluate(position, feed(chains, 0), gap=gap)
    assert torch.equal(found.gradient, wanted.gradient)
    assert evaluate.refused == "they would differ from what they are"


def test_a_dead_chain_and_another_order_in_memory_change_nothing_for_the_others(compiler):
    potential = potential_of(perceptron(), (normal(N, 3), integers(2, N)))
    chains, feed = list(range(CHAINS)), feed_of(potential)
    evaluate = CompiledEvaluation(potential, feed)
    position = displaced(potential.center, CHAINS)
    dead = position.clone()
    dead[1] = torch.nan
    with potential.landscape.ready():
        first = evaluate(dead, chains, 0, gap=False, control=False)
        turned = evaluate(position.t().contiguous().t(), chains, 0, gap=False, control=False)
        plain = potential.evaluate(position, feed(chains, 0), gap=False)
    assert_native(potential)
    assert_close(turned, plain)
    assert first.gradient[1].isnan().all()
    assert torch.equal(first.gradient[[0, 2]], turned.gradient[[0, 2]])


def test_what_cannot_be_compiled_is_said(caplog):
    in_turn = sl.LocalPotential.of(perceptron(), (normal(N, 3), integers(2, N)), batch_size=BATCH)
    sl.sample(in_turn, "sgld", step_size=1e-4, num_draws=2, stacked=False, compiled=True)
    assert "steps are not compiled: the chains run in turn" in caplog.text
    low = perceptron().to(torch.bfloat16)
    in_bfloat16 = potential_of(low, (normal(N, 3).to(torch.bfloat16), integers(2, N)))
    m = sl.measure(in_bfloat16, settings=sl.Settings(max_gradients=100, compiled=True))
    assert any("not compiled: the model computes in low precision" in note for note in m.notes)
    with_mala = potential_of(perceptron(), (normal(N, 3), integers(2, N)))
    mala = sl.Settings(kernel="mala", step_size=1e-3, num_draws=4, num_chains=2, compiled=True)
    m = sl.measure(with_mala, settings=mala)
    assert "steps are not compiled: mala takes no minibatches" in m.notes
    square = sl.LocalPotential.from_function(
        lambda w: w["x"].square().sum(1), {"x": torch.zeros(2)}, nbeta=9.0
    )
    simulation = Simulation(square, sl.HMC(step_size=0.1), num_chains=2, seed=0, compiled=True)
    assert simulation.uncompiled == "they are of a model only, with all weights in one place"
