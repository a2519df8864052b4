import json

import pytest

from singulab.cli.main import main


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_default_jump_is_the_one_of_the_dialogue(capsys, tmp_path):
    assert main(["jump", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    masses = {point["n"]: point["mass"] for point in told["posterior"]}
    known = {9_000: "0.0016", 10_000: "0.093", 10_500: "0.456", 11_000: "0.872", 12_000: "0.998"}
    for n, mass in known.items():
        assert f"{masses[n]:.{len(mass) - 2}f}" == mass
    assert told["crossing"] == pytest.approx(10_542, abs=2)
    assert told["predicted"] == pytest.approx(told["crossing"], rel=0.01)
    assert (tmp_path / "runs" / "jump.png").stat().st_size > 20_000


@pytest.mark.slow
def test_people_read_a_table(capsys):
    assert main(["jump", "--n", "9000", "11000"]) == 0
    out = capsys.readouterr().out
    assert "mass of the well at 9.4" in out
    assert "the free energies predict" in out


def test_wells_heights_curvatures_and_prior_can_be_changed(capsys):
    flags = ["--wells", "-1", "1", "--heights", "0.01", "0", "--prior", "uniform"]
    assert main(["jump", *flags, "--curvatures", "1", "100", "--n", "100", "1000", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    # A flat prior: only the width differs, e^{0.01n} = √100 at the crossing.
    assert told["crossing"] == pytest.approx(230.3, rel=0.01)
    assert told["prior"] == "uniform"


def test_a_wider_prior_moves_the_jump(capsys):
    flags = ["--wells", "0", "4", "--heights", "0.01", "0", "--deviation", "2"]
    assert main(["jump", *flags, "--n", "100", "300", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    # 4²/(2·2²) = 2 nats of prior against 0.01 nats per datum, and no other difference.
    assert told["crossing"] == pytest.approx(200, rel=0.01)
    assert told["prior"] == "N(0, 2²)"


@pytest.mark.slow
def test_three_wells_jump_twice(capsys):
    flags = ["--wells", "0", "4", "9", "--heights", "0.02", "0.004", "0", "--n", "300", "12000"]
    assert main(["jump", *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(jump["before"], jump["after"]) for jump in told["jumps"]] == [("0", "4"), ("4", "9")]


def test_no_jump_within_sight_is_a_failed_check(capsys):
    flags = ["--heights", "0.00001", "0", "--n", "10"]
    assert main(["jump", *flags, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["crossing"] is None
    assert told["passed"] is False


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--wells", "1"], "2 to 6 places"),
        (["--wells", "1", "2", "3"], "one number per well"),
        (["--wells", "1", "1"], "same place"),
        (["--prior", "cauchy"], "normal or uniform"),
        (["--n", "-5"], "above 0"),
        (["--heights", "nan", "0"], "finite"),
        (["--figure", "x.txt"], "must end in"),
        (["--n", "9000", "1e30"], "--n must lie between 1e-06 and 1e+12"),
        (["--n", "9000", "1e90"], "--n must lie between 1e-06 and 1e+12"),
        (["--n", "1e-7"], "--n must lie between 1e-06 and 1e+12"),
        (["--curvatures", "1e30", "1"], "--curvatures must lie between 1e-06 and 1e+10"),
        (["--curvatures", "1e-30", "1"], "--curvatures must lie between 1e-06 and 1e+10"),
        (["--curvatures", "1e9", "1", "--n", "1e9"], "curvature times n is at most 1e+15"),
    ],
)
def test_bad_input_is_one_sentence(capsys, flags, sentence):
    assert main(["jump", *flags, "--json"]) == 2
    assert sentence in json.loads(capsys.readouterr().out)["error"]
