"""Saving a run so that it can be killed at any moment, and stopping it on request."""

import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor

from singulab.errors import InterruptedRunError, StaleRunError
from singulab.files import read_state, write_state

_INTERVAL = 10.0  # seconds between saves
_SHARE = 0.02  # of the time, at most, goes into saving


class Saver:
    """Keeps one file with the state of a run, and notices requests to stop.

    As a context it listens to SIGINT and SIGTERM (in the main thread) and restores the handlers it found.

    Args:
        run: the folder; None = nothing is saved and a request to stop is not handled here.
        identity: what the run depends on; a saved state with another identity is refused.
    """

    def __init__(self, run: Path | None, identity: Mapping[str, Any]) -> None:
        self.run, self.identity = run, dict(identity)
        self._due = time.monotonic() + _INTERVAL
        self._stop = False
        self._handlers: dict[int, Any] = {}

    @property
    def path(self) -> Path | None:
        return None if self.run is None else self.run / "state.bin"

    def __enter__(self) -> "Saver":
        if self.run is not None and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The saved state, if there is one.

        Raises:
            CorruptFileError: the file is damaged.
            StaleRunError: it belongs to another run.
        """
        if self.path is None or not self.path.exists():
            return None
        tensors, facts = read_state(self.path)
        refuse_other(self.path.parent, facts["identity"], self.identity)
        return tensors, facts

    @property
    def due(self) -> bool:
        """Whether it is time to save, or to stop."""
        return self.run is not None and (self._stop or time.monotonic() >= self._due)

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Save, and stop if that was asked for.

        Raises:
            InterruptedRunError: SIGINT or SIGTERM came; the state is on the disk.
        """
        if self.path is None or self.run is None:
            return
        start = time.monotonic()
        write_state(self.path, tensors, {**facts, "identity": self.identity})
        now = time.monotonic()
        self._due = now + max(_INTERVAL, (now - start) / _SHARE)
        if self._stop:
            raise InterruptedRunError(self.run)

    def clear(self) -> None:
        """The run is finished: its state is not needed any more."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def refuse_other(run: Path, saved: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Raise :class:`StaleRunError` if two identities differ; settings are compared one by one."""
    differences = _differences(saved, mine)
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
