import math

import numpy as np
import pytest
from scipy.special import logit

from singulab.bayes import regression, sampled_jump, two_wells

REGIONS = {"worse": lambda w: w[:, 0] < 4.7, "better": lambda w: w[:, 0] >= 4.7}


def test_the_population_loss_of_the_two_wells_is_what_it_says():
    model = two_wells()
    theta = np.array([[-1.0], [0.0], [0.3], [9.0], [9.4], [10.0]])
    expected = np.minimum(44 / 10_500 + theta[:, 0] ** 2, (theta[:, 0] - 9.4) ** 2)
    assert model.excess(theta) == pytest.approx(expected, abs=1e-9)


def test_crossings_of_sampled_data_are_those_of_the_log_odds():
    model, ns = two_wells(gap=0.05, distance=6.0), np.geomspace(50, 4000, 26).astype(int).tolist()
    regions = {"worse": lambda w: w[:, 0] < 3.0, "better": lambda w: w[:, 0] >= 3.0}
    found = sampled_jump(
        model, regions, ns, before="worse", after="better", num_data_sets=12, seed=4
    )
    # Both wells by Laplace: log-odds = n(½g² − g·ȳ) − 18 at g = √(2·0.05), up to the shift of each minimum.
    rng = np.random.default_rng([4, 1])
    g = math.sqrt(0.1)
    for row in range(12):
        y = model.simulate(rng, int(ns[-1]))[:, 1]
        means = np.array([y[:n].mean() for n in ns])
        ns = np.array(ns)
        better = -18.0 + ns * means**2 / 2 - 6.0 * means / math.sqrt(2)
        worse = -ns * ((g - means) ** 2 / 2 - means**2 / 2)
        # Curvature of ½(√(2gap + 2θ²) − ȳ)² at 0 is 2(g − ȳ)/g; that of the better well is 2.
        worse = worse - 0.5 * np.log(np.maximum(2 * ns * (g - means) / g + 1, 1.0))
        better = better - 0.5 * np.log(2 * ns + 1)
        odds = logit(np.clip(found.mass[row], 1e-12, 1 - 1e-12))
        near = (np.abs(odds) < 15) & (ns > 200)
        assert near.any()
        assert odds[near] == pytest.approx((better - worse)[near], abs=0.6)
    assert np.isfinite(found.crossings).mean() > 0.8


def test_the_jump_of_the_default_wells_is_spread_by_the_data():
    model, ns = two_wells(), np.geomspace(3000, 30_000, 14).astype(int).tolist()
    found = sampled_jump(
        model, REGIONS, ns, before="worse", after="better", num_data_sets=30, seed=0
    )
    low, middle, high = found.quantiles((0.16, 0.5, 0.84))
    # log-odds nΔL − C + √(2nΔL)ξ: n_c = 10 542, its spread √(2·44)/44 = 21 %.
    assert middle == pytest.approx(10_542, rel=0.21 * 4 / math.sqrt(30))
    assert 0.08 < (high - low) / 2 / 10_542 < 0.45


def test_what_never_crosses_is_not_counted():
    model = regression(
        "flat",
        lambda draws, x: 0.0 * draws[:, None, :],
        np.zeros((1, 1)),
        np.zeros((1, 1)),
        [(-2.0, 2.0)],
        prior="uniform",
    )
    regions = {"a": lambda w: w[:, 0] < 1.0, "b": lambda w: w[:, 0] >= 1.0}
    found = sampled_jump(model, regions, [10, 100], before="a", after="b", num_data_sets=3)
    assert found.mass == pytest.approx(0.25, abs=1e-3)
    assert len(found.sound) == 0
    assert math.isnan(found.quantiles()[0])


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="two of worse, better"):
        sampled_jump(two_wells(), REGIONS, [10, 20], before="worse", after="nothing")
    with pytest.raises(ValueError, match="above 0"):
        two_wells(gap=0.0)
