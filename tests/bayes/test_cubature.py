"""Integrals over several narrow peaks: none is lost, or the answer says that one may be."""

import math

import numpy as np
import pytest

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


@pytest.mark.parametrize("dim, error", [(1, 1e-8), (2, 1e-4), (3, 5e-3)])
@pytest.mark.parametrize("seed", range(3))
def test_named_peaks_far_narrower_than_every_cell_are_all_counted(dim, error, seed):
    rng = np.random.default_rng([seed, dim])
    count = int(rng.integers(3, 7))
    places = rng.uniform(-0.9, 0.9, (count, dim))
    widths = 10.0 ** rng.uniform(-9, -2, count)
    function, exact = bumps(places, widths)
    found = cubature(function, Box.of(dim), places)
    assert found.log_integral == pytest.approx(exact, abs=error)
