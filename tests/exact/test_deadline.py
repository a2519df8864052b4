import contextlib
import threading
import time

import pytest

from singulab.exact.deadline import Deadline, TimeUpError, tick


def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100))


def test_an_alarm_interrupts_code_that_never_looks_at_the_clock():
    start = time.monotonic()
    with pytest.raises(TimeUpError), Deadline(0.1).alarm():
        busy(20)
    assert time.monotonic() - start < 5


def test_nothing_rings_after_the_block():
    for _ in range(30):
        try:
            with Deadline(0.002).alarm():
                busy(0.002)
        except TimeUpError:
            pass
        busy(0.004)  # a TimeUpError here would fail the test


def test_an_inner_alarm_leaves_no_alarm_behind():
    try:
        with Deadline(0.05).alarm():
            for _ in range(10**6):
                with Deadline(0.2).alarm():
                    busy(0.001)
    except TimeUpError:
        pass
    busy(0.4)
    with Deadline(10).alarm():
        pass


def test_a_handler_of_exceptions_does_not_swallow_it():
    def swallowing():
        while True:
            with contextlib.suppress(Exception):  # what other packages do
                busy(1)

    with pytest.raises(TimeUpError), Deadline(0.1).alarm():
        swallowing()


def test_an_alarm_is_of_its_own_thread():
    seen = []

    def other():
        try:
            with Deadline(0.1).alarm():
                busy(20)
        except TimeUpError:
            seen.append("time up")

    thread = threading.Thread(target=other)
    thread.start()
    busy(0.3)
    thread.join(10)
    assert seen == ["time up"]


def test_ctrl_c_ends_a_search_at_once():
    import _thread
    import signal

    from singulab.exact import rlct_of_ideal

    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    start = time.monotonic()
    ideal = "a*b*c + d*e*f - a*d^2*c + b^3*e, a^2*f - b*d*e + c^3*a + f^3, c*d*f + a^2*b*e - e^3*c"

    def search():
        while (
            time.monotonic() - start < 20
        ):  # a fast machine needs several searches to be interrupted in one
            rlct_of_ideal(ideal.split(","), time_limit=60)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            search()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 10
    busy(0.1)


def test_the_earlier_of_two_guards_counts_and_is_lifted():
    def ticking():
        with Deadline(10).guard():
            while True:
                tick()

    with Deadline(0.05).guard():
        with pytest.raises(TimeUpError):
            ticking()
        with pytest.raises(TimeUpError):
            tick()
    tick()
