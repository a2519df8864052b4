"""Every number that decides a claim agrees with the theory beside it, in units of its own error."""

import inspect
import math

import pytest

from singulab.discrete import findings
from singulab.discrete.findings import Finding

QUICK = [
    findings.parameters_of_one_function,
    findings.one_macrostate,
    findings.disk_weight,
    findings.row_weight,
    findings.rest_weight,
    findings.share_of_origin,
    findings.share_in_fine_lattice,
    findings.square_mass,
    findings.square_share,
    findings.enumerable_at_float_precision,
    findings.second_best_fits,
    findings.exponent_of_flat_minimum,
    findings.perturbed_loss,
]
SLOW = [
    findings.boltzmann_law,
    findings.complexity_correlation,
    findings.exponent_at_rank,
    findings.exponent_against_rank,
    findings.exponents_at_singular_points,
    findings.precision_and_generalisation,
    findings.worst_singularity,
]


def all_of(experiment) -> list[Finding]:
    found = experiment()
    return list(found) if isinstance(found, tuple) else [found]


def holds(found: Finding) -> bool:
    """Theory within four errors, or within 1 % where the number is an exact count of a finite lattice."""
    if found.theory is None:
        return math.isfinite(found.value)
    return abs(found.value - found.theory) <= 4 * found.se + 0.01 * abs(found.theory)


@pytest.mark.parametrize("experiment", QUICK, ids=lambda e: e.__name__)
def test_exact_numbers_are_those_of_the_theory(experiment):
    for found in all_of(experiment):
        assert holds(found), found


@pytest.mark.slow
@pytest.mark.parametrize("experiment", SLOW, ids=lambda e: e.__name__)
def test_measured_numbers_are_those_of_the_theory(experiment):
    for found in all_of(experiment):
        assert holds(found), found


def test_every_experiment_is_tried():
    known = {
        function
        for name, function in inspect.getmembers(findings, inspect.isfunction)
        if inspect.signature(function).return_annotation in (Finding, tuple[Finding, ...])
        and all(
            p.default is not inspect.Parameter.empty
            for p in inspect.signature(function).parameters.values()
        )
        and function.__module__ == findings.__name__
    }
    assert known <= {inspect.unwrap(f) for f in QUICK + SLOW} | set(QUICK + SLOW)


def test_the_claims_that_are_wrong_are_told_from_the_theory():
    assert findings.rest_weight().value == pytest.approx(2, abs=0.01)
    assert findings.rest_weight().claimed == 1.0
    assert findings.share_of_origin().value < 1e-4
    assert findings.one_macrostate().value == 0.0
    assert findings.parameters_of_one_function().value > 10


def test_the_published_masses_of_the_square():
    assert findings.square_mass(1e6).value == pytest.approx(0.416, abs=5e-4)
    assert findings.square_mass(1e12).value == pytest.approx(0.689, abs=5e-4)


def test_the_temperature_at_which_second_best_fits_vanish_solves_its_equation():
    found = findings.second_best_fits("0.02")
    # 4N + 1 settings at 0 against 4d(k) settings at K = (kε²)², d the number of divisors k = ij with i, j ≤ N.
    side, x = 50, found.value
    rest = 4 * sum(
        math.exp(-x * (i * j) ** 2) for i in range(1, side + 1) for j in range(1, side + 1)
    )
    assert rest / (rest + 4 * side + 1) == pytest.approx(0.01, rel=1e-6)


def test_a_finding_is_plain():
    told = findings.disk_weight().to_dict()
    assert told["claim"] == 5
    assert isinstance(told["value"], float)
