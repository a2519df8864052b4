"""``singulab measure`` from the shell, on a model of two layers."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

import singulab as sl
from singulab.cli import run_page
from singulab.cli.main import main
from singulab.errors import MissingExtraError
from singulab.report.table import rounded

MODULE = """
import torch
from torch import nn

def factory():
    print("the factory prints this")
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))

def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(200, 3, generator=generator)
    return x, (x[:, 0] > 0).long()

def narrow():
    return torch.randn(200, 2), torch.zeros(200, dtype=torch.long)
"""
NAME = "model_of_cli_tests"
CALL = ["measure", "--model", f"{NAME}:factory", "--data", f"{NAME}:data", "--checkpoint", "w.pt"]
FAST = ["--labels", "model", "--max-gradients", "600", "--batch-size", "50"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    (tmp_path / f"{NAME}.py").write_text(MODULE)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    torch.save(model.state_dict(), tmp_path / "w.pt")
    return tmp_path


def the_json(capsys):
    return json.loads(capsys.readouterr().out)


def test_json_holds_what_the_library_returns(here, capsys):
    code = main([*CALL, *FAST, "--json"])
    told = the_json(capsys)
    sys.path.insert(0, str(here))
    mine = __import__(NAME)
    model = mine.factory()
    model.load_state_dict(torch.load("w.pt"))
    same = sl.measure(model, mine.data(), labels="model", max_gradients=600, batch_size=50)
    for content in (told, wanted := same.to_dict()):
        content.pop("seconds")
    assert told == wanted
    assert told["quantity"] == "behavioural_llc"
    assert code == (0 if told["passed"] else 1)


def test_people_read_the_resolution_the_interval_and_every_check(here, capsys):
    main([*CALL, *FAST])
    out = capsys.readouterr().out
    assert "n = 200" in out
    assert "nβ = 37.7" in out
    assert "behavioural λ̂ = " in out
    assert "95 % [" in out
    assert "monte_carlo_error" in out
    assert "gradient units" in out


def test_a_run_folder_holds_a_page_with_the_number_and_every_check(here, capsys):
    command = [*CALL, *FAST, "--run", "one", "--localization", "ladder", "--relative-error", "0.2"]
    main(command)
    assert "Page to read: one/report.html" in capsys.readouterr().out
    text = (here / "one" / "report.html").read_text()
    measured = sl.Measurement.load(here / "one")
    assert rounded(measured.llc.value, measured.llc.se) in text
    assert all(check.name in text for check in measured.checks)
    assert "nβ = 37.7" in text
    assert text.count("<svg") == 1
    assert "http" not in text.replace("http://www.w3.org", "")
    main([*command, "--json"])  # finished: read, not run again
    told = the_json(capsys)
    assert told["seconds"] == measured.seconds
    data = re.search(r"base64,([\w+/=]+)", (here / "one" / "report.html").read_text())
    assert json.loads(base64.b64decode(data[1])) == told


def test_without_the_extra_the_measurement_says_what_the_page_needs(here, capsys, monkeypatch):
    def render(*_):
        raise MissingExtraError("jinja2", extra="report")

    monkeypatch.setattr(run_page, "render", render)
    assert main([*CALL, *FAST, "--run", "one"]) in (0, 1)
    out = capsys.readouterr().out
    assert "one/report.html was not written" in out
    assert "singulab[report]" in " ".join(out.split())


def test_a_failed_check_exits_1_and_is_named(here, capsys):
    assert main([*CALL, *FAST, "--relative-error", "0.0001", "--json"]) == 1
    told = the_json(capsys)
    assert not told["passed"]
    failed = [check for check in told["checks"] if not check["passed"]]
    assert all(check["advice"] for check in failed)


def test_settings_come_from_a_file(here, capsys):
    settings = sl.Settings(nbeta=30.0, localization=5.0, labels="model", max_gradients=600.0)
    settings.save(here / "settings.toml")
    main([*CALL, "--settings", "settings.toml", "--json"])
    told = the_json(capsys)
    assert (told["nbeta"], told["localization"]) == (30.0, 5.0)
    assert told["quantity"] == "behavioural_llc"


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--weights", "9.*"], "no weights selected"),
        (["--num-chains", "1"], "num_chains must be at least 2"),
        (["--loss", "gaussian", "--labels", "data"], "targets of the outputs' shape"),
        (["--settings", "none.toml"], "none.toml: No such file"),
        (["--checkpoint", "none.pt"], "there is no such file"),
        (["--nbeta", "-1"], "nbeta must be positive"),
        (["--data", f"{NAME}:narrow"], "mat1 and mat2"),
    ],
)
def test_bad_input_is_one_sentence(here, capsys, flags, sentence):
    assert main([*CALL, *FAST, *flags, "--json"]) == 2
    assert sentence in the_json(capsys)["error"]


def test_a_killed_run_exits_75_and_goes_on_to_the_same_trace(here, capsys):
    flags = [*FAST[:-4], "--max-gradients", "2000", "--relative-error", "0.0001", "--seed", "3"]
    command = "import sys, singulab.cli.main as m; sys.exit(m.main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", command, *CALL, *flags, "--run", "one", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (here / "one" / "config.json").exists():  # sampling is about to begin
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert json.loads(out)["exit"] == 75
    assert (here / "one" / "measurement" / "state.bin").exists()

    main([*CALL, *flags, "--run", "one", "--json"])
    resumed = the_json(capsys)
    main([*CALL, *flags, "--run", "two", "--json"])
    undisturbed = the_json(capsys)
    assert resumed["llc"] == undisturbed["llc"]
    traces = [sl.Measurement.load(here / name).trace.dataset for name in ("one", "two")]
    np.testing.assert_array_equal(traces[0].excess_loss, traces[1].excess_loss)
