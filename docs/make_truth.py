"""Writes the section of README.md between the marks `truth` from the newest truth record.

Records are made by ``make reproduce`` (``singulab bench truth``); nothing is computed here.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from statistics import median
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
    """A record in words and two tables."""
    networks = [row for row in record["rows"] if row["kind"] == "network"]
    planes = [row for row in record["rows"] if row["kind"] == "plane"]
    parts = [
        f"From [{name}]({name}), made by `make reproduce` on {record['date'][:10]}. The truth is what a "
        "perfect sampler returns at the same nβ and γ, not the asymptotic λ."
    ]
    if networks:
        parts += [summary(networks, record["config"]), "\n".join(network_table(networks))]
    if planes:
        parts += [
            "Losses of two weights at γ = 1, nβ = n/log n, with quadrature for a truth: λ̂ ± standard error, and the "
            "truth below it. *Flagged* means that the run itself failed a check.",
            "\n".join(plane_table(planes)),
        ]
    return "\n\n".join(parts) + "\n"


def summary(rows: list[Row], config: dict[str, Any]) -> str:
    """The networks in words."""
    errors = [abs(row["error"]) for row in rows]
    passing = [abs(row["error"]) for row in rows if row["passed"]]
    worst = f", the largest error among these is {max(passing):.1%}" if passing else ""
    return (
        "Deep linear networks at γ = 100 with no other setting than the batch size of their table, at most "
        f"{config['max_gradients']:,.0f} gradient units a run; the truth is a long exact run. In {len(rows)} runs the "
        f"median error is {median(errors):.1%}; {len(passing)} passed all checks{worst}."
    )


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
