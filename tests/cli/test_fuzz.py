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

FORMULAS = [
    "x*y", "x^2 + y^2", "1/0", "x^-1", "x^0.5", "x^99999", "x**1e9", "x^y", "0", "1", "nan*x", "inf", "x*y,", ",",
    "sin(x)", "__import__('os')", "x = 1", "λ·x²", "x*y*", "(" * 5000, "9" * 5000 + "*x", "1e400*x", "x/0", "0*x",
    "-x^2", "abs(x)", "x^2 + 1e-300", "2x", "x y", "x;y", "lambda: x",
]  # fmt: skip
formulas = (
    st.sampled_from(FORMULAS)
    | st.sampled_from(["x*y", "x^2 + y^2", "x^4", "(x^2 - y^3)^2"])
    | words
)
GOOD = ["0.5", "1", "2", "3"]  # beside these what is bad gets further than to the first look
some = st.sampled_from(GOOD) | st.sampled_from(
    ["0", "-1", "nan", "inf", "1e308", "1e-308", "1e20", "1e400", "λ"]
)
few = st.sampled_from(["1", "2", "3"]) | st.sampled_from(
    ["0", "-1", "1.5", "nan", "1" + "0" * 30, "9" * 5000, "λ"]
)
coarse = st.sampled_from(["0.5", "1/3", "0.01"]) | st.sampled_from(
    ["-0.01", "0", "1e-400", "1e400", "1/0", "9" * 5000, "nan", "λ"]
)
places = st.sampled_from(
    [
        "x=0",
        "x=1",
        "x=",
        "=1",
        "x",
        "x=nan",
        "x=1e400",
        "x=1/0",
        "x=0:",
        "x=1:-1",
        "x=:",
        "λ=0",
        "y=-1:1",
    ]
)
drawings = st.sampled_from(["a.txt", "folder", "file/a.png", "a.png", "folder/b.svg"]) | paths
named = st.sampled_from(["deep-linear", "reduced-rank", "tanh-network", "monomial", "regular"])
# Of each newer command: what makes it quick, what stands without a flag, and its flags.
NEWER: dict[
    str, tuple[list[str], list[st.SearchStrategy[str]], dict[str, st.SearchStrategy[str]]]
] = {
    "rlct": (
        ["--time-limit", "0.2"],
        [formulas],
        {
            "--at": places,
            "--domain": places,
            "--box": places,
            "--prior": formulas,
            "--time-limit": st.sampled_from(["0", "-1", "nan", "1e-308", "λ"]),
        },
    ),
    "formula": ([], [named | words, few, few], {"--rank": few, "--phi": some}),
    "volume": (
        ["--particles", "64", "--levels", "8"],
        [formulas],
        {
            "--half": some,
            "--center": some,
            "--minimum": some,
            "--particles": few,
            "--levels": few,
            "--seed": counts,
            "--figure": drawings,
        },
    ),
    "jump": (
        [],
        [],
        {
            "--wells": some,
            "--heights": some,
            "--curvatures": some,
            "--prior": words | st.just("uniform"),
            "--deviation": some,
            "--n": some,
            "--figure": drawings,
        },
    ),
    "lattice": (
        [],
        [],
        {
            "--eta": coarse,
            "--eps": coarse,
            "--radius": coarse,
            "--polynomial": formulas,
            "--point": some,
            "--figure": drawings,
        },
    ),
    "fibres": (
        ["--draws", "20"],
        [],
        {
            "--widths": few,
            "--weights": st.sampled_from(["gaussian", "grid:2", "grid:99999", "grid:λ", "float16"])
            | words,
            "--activation": words | st.just("relu"),
            "--biases": words | st.just("all"),
            "--draws": few,
            "--seed": counts,
            "--show": counts,
            "--run": paths,
            "--figure": drawings,
        },
    ),
    "scale-curve": (
        ["--zoo", "x^2y^2", "--nbeta", "100", "--max-gradients", "2000"],
        [],
        {
            "--zoo": words,
            "--nbeta": some,
            "--localization": some,
            "--kernel": words,
            "--run": paths,
            "--figure": drawings,
        },
    ),
    "stationary": (
        ["--num-replicas", "64", "--relaxations", "1"],
        [],
        {
            "--curvatures": some,
            "--batch-size": counts,
            "--label-noise": some,
            "--noises": words | st.just("completed"),
            "--rates": some,
            "--num-replicas": few,
            "--relaxations": few,
            "--tolerance": some,
            "--seed": counts,
            "--figure": drawings,
        },
    ),
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
    names = st.lists(st.sampled_from(sorted(FLAGS)), min_size=1, max_size=2, unique=True)
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


@st.composite
def newer(draw: st.DrawFn) -> list[str]:
    """A newer command with up to two flags, each with one to three values of all sorts."""
    command = draw(st.sampled_from(sorted(NEWER)))
    quick, plain, flags = NEWER[command]
    names = draw(st.lists(st.sampled_from(sorted(flags)), max_size=2, unique=True))
    values = [[n, *draw(st.lists(flags[n], min_size=1, max_size=3))] for n in names]
    bases = [quick[k : k + 2] for k in range(0, len(quick), 2) if quick[k] not in names]
    return [command, *map(draw, plain), *(word for part in (*bases, *values) for word in part)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arguments=newer())
def test_newer_commands_answer_any_flags(arguments):
    answered(arguments)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(arguments=newer())
def test_newer_commands_answer_many_more_flags(arguments):
    answered(arguments)


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
        (["jump", "--n", "1e308"], "--n must lie between 1e-06 and 1e+12, got 1e+308"),
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
