"""``singulab COMMAND``: finds the command, reads its flags, and turns what happens into an exit code.

Exit codes: 0 done and holds, 1 done and a check failed, 2 bad input, 75 interrupted and resumable. With
``--json`` standard output is one JSON document whatever happens, and all else goes to standard error.
"""

import contextlib
import importlib
import io
import json
import math
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from singulab.cli.command import Exit, HelpShown, Outcome, extra
from singulab.errors import InterruptedRunError, SingulabError

COMMANDS = {
    "demo": "λ̂ of a network along its training, on true and on shuffled labels",
    "measure": "λ̂ of your own model at one checkpoint",
    "scale-curve": "λ_eff against nβ and γ",
    "bench": "speed and truth benchmarks, kept as records",
    "doctor": "whether this machine is fit for singulab",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: command and flags; default ``sys.argv[1:]``.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return Exit.DONE if words else Exit.BAD_INPUT
    if words[0] == "--version":
        print(version("singulab"))
        return Exit.DONE
    name, flags = words[0], words[1:]
    as_json = "--json" in words
    with _streams(as_json) as out:
        code, report = _attempt(name, flags, as_json)
        if as_json and report is not None:
            print(json.dumps(plain(report), ensure_ascii=False, allow_nan=False), file=out)
    return code


def overview() -> str:
    """What ``singulab --help`` prints; nothing heavy is imported for it."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {line}" for name, line in COMMANDS.items())
    return (
        "usage: singulab COMMAND [--json] …\n\nA laboratory for singular learning theory.\n\n"
        f"{rows}\n\n`singulab COMMAND --help` lists the flags of a command."
    )


def plain(value: Any) -> Any:
    """The same value with nothing that JSON lacks: NaN and infinity become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def _attempt(name: str, flags: list[str], as_json: bool) -> tuple[int, Any]:
    """Exit code and JSON of one command; every exception ends here."""
    try:
        outcome = _run(name, flags, as_json)
    except InterruptedRunError as error:
        return _failure(Exit.RESUMABLE, error, run=str(error.run))
    except KeyboardInterrupt:
        return _failure(Exit.INTERRUPTED, "Interrupted; nothing was saved, for no --run was given.")
    except HelpShown:
        return Exit.DONE, None
    except (SingulabError, ValueError, TypeError, OSError) as error:
        return _failure(Exit.BAD_INPUT, error)
    except Exception as error:  # noqa: BLE001 - the edge of the program: a bug gets its traceback and a code
        traceback.print_exc()
        return _failure(Exit.BUG, error)
    return (Exit.DONE if outcome.passed else Exit.FAILED), outcome.data


def _run(name: str, flags: list[str], as_json: bool) -> Outcome:
    if name not in COMMANDS:
        raise ValueError(f"There is no command {name!r}; the commands are {', '.join(COMMANDS)}.")
    with extra("cli"):
        from singulab.cli.screen import console

        command: Any = importlib.import_module(f"singulab.cli.{name.replace('-', '_')}")
        if hasattr(command, "subcommand"):
            command, name, flags = command.subcommand(flags)
        config = parse(command.Config, name, flags)
    with _terminable(getattr(config, "run", None)):
        outcome = command.run(config, console(quiet=as_json))
    assert isinstance(outcome, Outcome)
    return outcome


def parse(config: type, name: str, flags: Sequence[str]) -> Any:
    """Flags to a command's ``Config``; what is wrong with them becomes one sentence."""
    import tyro

    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(
                config,
                prog=f"singulab {name}",
                args=list(flags),
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            )
    except SystemExit as error:
        if not error.code:
            raise HelpShown from None
        sentence = _unboxed(told.getvalue()) or "These flags cannot be read"
        raise ValueError(f"{sentence.rstrip('.')}. See singulab {name} --help.") from None


def _unboxed(text: str) -> str:
    """The first paragraph under the title of an error that tyro drew, with a frame or in ASCII."""
    words: list[str] = []
    for line in text.splitlines()[1:]:
        inner = line.strip(" │")
        if set(inner) <= set("─-"):
            if words:
                break
            continue
        words.extend(inner.split())
    return " ".join(words)


def _failure(code: Exit, error: BaseException | str, **evidence: Any) -> tuple[int, Any]:
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}."
    sentence = " ".join(text.split()) or type(error).__name__
    print(f"singulab: {sentence}", file=sys.stderr)
    kind = "KeyboardInterrupt" if isinstance(error, str) else type(error).__name__
    return code, {"error": sentence, "kind": kind, "exit": int(code), **evidence}


@contextlib.contextmanager
def _streams(as_json: bool) -> Iterator[Any]:
    """Under ``--json`` whatever anybody prints goes to standard error; yields the true output."""
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield out


@contextlib.contextmanager
def _terminable(run: Path | None) -> Iterator[None]:
    """SIGTERM stops a command as Ctrl-C does; with a run folder the same command goes on later."""
    listening = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _stop) if listening else None
    try:
        yield
    except KeyboardInterrupt:
        if run is None:
            raise
        raise InterruptedRunError(run) from None
    finally:
        if listening:
            signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
