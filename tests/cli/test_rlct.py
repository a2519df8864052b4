import json

import pytest

from singulab.cli.main import main


def answer(capsys, *words):
    code = main(["rlct", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "words, value, multiplicity",
    [
        (["(y^2 - x^3)^2"], "5/12", 1),
        (["x*y, z*w"], "1", 3),
        (["(x*y - 1)^2", "--at", "x=1", "y=1"], "1/2", 1),
        (["(x + y)^2", "--domain", "x=0:", "y=0:"], "1", 1),
        (["x^2", "--prior", "x^2"], "3/2", 1),
        (["(x*y)^2", "--box", "x=-1:1", "y=-1:1"], "1/2", 2),
    ],
)
def test_the_value_is_told_as_json(capsys, words, value, multiplicity):
    code, told = answer(capsys, *words)
    assert code == 0
    assert told["rlct"] == value
    assert told["multiplicity"] == multiplicity
    assert told["status"] == "proved"
    assert told["lower"] == told["upper"] == {"rlct": value, "multiplicity": multiplicity}
    assert "certificate" not in told


def test_a_certificate_is_told_on_request(capsys):
    from singulab.exact import check

    _, told = answer(capsys, "(x^2 - y^2)^2", "--certificate")
    assert str(check(told["certificate"])[0]) == "λ = 1/2, m = 2"


def test_bounds_are_no_failure(capsys):
    ideal = "a*b*c + d*e*f - a*d^2*c, a^2*f - b*d*e + c^3*a + f^3, c*d*f + a^2*b*e - e^3*c"
    code, told = answer(capsys, ideal, "--time-limit", "0.2")
    assert code == 0
    assert told["rlct"] is None
    assert told["multiplicity"] is None
    assert told["status"] == "bounds"
    assert told["reasons"]


def test_people_read_a_derivation(capsys):
    assert main(["rlct", "(x^2 - y^2)^2", "--explain"]) == 0
    text = capsys.readouterr().out
    assert "Newton rule" in text
    assert "Result: λ = 1/2, m = 2, proved" in text


@pytest.mark.parametrize(
    "words, told",
    [
        (["0.5*x^2"], "float"),
        (["x^2", "--at", "x"], "x=1"),
        (["x^2", "--domain", "x=3"], "low:high"),
        (["x^2", "--at", "x=1"], "not 0"),
        (["x^2", "--box", "x=0:1", "--at", "x=0"], "--box"),
        (["x^2 - y^2"], "negative"),
        ([], "expression|required"),
    ],
)
def test_bad_input_exits_2_with_one_sentence(capsys, words, told):
    code = main(["rlct", *words, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == 2
    assert __import__("re").search(told, said["error"], __import__("re").IGNORECASE), said
