import math

import numpy as np
import pytest

from singulab.bayes.chords import chord_lengths

LOGS = np.exp(-np.arange(0.0, 70.0, 0.7))
GRID = np.unique(np.concatenate([-LOGS, [0.0], LOGS, np.linspace(-1, 1, 33)]))
EPSILON = np.array([0.3, 1e-2, 1e-6, 1e-14, 1e-22])


def lengths(function, num_lines=1, epsilon=EPSILON):
    return chord_lengths(function, num_lines, GRID, epsilon)


@pytest.mark.parametrize("power", [1, 2, 6])
@pytest.mark.parametrize("place", [0.0, 1e-9, 0.3137])
def test_the_chord_of_a_power_has_its_closed_form(power, place):
    found, rounding = lengths(lambda line, z: np.abs(z - place) ** power)
    exact = np.minimum(EPSILON ** (1 / power), 1 - place) + np.minimum(
        EPSILON ** (1 / power), 1 + place
    )
    last = 1e-15 * place  # no float lies nearer to the place than that
    assert (np.abs(found[0] - exact) <= 1e-8 * exact + rounding[0] + last).all()


def test_chords_of_a_cusp_are_two_and_then_one():
    x = np.array([1e-6, 0.01, 0.9, -0.1])
    found, rounding = lengths(lambda line, z: (z * z - x[line] ** 3) ** 2, 4)
    cube, root = x[:, None] ** 3, np.sqrt(EPSILON)
    outer = np.sqrt(np.clip(cube + root, 0, 1))
    inner = np.sqrt(np.clip(cube - root, 0, None))
    # 2·(outer − inner) without its cancellation.
    apart = np.clip(cube + root, 0, 1) - np.clip(cube - root, 0, None)
    exact = 2 * apart / np.where(outer + inner > 0, outer + inner, 1.0)
    assert (np.abs(found - exact) <= 1e-6 * exact + rounding).all()


def test_a_minimum_above_the_level_has_no_chord():
    found, _ = lengths(lambda line, z: z**2 + 0.5 * (line + 0.001), 2)
    assert found[0, 0] == pytest.approx(2 * np.sqrt(0.3 - 0.0005), rel=1e-8)
    assert (found[0, 2:] == 0).all()
    assert (found[1] == 0).all()


def test_all_of_a_line_below_the_level_is_one_chord():
    found, _ = lengths(lambda line, z: 1e-30 * (1 + np.cos(7 * z)))
    assert found == pytest.approx(np.full((1, 5), 2.0))


def test_waves_are_summed_over_their_minima():
    found, _ = lengths(lambda line, z: np.sin(9 * z) ** 2, epsilon=np.array([1e-4, 1e-8]))
    # Five zeros of sin 9z lie inside (−1, 1); each chord is 2·arcsin(√ε)/9.
    assert found[0] == pytest.approx(5 * 2 * np.arcsin([1e-2, 1e-4]) / 9, rel=1e-7)


def test_rounding_is_told_where_a_chord_is_as_narrow_as_the_last_digits():
    found, rounding = lengths(lambda line, z: (z - 0.3137) ** 2, epsilon=np.array([1e-10, 1e-30]))
    assert rounding[0, 0] < 1e-9 * found[0, 0]
    assert rounding[0, 1] > 0.1 * found[0, 1]


def test_a_gap_between_two_chords_is_not_closed_by_the_grid():
    # z²(z + x)²: the top at −x/2 falls between the nodes, and for a narrow range of ε only there f is above ε.
    x = np.linspace(0.2, 0.21, 40)
    epsilon = np.array([0.2**4 / 16 * 1.1])
    found, _ = lengths(lambda line, z: (z * (z + x[line])) ** 2, 40, epsilon)
    root = math.sqrt(epsilon[0])
    outer = np.sqrt(x**2 / 4 + root)
    inner = np.sqrt(np.clip(x**2 / 4 - root, 0.0, None))
    assert found[:, 0] == pytest.approx(2 * (outer - inner), rel=2e-5)
    assert 0 < (inner > 0).sum() < 40
