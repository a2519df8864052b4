import json

import pytest

from singulab.cli.main import main
from singulab.discrete import crossing


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told(capsys, *flags, code=0):
    assert main(["lattice", *flags, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_promised_keys_and_numbers(capsys):
    found = told(capsys, "--eta", ".01", "--eps", "1e-3")
    assert (found["total"], found["origin"]) == (126_121, 31_417)
    assert found["share"] == 31_417 / 126_121
    assert found["regime"] == "area"


def test_a_grid_is_a_list_of_points(capsys):
    found = told(capsys, "--eta", "1e-2", "1e-4", "--eps", "1e-3", "1e-5", "--radius", "0.5")
    assert [(p["eta"], p["eps"]) for p in found["points"]] == [
        ("1e-2", "1e-3"), ("1e-2", "1e-5"), ("1e-4", "1e-3"), ("1e-4", "1e-5"),
    ]  # fmt: skip
    assert found["points"][3]["total"] == crossing("1e-4", "1e-5", "0.5").total


def test_a_polynomial_is_counted_around_a_point(capsys):
    found = told(capsys, "--polynomial", "x*y", "--eta", "0.01", "--eps", "0.01")
    exact = crossing("0.01", "0.01")
    assert (found["total"], found["origin"]) == (exact.total, exact.origin)
    circle = [
        "--polynomial",
        "x^2+y^2-1/4",
        "--point",
        "1/2",
        "0",
        "--eta",
        "0.02",
        "--eps",
        "0.02",
    ]
    assert 0 < told(capsys, *circle)["share"] < 0.2


def test_the_picture_is_drawn(capsys, tmp_path):
    found = told(capsys, "--eps", "1e-3", "1e-4", "--figure", "a/share.svg")
    assert found["figure"] == "a/share.svg"
    assert "<svg" in (tmp_path / "a" / "share.svg").read_text()


def test_people_read_a_table(capsys):
    assert main(["lattice"]) == 0
    out = capsys.readouterr().out
    assert "126,121" in out
    assert "0.2491" in out


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--eta", "0"], "eta must be above 0"),
        (["--eps", "x"], "--eps must be a number above 0, got 'x'"),
        (["--radius", "-1"], "radius must be above 0"),
        (["--eps", "1e-999999999"], "must lie between 1e-100 and 1e100"),
        (["--eta", "1e200"], "must lie between 1e-100 and 1e100"),
        (["--eta", "9" * 5000], "eta must be"),
        (["--eta", "1e99", "--eps", "1e-99", "--radius", "1e99"], "too fine"),
        (["--polynomial", "((x+y)^60)^60"], "degree 64"),
        (["--polynomial", "1e999*x"], "a polynomial is made of"),
        (["--polynomial", "x*y", "--radius", "1e90"], "at most 2^34"),
        (["--eps", "1e-15"], "too fine"),
        (["--polynomial", "sin(x)"], "a polynomial is made of"),
        (["--polynomial", "x", "--figure", "a.png"], "--figure draws θ₁θ₂"),
        (["--polynomial", "x*y", "--point", "0"], "2 variables need a point"),
        (["--polynomial", "x*y", "--point", "a", "0"], "a coordinate of point must be a number"),
        (["--polynomial", "x*y", "--point", "0", "1e-308"], "must lie between 1e-100 and 1e100"),
        (["--polynomial", "x + x^64", "--eps", "1e-90", "--radius", "1e-90"], "over 300 orders"),
        (["--point", "0", "0"], "--point belongs to --polynomial"),
        (["--figure", "a.txt"], "must end in .png"),
    ],
)
def test_bad_input_is_one_sentence(capsys, flags, sentence):
    assert sentence in told(capsys, *flags, code=2)["error"]
