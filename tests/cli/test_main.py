"""Flags, streams and exit codes, with commands made for the purpose."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest

from singulab.cli import main as cli
from singulab.cli.command import CommandConfig, Outcome
from singulab.errors import CheckpointError, InterruptedRunError, MissingExtraError


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Do what the test says."""

    size: float | None = None  # how large
    run: Path | None = None  # where the state is kept
    kind: Literal["a", "b"] = "a"


@pytest.fixture
def command(monkeypatch):
    """Make the behaviour of ``singulab fake``."""

    def make(behaviour):
        module = ModuleType("singulab.cli.fake")
        module.Config, module.run = Config, behaviour
        monkeypatch.setitem(sys.modules, "singulab.cli.fake", module)
        monkeypatch.setitem(cli.COMMANDS, "fake", "a command of the tests")

    return make


def raising(error):
    def run(config, console):
        raise error

    return run


def the_json(capsys):
    out = capsys.readouterr().out
    return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("passed, code", [(True, 0), (False, 1)])
def test_the_verdict_is_the_exit_code(command, capsys, passed, code):
    command(lambda config, console: Outcome(data={"size": config.size}, passed=passed))
    assert cli.main(["fake", "--size", "2.5", "--json"]) == code
    assert the_json(capsys) == {"size": 2.5}


def test_nan_and_infinity_become_null(command, capsys):
    data = {"x": math.nan, "y": [math.inf, 1.0], "z": (True, None, 3)}
    command(lambda config, console: Outcome(data=data))
    assert cli.main(["fake", "--json"]) == 0
    assert the_json(capsys) == {"x": None, "y": [None, 1.0], "z": [True, None, 3]}


def test_under_json_other_people_s_prints_go_to_standard_error(command, capsys):
    def run(config, console):
        print("a factory says hello")
        console.print("a table")
        return Outcome(data={})

    command(run)
    assert cli.main(["fake", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {}
    assert captured.err == "a factory says hello\n"


def test_without_json_people_read_and_no_json_is_printed(command, capsys):
    def run(config, console):
        console.print("λ̂ = 1.5 [datum]")
        return Outcome(data={"hidden": 1})

    command(run)
    assert cli.main(["fake"]) == 0
    assert capsys.readouterr().out == "λ̂ = 1.5 [datum]\n"


BAD_INPUT = [
    ValueError("llc needs at least 2 chains."),
    TypeError("data must be tensors."),
    CheckpointError("w.pt", "there is no such file."),
    MissingExtraError("jinja2", extra="report"),
]


@pytest.mark.parametrize("error", BAD_INPUT, ids=lambda error: type(error).__name__)
def test_bad_input_is_one_sentence_and_exit_2(command, capsys, error):
    command(raising(error))
    assert cli.main(["fake"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"singulab: {error}\n"
    assert cli.main(["fake", "--json"]) == 2
    assert the_json(capsys) == {"error": str(error), "kind": type(error).__name__, "exit": 2}


def test_a_missing_file_is_named(command, capsys):
    command(raising(FileNotFoundError(2, "No such file or directory", "settings.toml")))
    assert cli.main(["fake"]) == 2
    assert capsys.readouterr().err == "singulab: settings.toml: No such file or directory.\n"


def test_a_bug_shows_its_traceback_and_is_no_failed_check(command, capsys):
    command(raising(RuntimeError("mat1 and mat2")))
    assert cli.main(["fake", "--json"]) == 70
    captured = capsys.readouterr()
    assert json.loads(captured.out)["kind"] == "RuntimeError"
    assert "Traceback" in captured.err


def test_an_interrupted_run_with_a_folder_exits_75(command, capsys):
    command(raising(InterruptedRunError("runs/one")))
    assert cli.main(["fake", "--json"]) == 75
    report = the_json(capsys)
    assert report["run"] == "runs/one"
    assert "Run the same call again" in report["error"]


def test_ctrl_c_without_a_folder_says_that_nothing_was_saved(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert cli.main(["fake", "--json"]) == 130
    assert "nothing was saved" in the_json(capsys)["error"]


@pytest.mark.parametrize("flags, code", [([], 130), (["--run", "runs/one"], 75)])
def test_sigterm_interrupts_a_command_and_the_old_handler_comes_back(command, capsys, flags, code):
    def run(config, console):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return Outcome(data={})

    before = signal.getsignal(signal.SIGTERM)
    command(run)
    assert cli.main(["fake", "--json", *flags]) == code
    assert the_json(capsys)["exit"] == code
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_does_not_cut_the_answer_to_the_first_short(command, capsys, monkeypatch):
    def run(config, console):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    failure = cli._failure

    def interrupted_again(*given, **named):
        os.kill(os.getpid(), signal.SIGTERM)
        return failure(*given, **named)

    monkeypatch.setattr(cli, "_failure", interrupted_again)
    command(run)
    assert cli.main(["fake", "--json", "--run", "runs/one"]) == 75
    assert the_json(capsys)["run"] == "runs/one"


def test_a_command_that_is_interrupted_before_it_began_can_be_given_again(capsys, monkeypatch):
    def interrupt(*given):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(cli, "parse", interrupt)
    assert cli.main(["doctor", "--json"]) == 75
    assert "the same command begins it" in the_json(capsys)["error"]


@pytest.mark.parametrize(
    "error, sentence",
    [
        (MemoryError(), "There is not enough memory; fewer chains"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "not enough memory",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "DataLoader worker (pid 7) is killed by signal: Killed. With --run the same command",
        ),
        (SystemExit(3), "its loss ended the program"),
    ],
)
def test_what_fails_outside_is_one_sentence_and_no_traceback(command, capsys, error, sentence):
    command(raising(error))
    assert cli.main(["fake", "--json"]) == 2
    captured = capsys.readouterr()
    assert sentence in json.loads(captured.out)["error"]
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--size", "big"], r"Error parsing --size: .*'big'.*\. See singulab fake --help\."),
        (["--kind", "c"], r"invalid choice 'c' for argument '--kind'.*See singulab fake --help\."),
        (["--sise", "1"], r"Unrecognized options: --sise, 1\. See singulab fake --help\."),
    ],
)
def test_a_wrong_flag_is_one_sentence(command, capsys, flags, sentence):
    command(lambda config, console: Outcome(data={}))
    assert cli.main(["fake", *flags]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(sentence, error)
    assert cli.main(["fake", *flags, "--json"]) == 2
    assert the_json(capsys)["kind"] == "ValueError"


def test_an_unknown_command_lists_the_commands(capsys):
    assert cli.main(["mesure", "--json"]) == 2
    names = ", ".join(cli.COMMANDS)
    assert names.startswith("demo, measure, scale-curve, rlct, formula, volume, jump, lattice")
    assert names in the_json(capsys)["error"]


def test_help_of_a_command_shows_its_flags_and_their_comments(command, capsys):
    command(lambda config, console: Outcome(data={}))
    assert cli.main(["fake", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Do what the test says." in out
    assert "how large" in out
    assert "--json" in out


def test_no_command_shows_the_overview_and_exits_2(capsys):
    assert cli.main([]) == 2
    assert "usage: singulab COMMAND" in capsys.readouterr().out


def test_every_command_of_the_overview_exists():
    assert all(find_spec(f"singulab.cli.{name.replace('-', '_')}") for name in cli.COMMANDS)


def test_python_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "singulab", "rlct", "--json", "x^2*y^2"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, json.loads(done.stdout)["multiplicity"]) == (0, 2)
    wrong = subprocess.run(
        [sys.executable, "-m", "singulab", "nonsense"], capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert "nonsense" in wrong.stderr


def test_the_overview_imports_nothing_heavy():
    code = (
        "import sys; from singulab.cli.main import main; main(['--help']);"
        "print(sorted({'torch', 'numpy', 'rich', 'tyro', 'xarray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(name in done.stdout for name in cli.COMMANDS)
