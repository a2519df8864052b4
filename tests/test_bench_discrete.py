"""The benchmarks of finite machines on small numbers: their checks hold, and fail where they should."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.systems import reduced_rank_rlct, systems

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks.{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generalisation():
    return load("generalisation")


@pytest.fixture(scope="module")
def made(generalisation):
    """The first system, kind and unkind, with few runs."""
    config = generalisation.Config(num_runs=256, num_posterior=512)
    system = systems(1)[0]
    found = generalisation.fibres(system.machine)
    return {
        name: generalisation.task(config, system, found, name, target)
        for name, target in system.targets.items()
    }


def test_low_lambda_has_the_mass_and_generalises_by_the_target(made):
    for name, best in (("kind", 0.0), ("unkind", 1.0)):
        rows, functions, classes = made[name]
        assert all(row["passed"] is not False for row in rows)
        facts = {row["quantity"]: row["value"] for row in rows}
        assert facts["error of the simplest that fit"] == best
        assert functions[0]["complexity"] == 0.5  # λ of the function 0, the heaviest
        assert functions[0]["error"] == best
        low, high = classes
        assert (low["class"], high["class"]) == ("λ = 0.5", "λ = 1")
        assert low["mass"] + high["mass"] == pytest.approx(1)
        assert low["mass"] / low["functions"] > 10 * high["mass"] / high["functions"]
    assert "error of SGD" in facts


def test_ranks_have_the_lambda_of_the_formula():
    rlct = reduced_rank_rlct((3, 2, 2))
    matrices = np.array([[0, 0, 0, 0, 0, 0], [1, 2, 2, 4, 0, 0], [1, 0, 0, 1, 0, 0]])
    assert rlct(matrices).tolist() == [2.0, 2.5, 3.0]


@pytest.mark.slow
def test_odds_grow_by_the_difference_of_lambda(generalisation):
    (row,) = generalisation.volume_rows()
    assert row["expected"] == 1.0
    assert row["passed"]
    assert row["se"] < 0.1


@pytest.mark.slow
def test_langevin_follows_the_law_and_minibatches_do_not():
    boltzmann = load("boltzmann")
    rows = boltzmann.training(boltzmann.Config(num_runs=512))
    facts = {row["quantity"]: row for row in rows}
    assert all(row["passed"] is not False for row in rows)
    gap = facts["SGD against the law: total variation beyond that of exact draws"]
    assert gap["z"] > 20


def test_the_continuum_never_comes_to_rest():
    boltzmann = load("boltzmann")
    # n·E[K] → λ = ½ with a correction of 1/log n: 1/2 − 1/(log n + γ_E + log 4) to that order.
    for n in (1e6, 1e12):
        expected = 0.5 - 1 / (np.log(n) + np.euler_gamma + np.log(4))
        assert boltzmann.continuum(n) == pytest.approx(expected, abs=1e-4)


def test_bits_of_a_trained_network_are_told_beside_its_lambda():
    precision = load("precision")
    config = precision.Config(num_runs=8, num_steps=800)
    flat, sharp = (precision.linear(config, (3, 3, 3), rank) for rank in (0, 3))
    assert (flat.rlct, sharp.rlct) == (3.5, 4.5)
    assert flat.loss.max() < 1e-12
    assert sharp.half_rank.tolist() == [4.5] * 8
    assert sharp.bits[1e-2].mean() > flat.bits[1e-2].mean()
    assert abs(sharp.slope()[0] - sharp.num_weights / 2) < 4 * sharp.slope()[1] + 1
    x = np.arange(50.0)
    noise = np.random.default_rng(0).standard_normal((2, 50))
    assert abs(precision.partial(x + noise[0], x + noise[1], x).value) < 0.5
