import json

import pytest

from singulab.cli.main import main

SMALL = ("--curvatures", "1", "0.5", "--num-replicas", "256", "--relaxations", "8")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_rate_is_told_beside_its_exact_law(tmp_path, capsys):
    code = main(["stationary", *SMALL, "--rates", "0.1", "0.2", "0.4", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert told["passed"]
    assert set(told["noises"]) == {"minibatch", "isotropic"}
    scan = told["noises"]["minibatch"]
    assert [point["rate"] for point in scan["points"]] == [0.1, 0.2, 0.4]
    for point in scan["points"]:
        excess = point["excess_loss"]
        assert abs(excess["value"] - point["exact_excess_loss"]) < 4 * excess["se"]
        assert point["gibbs"]["verdict"] in ("gibbs", "not gibbs", "undecided")
    limit = scan["limits"]["excess_loss"]
    assert abs(limit["value"] - 1.5 / 16) < 4 * limit["se"]
    assert abs(scan["limits"]["slope"]["value"]) < 0.2
    assert abs(told["noises"]["isotropic"]["limits"]["slope"]["value"] + 1) < 0.2
    assert (tmp_path / "runs" / "stationary.png").stat().st_size > 5000


def test_people_read_a_table_and_the_limits(capsys):
    main(["stationary", *SMALL, "--rates", "0.2", "0.3", "0.4", "--noises", "completed"])
    out = capsys.readouterr().out
    assert "excess loss ± se" in out
    assert "law ∝ e^(−βL)?" in out
    assert "p = " in out
    assert "figure: runs/stationary.png" in out


def test_two_rates_have_no_limit(capsys):
    main(["stationary", *SMALL, "--rates", "0.2", "0.4", "--noises", "minibatch", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["noises"]["minibatch"]["limits"] is None


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--rates", "3"], "the second moment of SGD diverges; it exists below"),
        (["--rates", "-1"], "must be positive and finite"),
        (["--rates", "0.1", "0.1"], "--rates must be different"),
        (["--curvatures", "1", "0"], "must be positive definite"),
        (["--curvatures", "1"], "at least 2 weights"),
        (["--batch-size", "0"], "batch_size must be at least 1"),
        (["--num-replicas", "0"], "needs at least 40 replicas, got 0"),
        (["--relaxations", "inf"], "relaxations must be positive and finite"),
        (["--label-noise", "inf"], "label_noise must be between 0 and 1e+100"),
        (["--label-noise", "0"], "Without gradient noise"),
        (["--rates", "nan"], "must be positive and finite, got nan"),
        (["--curvatures", "nan", "1"], "must be finite and symmetric"),
        (["--tolerance", "nan"], "tolerance must be positive, got nan"),
        (["--relaxations", "-1"], "relaxations must be positive"),
        (["--label-noise", "-1"], "label_noise must be between 0 and"),
        (["--noises", "minibatch", "minibatch"], "each at most once"),
        (["--figure", "x.txt"], "--figure must end in"),
        (["--seed", "-1"], "seed must be a non-negative integer"),
    ],
)
def test_bad_input_is_one_sentence(capsys, flags, sentence, unchecked):
    assert main(["stationary", *flags, "--json"]) == 2
    assert sentence in json.loads(capsys.readouterr().out)["error"]
