"""The truth benchmark: what enters, in which order, what a restart skips, and what its numbers mean."""

import importlib.util
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from singulab.zoo import FRESH, Truth

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def truth():
    spec = importlib.util.spec_from_file_location("benchmarks_truth", BENCHMARKS / "truth.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def answers(truth, monkeypatch):
    """Measurements replaced by a count of them."""
    asked = []

    def answered(question, config):
        asked.append(question)
        return row(group=question.group, case=question.case.name)

    monkeypatch.setattr(truth, "answered", answered)
    return asked


def row(**changed):
    found = {
        "group": "fresh",
        "case": "a",
        "num_weights": 100,
        "se": 0.01,
        "truth": 1.0,
        "truth_error": 0.0,
        "error": 0.01,
        "z": 1.0,
        "passed": True,
        "failed_checks": "",
        "seconds": 1.0,
    }
    return found | changed


def test_fresh_questions_are_asked_once_and_every_beginning_is_balanced():
    assert len(set(map(str, FRESH))) == len(FRESH) >= 250
    networks = {cell.case.name for cell in FRESH}
    assert len(networks) >= 75
    assert len({cell.case.name for cell in FRESH if cell.case.num_weights > 30_000}) >= 15
    first = FRESH[:60]
    assert len({cell.case.name for cell in first}) == 60
    assert all(20 <= count <= 40 for count in Counter(cell.labels for cell in first).values())
    large = sum(cell.case.num_weights > 30_000 for cell in first)
    assert 8 <= large <= 20


def test_groups_are_spread_evenly(truth):
    config = truth.Config(plane_num_data=(1000,))
    asked = truth.questions(config)
    assert len({question[1:] for question in asked}) == len(asked)
    half = Counter(question.group for question in asked[: len(asked) // 2])
    for group, count in Counter(question.group for question in asked).items():
        assert abs(half[group] - count / 2) <= 1


@pytest.mark.parametrize(
    "change, expected",
    [
        ({}, True),
        ({"error": 0.011}, False),
        ({"evidence": {"rhat": 1.021, "virial": 1.0}}, False),
        ({"evidence": {"rhat": 1.0, "virial": 0.979}}, False),
        ({"evidence": {}}, False),
        ({"evidence": {"radius_squared": 1.0}, "error": 1e-9}, True),
    ],
)
def test_only_well_known_truths_enter(truth, change, expected):
    known = Truth(
        value=1.0,
        error=0.009,
        how="numerical",
        source="",
        evidence={"rhat": 1.02, "virial": 0.981},
    )
    assert truth.enters(replace(known, **change)) == expected
    assert not truth.enters(None)


def test_a_restart_measures_only_what_is_missing_and_shards_share_their_rows(
    truth, answers, tmp_path
):
    config = truth.Config(groups=("plane",), plane_num_data=(1000,), folder=tmp_path)
    first = truth.run(replace(config, shard="0/2"))
    assert len(answers) == len(first["rows"]) == 4
    assert first["missing"] == 4
    assert not first["passed"]
    whole = truth.run(config)
    assert len(answers) == len(whole["rows"]) == 8
    assert whole["missing"] == 0
    assert truth.run(config)["rows"] == whole["rows"]
    assert len(answers) == 8


def test_a_torn_line_and_rows_of_other_code_are_measured_again(truth, answers, tmp_path):
    config = truth.Config(groups=("plane",), plane_num_data=(1000,), folder=tmp_path)
    truth.run(config)
    (file,) = tmp_path.iterdir()
    lines = file.read_text().strip().splitlines()
    other = json.loads(lines[0]) | {"code": "another"}
    file.write_text("\n".join([json.dumps(other), *lines[1:-1], lines[-1][:20]]))
    answers.clear()
    assert len(truth.run(config)["rows"]) == 8
    assert len(answers) == 2
    assert truth.run(config)["missing"] == 0
    assert len(answers) == 2
    answers.clear()
    truth.run(replace(config, max_gradients=10.0))
    assert len(answers) == 8


def test_a_row_that_was_judged_by_another_truth_is_measured_again(
    truth, answers, tmp_path, monkeypatch
):
    config = truth.Config(groups=("plane",), plane_num_data=(1000,), folder=tmp_path, limit=1)
    truth.run(config)
    (question,) = truth.questions(config)[:1]
    known = question.truth
    monkeypatch.setattr(
        type(question.case), "truth", lambda *args, **named: replace(known, value=2 * known.value)
    )
    truth.run(config)
    assert len(answers) == 2


def test_a_question_without_a_gold_value_is_left_out_and_counted(truth, answers, tmp_path):
    config = truth.Config(groups=("tuned",), folder=tmp_path)
    asked = truth.questions(config)
    without = [question for question in asked if not truth.enters(question.truth)]
    found = truth.run(config)
    assert found["summary"]["tuned"]["left_out"] == len(without) == len(found["left_out"])
    assert len(answers) == len(asked) - len(without)


def test_the_summary_counts_errors_passes_and_intervals(truth):
    rows = [
        row(),
        row(case="b", error=-0.09, z=-3.0, num_weights=40_000),
        row(case="c", error=0.12, z=1.9, se=0.06),
        row(error=0.5, z=9.0, passed=False, failed_checks="virial, drift"),
        row(error=None, z=None, se=None, passed=False, failed_checks="virial"),
        row(group="tuned", error=3.0),
    ]
    found = truth.summary(rows, "fresh", [])
    assert (found["runs"], found["networks"], found["large_networks"]) == (5, 3, 1)
    assert found["median_error"] == 0.12
    assert found["share_passing"] == 3 / 5
    assert found["worst_passing_error"] == 0.12
    assert found["passing_beyond_errors"] == 1  # 9 % is within neither 8 % nor 4 errors of 1 %
    assert found["share_of_passing_off"] == 2 / 3
    assert found["coverage_of_passing"] == 2 / 3
    assert found["coverage_of_all"] == 2 / 5
    assert (found["large_errors"], found["large_errors_not_flagged"]) == (3, 1)
    assert found["failed_checks"] == {"virial": 2, "drift": 1}


def test_each_promise_can_be_broken(truth):
    kept = {
        "runs": 200,
        "networks": 60,
        "large_networks": 10,
        "median_error": 0.02,
        "passing_beyond_errors": 0,
        "share_of_passing_off": 0.01,
        "share_passing": 0.75,
        "coverage_of_passing": 0.95,
        "coverage_of_all": 0.9,
        "large_errors_not_flagged": 0,
    }
    assert all(truth.promised(kept).values())
    for name, value in (
        ("runs", 199),
        ("networks", 59),
        ("large_networks", 9),
        ("median_error", 0.021),
        ("passing_beyond_errors", 1),
        ("share_of_passing_off", 0.011),
        ("share_passing", 0.74),
        ("coverage_of_passing", 0.98),
        ("coverage_of_passing", 0.92),
        ("coverage_of_all", 0.89),
        ("large_errors_not_flagged", 1),
    ):
        assert list(truth.promised(kept | {name: value}).values()).count(False) == 1
    assert not all(truth.promised(truth.summary([], "fresh", [])).values())


def test_a_plane_loss_is_measured_for_real(truth):
    (question, *_) = truth.questions(truth.Config(groups=("plane",), plane_num_data=(1000,)))
    found = truth.answered(question, truth.Config())
    assert found["error"] == pytest.approx(found["llc"] / found["truth"] - 1)
    assert abs(found["z"]) < 4
    assert json.loads(json.dumps(found)) == found
