import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from singulab.cli.main import main
from singulab.discrete import Tally, fibres, sign_network
from singulab.files import read_state

module = sys.modules["singulab.discrete.fibres"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told(capsys, *flags, code=0):
    assert main(["fibres", *flags, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_every_setting_of_a_sign_network_is_counted(capsys):
    found = told(capsys, "--widths", "3", "3", "1", "--show", "1000")
    exact = fibres(sign_network(3, 3))
    assert found["total"] == 32_768 == sum(f["count"] for f in found["functions"])
    assert found["num_functions"] == len(exact)
    assert found["exact"]
    assert found["correlation_with_lempel_ziv"]["value"] > 0


@pytest.mark.parametrize(
    "flags, total",
    [
        (
            [
                "--widths",
                "2",
                "2",
                "1",
                "--weights",
                "ternary",
                "--activation",
                "relu",
                "--biases",
                "none",
            ],
            3**6,
        ),
        (
            [
                "--widths",
                "2",
                "1",
                "--weights",
                "grid:5",
                "--activation",
                "linear",
                "--biases",
                "all",
            ],
            5**3,
        ),
        (["--widths", "2", "1", "--weights", "float8_e5m2", "--activation", "linear"], 248**2),
        (["--widths", "2", "2", "1", "--biases", "all"], 2**9),
    ],
)
def test_other_machines_are_counted_too(capsys, flags, total):
    assert told(capsys, *flags)["total"] == total


def test_draws_come_with_intervals_and_what_was_not_met(capsys, tmp_path):
    flags = [
        "--widths",
        "7",
        "10",
        "1",
        "--weights",
        "gaussian",
        "--activation",
        "relu",
        "--draws",
        "3000",
    ]
    found = told(capsys, *flags, "--figure", "f.png")
    assert not found["exact"]
    assert 0 < found["unseen"]["value"] < 1
    first = found["functions"][0]
    assert first["low"] < first["probability"] < first["high"]
    assert (tmp_path / "f.png").stat().st_size > 5000


def test_people_read_the_most_frequent_functions(capsys):
    assert main(["fibres", "--widths", "2", "3", "1", "--show", "3"]) == 0
    out = capsys.readouterr().out
    assert "4,096 settings, all computed; 16 functions." in out
    assert "Flexibility" in out
    main(
        [
            "fibres",
            "--widths",
            "7",
            "5",
            "1",
            "--weights",
            "gaussian",
            "--activation",
            "relu",
            "--draws",
            "200",
        ]
    )
    assert "0x" in capsys.readouterr().out


def test_an_interrupted_count_resumes(capsys, monkeypatch):
    monkeypatch.setattr(module, "SHARE", 1)
    flags = ["--widths", "4", "3", "1", "--run", "r"]
    computed = []
    real = sign_network(4, 3).__class__.functions_of_range

    def stopped(self, start, stop):
        if start >= 2 << 16:
            raise KeyboardInterrupt
        return real(self, start, stop)

    cls = sign_network(4, 3).__class__
    monkeypatch.setattr(cls, "functions_of_range", stopped)
    assert told(capsys, *flags, code=75)["run"] == "r"

    def watched(self, start, stop):
        computed.append(start)
        return real(self, start, stop)

    monkeypatch.setattr(cls, "functions_of_range", watched)
    found = told(capsys, *flags)
    assert computed == [2 << 16, 3 << 16]
    monkeypatch.setattr(cls, "functions_of_range", real)
    assert found == told(capsys, "--widths", "4", "3", "1")


COUNT = [
    "--widths",
    "2",
    "3",
    "1",
    "--weights",
    "ternary",
    "--activation",
    "relu",
    "--biases",
    "hidden",
]
KILLED = """
import os, signal, sys, threading, time

import torch

import singulab.discrete
from singulab.cli.main import main

torch.set_num_threads(1)
module = sys.modules["singulab.discrete.fibres"]
module.SHARE, module.KEEP_SECONDS = 1, 0.05
delay = float(sys.argv[1])


begin = module._total


def kill():
    state = os.path.join(sys.argv[sys.argv.index("--run") + 1], "tally.state")
    saved = lambda: os.stat(state).st_mtime_ns if os.path.exists(state) else None
    before = saved()
    while saved() == before:  # at least one more save, however busy the machine
        time.sleep(0.005)
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)


def begun(*arguments):
    if delay:
        threading.Thread(target=kill, daemon=True).start()
    return begin(*arguments)


module._total = begun
sys.exit(main(sys.argv[2:]))
"""


def counted(*flags, killed_after=0.0):
    """What the command says in a process of its own, or None if it was killed before it could."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(killed_after), "fibres", *COUNT, "--json", *flags],
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return json.loads(done.stdout) if done.returncode == 0 else None


@pytest.mark.parametrize(
    "kills, seed", [(1, 0), pytest.param(12, 1, marks=pytest.mark.slow)], ids=["once", "often"]
)
def test_a_count_killed_at_random_points_is_that_of_an_undisturbed_one(
    tmp_path, capsys, kills, seed
):
    random, state, reached = np.random.default_rng(seed), tmp_path / "r" / "tally.state", []
    for _ in range(kills):
        found = counted("--run", str(tmp_path / "r"), killed_after=random.uniform(0.001, 0.02))
        if found is not None:
            break
        if state.exists():  # whole, whenever the process died
            tally = Tally.of_arrays({n: t.numpy() for n, t in read_state(state)[0].items()})
            assert tally.counts.sum() == tally.done
            reached.append(tally.done)
    assert reached
    assert reached == sorted(reached)
    assert 0 < reached[0] < 3**12
    whole = told(capsys, *COUNT)
    assert counted("--run", str(tmp_path / "r")) == whole
    assert whole["total"] == 3**12


def test_a_folder_of_another_machine_is_refused(capsys):
    told(capsys, "--widths", "2", "3", "1", "--run", "r")
    error = told(capsys, "--widths", "2", "1", "1", "--run", "r", code=2)["error"]
    assert "belongs to another" in error


def test_a_damaged_state_is_named(capsys, tmp_path):
    told(capsys, "--widths", "2", "3", "1", "--run", "r")
    state = tmp_path / "r" / "tally.state"
    state.write_bytes(state.read_bytes()[:-3] + b"xyz")
    assert (
        "cannot be read" in told(capsys, "--widths", "2", "3", "1", "--run", "r", code=2)["error"]
    )
    assert Tally.empty(1).done == 0


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--widths", "7", "40", "1"], "at most 2^36 are enumerated; give --draws to sample it"),
        (["--widths", "3", "999999999", "1"], "at most 2^36 are enumerated"),
        (["--weights", "gaussian", "--activation", "relu"], "enumerate; give --draws"),
        (["--weights", "quaternary"], "--weights is binary"),
        (["--weights", "grid:1"], "at least 2 levels"),
        (["--weights", "float32"], "2^32 patterns"),
        (["--activation", "step"], "sign"),
        (["--biases", "some"], "hidden"),
        (["--widths", "3"], "--widths needs"),
        (["--widths", "40", "1"], "at most 12"),
        (["--draws", "0"], "--draws must be at least 1, got 0"),
        (["--show", "-1"], "0 or more"),
        (["--figure", "a.txt"], "must end in .png"),
    ],
)
def test_bad_input_is_one_sentence(capsys, flags, sentence, unchecked):
    assert sentence in told(capsys, *flags, code=2)["error"]
