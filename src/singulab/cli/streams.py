"""Standard output and standard error, whoever reads them: a pipe that closes, a terminal without Greek."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def streams(as_json: bool) -> Iterator[Any]:
    """Yields the true output; under ``--json`` whatever anybody prints goes to standard error instead.

    Characters that an output lacks are spelled out rather than refused.
    """
    out = sys.stdout
    with contextlib.ExitStack() as stack:
        for stream in (out, sys.stderr):
            stack.enter_context(_spelled_out(stream))
        if as_json:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield out


def say(text: str, stream: Any, *, end: str = "\n") -> bool:
    """Print at once; False if that failed. A reader who has left, or never came, is no failure."""
    if stream is None:  # closed by the shell
        return True
    try:
        print(text, file=stream, end=end, flush=True)
    except BrokenPipeError:
        hush(stream)
    except OSError:
        hush(stream)
        return False
    return True


def hush(stream: Any) -> None:
    """Send all that is still to be written nowhere, so that leaving the program does not complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def _spelled_out(stream: Any) -> Iterator[None]:
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            stream.reconfigure(errors=before)
