"""Integrals over several narrow peaks: none is lost, or the answer says that one may be."""

import math

import numpy as np
import pytest

from singulab.bayes import Posterior
from singulab.bayes.box import Box
from singulab.bayes.cubature import cubature

NONE = {dim: np.empty((0, dim)) for dim in (1, 2, 3)}


def bumps(places, widths, heights=None):
    """Log of a sum of normal densities, and its exact integral over a box that holds them all."""
    places, widths = np.asarray(places, dtype=float), np.asarray(widths, dtype=float)
    logs = np.zeros(len(widths)) if heights is None else np.asarray(heights, dtype=float)
    dim = places.shape[1]

    def function(points):
        away = ((points[:, None] - places) ** 2).sum(axis=-1) / widths**2
        u = logs - 0.5 * away - dim * np.log(widths) - 0.5 * dim * math.log(2 * math.pi)
        total = np.logaddexp.reduce(u, axis=1)
        return total, np.zeros(len(points))

    return function, float(np.logaddexp.reduce(logs))


@pytest.mark.parametrize(
    "dim, error", [(1, 1e-8), (2, 1e-4), pytest.param(3, 5e-3, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("seed", range(3))
def test_named_peaks_far_narrower_than_every_cell_are_all_counted(dim, error, seed):
    rng = np.random.default_rng([seed, dim])
    count = int(rng.integers(3, 7))
    places = rng.uniform(-0.9, 0.9, (count, dim))
    widths = 10.0 ** rng.uniform(-9, -2, count)
    function, exact = bumps(places, widths)
    found = cubature(function, Box.of(dim), places)
    assert found.log_integral == pytest.approx(exact, abs=error)


@pytest.mark.parametrize("dim, widths, error", [(1, (-3, -1), 1e-8), (2, (-1.9, -1), 1e-4)])
@pytest.mark.parametrize("seed", range(4))
def test_peaks_that_nobody_named_are_found_if_they_are_no_needles(dim, widths, error, seed):
    rng = np.random.default_rng([seed, dim, 7])
    count = int(rng.integers(2, 6))
    places = rng.uniform(-0.4, 0.4, (count, dim))
    sizes = 10.0 ** rng.uniform(*widths, count)
    heights = rng.uniform(-2, 2, count)
    function, _ = bumps(places, sizes, heights)
    # What lies outside of the box is the same for every way to integrate: take the share that lies inside.
    inside = [
        height + sum(math.log(_share(x, size)) for x in place)
        for place, size, height in zip(places, sizes, heights, strict=True)
    ]
    found = cubature(function, Box.of(dim), NONE[dim])
    assert found.log_integral == pytest.approx(float(np.logaddexp.reduce(inside)), abs=error)


def _share(place, size):
    """Of a normal law around a place within [−1, 1]."""
    root = size * math.sqrt(2)
    return 0.5 * (math.erf((1 - place) / root) + math.erf((1 + place) / root))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("n", [1e3, 1e12])
def test_no_well_of_several_is_lost_however_narrow_its_peak(n, seed):
    rng = np.random.default_rng([seed, 11])
    places = np.sort(rng.uniform(-0.95, 0.95, 40))
    places = places[np.concatenate([[True], np.diff(places) > 0.15])][:6]
    curvatures = 10.0 ** rng.uniform(0, 3, len(places))
    heights = rng.uniform(0, 2, len(places)) / n  # none of them is out of the race

    def loss(w):
        return (heights + curvatures * (w - places) ** 2).min(axis=-1)

    posterior = Posterior(loss, 1, barrier=0.0)
    at = posterior.at(n)
    assert len(at.bumps) == len(places)
    shares = np.exp(-n * heights) / np.sqrt(curvatures)
    exact = np.sort(shares / shares.sum())
    # Wells meet where e^{−n·loss} is e^{−5} of its height at n = 1000.
    tolerance = 0.02 if n < 1e4 else 1e-6
    assert np.sort([bump.mass for bump in at.bumps]) == pytest.approx(exact, abs=tolerance)


@pytest.mark.slow
def test_an_integral_without_end_says_so():
    with pytest.raises(ValueError, match="did not settle"):
        cubature(lambda x: (50 * np.sin(1e6 * x[:, 0]), np.zeros(len(x))), Box.of(1), NONE[1])
