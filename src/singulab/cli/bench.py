"""``singulab bench NAME``: runs a benchmark of a checkout and keeps its record.

A benchmark is ``benchmarks/NAME.py`` with a frozen dataclass ``Config``, a child of :class:`BenchConfig`,
and ``run(config, on_progress) -> dict``; ``on_progress(what, share)`` is told what is under way and which
share of all is done. ``rows`` in that dict is a list of flat dicts, shown as a table;
``summary``, if there is one, is a dict or a dict of dicts, and ``promises`` says of each whether it was kept;
``passed`` is the verdict, True if absent. All land in ``benchmarks/records/DATE_NAME.json`` together with
the machine, the versions and the config, seeds included.
"""

import importlib.util
import json
import math
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from rich.console import Console

from singulab.cli.command import Answered, CommandConfig, Outcome
from singulab.cli.progress import bar
from singulab.cli.screen import drawn
from singulab.environment import environment
from singulab.files import finite, write_json
from singulab.report.table import Table
from singulab.sample.plan import Progress

FOLDER = Path("benchmarks")


@dataclass(frozen=True, kw_only=True)
class BenchConfig(CommandConfig):
    """Flags of every benchmark."""

    record: bool = True  # whether benchmarks/records/DATE_NAME.json is written


class Benchmark(NamedTuple):
    """A benchmark as a command."""

    Config: type[BenchConfig]
    run: Any


def subcommand(flags: Sequence[str]) -> tuple[Benchmark, str, list[str]]:
    """The benchmark that the first flag names, as a command of its own."""
    known = names()
    if not known:
        raise ValueError(
            f"There is no folder {FOLDER}/ here; run bench in a checkout of the repository."
        )
    if flags and flags[0] in ("-h", "--help"):
        raise Answered(
            f"usage: singulab bench {{{','.join(known)}}} …\n\n{__doc__.splitlines()[0]}"
        )
    if not flags or flags[0] not in known:
        given = f", got {flags[0]!r}" if flags else ""
        raise ValueError(f"bench needs the name of a benchmark, one of {', '.join(known)}{given}.")
    name = flags[0]
    module = _load(name)

    def run(config: BenchConfig, console: Console) -> Outcome:
        return _run(name, module, config, console)

    return Benchmark(module.Config, run), f"bench {name}", list(flags[1:])


def names() -> list[str]:
    """Benchmarks of the checkout in the current directory."""
    files = sorted(FOLDER.glob("*.py"))
    return [f.stem for f in files if re.search(r"\(BenchConfig\)", f.read_text(encoding="utf-8"))]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks.{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # benchmarks may share a file
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _run(name: str, module: ModuleType, config: BenchConfig, console: Console) -> Outcome:
    start, date = time.monotonic(), datetime.now(UTC)
    with bar(console, name) as show:

        def on_progress(what: str, share: float) -> None:
            elapsed = time.monotonic() - start
            eta = elapsed * (1 - share) / share if share > 0 else math.nan
            show(Progress(what, share, 1.0, math.nan, eta, None, None))

        result = module.run(config, on_progress)
    settings = {k: v for k, v in asdict(config).items() if k not in ("json", "record")}
    record = {
        "benchmark": name,
        "date": date.isoformat(timespec="seconds"),
        "config": json.loads(json.dumps(settings, default=str)),
        "environment": environment(),
        "seconds": round(time.monotonic() - start, 1),
        **result,
    }
    console.print(drawn(table(result.get("rows", []))))
    for summed in (table(_summaries(result)), table(_promises(result))):
        if summed.rows:
            console.print(drawn(summed))
    if config.record:
        path = FOLDER / "records" / f"{date:%Y-%m-%d}_{name}.json"
        write_json(path, finite(record))
        console.print(f"\nRecord: {path}")
    return Outcome(data=record, passed=bool(result.get("passed", True)))


def _summaries(result: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per number of the summary, one column per group."""
    summary = result.get("summary", {})
    grouped = summary if all(isinstance(part, dict) for part in summary.values()) else {"": summary}
    names = dict.fromkeys(name for part in grouped.values() for name in part)
    return [
        {"summary": name} | {k: part.get(name) for k, part in grouped.items()} for name in names
    ]


def _promises(result: dict[str, Any]) -> list[dict[str, Any]]:
    kept = result.get("promises", {})
    return [{"promise": name, "kept": "yes" if held else "no"} for name, held in kept.items()]


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Dicts as a table; the columns are the keys in their first order, without those that hold lists."""
    lists = {key for row in rows for key, value in row.items() if isinstance(value, list)}
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in lists]
    return Table(
        tuple(name.replace("_", " ") for name in columns),
        tuple(tuple(_cell(row.get(name)) for name in columns) for row in rows),
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "passed" if value else "failed"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
