"""Taking turns: every contestant moves for a while, again and again, so that all see the same machine."""

import ctypes
import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import torch
from torch.utils.data import DataLoader

from benchmarks.adapters import Peer, Rows, Task


@dataclass
class Runner:
    """Something that takes turns."""

    name: str
    kernel: str = ""
    preconditioner: str = ""
    chain_steps: int = 1  # chain-steps of one call
    period: int = 1  # calls after which the cost repeats; a turn has a multiple of it
    guest: bool = False  # of another package or a compiler: its failure is told, not raised
    build: Callable[[], Callable[[int], Any]] = field(default=lambda: lambda count: None)
    end: Callable[[], Any] = field(default=lambda: None)
    advance: Callable[[int], Any] = field(init=False)
    count: int = field(init=False, default=1)  # calls in a turn
    first_seconds: float | None = field(init=False, default=None)
    memory_mib: float | None = field(init=False, default=None)
    failure: str = field(init=False, default="")
    turns: list[float] = field(init=False, default_factory=list)  # seconds per chain-step

    def start(self, seconds: float) -> None:
        """Build, take the first steps, and find out how many fill a turn."""

        def first() -> None:
            begin = time.perf_counter()
            self.advance = self.build()
            self.advance(1)
            self.first_seconds = time.perf_counter() - begin
            self.count = self.period * max(1, round(seconds / self._time(self.period)))

        try:
            self.memory_mib = peak_mib(first)
        except Exception as error:
            if not self.guest:
                raise
            self.failure = f"{type(error).__name__}: {str(error)[:200]}"

    def turn(self) -> None:
        self.turns.append(self._time(self.count) / (self.count * self.chain_steps))

    def _time(self, count: int) -> float:
        begin = time.perf_counter()
        self.advance(count)
        return time.perf_counter() - begin


def alternate(
    runners: Sequence[Runner], turns: int, seconds: float, told: Callable[[str, float], None]
) -> None:
    """Start every runner, then let all of them take turns, and end them."""
    total = len(runners) + turns
    for index, runner in enumerate(runners):
        told(
            " ".join(filter(None, (runner.name, runner.kernel, runner.preconditioner))),
            index / total,
        )
        runner.start(seconds)
    able = [runner for runner in runners if not runner.failure]
    for turn in range(turns):
        told(f"turn {turn + 1} of {turns}", (len(runners) + turn) / total)
        # Begin elsewhere each time: what runs after a hot neighbour should not always be the same.
        for index in range(len(able)):
            able[(index + turn) % len(able)].turn()
    for runner in runners:
        runner.end()


class Ratio(NamedTuple):
    """Over the turns."""

    median: float
    low: float
    high: float


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Ratio:
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    return Ratio(median(ratios), ratios[0], ratios[-1])


class Held:
    """A peer's run that moves only in its turn: it is held where it asks for its next minibatch.

    One call of the package is timed in pieces, so set-up and compilation are paid once, before the first
    piece, as in a long run.
    """

    def __init__(self, peer: Peer, task: Task, batches: Iterable[Any], *, num_chains: int) -> None:
        self._left, self._ended = 0, False
        self._go, self._done = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        loader = _HeldLoader(task, self._pass(batches))

        def target() -> None:
            try:
                self._wait()
                peer.endless(task, loader, num_chains=num_chains)
                self._error = RuntimeError(f"{peer.name} came to its last draw within a turn.")
            except _Ended:
                pass
            except BaseException as error:  # noqa: BLE001 - told in the thread that waits
                self._error = error
            self._done.set()

        self._thread = threading.Thread(target=target, daemon=True)
        self._thread.start()

    def advance(self, count: int) -> None:
        """Let ``count`` minibatches pass, and wait for the steps made with them."""
        self._left = count
        self._done.clear()
        self._go.set()
        self._done.wait()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Unwind the peer's call."""
        self._ended = True
        self._go.set()
        self._thread.join()

    def _wait(self) -> None:
        self._go.wait()
        self._go.clear()
        if self._ended:
            raise _Ended

    def _pass(self, batches: Iterable[Any]) -> Iterator[Any]:
        while True:
            for batch in batches:
                if self._left == 0:
                    self._done.set()
                    self._wait()
                self._left -= 1
                yield batch


class _Ended(Exception):  # noqa: N818 - not an error
    """Unwinds a peer's call."""


class _HeldLoader(DataLoader):
    """Hands out prepared minibatches; pickled by reference, for devinterp copies its loader."""

    def __init__(self, task: Task, batches: Iterator[Any]) -> None:
        super().__init__(Rows(task), batch_size=task.batch_size)
        self._batches = batches
        _living[id(self)] = self

    def __iter__(self) -> Iterator[Any]:
        return self._batches

    def __reduce__(self) -> tuple[Any, ...]:
        return _held_loader, (id(self),)


_living: WeakValueDictionary[int, _HeldLoader] = WeakValueDictionary()


def _held_loader(key: int) -> _HeldLoader:
    return _living[key]


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def peak_mib(work: Callable[[], None]) -> float | None:
    """Peak of the process's memory during ``work`` above where it stood; None where Linux does not say."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not (reset.exists() and status.exists()):
        work()
        return None
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # memory that earlier runners freed must not be reused unseen
    before = _status_mib(status, "VmRSS")
    reset.write_text("5")  # the peak begins again
    work()
    return _status_mib(status, "VmHWM") - before


def _status_mib(status: Path, name: str) -> float:
    line = next(row for row in status.read_text().splitlines() if row.startswith(name))
    return int(line.split()[1]) / 1024
