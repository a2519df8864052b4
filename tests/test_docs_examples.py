"""Every block of code in README.md and docs/ runs, and says what the page says it prints.

A comment `<!-- test: … -->` on the line before a block changes how it is run, and readers do not see it:

    max_gradients=600    the default budget of measurements in this block, so that it takes a moment
    file=mine.py         the block is not run but written to a file, for the shell blocks that follow
    run                  a shell block: each `singulab` command runs, and must not end in bad input
    output               a text block: exactly what the python block above printed
    output like          the same up to Monte Carlo: λ̂ agrees within 5 errors; numbers, and the verdict of
                         a shorter run, may differ
"""

import contextlib
import importlib.util
import io
import math
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import singulab as sl
from singulab import checks
from singulab.checks import Criticality, all_checks
from singulab.cli.main import main
from singulab.estimate.llc import heat_capacity, llc_extrapolated
from singulab.sample import speed, spread
from singulab.sample.exact_plan import ExactPlan
from singulab.sample.langevin_plan import LangevinPlan

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").glob("*.md") if p.name != "reference.md"),
]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e-?\d+)?%?")


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    code: str
    line: int  # of its first line of code
    wish: str  # what the comment before it says


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()]
        told = re.search(r"<!-- test: (.*?) -->\n\Z", before)
        code = re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)
        found.append(Block(match[2], code, before.count("\n") + 2, told[1] if told else ""))
    return found


@contextlib.contextmanager
def budget(wish: str) -> Iterator[None]:
    """The default budget that a wish names, while a block runs."""
    wanted = re.search(r"max_gradients=(\d+)", wish)
    module = importlib.import_module("singulab.measure")  # `sl.measure` is the function
    names = ("DEFAULT_BUDGET", "DEFAULT_EXACT_BUDGET")
    held = {name: getattr(module, name) for name in names}
    try:
        for name in names if wanted else ():
            setattr(module, name, float(wanted[1]))
        yield
    finally:
        for name, value in held.items():
            setattr(module, name, value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, unchecked):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for block in blocks(page):
        where = f"{page.name}, line {block.line}"
        if block.wish.startswith("file="):
            Path(block.wish.removeprefix("file=")).write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            with budget(block.wish), contextlib.redirect_stdout(io.StringIO()) as out:
                exec(code, names)
            printed = out.getvalue()
        elif block.wish.startswith("run"):
            with budget(block.wish):
                run_shell(block.code, where)
        elif block.wish == "output":
            assert printed == block.code, where
        elif block.wish == "output like":
            agree(printed, block.code, where)
        else:
            assert block.language in ("bash", "text", "toml", "bibtex"), f"{where}: who runs this?"
            assert not block.wish, where
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)


def run_shell(text: str, where: str) -> None:
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if words[:1] == ["singulab"]:
            assert main(words[1:]) in (0, 1), f"{where}: {line}"


def agree(printed: str, page: str, where: str) -> None:
    """The first two numbers are λ̂ and its error; all else may differ in numbers, in the verdict and in the kernel.

    A test has a smaller budget than a reader, for which other knobs are best.
    """
    words = [NUMBER.sub("#", re.sub(r"\[.*?\]|chosen: \w+", "", text)) for text in (printed, page)]
    assert words[0] == words[1], where
    (ours, our_error), (its, its_error) = (
        map(float, re.search(r"(\S+) ± (\S+)", text).groups()) for text in (printed, page)
    )
    assert abs(ours - its) <= 5 * math.hypot(our_error, its_error), where


def rows(page: str, first: str) -> list[list[str]]:
    """Rows of the table of a page whose head begins with a word."""
    text = (ROOT / page).read_text(encoding="utf-8")
    table = re.search(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, f"{page} has no table that begins with {first}"
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table[1].splitlines()
    ]


@pytest.fixture(scope="module")
def every_check():
    """Each check of a measurement by name, made on draws that are independent."""
    import numpy as np

    draw = np.random.default_rng(0)
    excess = draw.gamma(5.0, size=(4, 200)) / 10.0
    trace = sl.Trace.of_arrays(
        {
            "excess_loss": excess,
            "excess_a": excess,
            "excess_b": excess,
            "virial": np.ones_like(excess),
            "virial_by_component": np.ones((*excess.shape, 2)),
            "noise_bias": np.zeros_like(excess),
            "acceptance": np.ones_like(excess),
        },
        nbeta=10.0,
        localization=1.0,
        dim=10,
        components=("a", "b"),
        component_sizes=(5, 5),
    )
    found = all_checks(
        trace,
        llc_extrapolated(trace),
        heat=heat_capacity(trace),
        relative_error=0.02,
        criticality=Criticality(0.0, 0.0),
        lost_updates=0.0,
        num_left_out=0,
        stability=1.0,
        biased="for the sake of the example",
        spent=1.0,
        budget=1.0,
    )
    return {check.name: check for check in found}


@pytest.mark.parametrize("page", ["README.md", "docs/choosing.md"])
def test_a_page_lists_every_check_with_its_limit(page, every_check):
    said = {row[0].strip("`"): row[1] for row in rows(page, "check")}
    assert said == {name: check.limit for name, check in every_check.items()}


def test_the_constants_of_the_algorithm_are_those_of_the_code():
    owners = {
        "LangevinPlan": LangevinPlan,
        "ExactPlan": ExactPlan,
        "speed": speed,
        "spread": spread,
        "checks": checks,
    }
    for name, value, *_ in rows("docs/algorithm.md", "constant"):
        owner, _, attribute = name.strip("`").partition(".")
        assert float(value.replace("\u202f", "")) == getattr(owners[owner], attribute), name


@pytest.fixture(scope="module")
def make_truth():
    spec = importlib.util.spec_from_file_location("make_truth", ROOT / "docs" / "make_truth.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_truth_in_the_readme_is_that_of_the_newest_record(make_truth):
    text = make_truth.PAGE.read_text(encoding="utf-8")
    assert make_truth.BEGIN in text
    assert make_truth.END in text
    assert text == make_truth.page(), "run `make docs`"


def test_a_truth_record_becomes_three_tables(make_truth):
    run = {
        "passed": True,
        "truth": 30.5,
        "truth_error": 0.2,
        "localization": 100.0,
        "labels": "data",
    }
    network = {**run, "group": "tuned", "case": "P3", "n": 10**4, "se": 0.5}
    plane = {**run, "group": "plane", "case": "x^2y^2", "localization": 1.0}
    rows = [
        {**network, "llc": 30.1, "error": -0.013},
        {**network, "llc": 40.0, "error": 0.311, "passed": False},
        {**network, "llc": 20.0, "error": -0.344, "localization": 10.0},
        {**plane, "n": 10**3, "truth": 0.3614, "llc": 0.36, "se": 0.004},
        {**plane, "n": 10**9, "truth": 0.4497, "llc": None, "se": None, "passed": False},
    ]
    found = {
        "runs": 3,
        "networks": 1,
        "left_out": 2,
        "median_error": 0.162,
        "share_passing": 2 / 3,
        "worst_passing_error": 0.013,
        "share_of_passing_off": 0.0,
        "coverage_of_passing": None,
        "coverage_of_all": 0.5,
        "large_errors": 1,
        "large_errors_not_flagged": 0,
    }
    record = {
        "date": "2026-11-22T00:00:00+00:00",
        "config": {"max_gradients": 16000.0},
        "rows": rows,
        "summary": {"tuned": found},
    }
    told = make_truth.told(record, "benchmarks/records/truth.json")
    assert "at most 16,000 gradient units a run" in told
    assert "| | P1–P13 |" in told
    assert "| runs on networks | 3 on 1 |" in told
    assert "| median error | 16.2% |" in told
    assert "| 95% intervals that hold, of passing runs | – |" in told
    assert "| errors above 10%, and those that passed | 1, 0 |" in told
    told = make_truth.cases(record)
    assert "| P3 | 30.50 ± 0.20 | 30.1 ± 0.5, 40.0 ± 0.5 | -1.3%, +31.1% | 1 of 2 |" in told
    assert "| L | n = 10³ | n = 10⁹ |" in told
    assert "| x²y² | 0.360 ± 0.004<br>0.3614 | none, *flagged*<br>0.4497 |" in told


def anchors(page: Path) -> set[str]:
    """What its headings are called in a link."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_between_pages_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", text):
        aim = page.parent / target if target else page
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), f"{target}#{anchor}"
