"""SIGINT and SIGTERM while a command runs."""

import logging
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

logger = logging.getLogger(__name__)

_SOON = 0.01  # seconds


class Stoppable:
    """In this context the first SIGINT or SIGTERM raises ``KeyboardInterrupt``, and later ones do nothing.

    A second one would else cut the saving short that the first one asked for. One that is raised where Python lets no
    exception pass, while an object is deleted, is raised again a moment later. What dying workers of a data loader
    throw in such places, or in threads and processes of their own, is not printed: the command itself says
    that they died.

    Args:
        restore: put the handlers that were found back at the end; not wanted where the process ends too.
    """

    def __init__(self, *, restore: bool = True) -> None:
        self._restore, self._process = restore, os.getpid()
        self._found: dict[int, Any] = {}
        self._hooks = sys.unraisablehook, sys.excepthook

    def __enter__(self) -> "Stoppable":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._found[number] = signal.signal(number, self._stop)
            self._hooks = sys.unraisablehook, sys.excepthook
            sys.unraisablehook, sys.excepthook = self._unraisable, self._uncaught
        return self

    def ignore(self) -> None:
        """From now on nothing interrupts."""
        for number in self._found:
            signal.signal(number, _nothing)

    def __exit__(self, *_: object) -> None:
        if self._restore:
            for number, handler in self._found.items():
                signal.signal(number, handler)
            sys.unraisablehook, sys.excepthook = self._hooks

    def _unraisable(self, caught: "sys.UnraisableHookArgs") -> None:
        if issubclass(caught.exc_type, KeyboardInterrupt):
            before = signal.signal(signal.SIGALRM, self._stop)
            self._found.setdefault(signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, _SOON)
        elif isinstance(caught.exc_value, ConnectionError) or "DataLoader worker" in str(
            caught.exc_value
        ):
            logger.debug("while an object was deleted: %r", caught.exc_value)
        else:
            self._hooks[0](caught)

    def _uncaught(
        self, kind: type[BaseException], error: BaseException, where: TracebackType | None
    ) -> None:
        mine = os.getpid() == self._process
        if mine and threading.current_thread() is threading.main_thread():
            self._hooks[1](kind, error, where)
        else:
            logger.debug("in another process or thread: %r", error)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # workers that inherited this are stopped by the process that has them
        self.ignore()
        raise KeyboardInterrupt


def _nothing(number: int, frame: FrameType | None) -> None:
    """In the place of SIG_IGN, which child processes would inherit."""
