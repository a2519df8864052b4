"""A run that is killed, stopped or handed to another measurement."""

import errno
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import singulab as sl
from networks import integers, normal, perceptron
from singulab.errors import (
    CorruptFileError,
    InterruptedRunError,
    StaleRunError,
    UnwritableError,
)
from singulab.files import read_state, write_sealed
from singulab.sample import saver as saver_module
from singulab.sample.run import Simulation
from singulab.sample.saver import Saver

X, Y = normal(60, 3), integers(2, 60)


def network(*, model: torch.nn.Module | None = None, x=X, loss: Any = "cross_entropy", **knobs):
    model = perceptron() if model is None else model
    knobs = {"batch_size": 12, "labels": "model", "localization": 3.0, **knobs}
    potential = sl.LocalPotential.of(model, (x, Y), loss, **knobs)
    potential.landscape.stacked = True  # which is faster depends on the clock
    return potential


def function() -> sl.LocalPotential:
    def valley(w):
        return w["x"].prod(1) ** 2 + (w["y"] ** 4).sum(1)

    center = {"x": torch.zeros(2), "y": torch.zeros(1)}
    return sl.LocalPotential.from_function(valley, center, nbeta=50.0)


SMALL = {"max_gradients": 300, "num_chains": 2, "relative_error": 0.02}
PLANS: dict[str, tuple[Callable[[], sl.LocalPotential], dict[str, Any]]] = {
    "auto": (network, SMALL),
    "auto, in turn": (network, SMALL),
    "auto, compiled": (
        network,
        {"settings": sl.Settings(max_gradients=300, num_chains=2, compiled=True)},
    ),
    "function": (function, {"max_gradients": 8000, "num_chains": 8, "relative_error": 0.1}),
    "function, fixed step": (
        function,
        {"settings": sl.Settings(kernel="hmc", step_size=0.1, max_gradients=2000, num_chains=4)},
    ),
} | {
    kernel: (
        network,
        {"settings": sl.Settings(kernel=kernel, step_size=1e-3, num_draws=60, num_chains=2)},
    )
    for kernel in ("sgld", "leimkuhler_matthews", "baoab", "rmsprop_sgld", "sgnht", "mala")
}


def measured(plan: str, run: Path | None, **knobs: Any) -> sl.Measurement:
    make, settings = PLANS[plan]
    potential = make()
    if plan == "auto, in turn":
        potential.landscape.stacked = None
        potential.landscape.try_stacked = lambda *_: _said_aloud(potential.landscape)
    return sl.measure(potential, run=run, **settings, **knobs)


def _said_aloud(landscape) -> bool:
    landscape.notes.append("chains run in turn: for a reason")
    return False


def assert_same(one: sl.Measurement, other: sl.Measurement) -> None:
    """Bitwise, but for the time that it took."""
    assert one.trace is not None
    assert other.trace is not None
    assert one.trace.dataset.identical(other.trace.dataset)
    told = [{**m.to_dict(), "seconds": 0} for m in (one, other)]
    assert told[0] == told[1]


class Crash(BaseException):
    """Stands for a kill: nothing in the package may catch it."""


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """From now on the state is saved at the ``step``-th opportunity, and then the process dies."""
    opportunities = iter(range(1, 10**9))
    save = Saver.save

    def save_and_die(self, *args):
        save(self, *args)
        raise Crash

    due = property(lambda saver: saver.run is not None and next(opportunities) == step)
    monkeypatch.setattr(Saver, "due", due)
    monkeypatch.setattr(Saver, "save", save_and_die)


@pytest.mark.parametrize("plan", PLANS)
def test_a_run_that_dies_again_and_again_ends_like_an_undisturbed_one(
    tmp_path, monkeypatch, unchecked, plan
):
    undisturbed = measured(plan, None)
    for deaths in itertools.count():
        with monkeypatch.context() as patch:
            crash_at(patch, (1, 7, 30, 64)[deaths % 4])
            try:
                resumed = measured(plan, tmp_path / "run")
                break
            except Crash:
                pass
    assert deaths >= 2
    assert_same(resumed, undisturbed)
    folder = tmp_path / "run" / "measurement"
    assert sorted(os.listdir(folder)) == ["result.json", "trace.zarr"]


def test_a_run_that_dies_after_its_last_step_remembers_what_it_saw(
    tmp_path, monkeypatch, unchecked
):
    """Steps that vanish in rounding are counted on the last step alone."""
    settings = sl.Settings(
        kernel="sgld", step_size=1e-20, num_draws=30, num_chains=2, labels="model"
    )
    undisturbed = sl.measure(network(), settings=settings)
    lost = {check.name: check.value for check in undisturbed.checks}["lost_update_fraction"]
    assert lost > 0.9
    with monkeypatch.context() as patch:
        crash_at(patch, 30 + 9)  # 30 steps, and 9 turns between ten segments
        with pytest.raises(Crash):
            sl.measure(network(), settings=settings, run=tmp_path)
    assert read_state(tmp_path / "measurement" / "state.bin")[1]["step"] == 30
    assert_same(sl.measure(network(), settings=settings, run=tmp_path), undisturbed)


def killed(plan: str, run: Path) -> None:
    Saver.INTERVAL = 0.05
    measured(plan, run)


@pytest.mark.parametrize("plan", ["auto", "function"])
def test_a_killed_process_is_continued_bitwise(tmp_path, unchecked, plan):
    process = multiprocessing.get_context("fork").Process(
        target=killed, args=(plan, tmp_path / "run"), daemon=True
    )
    process.start()
    state = tmp_path / "run" / "measurement" / "state.bin"
    for _ in range(2000):
        if state.exists() or not process.is_alive():
            break
        time.sleep(0.005)
    time.sleep(0.03)  # into the next interval
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    facts = read_state(state)[1]
    assert facts["step"] > 0
    assert_same(measured(plan, tmp_path / "run"), measured(plan, None))


@pytest.mark.parametrize(
    "plan, number",
    [("auto", signal.SIGTERM), ("function", signal.SIGTERM), ("function", signal.SIGINT)],
)
def test_a_run_that_is_asked_to_stop_saves_and_says_so(tmp_path, unchecked, plan, number):
    asked: list[float] = []

    def ask(progress: sl.Progress) -> None:
        if not asked and progress.done > 0:
            asked.append(progress.done)
            os.kill(os.getpid(), number)

    handler = signal.getsignal(number)
    with pytest.raises(InterruptedRunError, match="Run the same call again to go on") as caught:
        measured(plan, tmp_path / "run", on_progress=ask)
    assert asked
    assert signal.getsignal(number) is handler
    assert caught.value.run == tmp_path / "run" / "measurement"
    assert not (caught.value.run / "result.json").exists()
    assert_same(measured(plan, tmp_path / "run"), measured(plan, None))


def test_without_a_folder_ctrl_c_is_ctrl_c(unchecked):
    def press(progress: sl.Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            measured("auto", None, on_progress=press)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_finished_run_is_read_and_not_run_again(tmp_path, monkeypatch, unchecked):
    first = measured("auto", tmp_path / "run")
    monkeypatch.setattr(Simulation, "__init__", None)
    again = measured("auto", tmp_path / "run")
    assert_same(first, again)
    assert again.seconds == first.seconds
    assert_same(sl.Measurement.load(tmp_path / "run"), first)


def test_a_run_folder_says_what_it_holds(tmp_path, unchecked):
    m = measured("function", tmp_path / "run", seed=5)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["seed"] == 5
    assert config["settings"]["nbeta"] == m.nbeta
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A finished run, and one that was stopped."""
    folder = tmp_path_factory.mktemp("runs")
    sl.measure(network(), run=folder / "finished", **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, 5)
        with pytest.raises(Crash):
            sl.measure(network(), run=folder / "stopped", **SMALL)
    assert (folder / "stopped" / "measurement" / "state.bin").exists()
    return folder


OTHERS: dict[str, tuple[Callable[[], sl.LocalPotential], dict[str, Any], str]] = {
    "weights": (lambda: network(model=perceptron(seed=1)), SMALL, "weights was"),
    "selection": (lambda: network(weights="0.*"), SMALL, "components was"),
    "data": (lambda: network(x=X + 0.01), SMALL, "data was"),
    "loss": (lambda: network(loss=lambda f, y: (f - y).square().sum(1)), SMALL, "loss was"),
    "nbeta": (lambda: network(nbeta=9.0), SMALL, r"settings\.nbeta was 14\.65\d+, is 9\.0"),
    "localization": (lambda: network(localization=4.0), SMALL, r"settings\.localization was"),
    "seed": (network, {**SMALL, "seed": 1}, "seed was 0, is 1"),
    "chains": (network, {**SMALL, "num_chains": 3}, r"settings\.num_chains was 2, is 3"),
    "budget": (network, {**SMALL, "max_gradients": 1300}, r"settings\.max_gradients was 300"),
}


@pytest.mark.parametrize("kind", ["finished", "stopped"])
@pytest.mark.parametrize("what", OTHERS)
def test_a_run_of_another_measurement_is_refused_and_left_alone(
    tmp_path, unchecked, runs, kind, what
):
    make, knobs, sentence = OTHERS[what]
    folder = tmp_path / kind
    shutil.copytree(runs / kind, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(StaleRunError, match=sentence) as caught:
        sl.measure(make(), run=folder, **knobs)
    assert "Give this one a folder of its own" in str(caught.value)
    assert len(str(caught.value)) < 700
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {p.name for p in before} == {p.name for p in after}
    unchanged = [path for path in before if path.name != "environment.json"]
    assert all(before[path] == after[path] for path in unchanged)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize(
    "kind, name",
    [("finished", "result.json"), ("finished", "trace.zarr")],
)
def test_a_damaged_file_of_a_run_is_named(tmp_path, unchecked, runs, kind, name, damage):
    folder = tmp_path / "run"
    shutil.copytree(runs / kind, folder)
    path = folder / "measurement" / name
    largest = (
        path
        if path.is_file()
        else max(
            (p for p in (path / "excess_loss").rglob("*") if p.is_file()),
            key=lambda p: p.stat().st_size,
        )
    )
    damage(largest)
    with pytest.raises(CorruptFileError, match=f"{name} cannot be read") as caught:
        sl.measure(network(), run=folder, **SMALL)
    assert caught.value.path == path


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize("saves", [1, 3])
def test_a_damaged_state_is_continued_from_the_one_before_it(
    tmp_path, monkeypatch, caplog, unchecked, damage, saves
):
    """After one save the one before it is the beginning."""
    for _ in range(saves):
        with monkeypatch.context() as patch:
            crash_at(patch, 20)
            with pytest.raises(Crash):
                sl.measure(network(), run=tmp_path, **SMALL)
    state = tmp_path / "measurement" / "state.bin"
    before = state.with_name("state.previous.bin")
    damage(state)
    step = read_state(before)[1]["step"] if saves > 1 else 0
    with monkeypatch.context() as patch:
        crash_at(patch, 5)
        with pytest.raises(Crash):
            sl.measure(network(), run=tmp_path, **SMALL)
    assert "state.bin cannot be read: its checksum does not match" in caplog.text
    assert step < read_state(state)[1]["step"] <= step + 5
    assert_same(sl.measure(network(), run=tmp_path, **SMALL), sl.measure(network(), **SMALL))


def test_two_damaged_states_are_named_and_left_alone(tmp_path, monkeypatch, unchecked):
    for _ in range(2):
        with monkeypatch.context() as patch:
            crash_at(patch, 20)
            with pytest.raises(Crash):
                sl.measure(network(), run=tmp_path, **SMALL)
    states = [tmp_path / "measurement" / name for name in ("state.bin", "state.previous.bin")]
    for state in states:
        flip(state)
    content = [state.read_bytes() for state in states]
    with pytest.raises(CorruptFileError, match="delete both to start anew") as caught:
        sl.measure(network(), run=tmp_path, **SMALL)
    assert caught.value.path == states[0]
    assert [state.read_bytes() for state in states] == content


def test_what_a_killed_writer_left_behind_is_removed(tmp_path, unchecked):
    folder = tmp_path / "measurement"
    (folder / f".trace.zarr.{'0a' * 16}.old" / "draw").mkdir(parents=True)
    (folder / f".state.bin.{'1b' * 16}").write_text("half")
    (folder / ".mine").write_text("not ours")
    sl.measure(network(), run=tmp_path, **SMALL)
    assert sorted(os.listdir(folder)) == [".mine", "result.json", "trace.zarr"]


def test_a_sealed_file_that_is_no_measurement_is_named(tmp_path):
    write_sealed(tmp_path / "result.json", {"quantity": "llc"})
    with pytest.raises(CorruptFileError, match="it is not a measurement"):
        sl.Measurement.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        sl.Measurement.load(tmp_path / "nowhere")


# ── the saver by itself ───────────────────────────────────────────────────────────────────────


def test_a_request_that_comes_after_the_last_save_is_answered_at_the_end(tmp_path):
    with pytest.raises(InterruptedRunError), Saver(tmp_path, {}):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_worker_that_the_same_ctrl_c_ended_is_no_error_of_its_own(tmp_path):
    def fail():
        with Saver(tmp_path, {}):
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError("DataLoader worker (pid 7) exited unexpectedly")

    with pytest.raises(InterruptedRunError) as caught:
        fail()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_saving_is_due_also_when_the_clock_was_set_back_or_jumped_while_saving(
    tmp_path, monkeypatch
):
    clock = [1e6]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    saver = Saver(tmp_path, {})
    clock[0] -= 5e5
    assert saver.due

    def jump(*args):
        clock[0] += 1e7

    monkeypatch.setattr(saver_module, "write_state", jump)
    saver.save({}, {})
    assert not saver.due
    clock[0] += 3601
    assert saver.due


def test_a_state_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    saver = Saver(tmp_path, {})
    saver.save({}, {"step": 1})

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(UnwritableError, match="No space left on device.*run the same call"):
            saver.save({}, {"step": 2})
    assert saver.load()[1]["step"] == 1
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


def test_saving_is_due_every_interval_and_costs_a_fiftieth_of_the_time(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def slow(*args):
        clock[0] += 1.0

    monkeypatch.setattr(saver_module, "write_state", slow)
    saver = Saver(tmp_path, {})
    assert not saver.due
    clock[0] = 109.9
    assert not saver.due
    clock[0] = 110.1
    assert saver.due
    saver.save({}, {})
    clock[0] = 111.1 + 49
    assert not saver.due
    clock[0] = 111.1 + 51
    assert saver.due


def test_without_a_folder_nothing_is_ever_due():
    with Saver(None, {}) as saver:
        assert saver.path is None
        assert not saver.due
        assert saver.load() is None
        saver.save({}, {})
        saver.clear()


def test_a_saver_gives_signals_back_after_an_exception(tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    def fail():
        with Saver(tmp_path, {}):
            assert signal.getsignal(signal.SIGTERM) is not before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert signal.getsignal(signal.SIGTERM) is before
