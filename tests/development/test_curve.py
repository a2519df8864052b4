import json

import pytest

from fake_measurement import measurement
from singulab.development.curve import Curve
from singulab.development.difference import difference


def curve(*changes: dict) -> Curve:
    return Curve(tuple(range(len(changes))), tuple(measurement(**c) for c in changes), "net")


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"quantity": "llc"}, "quantity differs: behavioural_llc for step 0, llc for step 2"),
        ({"num_data": 1000}, "number of data n differs: 1200 for step 0, 1000 for step 2"),
        ({"num_data": None}, "number of data n differs: 1200 for step 0, None for step 2"),
        ({"unit": "token"}, "unit of n differs: datum for step 0, token for step 2"),
        ({"nbeta": 170.0}, "inverse temperature nβ differs: 169 for step 0, 170 for step 2"),
        ({"localization": 101.0}, "localization γ differs: 100 for step 0, 101 for step 2"),
    ],
)
def test_points_at_another_resolution_are_refused_by_name(changed, words):
    with pytest.raises(ValueError, match=words):
        curve({}, {}, changed)
    with pytest.raises(ValueError, match="differs"):
        difference(measurement(), measurement(**changed))


def test_rounding_of_a_saved_resolution_is_no_difference():
    assert len(curve({"nbeta": 169.25}, {"nbeta": 169.25 * (1 + 1e-13)})) == 2


@pytest.mark.parametrize(
    "steps, words",
    [
        ((), "at least one step"),
        ((0, 1, 2), "3 steps and 2 measurements"),
        ((3, 3), "3 follows 3"),
        ((3, 1), "1 follows 3"),
        ((-1, 1), "not negative"),
        ((0, float("nan")), "finite"),
    ],
)
def test_steps_must_increase_from_zero_and_match_the_points(steps, words):
    with pytest.raises(ValueError, match=words):
        Curve(steps, (measurement(), measurement()))


def test_a_failed_check_or_a_missing_value_marks_the_point():
    points = curve({}, {"passed": False}, {"value": float("nan")})
    assert points.passed == (True, False, False)
    assert points.failed_steps == (1, 2)
    assert points.where(lambda step, m: m.passed).steps == (0, 2)


def test_a_curve_is_json():
    written = json.loads(json.dumps(curve({}, {"value": float("nan")}).to_dict(), allow_nan=False))
    assert written["points"][1]["llc"]["value"] is None
    assert written["failed_steps"] == [1]
    assert [point["step"] for point in written["points"]] == [0, 1]


def test_shuffling_keeps_steps_and_measurements():
    points = curve(*({"value": float(v)} for v in range(8)))
    mixed = points.shuffled(3)
    assert mixed.steps == points.steps
    assert sorted(mixed.values) == sorted(points.values)
    assert list(mixed.values) != list(points.values)


def test_difference_adds_independent_errors():
    found = difference(measurement(6.0, 0.3), measurement(138.0, 0.4), names=("true", "shuffled"))
    assert found.value == pytest.approx(132.0)
    assert found.se == pytest.approx(0.5)
    assert found.z == pytest.approx(264.0)
    assert found.ratio == pytest.approx(23.0)
    # d(b/a) = db/a − b·da/a²
    assert found.ratio_se == pytest.approx(((0.4 / 6) ** 2 + (138 * 0.3 / 36) ** 2) ** 0.5)
