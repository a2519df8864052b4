"""One fault of each kind on a small run; `singulab bench chaos` draws hundreds on a larger one."""

from collections.abc import Iterator
from dataclasses import replace

import jaxtyping
import pytest

from benchmarks import chaos
from benchmarks.faults import FAULTS
from fake_measurement import measurement

SLOW = {"killed", "terminated", "interrupted", "truncated"}  # each is like one that stays


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory) -> Iterator[chaos.Laboratory]:
    jaxtyping.config.update("jaxtyping_disable", True)
    yield chaos.Laboratory(tmp_path_factory.mktemp("chaos"), 200, page=False)
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - SLOW))
def test_a_fault_goes_wrong_aloud_or_not_at_all(laboratory, kind):
    trial = laboratory.trial(kind, seed=1)
    assert not trial.broken
    if kind not in ("nan gradient", "exploding loss"):
        assert trial.outcome == "same"


def test_a_run_killed_at_three_points_ends_like_an_undisturbed_one(laboratory):
    trial = laboratory.killed_often(kills=3, seed=0)
    assert not trial.broken
    assert trial.outcome == "same"
    assert trial.attempts > 3


@pytest.mark.slow
def test_a_run_killed_at_twenty_points_ends_like_an_undisturbed_one(laboratory):
    trial = laboratory.killed_often(kills=20, seed=1)
    assert not trial.broken
    assert trial.outcome == "same"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize("kind", FAULTS)
def test_more_faults_go_wrong_aloud_or_not_at_all(laboratory, kind, seed):
    assert not laboratory.trial(kind, seed).broken


# ── that the judge sees what it must ──────────────────────────────────────────────────────────────


def attempt(**changed) -> chaos.Attempt:
    usual = {"code": 2, "report": {"error": "No."}, "errors": "singulab: No.\n"}
    return chaos.Attempt(**{**usual, "seconds": 1.0, "lost": 0.0, "calls": 9, **changed})


@pytest.mark.parametrize(
    "changed, complaint",
    [
        ({}, ""),
        ({"code": 0, "report": {}, "errors": "a warning\n"}, ""),
        ({"code": -9, "report": None, "errors": ""}, ""),
        ({"errors": "Traceback (most recent call last):\n"}, "a traceback"),
        ({"code": 70}, "exit code 70"),
        ({"code": -15}, "exit code -15"),
        ({"report": None}, "no JSON"),
        ({"errors": ""}, "not one sentence"),
        ({"errors": "singulab: No.\nsingulab: No.\n"}, "not one sentence"),
        ({"code": -9, "seconds": 1e3}, "it hung"),
    ],
)
def test_how_an_attempt_ended_is_judged(changed, complaint):
    told = attempt(**changed).complaint()
    assert told.startswith(complaint)
    assert bool(told) == bool(complaint)


def test_measurements_that_differ_are_told_apart():
    usual = measurement(10.0, 0.2)
    assert chaos.judged(usual, usual) == "same"
    assert chaos.judged(replace(usual, seconds=9.0), usual) == "same"
    assert chaos.judged(measurement(10.9, 0.2, seed=1), usual) == "agrees"
    assert chaos.judged(measurement(11.5, 0.2, seed=1), usual) == "wrong"
    assert chaos.judged(measurement(11.5, 0.2, seed=1, passed=False), usual) == "flagged"
    assert chaos.judged(replace(usual, radius=8.0), usual) == "agrees"


def test_seconds_lost_are_counted_beyond_the_step_and_the_save_under_way():
    watch = chaos.Watch()
    watch.seen[watch.TICK], watch.seen[watch.SAVED] = 10.0, 9.0
    assert watch.lost == 1.0
    watch.seen[watch.GAP], watch.seen[watch.SAVING] = 0.5, 0.25
    assert watch.lost == 0.25
