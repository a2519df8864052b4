import json

import pytest
import torch
from torch import nn

import singulab as sl
from singulab.cli.main import main
from singulab.report.table import Table


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_point_of_a_zoo_case_is_told_beside_its_truth(tmp_path, capsys):
    flags = ["--nbeta", "20", "200", "--localization", "1", "10", "--relative-error", "0.05"]
    code = main(["scale-curve", "--zoo", "x^2+y^2", *flags, "--json"])
    told = json.loads(capsys.readouterr().out)
    points = told["points"]
    assert [(p["localization"], p["nbeta"]) for p in points] == [
        (1.0, 20.0),
        (1.0, 200.0),
        (10.0, 20.0),
        (10.0, 200.0),
    ]
    # Each direction holds ½·2nβ/(2nβ + γ). A sound run fails one of the four by chance 1 time in 4 000.
    for point, truth in zip(points, told["truths"], strict=True):
        q = 2 * point["nbeta"] / (2 * point["nbeta"] + point["localization"])
        assert truth["value"] == pytest.approx(q, rel=1e-6)
        assert abs(point["llc"]["value"] - q) < 4 * point["llc"]["se"]
        assert point["llc"]["se"] < 0.1
    assert (tmp_path / "runs" / "scale-curve.png").stat().st_size > 5000
    assert code == (0 if told["passed"] else 1)


def test_people_read_a_table_with_the_truth(capsys, tmp_path):
    command = ["scale-curve", "--zoo", "x^2+y^2", "--nbeta", "50", "--max-gradients", "200000"]
    main([*command, "--run", "one"])
    out = capsys.readouterr().out
    assert "Page to read: one/report.html" in out
    assert (tmp_path / "one" / "report.html").read_text().count("<svg") == 2
    assert "λ̂ ± se" in out
    assert "truth" in out
    assert "figure: runs/scale-curve.png" in out


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ([], "needs --model with --data, or --zoo"),
        (["--model", "a:b"], "needs --model with --data, or --zoo"),
        (["--zoo", "P1", "--model", "a:b"], "--zoo brings model and data"),
        (["--zoo", "nothing"], "There is no case 'nothing'"),
    ],
)
def test_bad_input_is_one_sentence(capsys, flags, sentence):
    assert main(["scale-curve", *flags, "--json"]) == 2
    assert sentence in json.loads(capsys.readouterr().out)["error"]


def test_a_table_needs_no_truth():
    from singulab.cli.scale_curve import _with_truths

    table = Table(("a",), (("1",),))
    assert _with_truths(table, [None]) is table


def test_a_device_is_handed_on_and_a_potential_refuses_one():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    given = {"nbeta": [10.0], "localization": [50.0], "max_gradients": 20}
    curve = sl.scale_curve(nn.Linear(3, 1), (x, x[:, :1]), "gaussian", device="cpu", **given)
    assert len(curve.points) == 1
    with pytest.raises((RuntimeError, ValueError), match="nowhere"):
        sl.scale_curve(nn.Linear(3, 1), (x, x[:, :1]), "gaussian", device="nowhere", **given)
    potential = sl.zoo.CASES["x^2+y^2"].exact_potential()
    with pytest.raises(ValueError, match="a LocalPotential fixes device itself"):
        sl.scale_curve(potential, device="cpu", **given)
