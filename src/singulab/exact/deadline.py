"""A time limit that holds in our own loops and inside calls of other packages."""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_THREAD = (
    threading.local()
)  # .end: when the guarded block is over; .alarmed: whether an alarm is set


class TimeUpError(BaseException):
    """The time given is over; like an interrupt, no handler of ``Exception`` on the way may swallow it."""


def tick() -> None:
    """What every long loop calls: raises ``TimeUpError`` inside a guarded block whose time is up."""
    end = getattr(_THREAD, "end", None)
    if end is not None and time.monotonic() > end:
        raise TimeUpError


class Deadline:
    """The moment at which a computation has to come to an end.

    ``with deadline.guard():`` lets all our own loops end there, and ``with deadline.alarm():`` interrupts
    whatever Python code of others is inside.
    """

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    @classmethod
    def after(cls, time_limit: Any) -> "Deadline":
        """The deadline of a call with a ``time_limit``, from now on."""
        number = isinstance(time_limit, int | float) and not isinstance(time_limit, bool)
        if not number or not time_limit > 0:
            raise ValueError(
                f"time_limit must be a positive number of seconds, got {time_limit!r}."
            )
        return cls(float(time_limit))

    @property
    def left(self) -> float:
        return self.end - time.monotonic()

    def check(self) -> None:
        if self.left <= 0:
            raise TimeUpError

    def sooner(self, seconds: float) -> "Deadline":
        """A deadline after that many seconds, or this one if it comes first."""
        return Deadline(min(seconds, self.left))

    @contextmanager
    def guard(self) -> Iterator[None]:
        """A block in which ``tick`` raises when time is up; inside another one the earlier end counts."""
        self.check()
        outer = getattr(_THREAD, "end", None)
        _THREAD.end = self.end if outer is None else min(outer, self.end)
        try:
            yield
        finally:
            _THREAD.end = outer

    @contextmanager
    def alarm(self) -> Iterator[None]:
        """A block inside which ``TimeUpError`` is raised, once, when time is up.

        Inside such a block another one does nothing: an exception from outside could interrupt its end, and
        its alarm would ring when nobody waits for it any more.
        """
        self.check()
        if getattr(_THREAD, "alarmed", False):
            yield
            return
        alarm = _Alarm(self.left)
        _THREAD.alarmed = True
        try:
            alarm.start()
            yield
        finally:
            _THREAD.alarmed = False
            alarm.stop()


class _Alarm:
    """Raises ``TimeUpError`` in the thread that made it, after some seconds, unless it is stopped before."""

    def __init__(self, seconds: float) -> None:
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._over = self._rang = False
        self._timer = threading.Timer(max(seconds, 0.0), self._ring)
        self._timer.daemon = True

    def start(self) -> None:
        self._timer.start()

    def _ring(self) -> None:
        with self._lock:
            if not self._over:
                self._rang = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(TimeUpError)
                )

    def stop(self) -> None:
        self._over = True  # first: from here on nothing rings, even if what follows is interrupted
        with self._lock:
            rang = self._rang
        self._timer.cancel()
        for _ in range(50 if rang else 0):
            pass  # an exception on its way to this thread arrives at a jump back, so not after this loop
