import json

import pytest

from singulab.cli.main import main


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_formula_is_measured_and_drawn(capsys, tmp_path):
    assert main(["volume", "x^2 + y^4", "--levels", "24", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["curve"]["method"] == "quadrature"
    assert abs(told["exponent"] - 0.75) < 4 * told["se"] < 0.002
    assert told["variables"] == ["x", "y"]
    assert told["curve"]["decades"] >= 8
    assert len(told["curve"]["log_volume"]) == len(told["curve"]["log_epsilon"])
    assert (tmp_path / "runs" / "volume.png").stat().st_size > 10_000


def test_particles_can_be_asked_for(capsys):
    flags = ["--method", "splitting", "--particles", "60", "--levels", "22"]
    assert main(["volume", "x^2", *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["curve"]["method"] == "splitting"
    assert abs(told["exponent"] - 0.5) < 4 * told["se"] < 0.2


@pytest.mark.slow
def test_a_small_box_gives_the_value_at_its_middle(capsys):
    flags = ["--center", "0", "1", "--half", "0.2", "--levels", "24"]
    assert main(["volume", "x^2*y^2", *flags]) == 0
    out = capsys.readouterr().out
    assert out.startswith("λ = 0.")
    assert "decades of volume" in out


def test_too_few_decades_are_a_failed_check(capsys):
    assert main(["volume", "x^2", "--levels", "10", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["x^2 +"], "is not a formula"),
        (["x^2", "--center", "1", "2"], "one number for each of x"),
        (["x^2", "--half", "0"], "above 0"),
        (["x^2", "--center", "nan"], "finite"),
        (["x^2", "--minimum", "inf"], "finite"),
        (["a*b*c*d", "--method", "quadrature"], "up to 3 weights, got 4"),
        (["x^2", "--levels", "6"], "--levels is at least 8, got 6"),
        (["x^2", "--levels", "0"], "--levels is at least 8, got 0"),
        (["x^2", "--figure", "x.gif"], "must end in"),
        (["x^2 - 1", "--minimum", "0"], "below the minimum"),
        (["a^2 + b^2 + c^2 + d^2", "--particles", "5"], "at least 50 particles"),
    ],
)
def test_bad_input_is_one_sentence(capsys, flags, sentence):
    assert main(["volume", *flags, "--json"]) == 2
    assert sentence in json.loads(capsys.readouterr().out)["error"]


def test_a_lambda_above_half_the_dimension_is_a_failed_check(capsys):
    flags = ["--center", "0.5", "--half", "0.5", "--levels", "24"]
    assert main(["volume", "x", *flags, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    assert told["above"] is True
    assert abs(told["exponent"] - 1) < 1e-5


def test_a_loss_without_sublevel_sets_is_a_failed_check_without_a_figure(capsys, tmp_path):
    assert main(["volume", "0*x", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    assert told["figure"] is None
    assert main(["volume", "0*x"]) == 1
    assert "No sublevel set could be followed" in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "runs").exists()
