"""SIGINT and SIGTERM while a command runs."""

import os
import signal
import threading
from types import FrameType
from typing import Any


class Stoppable:
    """In this context the first SIGINT or SIGTERM raises ``KeyboardInterrupt``, and later ones do nothing.

    A second one would else cut the saving short that the first one asked for.

    Args:
        restore: put the handlers that were found back at the end; not wanted where the process ends too.
    """

    def __init__(self, *, restore: bool = True) -> None:
        self._restore, self._process = restore, os.getpid()
        self._found: dict[int, Any] = {}

    def __enter__(self) -> "Stoppable":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._found[number] = signal.signal(number, self._stop)
        return self

    def ignore(self) -> None:
        """From now on nothing interrupts."""
        for number in self._found:
            signal.signal(number, _nothing)

    def __exit__(self, *_: object) -> None:
        if self._restore:
            for number, handler in self._found.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # workers that inherited this are stopped by the process that has them
        self.ignore()
        raise KeyboardInterrupt


def _nothing(number: int, frame: FrameType | None) -> None:
    """In the place of SIG_IGN, which child processes would inherit."""
