"""Random faults on whole measurements from the shell: does anything go wrong in silence?

Every trial is ``singulab measure … --run FOLDER --json`` in a process of its own, with one fault drawn by
seed. Then the fault is mended and the same command is given again until it ends. Asked of every trial: the
final trace is bitwise that of an undisturbed run, or the measurement failed a named check, or it agrees
within four errors (chains that a NaN killed were started again); every attempt that did not end with a
measurement said so in one sentence, without a traceback, and in valid JSON; and what was lost is at most
one interval between saves, besides the step and the saving that were under way.
"""

import contextlib
import importlib
import json
import math
import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch

from benchmarks.faults import FAULTS, POISON, Fault, Reference, clock, ended, signals
from singulab.cli.bench import BenchConfig
from singulab.cli.command import Exit
from singulab.cli.main import main
from singulab.measurement import Measurement
from singulab.sample.saver import Saver

INTERVAL = 0.03  # seconds between saves here
PATIENCE = 120.0  # seconds, after which a command has hung
ATTEMPTS = 20  # without a fault, until a command must have ended
ERRORS = 4.0  # joint standard errors within which a measurement that went another way must agree
NAME = "benchmarks.faults"  # as the shell finds the model and the data
KILLED_OFTEN = "killed often"
IMPORTED = ("singulab.measure", "singulab.cli.measure", "tyro", "zarr", "scipy.stats", "jinja2")
IMPORTED += ("matplotlib.figure", "matplotlib.backends.backend_svg")


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Random faults on whole measurements: NaN, kills, signals, full disks, damaged files, wrong clocks."""

    runs: int = 220  # runs with a fault, dealt to the kinds of fault in turn
    kills: int = 20  # points at which one more run is killed
    seed: int = 0  # every fault follows from it
    max_gradients: float = 600.0  # budget of each run, in gradient units


def run(config: Config, on_progress: Callable[[str, float], None] | None = None) -> dict[str, Any]:
    """All trials; ``passed`` says whether the promises above hold in every one."""
    with tempfile.TemporaryDirectory() as place:
        laboratory = Laboratory(Path(place), config.max_gradients)
        trials = [laboratory.killed_often(config.kills, config.seed)]
        kinds = list(FAULTS)
        for index in range(config.runs):
            trials.append(laboratory.trial(kinds[index % len(kinds)], config.seed + index))
            if on_progress is not None:
                on_progress(trials[-1].kind, (index + 1) / config.runs)
    rows = [row(kind, [t for t in trials if t.kind == kind]) for kind in (KILLED_OFTEN, *kinds)]
    return {
        "rows": rows,
        "sentences": {
            kind: sorted({s for t in trials if t.kind == kind for s in t.said}) for kind in kinds
        },
        "broken": [f"{t.kind}, seed {t.seed}: {t.broken}" for t in trials if t.broken],
        "seconds_undisturbed": round(laboratory.reference("data").seconds, 2),
        "passed": not any(trial.broken for trial in trials),
    }


def row(kind: str, trials: "list[Trial]") -> dict[str, Any]:
    """Outcomes of one kind of fault."""
    outcomes = Counter(trial.outcome for trial in trials)
    return {
        "fault": kind,
        "runs": len(trials),
        "attempts": sum(trial.attempts for trial in trials),
        "bitwise_the_same": outcomes["same"],
        "flagged": outcomes["flagged"],
        "agrees": outcomes["agrees"],
        "wrong": outcomes["wrong"],
        "said_a_sentence": sum(bool(trial.said) for trial in trials),
        "intervals_lost_at_most": max((trial.lost for trial in trials), default=0.0),
        "passed": not any(trial.broken for trial in trials),
    }


# ── one trial ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Attempt:
    """One process that has ended."""

    code: int  # negative: the signal that killed it
    report: Any  # its JSON; None if there is none
    errors: str  # its standard error
    seconds: float
    lost: float  # seconds of sampling after the last save, beyond the step and the save under way
    calls: int

    @property
    def ended(self) -> bool:
        """Whether there is a measurement."""
        return self.code in (Exit.DONE, Exit.FAILED)

    @property
    def sentence(self) -> str:
        return "" if self.ended or not isinstance(self.report, dict) else self.report["error"]

    def complaint(self) -> str:
        """What is wrong with how it ended; empty if nothing is."""
        if self.code == -signal.SIGKILL:
            return "" if self.seconds < PATIENCE else "it hung"
        if "Traceback" in self.errors:
            return f"a traceback: {self.errors[-300:]}"
        if self.code not in (0, 1, 2, 75, 130):
            return f"exit code {self.code}: {self.errors[-300:]}"
        if not isinstance(self.report, dict):
            return f"no JSON: {self.errors[-300:]}"
        said = [line for line in self.errors.splitlines() if line.startswith("singulab: ")]
        return "" if len(said) == (0 if self.ended else 1) else f"not one sentence: {self.errors!r}"


@dataclass
class Trial:
    """What came of one fault."""

    kind: str
    seed: int
    outcome: str = "wrong"
    attempts: int = 0
    lost: float = 0.0  # intervals between saves
    said: list[str] = field(default_factory=list)
    broken: str = ""  # the first promise that was not kept


class Laboratory:
    """Runs commands in processes of their own and judges them.

    Args:
        place: an empty folder.
        max_gradients: budget of each run.
        page: whether ``report.html`` is written too, which takes longer than a very short run.
    """

    def __init__(self, place: Path, max_gradients: float, *, page: bool = True) -> None:
        self.place, self.max_gradients, self.page = place, max_gradients, page
        self._references: dict[str, Reference] = {}
        for name in IMPORTED:
            importlib.import_module(name)  # once, for all processes that are forked from this one

    def reference(self, source: str) -> Reference:
        if source not in self._references:
            folder = self.place / f"undisturbed-{source}"
            done = self.attempt(folder, Fault(data=source))
            if complaint := done.complaint() or (not done.ended and done.sentence):
                raise RuntimeError(f"the undisturbed run did not end: {complaint}")
            self._references[source] = Reference(Measurement.load(folder), done.seconds, done.calls)
        return self._references[source]

    def trial(self, kind: str, seed: int) -> Trial:
        dice = random.Random(f"{kind} {seed}")
        make, usual = FAULTS[kind], self.reference("data")
        fault = make(dice, usual)
        trial, folder = Trial(kind, seed), self.place / f"{kind} {seed}"
        fault.before(folder)
        for _ in range(fault.repeats):
            if self._judged(trial, self.attempt(folder, fault)).ended:
                break
        fault.after(folder)
        fault.mend(folder)
        self._finish(trial, folder, fault)
        shutil.rmtree(folder, ignore_errors=True)
        return trial

    def killed_often(self, kills: int, seed: int) -> Trial:
        """One run that is killed at so many points; begun anew where it ends too early."""
        dice, usual = random.Random(seed), self.reference("data")
        trial, runs = Trial(KILLED_OFTEN, seed), 0
        while kills > 0 and not trial.broken:
            folder, runs = self.place / f"often {runs}", runs + 1
            often = Reference(usual.measurement, 3 * usual.seconds / max(kills, 3), usual.calls)
            fault, going_on = Fault(strike=signals(dice, often, signal.SIGKILL)), True
            while kills > 0 and going_on:
                done = self._judged(trial, self.attempt(folder, fault))
                going_on = not done.ended
                kills -= going_on
            self._finish(trial, folder, fault)
        return trial

    def _judged(self, trial: Trial, done: Attempt) -> Attempt:
        trial.attempts += 1
        trial.lost = max(trial.lost, done.lost / INTERVAL)
        if done.sentence:
            trial.said.append(done.sentence.replace(str(self.place), "…"))
        if trial.lost > 1:
            trial.broken = trial.broken or f"{trial.lost:.2f} intervals were lost"
        trial.broken = trial.broken or done.complaint()
        return done

    def _finish(self, trial: Trial, folder: Path, fault: Fault) -> None:
        """Give the same command again, without a fault, until it ends; then compare."""
        usual = self.reference(fault.data)
        for _ in range(ATTEMPTS):
            done = self._judged(trial, self.attempt(folder, Fault(data=fault.data)))
            if done.ended:
                break
            # A first pass over the data that was poisoned gave other losses at w*: the folder is rightly another's.
            another = fault.poisons and "belongs to another measurement" in done.sentence
            if not fault.damages and not another:
                trial.broken = trial.broken or f"it did not go on: {done.sentence}"
            shutil.rmtree(folder, ignore_errors=True)  # as the user does with what cannot be read
        else:
            trial.broken = trial.broken or "it never ended"
            return
        trial.outcome = judged(Measurement.load(folder), usual.measurement)
        if trial.outcome == "wrong" or not (trial.outcome == "same" or fault.poisons):
            trial.broken = trial.broken or f"another number: {done.report['llc']}"

    def attempt(self, folder: Path, fault: Fault) -> Attempt:
        """Give the command in a process of its own, and wait until it has ended."""
        words = ["measure", "--model", f"{NAME}:network", "--data", f"{NAME}:{fault.data}"]
        words += ["--labels", "model", "--localization", "10", "--num-chains", "2"]
        words += ["--batch-size", "50", "--relative-error", "0.2"]
        words += ["--max-gradients", str(self.max_gradients), "--run", str(folder), "--json"]
        watch = Watch()
        out, errors = self.place / "out", self.place / "errors"
        start = clock()
        with warnings.catch_warnings():
            # Of threads that the child would lack; zarr, which has one, starts its own anew.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            if not self.page:
                importlib.import_module("singulab.cli.measure").write_report = lambda *_: None
            _command(words, fault, watch, out, errors)
        fault.strike(pid)
        while not ended(pid):
            if clock() - start > PATIENCE:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        try:
            report = json.loads(out.read_text())
        except ValueError:
            report = None
        said = errors.read_text(errors="replace")
        return Attempt(
            code, report, said, clock() - start, watch.lost, int(watch.seen[watch.CALLS])
        )


def judged(measured: Measurement, usual: Measurement) -> str:
    """How a measurement compares with the undisturbed one."""
    assert measured.trace is not None
    assert usual.trace is not None
    told = [{**m.to_dict(), "seconds": 0.0} for m in (measured, usual)]
    if measured.trace.dataset.identical(usual.trace.dataset) and told[0] == told[1]:
        return "same"
    if not measured.passed:
        return "flagged"
    error = math.hypot(measured.llc.se, usual.llc.se)
    return "agrees" if abs(measured.llc.value - usual.llc.value) <= ERRORS * error else "wrong"


class Watch:
    """What a process was last seen doing, readable after it was killed."""

    TICK, SAVED, GAP, SAVING, CALLS = range(5)

    def __init__(self) -> None:
        self.seen = memoryview(mmap.mmap(-1, 64)).cast("d")

    @property
    def lost(self) -> float:
        """Seconds from the last save to the last step, beyond the longest step and the longest save."""
        lost = self.seen[self.TICK] - self.seen[self.SAVED]
        return max(0.0, lost - self.seen[self.GAP] - self.seen[self.SAVING])

    def attach(self) -> None:
        """From now on every look at the clock for saving, and every save, is written down."""
        seen, due, enter, save = self.seen, Saver.due.fget, Saver.__enter__, Saver.save

        def entered(saver: Saver) -> Saver:
            seen[self.TICK] = seen[self.SAVED] = clock()
            return enter(saver)

        def looked(saver: Saver) -> bool:
            now = clock()
            seen[self.GAP] = max(seen[self.GAP], now - seen[self.TICK])
            seen[self.TICK], seen[self.CALLS] = now, POISON.calls
            return due(saver)

        def saved(saver: Saver, *state: Any) -> None:
            start = clock()
            save(saver, *state)
            seen[self.SAVED] = seen[self.TICK] = clock()
            seen[self.SAVING] = max(seen[self.SAVING], clock() - start)

        Saver.__enter__, Saver.due, Saver.save = entered, property(looked), saved


def _command(words: list[str], fault: Fault, watch: Watch, out: Path, errors: Path) -> NoReturn:
    """In the forked process: become the command."""
    code = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        sys.stdout, sys.stderr = out.open("w"), errors.open("w", errors="backslashreplace")
        torch.set_num_threads(1)
        Saver.INTERVAL, Saver.SHARE = INTERVAL, 1.0
        if fault.data == "loader":  # else so small a data set is read into memory once
            importlib.import_module("singulab.data")._IN_MEMORY_BYTES = 0
        watch.attach()
        fault.arm()
        sys.argv = ["singulab", *words]
        code = main()
    except BaseException:  # noqa: BLE001 - what came out of the command is judged by whoever forked
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(int(code))
