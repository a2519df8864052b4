"""A time limit that holds in our own loops and inside calls of other packages."""

import ctypes
import threading
import time
from types import TracebackType


class TimeUpError(Exception):
    """The time given is over."""


class Deadline:
    """The moment at which a computation has to come to an end.

    ``check`` raises in our own loops. ``with deadline:`` guards whatever Python code is inside: when time is
    up, ``TimeUpError`` is raised there, once.
    """

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._fired = False
        self._depth = 0

    @property
    def left(self) -> float:
        return self.end - time.monotonic()

    def check(self) -> None:
        if self.left <= 0:
            raise TimeUpError

    def sooner(self, seconds: float) -> "Deadline":
        """A deadline after that many seconds, or this one if it comes first."""
        return Deadline(min(seconds, self.left))

    def __enter__(self) -> None:
        self.check()
        self._depth += 1
        if self._depth > 1:
            return
        self._fired = False
        self._timer = threading.Timer(self.left, self._fire, (threading.get_ident(),))
        self._timer.daemon = True
        self._timer.start()

    def _fire(self, thread: int) -> None:
        with self._lock:
            if self._timer is not None:
                self._fired = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(TimeUpError)
                )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth:
            return
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for _ in range(50 if self._fired else 0):
            pass  # an exception on its way to this thread arrives at a jump back, so not after this block
