from fractions import Fraction

import pytest

from singulab.exact import check, rlct_over


def replayed(found):
    low, high = check(found.certificate)
    assert low == high == found.upper
    return str(found.value), found.multiplicity, found.strata[0].where


UNIT = (-2, 2)


@pytest.mark.parametrize(
    "loss, box, value, multiplicity, where",
    [
        ("(x*y)^2", {"x": UNIT, "y": UNIT}, "1/2", 2, "x = 0, y = 0"),
        ("(y^2 - x^3)^2", {"x": UNIT, "y": UNIT}, "5/12", 1, "x = 0, y = 0"),
        ("(x*y - 1)^2", {"x": UNIT, "y": UNIT}, "1/2", 1, "x > 0, y > 0"),
        ("x^2*(x - 1)^4", {"x": UNIT}, "1/4", 1, "x > 0"),
        ("x^2*(x - 1)^4", {"x": (-2, "1/2")}, "1/2", 1, "x = 0"),
        ("(x^2 - 2)^4", {"x": (0, 2)}, "1/4", 1, "x > 0"),
        ("(x*(x^2 + y^2 - 1))^2", {"x": UNIT, "y": UNIT}, "1/2", 2, "x = 0, y > 0"),
        ("x^2", {"x": (0, 1)}, "1/2", 1, "x = 0"),
        ("(x + y)^2", {"x": (0, 1), "y": (0, 1)}, "1", 1, "x = 0, y = 0"),
        (["x*(y - 1)", "x*z"], {"x": UNIT, "y": UNIT, "z": UNIT}, "1/2", 1, "x = 0, y = 0, z = 0"),
    ],
)
def test_the_least_value_over_a_box_is_proved(loss, box, value, multiplicity, where):
    assert replayed(rlct_over(loss, box)) == (value, multiplicity, where)


def test_strata_come_in_their_order():
    found = rlct_over("(x*(y - 1))^2", {"x": UNIT, "y": (0, 2)})
    assert [(s.where, s.upper.multiplicity) for s in found.strata] == [
        ("x = 0, y > 0", 2),
        ("x = 0, y = 0", 1),
        ("x > 0, y > 0", 1),
        ("x < 0, y > 0", 1),
    ]
    assert "stratum x = 0, y > 0" in found.explain()


def test_the_least_value_lies_at_the_origin_of_a_homogeneous_loss():
    box = dict.fromkeys("abcd", UNIT)
    found = rlct_over("(a*b + c*d)^2", box, time_limit=20)
    assert replayed(found) == ("1/2", 1, "a = 0, b = 0, c = 0, d = 0")
    assert all(s.lower.rlct == Fraction(1, 2) for s in found.strata)


@pytest.mark.parametrize(
    "ask, told",
    [
        (lambda: rlct_over("(x - 3)^2", {"x": UNIT}), "does not meet the box"),
        (lambda: rlct_over("x^2*y^2", {"x": UNIT}), "of y is missing"),
        (lambda: rlct_over("x^2", {"x": UNIT, "q": UNIT}), "'q' is unknown"),
        (lambda: rlct_over("x^2 - x^2", {"x": UNIT}), "zero everywhere"),
        (lambda: rlct_over("x^2", {"x": (1, 1)}), "empty or a point"),
        (lambda: rlct_over("x^2", {"x": UNIT}, time_limit=-1), "positive"),
        (
            lambda: rlct_over(
                "(" + "+".join(f"x{i}" for i in range(9)) + ")^2",
                {f"x{i}": UNIT for i in range(9)},
            ),
            "19683 parts",
        ),
    ],
)
def test_bad_boxes_are_told(ask, told, unchecked):
    with pytest.raises(ValueError, match=told):
        ask()


def test_what_was_not_searched_stays_a_bound():
    found = rlct_over(
        ["a*b*c + d*e^2 - a*d^2*c", "a^2*e - b*d*e + c^3*a", "c*d*e + a^2*b*e - e^3*c"],
        dict.fromkeys("abcde", UNIT),
        time_limit=0.3,
    )
    assert found.status == "bounds"
    assert found.value is None
    assert found.reasons
