import random
from fractions import Fraction

import pytest

from singulab.exact import Bound, check, rlct_over


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


@pytest.mark.parametrize(
    "loss, box, value, multiplicity, where",
    [
        ("(x - 1)^2*(x - 2)^4", {"x": (0, 2)}, "1/4", 1, "x = 2"),
        ("(x - 1)^2*(y - 1)^2", {"x": (0, 1), "y": (0, 2)}, "1/2", 2, "x = 1, y > 0"),
        ("(x - 1)^2*(y + 1)^2", {"x": (0, 1), "y": (-1, 0)}, "1/2", 2, "x = 1, y = -1"),
        ("(x - 1)^2", {"x": (0, 1)}, "1/2", 1, "x = 1"),
        ("(x - 2)^4", {"x": (0, 2)}, "1/4", 1, "x = 2"),
        ("(2*x + 3)^4*(x - 1)^2", {"x": ("-3/2", 2)}, "1/4", 1, "x = -3/2"),
        ("(x - 3)^4*(x - 2)^2", {"x": (2, 3)}, "1/4", 1, "x = 3"),
        # K itself, which is negative beyond the far face; K = w + v² on w ≥ 0 has ε^{3/2}.
        ("2 - x", {"x": (0, 2)}, "1", 1, "x = 2"),
        ("2 - x + y^2", {"x": (0, 2), "y": (-1, 1)}, "3/2", 1, "x = 2, y = 0"),
        # An edge that touches a curve from outside: K = (w + v²)² on w ≥ 0.
        ("(2 - x + y^2)^2", {"x": (0, 2), "y": (-1, 1)}, "3/4", 1, "x = 2, y = 0"),
        (["x*(y - 1)", "(z - 1)*x"], dict.fromkeys("xyz", (0, 1)), "1/2", 1, "x = 0, y = 0, z = 0"),
        (["x - 1", "y*(z - 1)"], dict.fromkeys("xyz", (0, 1)), "1", 2, "x = 1, y = 0, z = 1"),
    ],
)
def test_zeros_on_the_faces_away_from_the_origin_count(loss, box, value, multiplicity, where):
    assert replayed(rlct_over(loss, box)) == (value, multiplicity, where)


@pytest.mark.parametrize("seed", range(8))
def test_zeros_of_products_count_wherever_they_are_in_the_closed_box(seed):
    dice = random.Random(seed)
    orders, loss, box = [], [], {}
    for name in "xy":
        low, high = sorted(dice.sample(range(-3, 4), 2))
        zeros = {dice.randint(low, high): dice.choice((1, 2, 3)) for _ in range(2)}
        zeros[low - 1], zeros[high + 1] = 4, 4  # outside
        loss += [f"({name} - ({at}))^{2 * k}" for at, k in zeros.items()]
        orders.append(max(k for at, k in zeros.items() if low <= at <= high))
        box[name] = (low, high)
    most = max(orders)
    found = replayed(rlct_over("*".join(loss), box))
    assert found[:2] == (str(Fraction(1, 2 * most)), orders.count(most))


def test_more_far_faces_than_are_searched_leave_a_bound(monkeypatch):
    from singulab.exact import strata

    monkeypatch.setattr(strata, "_MOST_PARTS", 9)
    found = rlct_over("(x - 1)^2*(x - 3)^8*(y - 1)^2*(y - 3)^8", {"x": UNIT, "y": UNIT})
    assert found.status == "bounds"
    assert "the box has more than 9 far faces" in found.reasons
    low, high = check(found.certificate)
    assert low <= Bound(Fraction(1, 2), 2) <= high


def test_a_line_that_meets_the_box_in_a_corner_lies_between_bounds():
    # K = (w + v)² on w, v ≥ 0 has volume ε; that the line misses the open box is not seen.
    found = rlct_over("(x + y - 4)^2", {"x": (0, 2), "y": (0, 2)})
    low, high = check(found.certificate)
    assert low <= Bound(Fraction(1), 1) == high == found.upper


def test_bounds_of_an_open_part_are_replayed():
    # Nothing is small in the part x, y > 0, where the factors are linear in neither variable. At (1, 0) the curves
    # touch: K = s²·(s + y²)² up to units, with weights 2 and 1.
    loss, box = "((x^2 + y^2 - 1)*(x^3 + y^3 - 1))^2", {"x": (0, 2), "y": (0, 2)}
    found = rlct_over(loss, box, time_limit=1.5)
    assert found.status == "bounds"
    low, high = check(found.certificate)
    assert low <= Bound(Fraction(3, 8), 1) == high == found.upper


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
        (lambda: rlct_over("x^2*(y^2 + 1)^60", {"x": UNIT, "y": UNIT}, time_limit=1e-9), "time"),
        (lambda: rlct_over("((x + 1)^60)^60*x^2", {"x": UNIT}), "degree"),
        (lambda: rlct_over("pi^2*x^2", {"x": UNIT}), "pi is no rational"),
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


@pytest.mark.parametrize("box", [None, [(0, 1)], "x=0:1", (0, 1)])
def test_a_box_is_a_mapping(box, unchecked):
    with pytest.raises(TypeError, match=r"box must be a mapping such as \{'x': \(-1, 1\)\}, got"):
        rlct_over("x^2", box)
