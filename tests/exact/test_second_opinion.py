"""The protocol with a program that stands in for Macaulay2, and Macaulay2 itself where it is installed."""

import stat
import time
from fractions import Fraction

import pytest

from singulab.exact import NoOpinionError, rlct, rlct_of_ideal, second_opinion
from singulab.exact.second_opinion import found

try:
    found(None)
    MISSING = False
except NoOpinionError:
    MISSING = True
needs_m2 = pytest.mark.skipif(MISSING, reason="Macaulay2 is not installed")


def stand_in(path, body):
    program = path / "M2"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_the_question_is_asked_and_the_answer_read(tmp_path):
    program = stand_in(tmp_path, f'cat "$2" > {tmp_path}/asked; echo "a banner"; echo "lct=4/3"')
    said = second_opinion(["a*b + c*d", "a*b^3 + c*d^3"], program=program)
    assert (said.lct, said.lower) == (Fraction(4, 3), Fraction(2, 3))
    asked = (tmp_path / "asked").read_text()
    assert asked == said.script
    assert "R = QQ[x_0, x_1, x_2, x_3];" in asked
    assert "ideal(x_0*x_1 + x_2*x_3, x_0*x_1^3 + x_2*x_3^3)" in asked


def test_k_itself_is_not_halved_and_the_point_is_moved(tmp_path):
    program = stand_in(tmp_path, 'echo "lct=1"')
    assert second_opinion("x^2 + x*y + y^4", program=program).lower == 1
    assert second_opinion("(x - 1)^2", {"x": 1}, program=program).lower == Fraction(1, 2)
    assert "ideal(x_0)" in second_opinion("(x - 1)^2", {"x": 1}, program=program).script


@pytest.mark.parametrize(
    "body, told",
    [
        ("echo 'error: no method found' >&2; exit 1", "no method found"),
        ("echo lct=nonsense", "gave no threshold"),
        ("true", "said: nothing"),
    ],
)
def test_no_answer_is_told(tmp_path, body, told):
    with pytest.raises(NoOpinionError, match=told):
        second_opinion("x^2", program=stand_in(tmp_path, body))


def test_a_program_that_takes_too_long_is_ended(tmp_path):
    start = time.monotonic()
    with pytest.raises(NoOpinionError, match="did not answer within 0.2 s"):
        second_opinion("x^2", program=stand_in(tmp_path, "exec sleep 20"), time_limit=0.2)
    assert time.monotonic() - start < 5


def test_a_missing_program_is_told(tmp_path):
    with pytest.raises(NoOpinionError, match="not found at .*pip install --no-deps"):
        second_opinion("x^2", program=tmp_path / "M2")


@needs_m2
@pytest.mark.slow
@pytest.mark.parametrize(
    "generators", [["a*b + c*d", "a*b^2 + c*d^2"], ["x^2 - y^3"], ["x*y", "z^2"]]
)
def test_real_and_complex_agree(generators):
    assert second_opinion(generators).lower == rlct_of_ideal(generators).value


@needs_m2
@pytest.mark.slow
def test_real_and_complex_differ_where_the_worst_divisor_has_no_real_point():
    k = "x^2 + y^2 + z^2"
    # as K itself: written as a sum of squares it would be the ideal (x, y, z)
    assert second_opinion("(x + y)^2 - 2*x*y + z^2").lower == 1
    assert rlct(k).value == Fraction(3, 2)
