"""Values made on a second core before they are asked for."""

import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Generic, TypeVar

Address = TypeVar("Address", bound=Hashable)
Value = TypeVar("Value")


class Ahead(Generic[Address, Value]):
    """A pure function whose next values are computed by another thread while the caller works.

    Values do not depend on whether or when they were foreseen. On a single core nothing is foreseen.

    Args:
        function: of an address alone; run on either thread.
    """

    def __init__(self, function: Callable[[Address], Value]) -> None:
        self._function = function
        self._pending: dict[Address, tuple[int, Future[Value]]] = {}

    def __call__(self, address: Address) -> Value:
        """The value at an address."""
        process, value = self._pending.pop(address, (None, None))
        if value is None or process != os.getpid():  # a fork does not take threads along
            return self._function(address)
        return value.result()

    def foresee(self, address: Address) -> None:
        """Begin to compute the value at an address that will be asked for soon."""
        if address not in self._pending and _cores() > 1:
            process = os.getpid()
            self._pending[address] = process, _worker(process).submit(self._function, address)

    def forget(self) -> None:
        """Drop what was foreseen and not asked for."""
        for _, value in self._pending.values():
            value.cancel()
        self._pending.clear()


@cache
def _worker(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="singulab-ahead")


@cache
def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
