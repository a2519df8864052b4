import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from singulab.discrete import (
    Machine,
    Rounding,
    agreement,
    boolean_network,
    fibres,
    free_energy,
    law,
    learning_coefficient,
    metropolis,
    mismatches,
    multiples,
    phases,
    sign_network,
    ternary,
    vanishing_beta,
)
from singulab.discrete.boltzmann import _chi_square_tail, _mean_deviation
from singulab.discrete.lattice import crossing

TARGET = [0, 0, 0, 1, 0, 1, 1, 1]


@pytest.fixture(scope="module")
def found():
    return fibres(sign_network(3, 3))


@pytest.fixture(scope="module")
def losses(found):
    return mismatches(TARGET)(found.symbols)


def test_the_law_is_that_of_a_sum_over_settings(found, losses):
    machine = found.machine
    words = machine.functions_of_range(0, machine.num_settings)
    energies = mismatches(TARGET)(machine.symbols(words))
    beta = 0.7
    weights = np.exp(-beta * energies)
    expected = law(found, losses, beta)
    for place in (0, 3, len(found) - 1):
        same = words[:, 0] == found.functions[place, 0]
        assert expected[place] == pytest.approx(weights[same].sum() / weights.sum())
    assert free_energy(found, losses, beta) == pytest.approx(-math.log(weights.mean()))
    assert expected.sum() == pytest.approx(1)


def test_without_a_temperature_the_law_is_the_count(found, losses):
    assert np.allclose(law(found, losses, 0.0), found.probability)
    assert free_energy(found, losses, 0.0) == pytest.approx(0)
    cold = law(found, losses, 1e4)
    best = losses == losses.min()
    assert np.allclose(cold[best], found.counts[best] / found.counts[best].sum())
    assert np.isfinite(free_energy(found, losses, 1e4))


def test_the_heat_is_the_slope_of_the_free_energy(found, losses):
    beta, h = 0.8, 1e-5
    slope = (free_energy(found, losses, beta + h) - free_energy(found, losses, beta - h)) / (2 * h)
    mean = slope - losses.min()
    assert learning_coefficient(found, losses, beta) == pytest.approx(beta * mean, rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_metropolis_follows_the_law(found, losses, beta):
    # Last states of independent chains; a false alarm once in a thousand.
    ended = metropolis(
        found.machine, mismatches(TARGET), beta, num_chains=4_000, num_steps=120, seed=1
    )
    seen = agreement(ended, found, law(found, losses, beta))
    assert seen.passed, seen
    assert abs(seen.total_variation - seen.expected_total_variation) < 4 * seen.total_variation_se
    if beta:
        wrong = agreement(ended, found, law(found, losses, beta + 0.3))
        assert not wrong.passed


def test_metropolis_moves_between_more_than_two_levels():
    machine = boolean_network((1, 1), weights=ternary())
    known = fibres(machine)
    cost = mismatches([0, 1])
    ended = metropolis(machine, cost, 1.0, num_chains=6_000, num_steps=40)
    assert agreement(ended, known, law(known, cost(known.symbols), 1.0)).passed


def test_the_verdict_is_fair_on_exact_draws(found, losses):
    expected = law(found, losses, 0.5)
    random = np.random.default_rng(0)
    seen = []
    for _ in range(60):
        drawn = random.choice(len(found), 3_000, p=expected)
        seen.append(agreement(found.functions[drawn], found, expected))
    # χ² of 60 runs: p-values are uniform, so their mean is ½ ± 0.037; 4.5 standard errors.
    assert abs(np.mean([s.p_value for s in seen]) - 0.5) < 0.17
    z = [(s.total_variation - s.expected_total_variation) / s.total_variation_se for s in seen]
    assert abs(np.mean(z)) < 0.6
    assert 0.5 < np.std(z) < 1.5
    assert seen[0].degrees > 50


def test_functions_that_the_machine_does_not_have_are_held_against_the_draws(found, losses):
    strange = np.full((100, 1), 2**60, np.uint64)
    seen = agreement(strange, found, law(found, losses, 0.5))
    assert not seen.passed
    assert seen.total_variation == pytest.approx(1.0)


def test_tails_and_deviations_are_those_of_scipy():
    for value, degrees in ((3.0, 2), (40.0, 30), (0.0, 5)):
        assert _chi_square_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees))
    assert _chi_square_tail(0.0, 0) == 1.0
    p = np.array([0.0, 1e-4, 0.03, 0.5, 0.999, 1.0])
    n = 200
    k = np.arange(n + 1)
    expected = [(stats.binom.pmf(k, n, q) * abs(k / n - q)).sum() for q in p]
    assert np.allclose(_mean_deviation(p, n), expected, rtol=1e-9, atol=1e-12)


def test_phases_are_the_leaders_of_a_scan(found, losses):
    leaders = phases(found, losses)
    assert leaders[0].start == 0.0
    assert leaders[-1].stop == math.inf
    for phase in leaders:
        middle = phase.start + 0.5 if math.isinf(phase.stop) else (phase.start + phase.stop) / 2
        p = law(found, losses, middle)
        assert p[phase.function] == pytest.approx(p.max())
    for one, next_ in itertools.pairwise(leaders):
        assert one.stop == next_.start
        p = law(found, losses, one.stop)
        assert p[one.function] == pytest.approx(p[next_.function])
    assert losses[leaders[-1].function] == losses.min()


def products(mesh: str):
    machine = Machine(
        network=lambda w, x: (w.prod(1, keepdim=True) * x.T)[:, :, None],
        num_weights=2,
        weights=multiples(mesh),
        inputs=torch.ones(1, 1, dtype=torch.float64),
        outputs=Rounding(float(mesh) ** 2),
    )
    known = fibres(machine)
    return known, (known.symbols[:, 0] * float(mesh) ** 2) ** 2.0


def test_second_best_fits_vanish_at_a_definite_temperature():
    known, energy = products("0.02")
    beta = vanishing_beta(known, energy)
    worse = energy > 0
    assert law(known, energy, beta)[worse].sum() == pytest.approx(0.01, rel=1e-6)
    # The gap is ε⁴: nothing is left at many times its inverse, and λ_eff is 0 there.
    assert learning_coefficient(known, energy, 100 / 0.02**4) < 1e-30
    # Where the lattice resolves the temperature λ_eff is that of the continuum, by a sum over a finer one.
    finer, finer_energy = products("0.01")
    for nbeta in (10.0, 100.0):
        assert learning_coefficient(known, energy, nbeta) == pytest.approx(
            learning_coefficient(finer, finer_energy, nbeta), abs=0.02
        )
    assert vanishing_beta(known, np.zeros(len(known))) == 0.0


def test_the_function_0_of_a_lattice_is_that_of_the_count():
    known, energy = products("0.02")
    assert known.counts[energy == 0].sum() == crossing("0.0004", "0.02").total == 201


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda f, e: law(f, e, -0.1), "beta must be a finite number ≥ 0, got -0.1"),
        (lambda f, e: law(f, e, float("inf")), "beta must be"),
        (lambda f, e: law(f, e[:3], 1.0), "need as many losses, got 3"),
        (lambda f, e: vanishing_beta(f, e, 1.0), "between 0 and 1"),
        (
            lambda f, e: metropolis(f.machine, mismatches(TARGET), -1.0, num_chains=2, num_steps=1),
            "beta",
        ),
        (
            lambda f, e: metropolis(
                boolean_network((2, 1)), mismatches([0, 0, 0, 1]), 1.0, num_chains=2, num_steps=1
            ),
            "finite levels",
        ),
    ],
)
def test_bad_wishes_are_refused(found, losses, make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(found, losses)
