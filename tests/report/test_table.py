import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_measurement import measurement
from singulab.development.curve import Curve
from singulab.report import table
from singulab.report.table import Table, rounded


@pytest.mark.parametrize(
    "value, error, shown",
    [
        (137.96, 0.341, "138.0 ± 0.3"),
        (8.0872, 0.1834, "8.09 ± 0.18"),
        (15234.0, 420.0, "15200 ± 400"),
        (15234.0, 120.0, "15230 ± 120"),
        (-0.05, 0.0996, "-0.05 ± 0.10"),
        (6.05, 0.0, "6.05"),
        (6.05, math.nan, "6.05"),
        (math.nan, 0.1, "–"),
    ],
)
def test_numbers_are_rounded_where_their_error_begins(value, error, shown):
    assert rounded(value, error) == shown


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e5))
def test_rounding_moves_nothing_by_more_than_a_sixth_of_the_error(value, error):
    shown_value, shown_error = map(float, rounded(value, error).split(" ± "))
    assert abs(shown_value - value) <= 0.17 * error + 1e-9
    assert abs(shown_error - error) <= 0.17 * error + 1e-9


def test_text_columns_line_up():
    content = Table(("step", "λ̂"), (("0", "8.1 ± 0.2"), ("1000", "14")))
    assert content.text().splitlines() == [
        "step  λ̂",
        "----  ---------",
        "0     8.1 ± 0.2",
        "1000  14",
    ]


def test_markdown_keeps_bars_inside_cells():
    content = Table(("name", "limit"), (("radius", "|w − w*| < 3"),))
    assert content.markdown().splitlines()[2] == r"| radius | \|w − w*\| < 3 |"


def test_a_curve_says_which_check_failed():
    points = Curve((0, 7), (measurement(8.0, 0.2), measurement(9.0, 0.2, passed=False)))
    rows = table.curve(points, training_loss={0: "2.30", 7: "0.01"})
    assert rows.columns == ("step", "training loss", "λ̂ ± se", "relative error", "radius", "checks")
    assert rows.rows[0] == ("0", "2.30", "8.00 ± 0.20", "2.5 %", "8.1", "passed")
    assert rows.rows[1][-1] == "failed: drift"


def test_costs_add_up():
    rows = table.cost({"a": measurement(), "b": measurement()}).rows
    assert rows[-1] == ("sum", "800", "3,200", "4,000", "6.4")


def test_checks_carry_their_advice():
    rows = table.checks(measurement(passed=False)).rows
    assert rows[1] == ("drift", "0.5", "≤ 1", "failed", "Run longer, or choose a smaller step.")
