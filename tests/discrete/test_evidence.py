"""Every number that decides a claim agrees with the theory beside it, in units of its own error."""

import inspect
import math

import pytest

from singulab.discrete import evidence
from singulab.evidence import Evidence, numbers

QUICK = [
    evidence.parameters_of_one_function,
    evidence.one_macrostate,
    evidence.disk_weight,
    evidence.row_weight,
    evidence.rest_weight,
    evidence.share_of_origin,
    evidence.share_in_fine_lattice,
    evidence.square_mass,
    evidence.square_share,
    evidence.hessian_at_crossing,
    evidence.multiplicity_at_equal_rank,
    evidence.enumerable_at_float_precision,
    evidence.second_best_fits,
    evidence.exponent_of_flat_minimum,
    evidence.perturbed_loss,
]
SLOW = [
    evidence.boltzmann_law,
    evidence.complexity_correlation,
    evidence.exponent_at_rank,
    evidence.exponent_against_rank,
    evidence.exponents_at_singular_points,
    evidence.precision_and_generalisation,
    evidence.worst_singularity,
]


def holds(found: Evidence) -> bool:
    """Theory within four errors, or within 1 % where the number is an exact count of a finite lattice."""
    if found.theory is None:
        return math.isfinite(found.value)
    return abs(found.value - found.theory) <= 4 * found.se + 0.01 * abs(found.theory)


@pytest.mark.parametrize("experiment", QUICK, ids=lambda e: e.__name__)
def test_exact_numbers_are_those_of_the_theory(experiment):
    for found in numbers(experiment):
        assert holds(found), found


@pytest.mark.slow
@pytest.mark.parametrize("experiment", SLOW, ids=lambda e: e.__name__)
def test_measured_numbers_are_those_of_the_theory(experiment):
    for found in numbers(experiment):
        assert holds(found), found


def test_every_experiment_is_tried():
    known = {
        function
        for name, function in inspect.getmembers(evidence, inspect.isfunction)
        if inspect.signature(function).return_annotation in (Evidence, tuple[Evidence, ...])
        and all(
            p.default is not inspect.Parameter.empty
            for p in inspect.signature(function).parameters.values()
        )
        and function.__module__ == evidence.__name__
    }
    assert known <= {inspect.unwrap(f) for f in QUICK + SLOW} | set(QUICK + SLOW)
    listed = [inspect.unwrap(f) for functions in evidence.EVIDENCE.values() for f in functions]
    assert {f.__name__ for f in listed} == {f.__name__ for f in known}


def test_the_claims_that_are_wrong_are_told_from_the_theory():
    assert evidence.rest_weight().value == pytest.approx(2, abs=0.01)
    assert evidence.rest_weight().claimed == 1.0
    assert evidence.share_of_origin().value < 1e-4
    assert evidence.one_macrostate().value == 0.0
    assert evidence.parameters_of_one_function().value > 10


def test_the_published_masses_of_the_square():
    million, billion_thousands = evidence.square_mass((1e6, 1e12))
    assert million.value == pytest.approx(0.416, abs=5e-4)
    assert billion_thousands.value == pytest.approx(0.689, abs=5e-4)


def test_levels_that_crowd_around_0_make_0_more_probable():
    half, uniform, brain, its_uniform = evidence.enumerable_at_float_precision()
    assert half.value < uniform.value - 4
    assert brain.value < its_uniform.value - 6


def test_the_temperature_at_which_second_best_fits_vanish_solves_its_equation():
    found = evidence.second_best_fits("0.02")
    # 4N + 1 settings at 0 against 4d(k) settings at K = (kε²)², d the number of divisors k = ij with i, j ≤ N.
    side, x = 50, found.value
    rest = 4 * sum(
        math.exp(-x * (i * j) ** 2) for i in range(1, side + 1) for j in range(1, side + 1)
    )
    assert rest / (rest + 4 * side + 1) == pytest.approx(0.01, rel=1e-6)


def test_evidence_is_plain():
    told = evidence.disk_weight().to_dict()
    assert told["claim"] == 5
    assert isinstance(told["value"], float)
