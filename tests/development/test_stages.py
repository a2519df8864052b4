"""False-alarm rates below are counted over many curves; bounds leave one chance in a thousand."""

import itertools
import logging
import math

import numpy as np
import pytest
from scipy.stats import binom, kstest

from fake_measurement import measurement
from singulab.development.curve import Curve
from singulab.development.stages import _order_p_value, _Points, _Search, stages

STEPS = (0, 4, 6, 9, 14, 20, 30, 46, 68, 103, 154, 231, 346, 519, 754)
X = np.log1p(STEPS)
RISE_AND_FALL = np.array([8, 8.1, 8.2, 8.4, 8.8, 9.6, 11.5, 13, 14.2, 14.6, 13, 11.5, 9.8, 8, 6.05])
FLAT = np.full(15, 10.0)
JUMP = np.where(X < 3.5, 10.0, 12.0)
RISE = 10 + X
RISE_PLATEAU_FALL = 10 + 2 * np.minimum(X, 3) - 3 * np.maximum(X - 5, 0)


def curve(values, errors, steps=STEPS, failed=()) -> Curve:
    return Curve(
        tuple(steps),
        tuple(
            measurement(float(v), float(e), passed=s not in failed)
            for v, e, s in zip(values, errors, steps, strict=True)
        ),
    )


def found(truth, error, *, num_curves, seed=0, scatter=1.0, **options):
    """The stages of many noisy copies of a true curve."""
    random = np.random.default_rng(seed)
    error = np.broadcast_to(error, truth.shape)
    return [
        stages(
            curve(truth + scatter * error * random.standard_normal(truth.size), error),
            num_simulations=199,
            seed=copy,
            **options,
        )
        for copy in range(num_curves)
    ]


def directions(result) -> tuple[str, ...]:
    return tuple(stage.direction for stage in result.stages)


def test_false_alarms_on_shuffled_curves_stay_at_the_level():
    # Error bars of 2.5 % while the points span a factor of 2.4: by error bars alone any order is "significant".
    points = curve(RISE_AND_FALL, 0.025 * RISE_AND_FALL)
    alarms = sum(
        bool(stages(points.shuffled(seed), num_simulations=199, seed=seed).borders)
        for seed in range(200)
    )
    assert alarms <= binom.isf(1e-3, 200, 0.05)


@pytest.mark.parametrize("error", [0.25, 0.1 + 0.06 * X], ids=["equal", "growing"])
def test_false_alarms_on_flat_curves_stay_at_the_level(error):
    results = found(FLAT, error, num_curves=120)
    assert sum(bool(r.borders) for r in results) <= binom.isf(1e-3, 120, 0.05)
    # The direction of the one stage is a claim too.
    assert sum(directions(r) != ("flat",) for r in results) <= binom.isf(1e-3, 120, 0.05)


def test_too_small_error_bars_raise_no_more_alarms():
    results = found(FLAT, 0.25, num_curves=100, scatter=4.0)
    assert sum(bool(r.borders) for r in results) <= binom.isf(1e-3, 100, 0.05)
    assert np.median([r.scatter for r in results]) > 2


def test_the_order_test_is_exact():
    """A permutation test's p-value is uniform when the order is random, whatever the points are."""
    random = np.random.default_rng(5)
    search = _Search(3, 8)
    p_values = []
    for _ in range(300):
        order = random.permutation(15)
        points = _Points(X, RISE_AND_FALL[order], 0.025 * RISE_AND_FALL[order])
        p_values.append(_order_p_value(points, search, 99, random))
    assert kstest(p_values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    "truth, wanted, places",
    [
        (JUMP, ("flat", "flat"), [3.5]),
        (RISE_PLATEAU_FALL, ("rises", "flat", "falls"), [3.0, 5.0]),
        (RISE, ("rises",), []),
        (10 + np.maximum(X - 3, 0), ("flat", "rises"), [3.0]),
    ],
    ids=["jump", "rise plateau fall", "one rise", "flat then rise"],
)
def test_planted_stages_are_found_where_they_are(truth, wanted, places):
    results = found(truth, 0.25, num_curves=60)
    right = [r for r in results if directions(r) == wanted]
    assert len(right) >= 0.85 * len(results)
    plausible = [
        math.log1p(border.earliest_step) <= place <= math.log1p(border.latest_step)
        for result in right
        for border, place in zip(result.borders, places, strict=True)
    ]
    # At level 5 %; a border can stand only where three points lie on either side.
    assert sum(plausible) >= 0.85 * len(plausible)


def test_a_rise_and_fall_ends_in_rise_and_fall_with_its_size():
    results = found(RISE_AND_FALL, 0.025 * RISE_AND_FALL, num_curves=60)
    assert sum(directions(r)[-2:] == ("rises", "falls") for r in results) >= 0.95 * 60
    for result in results:
        last = result.stages[-1]
        if last.direction == "falls" and last.first_step in (68, 103):
            truth = 6.05 - RISE_AND_FALL[STEPS.index(last.first_step)]
            assert (
                abs(last.change - truth) < 5 * last.change_se + 0.5
            )  # the fall is not quite a line


def test_no_more_borders_than_planted():
    results = found(JUMP, 0.25, num_curves=120)
    assert sum(len(r.borders) > 1 for r in results) <= 0.1 * 120


def test_the_error_of_a_change_is_right():
    # In the middle of nowhere: one line, so the change is a plain weighted regression.
    results = found(RISE, 0.3, num_curves=150)
    z = [
        (r.stages[0].change - (X[-1] - X[0])) / r.stages[0].change_se
        for r in results
        if len(r.stages) == 1
    ]
    assert abs(np.mean(z)) < 4 / math.sqrt(len(z))
    assert 0.8 < np.std(z) < 1.15


def test_dynamic_programming_equals_trying_every_division():
    random = np.random.default_rng(0)
    x = np.sort(random.random(11))
    y, se = random.standard_normal(11), 0.5 + random.random(11)
    penalty = math.log(11)

    def cost(begin, end):
        xs, ys, ws = x[begin:end], y[begin:end], se[begin:end] ** -2.0
        level = (ws * (ys - np.average(ys, weights=ws)) ** 2).sum() + penalty
        line = np.polynomial.Polynomial.fit(xs, ys, 1, w=ws**0.5)
        return min(level, (ws * (ys - line(xs)) ** 2).sum() + 2 * penalty)

    for pieces in (1, 2, 3):
        divisions = [
            (0, *inner, 11)
            for inner in itertools.combinations(range(3, 9), pieces - 1)
            if all(b - a >= 3 for a, b in itertools.pairwise((0, *inner, 11)))
        ]
        totals = [
            sum(cost(a, b) for a, b in itertools.pairwise(division)) + (pieces - 1) * penalty
            for division in divisions
        ]
        points = _Points(x, y, se)
        assert _Search(3, 3).criteria(points)[pieces - 1] == pytest.approx(min(totals))
        best = divisions[int(np.argmin(totals))]
        assert _Search(3, 3).best_starts(points, pieces) == list(best[:-1])


def test_units_do_not_matter():
    random = np.random.default_rng(1)
    values = RISE_AND_FALL + 0.2 * random.standard_normal(15)
    first = stages(curve(values, np.full(15, 0.2)))
    second = stages(curve(70 - 3 * values, np.full(15, 0.6)))
    assert [b.after_step for b in first.borders] == [b.after_step for b in second.borders]
    turned = {"rises": "falls", "falls": "rises", "flat": "flat"}
    assert directions(second) == tuple(turned[d] for d in directions(first))
    assert second.stages[-1].change == pytest.approx(-3 * first.stages[-1].change)


def test_the_same_seed_gives_the_same_stages():
    points = curve(RISE_AND_FALL, np.full(15, 0.3))
    assert stages(points, seed=3) == stages(points, seed=3)


def test_failed_points_are_left_out_aloud(caplog):
    values = RISE_AND_FALL.copy()
    values[4] = 500.0
    with caplog.at_level(logging.WARNING):
        result = stages(curve(values, np.full(15, 0.2), failed=(14,)))
    assert result.left_out == (14,)
    assert result.num_points == 14
    assert "step 14" in str(result)
    assert "14" in caplog.text
    assert directions(result)[-2:] == ("rises", "falls")


def test_equal_points_have_no_stages():
    result = stages(curve(FLAT, np.full(15, 0.2)))
    assert directions(result) == ("flat",)
    assert result.p_order == 1.0


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_few_points_are_one_stage(size):
    result = stages(curve(RISE_AND_FALL[:size], np.full(size, 0.2), STEPS[:size]))
    assert len(result.stages) == 1
    assert result.stages[0].num_points == size


def test_long_curves_are_quick():
    steps = np.unique(np.geomspace(1, 50_000, 150).astype(int))
    x = np.log1p(steps)
    truth = 100 + 30 * np.clip(x - 5, 0, 3) - 8 * np.maximum(x - 9, 0)
    random = np.random.default_rng(0)
    points = curve(truth + random.standard_normal(x.size), np.ones(x.size), steps.tolist())
    assert directions(stages(points, num_simulations=199)) == ("flat", "rises", "flat", "falls")


def test_the_sentences_say_what_was_found():
    random = np.random.default_rng(2)
    result = stages(curve(JUMP + 0.2 * random.standard_normal(15), np.full(15, 0.2)))
    assert result.sentences()[1].startswith(
        "Border between step 30 and step 46 (plausible: 30 to 46; p = 0.00"
    )
    assert result.borders[0].jump == pytest.approx(2.0, abs=4 * result.borders[0].jump_se)
    nothing = stages(curve(FLAT + 0.2 * random.standard_normal(15), np.full(15, 0.2)))
    assert "No border" in str(nothing)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"level": 0.0}, "between 0 and 1"),
        ({"level": 0.01, "num_simulations": 50}, "at least 99 simulations"),
        ({"min_points": 2}, "at least 3 points"),
        ({"max_stages": 0}, "at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        stages(curve(FLAT, np.full(15, 0.2)), **options)


def test_a_curve_of_failures_has_no_stages_and_says_so():
    result = stages(curve(FLAT, np.full(15, 0.2), failed=STEPS))
    assert (result.stages, result.borders, result.left_out) == ((), (), STEPS)
    assert "Every point failed" in str(result)
