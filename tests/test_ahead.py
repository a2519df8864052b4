"""Values are those of the function, foreseen or not."""

import os
import threading
from multiprocessing import get_context

import pytest

from singulab import ahead
from singulab.ahead import Ahead


@pytest.fixture(params=[1, 2])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(ahead, "_cores", lambda: request.param)
    return request.param


def test_a_foreseen_value_is_computed_once_and_on_another_thread(cores: int) -> None:
    seen = []

    def square(address: int) -> int:
        seen.append((address, threading.current_thread() is threading.main_thread()))
        return address**2

    values = Ahead(square)
    values.foresee(3)
    values.foresee(3)
    assert values(3) == 9
    assert values(4) == 16
    assert seen == [(3, cores == 1), (4, True)]


def test_an_error_reaches_whoever_asks(cores: int) -> None:
    values = Ahead(lambda address: 1 / address)
    values.foresee(0)
    with pytest.raises(ZeroDivisionError):
        values(0)
    values.foresee(0)
    values.forget()
    assert values(2) == 0.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_the_thread_of_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ahead, "_cores", lambda: 2)
    values = Ahead(lambda address: address + 1)
    values.foresee(1)
    with get_context("fork").Pool(1, initializer=_inherit, initargs=(values,)) as pool:
        assert pool.apply_async(_ask, (1,)).get(timeout=60) == 2
    assert values(1) == 2


_INHERITED: list[Ahead[int, int]] = []


def _inherit(values: Ahead[int, int]) -> None:
    _INHERITED.append(values)


def _ask(address: int) -> int:
    value = _INHERITED[0](address)
    _INHERITED[0].foresee(value)
    assert _INHERITED[0](value) == value + 1
    return value
