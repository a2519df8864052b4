"""Weighted lines against a solver of least squares, quantiles against those of a single normal law."""

import numpy as np
import pytest
from scipy.stats import truncnorm

from singulab.fits import intercepts, mixture_quantile


def test_intercepts_are_those_of_weighted_least_squares():
    rng = np.random.default_rng(0)
    shapes, y, weights = rng.normal(size=(3, 7)), rng.normal(size=7), rng.gamma(2.0, size=7)
    values, errors, misfits = intercepts(shapes, y, weights)
    for shape, value, error, misfit in zip(shapes, values, errors, misfits, strict=True):
        design = np.stack([np.ones(7), shape], axis=1)
        normal = design.T @ (weights[:, None] * design)
        line = np.linalg.solve(normal, design.T @ (weights * y))
        assert value == pytest.approx(line[0], rel=1e-10)
        assert error == pytest.approx(np.linalg.inv(normal)[0, 0] ** 0.5, rel=1e-10)
        assert misfit == pytest.approx(weights @ (y - design @ line) ** 2, rel=1e-10)


def test_a_quantile_of_one_law_is_that_of_the_cut_normal_law():
    value, error, top = 0.3, 0.4, 1.0
    law = truncnorm(-value / error, (top - value) / error, loc=value, scale=error)
    for share in (0.1, 0.5, 0.9):
        got = mixture_quantile(share, np.array([value]), np.array([error]), np.ones(1), top)
        assert got == pytest.approx(law.ppf(share), abs=1e-8)


@pytest.mark.parametrize("value, end", [(50.0, 1.0), (-50.0, 0.0)])
def test_laws_that_lie_outside_give_the_end_beside_them(value, end):
    assert mixture_quantile(0.5, np.array([value]), np.array([0.1]), np.ones(1), 1.0) == end
