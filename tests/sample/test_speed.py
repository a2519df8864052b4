"""Speeds: the least error by search, the limits, and step and memory that make a speed."""

import math

import numpy as np
import pytest

from singulab.sample import speed
from singulab.sample.speed import best_speed, hurried_speed, knobs, speed_of


def chosen(hot: float, *, relaxations: float = 400.0, **other) -> tuple[float, float]:
    known = {"level": 30.0, "num_chains": 4, "controlled": False, "relative_error": 1e-9}
    return best_speed(hot, relaxations=relaxations, **{**known, **other})


@pytest.mark.parametrize("hot", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("controlled", [False, True])
def test_the_best_speed_is_that_of_a_search(hot, controlled):
    distrust = speed.DISTRUST_CONTROLLED if controlled else speed.DISTRUST
    found, error = chosen(hot, controlled=controlled)
    grid = np.geomspace(1e-3, 1.0, 20_001)
    errors = np.sqrt((distrust * hot * grid) ** 2 + 1 / (30 * 4 * 400 * grid))
    assert found == pytest.approx(grid[errors.argmin()], rel=1e-3)
    assert error == pytest.approx(errors.min(), rel=1e-6)


def test_a_little_heat_is_always_allowed_and_less_of_it_where_a_small_error_is_wanted():
    hot, long = 1.0, 1e9  # so many draws that the least error is nearly that of no heat at all
    default, _ = chosen(hot, relaxations=long, relative_error=0.02)
    careful, _ = chosen(hot, relaxations=long, relative_error=0.005)
    assert default * hot == pytest.approx(speed.QUIET)
    assert careful * hot == pytest.approx(0.01)


def test_chains_that_would_relax_too_rarely_move_faster_but_never_beyond_the_tolerance():
    assert chosen(0.2, relaxations=100.0)[0] == pytest.approx(
        max(
            speed.RELAXATIONS / 100,
            (1 / (30 * 4 * 100) / (2 * (speed.DISTRUST * 0.2) ** 2)) ** (1 / 3),
        )
    )
    assert chosen(2.0, relaxations=1.0)[0] == pytest.approx(speed.TOLERANCE / 2)
    assert chosen(1e6, relaxations=1.0)[0] == speed.SMALLEST


def test_without_noise_chains_move_as_fast_as_is_stable():
    assert chosen(0.0)[0] == speed.FASTEST == pytest.approx(1.35)


def test_warm_up_takes_the_speed_that_the_tolerance_allows():
    assert hurried_speed(1.0, 0.1) == pytest.approx(speed.TOLERANCE)
    assert hurried_speed(1.0, 0.5) == 0.5
    assert hurried_speed(0.0, 0.1) == speed.HURRIED


@pytest.mark.parametrize("wanted", [0.01, 0.3, 0.31, 1.35])
def test_step_and_memory_make_the_speed(wanted):
    courant, memory = knobs(wanted)
    assert speed_of(courant, memory) == pytest.approx(wanted)
    assert (memory == 0) == (wanted <= speed.LARGEST)
    assert courant <= speed.LARGEST


def test_a_given_memory_is_kept_and_the_step_stays_stable():
    courant, memory = knobs(0.2, memory=0.5)
    assert memory == 0.5
    assert speed_of(courant, memory) == pytest.approx(0.2)
    assert knobs(99.0, memory=0.5) == (speed.LARGEST_WITH_MOMENTUM, 0.5)
    assert knobs(99.0, memory=0.0) == (speed.LARGEST, 0.0)
    assert not math.isnan(knobs(1e-6, memory=0.0)[0])
