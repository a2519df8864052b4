import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from singulab.discrete import (
    Fibres,
    boolean_network,
    pearson,
    predicted_bound,
    rank_frequency,
    sign_network,
    spearman,
    upper_bound,
)
from singulab.discrete.simplicity import ranks


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=4, max_size=40), st.integers(0, 1000))
def test_ranks_and_correlations_are_those_of_scipy(values, seed):
    x = np.array(values, float)
    y = np.random.default_rng(seed).normal(size=len(x)) + x
    assert np.allclose(ranks(x), scipy.stats.rankdata(x))
    if len(set(values)) > 1:
        assert spearman(x, y).value == pytest.approx(scipy.stats.spearmanr(x, y)[0], abs=1e-12)
        assert pearson(x, y).value == pytest.approx(scipy.stats.pearsonr(x, y)[0], abs=1e-12)


def test_the_error_of_a_correlation_is_its_spread():
    random = np.random.default_rng(0)
    found = []
    for _ in range(80):
        x = random.normal(size=200)
        found.append(pearson(x, 0.6 * x + 0.8 * random.normal(size=200)))
    # (1 − ρ²)/√n is the spread for normal numbers; 80 repeats know it to 8 %, one resampling of 200 to about 10 %.
    expected = (1 - 0.36) / math.sqrt(200)
    assert np.std([f.value for f in found]) == pytest.approx(expected, rel=0.32)
    assert np.mean([f.se for f in found]) == pytest.approx(expected, rel=0.15)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(-20, 0)), min_size=3, max_size=30))
def test_the_bound_lies_above_all_and_is_the_lowest(points):
    x, y = (np.array(side, float) for side in zip(*points, strict=True))
    levels = np.unique(x)
    if len(levels) < 2:
        return
    line = upper_bound(y, x)
    assert line.held(y, x) == 1.0
    # The best line is a linear programme: least height at the mean level, above every point.
    best = scipy.optimize.linprog(
        [levels.mean(), 1.0],
        A_ub=-np.stack([x, np.ones_like(x)], axis=1),
        b_ub=-y,
        bounds=[(None, None)] * 2,
    )
    assert line.at(np.array([levels.mean()]))[0] == pytest.approx(best.fun, abs=1e-7)


def test_the_bound_of_a_line_is_that_line():
    x = np.array([1.0, 2.0, 3.0, 3.0])
    line = upper_bound(-2 * x + 1 - np.array([0, 0, 0, 5.0]), x)
    assert (line.slope, line.intercept) == (2.0, 1.0)
    assert line.held(np.array([0.0, -9.0]), np.array([1.0, 2.0])) == 0.5
    assert predicted_bound(128, np.array([7.0, 160.0])).slope == 0.8
    with pytest.raises(ValueError, match="at least two complexities"):
        upper_bound(np.zeros(3), np.ones(3))


def test_a_law_of_zipf_has_slope_minus_one():
    counts = (10**9 / np.arange(1, 3001)).astype(np.int64)
    machine = boolean_network((7, 2, 1))
    found = Fibres(
        functions=np.zeros((3000, 2), np.uint64),
        counts=counts,
        total=int(counts.sum()),
        exact=True,
        machine=machine,
    )
    seen = rank_frequency(found)
    assert seen.slope == pytest.approx(-1, abs=1e-6)
    assert seen.rank[-1] == 3000


def test_few_functions_have_no_slope():
    from singulab.discrete import fibres

    assert math.isnan(rank_frequency(fibres(sign_network(1, 1))).slope)
    with pytest.raises(ValueError, match="at least 3 functions"):
        pearson(np.zeros(2), np.zeros(2))
