"""Writes the table of docs/dynamics.md between the marks `dynamics` from the newest record of `bench dynamics`.

Nothing is computed here.
"""

import json
import re
from pathlib import Path
from typing import Any

from singulab.report.table import Table, rounded

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "dynamics.md"
BEGIN, END = "<!-- begin: dynamics -->\n", "<!-- end: dynamics -->"
SECTION = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)


def page() -> str:
    """The page with its table up to date."""
    text = PAGE.read_text(encoding="utf-8")
    return SECTION.sub(lambda _: section(), text)


def section() -> str:
    """What stands between the marks."""
    files = sorted((ROOT / "benchmarks" / "records").glob("*_dynamics.json"))
    if not files:
        return "There is no record in this checkout; `singulab bench dynamics` makes one.\n"
    record = json.loads(files[-1].read_bytes())
    name = files[-1].relative_to(ROOT).as_posix()
    return told(record, f"[{name}](../{name})")


def told(record: dict[str, Any], where: str) -> str:
    """A record as one table."""
    checked = [row for row in record["rows"] if row["passed"] is not None]
    held = sum(row["passed"] for row in checked)
    limits = tuple(
        (row["quantity"], number(row["value"], row["se"]), plain(row["expected"]))
        for row in record["rows"]
        if row["part"] == "label noise"
        or (row["part"] == "stationary" and "η → 0" in row["quantity"])
    )
    return (
        f"From {where}, made by `singulab bench dynamics` on {record['date'][:10]}; {held} of its {len(checked)} "
        "comparisons with exact laws and known numbers hold. These are the limits at rate 0 of linear regression with "
        "H = diag(1, ½, ¼, ⅒) and B = 4, and label noise with η = .05, σ = 1 and 1000 steps:\n\n"
        f"{Table(('number', 'value', 'expected'), limits).markdown()}\n"
    )


def number(value: float, se: float) -> str:
    """``value ± se``, or four digits of an exact number."""
    if max(abs(value), se) < 1e-6:
        return f"{value:.0e} ± {se:.0e}"
    return rounded(value, se) if se > 1e-9 * abs(value) else plain(value)


def plain(value: float | None) -> str:
    """Four digits."""
    return "–" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
