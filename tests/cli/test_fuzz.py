"""Any command line is answered: with an exit code that says what happened, one sentence, and valid JSON."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singulab.cli.main import COMMANDS, main

MODULE = """
import torch
from torch import nn

def factory():
    torch.manual_seed(0)
    return nn.Linear(3, 2)

def data():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    return x, (x[:, 0] > 0).long()

def leaves():
    raise SystemExit(3)

class Lazy:
    @property
    def model(self):
        raise RuntimeError("not\\nnow")

lazy = Lazy()
"""
NAME = "model_of_fuzz_tests"
MEASURE = ["measure", "--model", f"{NAME}:factory", "--data", f"{NAME}:data", "--labels", "model"]
MEASURE += ["--max-gradients", "20", "--batch-size", "10"]
OUTCOMES = (0, 1, 2)

words = st.text(st.characters(exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["", " ", "-", "--", "\udcff", "λ ☃", "-1", "nan", "inf", "None", "*", "[", "a:b", ":", "..:x"]
)
numbers = st.sampled_from(
    ["nan", "inf", "-inf", "-0.0", "-1", "1e400", "1e308", "1e38", "1e20", "1e-308", "9" * 5000]
) | st.floats().map(repr)
counts = (
    st.sampled_from(["-1", "0", "1", "1.5", "nan", "65537", "1" + "0" * 30, "9" * 5000]) | words
)
paths = st.sampled_from(
    ["", " ", "λ ☃", "\udcff\udcfe", "x" * 300, "file", "file/below", "folder", "a/../b", "a\nb"]
) | words.map(lambda word: word.replace("/", "_").replace("..", "_").strip("-"))
addresses = words | st.sampled_from(
    [f"{NAME}:leaves", f"{NAME}:lazy.model", f"{NAME}:", f"{NAME}:a..b", "os:getcwd", "sys:exit"]
)
FLAGS = {
    "--nbeta": numbers | words,
    "--localization": numbers | words | st.just("ladder"),
    "--relative-error": numbers | words,
    "--max-gradients": st.sampled_from(["nan", "-1", "0", "1e-308", "1e400", "many"]),
    "--num-chains": counts,
    "--batch-size": counts,
    "--seed": counts,
    "--kernel": words | st.sampled_from(["hmc", "sgld", "mala"]),
    "--labels": words,
    "--loss": addresses | st.just("gaussian"),
    "--model": addresses,
    "--data": addresses,
    "--weights": words,
    "--device": words | st.sampled_from(["cuda", "cuda:99", "meta", "mps", "cpu:1"]),
    "--checkpoint": paths,
    "--settings": paths,
    "--run": paths,
}


@pytest.fixture(scope="module", autouse=True)
def _here(tmp_path_factory) -> Iterator[Path]:
    """A folder with a model; nothing is checked that a user's call would not check."""
    folder, before = tmp_path_factory.mktemp("fuzz"), Path.cwd()
    (folder / f"{NAME}.py").write_text(MODULE)
    (folder / "file").write_text("content")
    (folder / "folder").mkdir()
    os.chdir(folder)
    jaxtyping.config.update("jaxtyping_disable", True)
    yield folder
    jaxtyping.config.update("jaxtyping_disable", False)
    os.chdir(before)
    sys.modules.pop(NAME, None)
    while str(folder) in sys.path:
        sys.path.remove(str(folder))


def given_to_the_shell(arguments: list[str]) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main(arguments)
    return code, out.getvalue(), errors.getvalue()


def answered(arguments: list[str]) -> int:
    """The exit code, after a look at everything that was said."""
    code, out, errors = given_to_the_shell([*arguments, "--json"])
    assert code in OUTCOMES, errors
    assert "Traceback" not in errors
    said = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    if code == 2:
        assert said["exit"] == 2
        assert f"singulab: {said['error']}\n" in errors
        assert len(said["error"]) > 10
    return code


def any_flags() -> st.SearchStrategy[list[str]]:
    """Up to three flags of ``measure`` with values of all sorts."""
    names = st.lists(st.sampled_from(sorted(FLAGS)), min_size=1, max_size=3, unique=True)
    return names.flatmap(
        lambda some: st.tuples(*(FLAGS[name] for name in some)).map(
            lambda values: [part for pair in zip(some, values, strict=True) for part in pair]
        )
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(flags=any_flags())
def test_measure_answers_any_flags(flags):
    answered([*MEASURE, *flags])


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(flags=any_flags())
def test_measure_answers_many_more_flags(flags):
    answered([*MEASURE, *flags])


extremes = st.sampled_from(
    ["nan", "inf", "-inf", "-0.0", "0", "-1", "1e400", "1e308", "1e20", "1e-308", "1/0", "9" * 5000]
)
few = st.sampled_from(["-1", "0", "1", "1.5", "nan", "1" + "0" * 30, "9" * 5000, str(2**63)])
pictures = paths.map(lambda path: f"{path}.png") | paths
texts = words | extremes | st.sampled_from(["(" * 2000, "x^" * 500, "x^99999999", "x" * 3000])
OTHERS = {  # a quick call of a command, and flags that take the place of its own
    ("formula", "deep-linear", "5", "3", "5"): {"--rank": few},
    ("rlct", "x^2*y^2", "--time-limit", "1"): {
        "--at": texts,
        "--domain": texts,
        "--box": texts,
        "--prior": texts,
        "--time-limit": st.sampled_from(["nan", "-1", "0", "1e-308", "many"]),
    },
    ("jump", "--n", "100"): {
        "--n": extremes,
        "--wells": extremes,
        "--deviation": extremes,
        "--prior": texts,
        "--figure": pictures,
    },
    ("lattice", "--eta", "0.1", "--eps", "0.1"): {
        "--eta": extremes | texts,
        "--eps": extremes | texts,
        "--radius": extremes | texts,
        "--polynomial": texts,
        "--point": extremes | texts,
    },
    ("fibres", "--widths", "2", "2", "1"): {
        "--widths": few,
        "--weights": texts,
        "--activation": texts,
        "--biases": texts,
        "--seed": few,
        "--show": few,
        "--run": paths,
    },
    ("stationary", "--num-replicas", "16", "--relaxations", "2", "--rates", "0.2"): {
        "--curvatures": extremes,
        "--batch-size": few,
        "--label-noise": extremes,
        "--noises": texts,
        "--rates": extremes,
        "--tolerance": extremes,
        "--figure": pictures,
    },
    ("volume", "x^2*y^2", "--particles", "20", "--levels", "2"): {
        "--half": extremes,
        "--center": extremes,
        "--minimum": extremes,
        "--particles": st.sampled_from(["-1", "0", "1.5", "nan", "9" * 5000]),
        "--figure": pictures,
    },
    ("scale-curve", "--zoo", "x^2y^2", "--max-gradients", "2000", "--nbeta", "100"): {
        "--zoo": texts,
        "--nbeta": extremes,
        "--localization": extremes,
        "--kernel": texts,
        "--run": paths,
        "--figure": pictures,
    },
}


def other_calls() -> st.SearchStrategy[list[str]]:
    """A command that is not ``measure``, with one flag of any value."""
    return st.sampled_from(sorted(OTHERS)).flatmap(
        lambda call: st.sampled_from(sorted(OTHERS[call])).flatmap(
            lambda flag: OTHERS[call][flag].map(lambda value: [*call, flag, value])
        )
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(call=other_calls())
def test_every_command_answers_any_value(call):
    answered(call)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(call=other_calls())
def test_every_command_answers_many_more_values(call):
    answered(call)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    command=st.sampled_from(sorted(COMMANDS)) | words.filter(lambda word: word not in COMMANDS),
    flags=st.lists(words.filter(bool), min_size=1, max_size=4),
)
def test_unknown_words_are_refused_by_every_command(command, flags):
    if command == "--version":
        return
    assert answered([command, *(f"--un{flag}known" for flag in flags)]) == 2


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["demo", "--learning-rate", "nan"], "learning_rate must be positive and finite, got nan"),
        (["demo", "--max-steps", "0"], "max_steps must be at least 1, got 0"),
        (["demo", "--relative-radius", "-1"], "relative_radius must be positive"),
        (["demo", "--max-gradients", "inf"], "max_gradients must be positive and finite, got inf"),
        (["scale-curve", "--zoo", "x^2+y^2", "--figure", "a.b"], "must end in .png, .svg or .pdf"),
        (["scale-curve", "--zoo", "x^2+y^2", "--nbeta", "-1"], "nbeta must be positive"),
        (["scale-curve", "--zoo", "\udcff"], "There is no case"),
        (["jump", "--n", "1e308"], "--n must be at most 1e+100, got 1e+308"),
        (["stationary", "--label-noise", "1e308"], "label_noise must be between 0 and 1e+100"),
        ([*MEASURE, "--run", ""], "--run was given an empty value"),
        ([*MEASURE, "--checkpoint="], "--checkpoint was given an empty value"),
        ([*MEASURE, "--run", "file"], "file is a file, not a folder"),
        ([*MEASURE, "--device", "cuda:99"], "nothing can be computed on 'cuda:99' here"),
        ([*MEASURE, "--data", f"{NAME}:leaves"], r"leaves() failed: SystemExit: 3"),
        ([*MEASURE, "--model", f"{NAME}:lazy.model"], "RuntimeError: not now"),
        ([*MEASURE, "--num-chains", "100000"], "num_chains must be at most 65536"),
        ([*MEASURE, "--localization", "1e308"], "must be at most 3.4e+38"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(flags, sentence):
    assert answered(flags) == 2
    assert sentence in given_to_the_shell(flags)[2]


def test_a_lattice_wider_than_any_machine_number_is_counted():
    flags = ["lattice", "--eta", "0.1", "--eps", "0.1", "--radius", "1e38", "--json"]
    code, out, _ = given_to_the_shell(flags)
    assert code == 0
    # i² + j² ≤ η/ε² = 10 has the points of the disk of radius √10, however wide the box.
    assert json.loads(out)["origin"] == sum(
        i * i + j * j <= 10 for i in range(-4, 5) for j in range(-4, 5)
    )


def test_weights_that_overflow_fail_a_check():
    assert answered([*MEASURE, "--nbeta", "1e20", "--max-gradients", "100"]) == 1


@pytest.mark.parametrize("flags", [["--help"], ["--version"], ["measure", "--help"]])
def test_help_and_version_are_json_too(flags):
    code, out, _ = given_to_the_shell([*flags, "--json"])
    assert code == 0
    assert json.loads(out)["text"]


# ── pipes and terminals ───────────────────────────────────────────────────────────────────────────


def through_bash(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    program = "import sys; from singulab.cli.main import main; sys.exit(main())"
    return subprocess.run(
        ["bash", "-c", line],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "singulab": sys.executable,
            "program": program,
            **environment,
        },
        capture_output=True,
        check=False,
    )


RUN = '"$singulab" -c "$program"'


@pytest.mark.parametrize(
    "line, code",
    [
        (f"{RUN} --help | true; exit ${{PIPESTATUS[0]}}", 0),
        (f"{RUN} mesure --json | head -c 1; exit ${{PIPESTATUS[0]}}", 2),
        (f"{RUN} mesure 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}", 2),
        (f"{RUN} mesure --json >&-", 2),
    ],
)
def test_a_reader_who_leaves_changes_nothing(line, code):
    done = through_bash(line)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


def test_a_full_disk_behind_standard_output_is_said():
    done = through_bash(f"{RUN} --version --json > /dev/full")
    assert done.returncode == 2
    assert done.stderr == b"singulab: Standard output cannot be written to.\n"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_names_that_are_no_text_are_spelled_out(encoding):
    done = through_bash(f"{RUN} $'\\xff\\xc3\\xa9' --json", PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert "'\\udcffé'" in json.loads(done.stdout.decode(encoding))["error"]


def test_a_long_answer_to_a_short_reader_keeps_its_exit_code():
    """More than a pipe holds, so that the break is met while writing."""
    line = f"{RUN} {'x' * 100_000} --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = through_bash(line)
    assert (done.returncode, done.stdout) == (2, b"{")
    assert b"Traceback" not in done.stderr
