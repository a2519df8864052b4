"""Writes the section of README.md between the marks `truth` from the newest truth record.

The tables of single cases stand in docs/trust.md; docs/make_trust.py takes them from here.

Records are made by ``make bench-truth`` (``singulab bench truth``); nothing is computed here.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "README.md"
BEGIN, END = "<!-- begin: truth -->\n", "<!-- end: truth -->"
SECTION = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)

Row = dict[str, Any]


def newest() -> Path | None:
    """The truth record with the latest date."""
    files = (ROOT / "benchmarks" / "records").glob("*truth.json")
    return max(files, key=lambda file: json.loads(file.read_bytes())["date"], default=None)


def section() -> str:
    """What stands between the marks."""
    file = newest()
    if file is None:
        return "There is no record in this checkout; `make reproduce` makes one.\n"
    return told(json.loads(file.read_bytes()), file.relative_to(ROOT).as_posix())


def told(record: dict[str, Any], name: str) -> str:
    """A record in words and a table."""
    parts = [
        f"From [{name}]({name}), made by `make bench-truth` on {record['date'][:10]}. The truth is what a "
        "perfect sampler returns at the same nβ and γ, not the asymptotic λ. No setting was given but γ, the labels "
        f"and a batch size; at most {record['config']['max_gradients']:,.0f} gradient units a run. *Fresh* networks "
        "are drawn by seed. The constants of the sampler were chosen on P1–P13; what was changed after looks at fresh "
        "networks is told in [docs/trust.md](docs/trust.md).",
        "\n".join(group_table(record["summary"])),
    ]
    return "\n\n".join(parts) + "\n"


def cases(record: dict[str, Any]) -> str:
    """The tables of P1–P13 and of the losses of two weights."""
    rows = record["rows"]
    tuned = [
        row
        for row in rows
        if row["group"] == "tuned" and row["localization"] == 100.0 and row["labels"] == "data"
    ]
    planes = [row for row in rows if row["group"] == "plane"]
    parts = []
    if tuned:
        parts += ["P1–P13 at γ = 100:", "\n".join(network_table(tuned))]
    if planes:
        parts += [
            "Losses of two weights at γ = 1, nβ = n/log n, with quadrature for a truth: λ̂ ± standard error, and the "
            "truth below it. *Flagged* means that the run itself failed a check.",
            "\n".join(plane_table(planes)),
        ]
    return "\n\n".join(parts)


GROUPS = {"fresh": "fresh networks", "tuned": "P1–P13", "plane": "losses of two weights"}
LINES: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("runs on networks", lambda s: f"{s['runs']} on {s['networks']}"),
    ("questions without a sure truth, left out", lambda s: str(s["left_out"])),
    ("median error", lambda s: share(s["median_error"])),
    ("runs that pass all checks", lambda s: share(s["share_passing"], 0)),
    ("largest error of a passing run", lambda s: share(s["worst_passing_error"])),
    ("passing runs off by more than 8%", lambda s: share(s["share_of_passing_off"])),
    ("95% intervals that hold, of passing runs", lambda s: share(s["coverage_of_passing"])),
    ("95% intervals that hold, of all runs", lambda s: share(s["coverage_of_all"])),
    (
        "errors above 10%, and those that passed",
        lambda s: f"{s['large_errors']}, {s['large_errors_not_flagged']}",
    ),
)


def group_table(summary: dict[str, dict[str, Any]]) -> Iterator[str]:
    """One column per group of runs."""
    groups = [group for group in GROUPS if group in summary]
    yield f"| | {' | '.join(GROUPS[group] for group in groups)} |"
    yield "|---|" + "---|" * len(groups)
    for line, cell in LINES:
        yield f"| {line} | {' | '.join(cell(summary[group]) for group in groups)} |"


def share(value: float | None, digits: int = 1) -> str:
    """As a percentage."""
    return "–" if value is None else f"{value:.{digits}%}"


def network_table(rows: list[Row]) -> Iterator[str]:
    """One line per case: the truth, every run's λ̂ and error, and how many passed."""
    yield "| case | truth | λ̂ of each run | error of each run | passed |"
    yield "|---|---|---|---|---|"
    for case, runs in grouped(rows, "case"):
        cells = (
            case,
            plus_minus(runs[0]["truth"], runs[0]["truth_error"]),
            ", ".join(plus_minus(run["llc"], run["se"]) for run in runs),
            ", ".join(percent(run["error"]) for run in runs),
            f"{sum(run['passed'] for run in runs)} of {len(runs)}",
        )
        yield f"| {' | '.join(cells)} |"


def plane_table(rows: list[Row]) -> Iterator[str]:
    """One line per loss, one column per n."""
    sizes = sorted({row["n"] for row in rows})
    yield f"| L | {' | '.join(f'n = 10{power(n)}' for n in sizes)} |"
    yield "|---|" + "---|" * len(sizes)
    for case, runs in grouped(rows, "case"):
        found = {run["n"]: run for run in runs}
        cells = [plane_cell(found[n]) if n in found else "–" for n in sizes]
        yield f"| {formula(case)} | {' | '.join(cells)} |"


def plane_cell(row: Row) -> str:
    flag = "" if row["passed"] else ", *flagged*"
    return f"{plus_minus(row['llc'], row['se'])}{flag}<br>{row['truth']:.4f}"


def grouped(rows: list[Row], key: str) -> Iterable[tuple[str, list[Row]]]:
    """Rows of one key together, in the order in which the keys first appear."""
    order = list(dict.fromkeys(row[key] for row in rows))
    parts = groupby(sorted(rows, key=lambda row: order.index(row[key])), key=lambda row: row[key])
    return ((name, list(part)) for name, part in parts)


def plus_minus(value: float | None, error: float | None) -> str:
    """Value and standard error, the error to two digits."""
    from singulab.report.table import rounded

    if value is None or error is None:
        return "none"
    return rounded(value, error)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:+.1%}"


def formula(name: str) -> str:
    """``x^2y^4`` as x²y⁴."""
    return re.sub(r"\^(\d+)", lambda power: raised(power[1]), name)


def power(n: int) -> str:
    """The exponent of a power of ten, raised."""
    return raised(str(len(str(n)) - 1))


def raised(digits: str) -> str:
    return digits.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def page() -> str:
    """README.md with the section put in."""
    text = PAGE.read_text(encoding="utf-8")
    return SECTION.sub(lambda _: section(), text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
