"""What a command is.

A command is a module with a frozen dataclass ``Config``, a child of :class:`CommandConfig` whose docstring
and field comments are the help, and ``run(config, console) -> Outcome``. ``console`` is where people read:
silent under ``--json``. Whatever ``run`` raises becomes one sentence and an exit code in ``main``. A module
with ``subcommand(flags) -> (command, name, flags)`` hands over to another such object instead.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from singulab.errors import MissingExtraError


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0  # done, and every check holds
    FAILED = 1  # done, and a check failed
    BAD_INPUT = 2
    BUG = 70  # a fault of singulab, or of code that it was handed: the traceback is shown
    RESUMABLE = 75  # interrupted; the same command goes on
    INTERRUPTED = 130  # interrupted without a run folder: nothing is saved


@dataclass(frozen=True, kw_only=True)
class CommandConfig:
    """Flags that every command has."""

    json: bool = False  # print JSON and nothing else


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command found out."""

    data: Any  # printed by --json: plain containers, strings, numbers, None
    passed: bool = True  # False exits 1


class Answered(Exception):  # noqa: N818 - not an error
    """``--help`` or ``--version`` was asked for, and ``text`` answers it; empty if it has been printed."""

    def __init__(self, text: str = "", code: Exit = Exit.DONE) -> None:
        super().__init__(text)
        self.text, self.code = text, code


class InterruptedBeforeError(Exception):
    """SIGINT or SIGTERM came before the command had begun."""

    def __init__(self) -> None:
        super().__init__("Interrupted before it began; the same command begins it.")


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Imports inside that fail name the extra which brings them."""
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "singulab":
            raise
        raise MissingExtraError(str(error.name), extra=name) from error
