"""Saving a run so that it can be killed at any moment, and stopping it on request."""

import logging
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor

from singulab.errors import CorruptFileError, InterruptedRunError, StaleRunError
from singulab.files import read_state, remove_leftovers, write_state

_logger = logging.getLogger(__name__)


class Saver:
    """Keeps the last two states of a run, and notices requests to stop.

    ``state.bin`` is the newest; ``state.previous.bin`` serves if that one was damaged on the disk. As a
    context it listens to SIGINT and SIGTERM (in the main thread) and restores the handlers it found. A
    request that came too late for a save is answered when the context ends.

    Args:
        run: the folder; None = nothing is saved and a request to stop is not handled here.
        identity: what the run depends on; a saved state with another identity is refused.
    """

    INTERVAL = 10.0  # seconds between saves, at least
    SHARE = 0.02  # of the time, at most, goes into saving
    LONGEST = 3600.0  # seconds between saves, also where a clock jumped while one was under way

    def __init__(self, run: Path | None, identity: Mapping[str, Any]) -> None:
        self.run, self.identity = run, dict(identity)
        self._saved_at, self._wait = time.monotonic(), self.INTERVAL
        self._stop = False
        self._handlers: dict[int, Any] = {}

    @property
    def path(self) -> Path | None:
        return None if self.run is None else self.run / "state.bin"

    @property
    def previous(self) -> Path | None:
        return None if self.run is None else self.run / "state.previous.bin"

    def __enter__(self) -> "Saver":
        if self.run is not None and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        # Ctrl-C reaches workers of a data loader too, and then their end is no error of its own.
        asked = self._stop and not isinstance(error, InterruptedRunError)
        if self.run is not None and asked and (error is None or isinstance(error, RuntimeError)):
            raise InterruptedRunError(self.run) from error

    def _request(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The saved state, if there is one.

        A damaged state is replaced by the one before it, or by the beginning if it was the first.

        Raises:
            CorruptFileError: both saved states are damaged.
            StaleRunError: the state belongs to another run.
        """
        if self.run is None or self.path is None or self.previous is None:
            return None
        remove_leftovers(self.run)
        found = None
        damaged: list[CorruptFileError] = []
        for path in (self.path, self.previous):
            if not path.exists():
                continue
            try:
                found = read_state(path)
                break
            except CorruptFileError as error:
                damaged.append(error)
        if len(damaged) == 2:
            raise CorruptFileError(
                self.path, f"it is damaged and so is {self.previous}; delete both to start anew"
            )
        if found is not None:
            refuse_other(self.run, found[1].get("identity"), self.identity)
        for damage in damaged:
            _logger.warning("%s. Going on from what was saved before.", damage)
            damage.path.unlink()  # else the next save would put it in the place of the good one
        return found

    @property
    def due(self) -> bool:
        """Whether it is time to save, or to stop."""
        if self.run is None:
            return False
        elapsed = time.monotonic() - self._saved_at
        return self._stop or not 0 <= elapsed < self._wait  # also where the clock was set back

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Save, and stop if that was asked for.

        Raises:
            InterruptedRunError: SIGINT or SIGTERM came; the state is on the disk.
            UnwritableError: the disk is full, say; the state before is still there.
        """
        if self.run is None or self.path is None or self.previous is None:
            return
        start = time.monotonic()
        if self.path.exists():
            self.path.replace(self.previous)
        write_state(self.path, tensors, {**facts, "identity": self.identity})
        self._saved_at = time.monotonic()
        wait = max(self.INTERVAL, (self._saved_at - start) / self.SHARE)
        self._wait = min(wait, self.LONGEST)
        if self._stop:
            raise InterruptedRunError(self.run)

    def clear(self) -> None:
        """The run is finished: its state is not needed any more."""
        if self.path is not None and self.previous is not None:
            self.path.unlink(missing_ok=True)
            self.previous.unlink(missing_ok=True)


def refuse_other(run: Path, saved: Any, mine: Mapping[str, Any]) -> None:
    """Raise :class:`StaleRunError` if two identities differ; settings are compared one by one."""
    differences = _differences(saved if isinstance(saved, Mapping) else {}, mine)
    if differences:
        raise StaleRunError(run, differences)


def _differences(
    saved: Mapping[str, Any], mine: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in sorted(set(saved) | set(mine)):
        old, new = saved.get(name), mine.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found[prefix + name] = (old, new)
    return found
