"""``singulab COMMAND``: finds the command, reads its flags, and turns what happens into an exit code.

Exit codes: 0 done and holds, 1 done and a check failed, 2 bad input, 75 interrupted and resumable. With
``--json`` standard output is one JSON document whatever happens, and all else goes to standard error.
"""

import contextlib
import importlib
import io
import json
import math
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from singulab.cli.command import Answered, Exit, InterruptedBeforeError, Outcome, extra
from singulab.cli.signals import Stoppable
from singulab.cli.streams import say, streams
from singulab.errors import InterruptedRunError, SingulabError

COMMANDS = {
    "demo": "λ̂ of a network along its training, on true and on shuffled labels",
    "measure": "λ̂ of your own model at one checkpoint",
    "scale-curve": "λ_eff against nβ and γ",
    "rlct": "λ and m of a polynomial, by algebra",
    "formula": "λ and m of a model whose learning coefficient is known in closed form",
    "volume": "λ from the volume of the sublevel sets of a formula",
    "jump": "a posterior that jumps between wells as data come in",
    "lattice": "lattice points that round to 0, exactly: the weight of a singular point",
    "fibres": "how many settings of a network's weights give each function",
    "stationary": "the stationary law of SGD beside its exact law, and whether it is Gibbs",
    "bench": "benchmarks of a checkout, kept as records",
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
    as_json = "--json" in words
    # Where the process ends with this function, nothing may interrupt its last moments.
    with streams(as_json) as out, Stoppable(restore=arguments is not None) as stoppable:
        code, report = _attempt(words, as_json, stoppable)
        if say(_document(report, out), out) if as_json else say("", out, end=""):
            return code
        say("singulab: Standard output cannot be written to.", sys.stderr)
    return Exit.BAD_INPUT


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


def _document(report: Any, out: Any) -> str:
    """JSON, in letters that the output knows."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return json.dumps(
        plain(report),
        ensure_ascii=not encoding.lower().startswith("utf"),
        allow_nan=False,
    )


def _attempt(words: list[str], as_json: bool, stoppable: Stoppable) -> tuple[int, Any]:
    """Exit code and JSON of one command; every exception ends here."""
    try:
        try:
            outcome = _run(words, as_json)
        finally:
            stoppable.ignore()
    except InterruptedRunError as error:
        return _failure(Exit.RESUMABLE, error, run=str(error.run))
    except InterruptedBeforeError as error:
        return _failure(Exit.RESUMABLE, error)
    except KeyboardInterrupt as error:
        sentence = "Interrupted; nothing was saved, for no --run was given."
        return _failure(Exit.INTERRUPTED, error, sentence)
    except Answered as answer:
        if not as_json and answer.text:
            say(answer.text, sys.stdout)
        return answer.code, {"text": answer.text}
    except (SingulabError, ValueError, TypeError, OSError) as error:
        return _failure(Exit.BAD_INPUT, error)
    except SystemExit as error:
        sentence = "The model, its data or its loss ended the program."
        return _failure(Exit.BAD_INPUT, error, sentence)
    except Exception as error:  # noqa: BLE001 - the edge of the program: a bug gets its traceback and a code
        if sentence := _outside(error):
            return _failure(Exit.BAD_INPUT, error, sentence)
        traceback.print_exc()
        return _failure(Exit.BUG, error)
    return (Exit.DONE if outcome.passed else Exit.FAILED), outcome.data


def _run(words: list[str], as_json: bool) -> Outcome:
    if not words or words[0] in ("-h", "--help"):
        raise Answered(overview(), Exit.DONE if words else Exit.BAD_INPUT)
    name, flags = words[0], words[1:]
    if name == "--version":
        raise Answered(version("singulab"))
    if name not in COMMANDS:
        raise ValueError(f"There is no command {name!r}; the commands are {', '.join(COMMANDS)}.")
    try:
        with extra("cli"):
            from singulab.cli.screen import console

            command: Any = importlib.import_module(f"singulab.cli.{name.replace('-', '_')}")
            if hasattr(command, "subcommand"):
                command, name, flags = command.subcommand(flags)
            config = parse(command.Config, name, flags)
    except KeyboardInterrupt:
        raise InterruptedBeforeError from None
    run: Path | None = getattr(config, "run", None)
    try:
        outcome = command.run(config, console(quiet=as_json))
    except KeyboardInterrupt:
        if run is None:
            raise
        raise InterruptedRunError(run) from None
    assert isinstance(outcome, Outcome)
    return outcome


def parse(config: type, name: str, flags: Sequence[str]) -> Any:
    """Flags to a command's ``Config``; what is wrong with them becomes one sentence."""
    import tyro

    for flag, value in zip((name, *flags), flags, strict=False):
        if value == "" or re.fullmatch("--[a-z-]+=", value):
            raise ValueError(f"{(value or flag).rstrip('=')} was given an empty value.")
    told, answer = io.StringIO(), io.StringIO()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stderr(told))
            if "--json" in flags:
                stack.enter_context(contextlib.redirect_stdout(answer))
            return tyro.cli(
                config,
                prog=f"singulab {name}",
                args=list(flags),
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            )
    except SystemExit as error:
        if not error.code:
            raise Answered(answer.getvalue()) from None
        sentence = _unboxed(told.getvalue()).removeprefix("Error parsing Config: ")
        sentence = sentence or "These flags cannot be read"
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


def _failure(
    code: Exit, error: BaseException, sentence: str = "", **evidence: Any
) -> tuple[int, Any]:
    if not sentence and isinstance(error, OSError) and error.filename is not None:
        sentence = f"{error.filename}: {error.strerror}."
    sentence = " ".join((sentence or str(error)).split()) or type(error).__name__
    say(f"singulab: {sentence}", sys.stderr)
    return code, {"error": sentence, "kind": type(error).__name__, "exit": int(code), **evidence}


def _outside(error: Exception) -> str:
    """A sentence for what is no bug: memory that ran out, a worker of the caller's loader that died."""
    text = str(error)
    if isinstance(error, MemoryError) or re.search("out of memory|n't allocate memory", text):
        return "There is not enough memory; fewer chains, weights or data per batch need less."
    if "DataLoader worker" in text:
        died = text.partition(". ")[0].rstrip(".")
        return f"{died}. With --run the same command goes on from the last save."
    return ""
