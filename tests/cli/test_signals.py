"""An interrupt is neither lost nor doubled, and dying helpers print nothing."""

import os
import signal
import sys
import threading
import time

import pytest

from singulab.cli.signals import Stoppable


class Deleted:
    """Something that is interrupted while it is deleted, where no exception can pass."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __del__(self) -> None:
        if self.error is not None:
            raise self.error
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)


def wait() -> None:
    for _ in range(200):
        time.sleep(0.01)


def interrupted_in_a_destructor() -> None:
    Deleted()
    wait()


def terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    wait()


def test_an_interrupt_in_a_destructor_is_raised_a_moment_later():
    with pytest.raises(KeyboardInterrupt), Stoppable():
        interrupted_in_a_destructor()


def test_a_second_interrupt_does_nothing():
    with Stoppable():
        with pytest.raises(KeyboardInterrupt):
            terminated()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)


@pytest.mark.parametrize(
    "error, told",
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), False),
        (ConnectionResetError(104, "Connection reset by peer"), False),
        (RuntimeError("something else"), True),
    ],
)
def test_only_what_dying_workers_throw_in_a_destructor_is_not_printed(error, told, monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    with Stoppable():
        Deleted(error)
    assert bool(seen) is told


def test_a_thread_that_fails_prints_nothing_and_hooks_are_put_back(monkeypatch):
    seen = []
    hooks = sys.unraisablehook, lambda *caught: seen.append(caught)
    monkeypatch.setattr(sys, "excepthook", hooks[1])

    def fails() -> None:
        try:
            raise ConnectionResetError
        except ConnectionResetError:
            sys.excepthook(*sys.exc_info())

    with Stoppable():
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
        assert not seen
        fails()
        assert len(seen) == 1
    assert (sys.unraisablehook, sys.excepthook) == hooks
