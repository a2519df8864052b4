"""Writes the tables of docs/exact.md: the newest record of `singulab bench exact`, and the checker by module."""

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("exact.md")
RECORDS = Path(__file__).parents[1] / "benchmarks" / "records"
CHECKER = Path(__file__).parents[1] / "src" / "singulab" / "exact" / "checker"
MARKS = {"exact": ("<!-- exact:begin -->\n", "<!-- exact:end -->"),
         "checker": ("<!-- checker:begin -->\n", "<!-- checker:end -->")}  # fmt: skip

NAMES = {
    "table": "known losses and ideals",
    "random 2": "random ideals, 2 variables",
    "random 3": "random ideals, 3 variables",
    "random 4": "random ideals, 4 variables",
    "coordinates": "nine ideals under five changes of coordinates",
    "networks": "networks at the zero function",
    "formulas": "published closed forms, by `sl.exact.formulas`",
    "widths": "all small two-layer networks at the zero function",
}


def checker() -> str:
    """The modules of the checker, their subjects and lengths, counted."""
    lines = ["| module | lines | |", "|---|---|---|"]
    total = 0
    for path in sorted(CHECKER.glob("*.py"), key=lambda p: (p.stem != "core", p.stem)):
        text = path.read_text(encoding="utf-8")
        subject = text.removeprefix('"""').split("\n", 1)[0].rstrip('"').strip()
        count = len(text.splitlines())
        total += count
        if path.stem != "__init__":
            lines.append(f"| `{path.stem}` | {count} | {subject} |")
    return "\n".join([*lines, f"| all, `__init__` included | {total} | |"]) + "\n"


def told() -> str:
    """Tables of what the newest record holds."""
    path = sorted(RECORDS.glob("*_exact.json"))[-1]
    record = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| | asked | proved | median | longest |", "|---|---|---|---|---|"]
    for key, name in NAMES.items():
        if key not in record["summary"]:
            continue
        found = record["summary"][key]
        times = f"{found['median_seconds']:.3f} s | {found['longest_seconds']:.1f} s"
        lines.append(f"| {name} | {found['asked']} | {found['proved']} | {times} |")
    lines += ["", "| network | parameters | λ | m | seconds |", "|---|---|---|---|---|"]
    for row in record["rows"]:
        if row["group"] == "networks":
            value, m = (
                row["rlct"] or f"{row['lower']} to {row['upper']}",
                row["multiplicity"] or "–",
            )
            lines.append(
                f"| {row['name']} | {row['parameters']} | {value} | {m} | {row['seconds']:.1f} |"
            )
    lines += [
        "",
        "Median seconds, of five ideals with two generators of three terms (— : not all five proved in 5 s):",
        "",
    ]
    degrees = sorted({row["degree"] for row in record["rows"] if row["group"] == "size"})
    lines += ["| variables | " + " | ".join(f"degree {d}" for d in degrees) + " |"]
    lines += ["|---" * (len(degrees) + 1) + "|"]
    for dim in sorted({row["dim"] for row in record["rows"] if row["group"] == "size"}):
        cells = []
        for row in record["rows"]:
            if row["group"] == "size" and row["dim"] == dim:
                whole = row["proved_of_5"] == 5
                cells.append(f"{row['seconds']:.3f}" if whole else f"— ({row['proved_of_5']} of 5)")
        lines.append(f"| {dim} | " + " | ".join(cells) + " |")
    lines += [*widths(record["rows"]), *compared(record["rows"])]
    lines += ["", "Times are those of a machine that was busy with other work."]
    lines += ["", f"Record: `{path.relative_to(RECORDS.parents[1])}`."]
    return "\n".join(lines) + "\n"


def widths(rows: list[dict[str, Any]]) -> list[str]:
    """Two-layer networks by their number of hidden units."""
    mine = [row for row in rows if row["group"] == "widths"]
    if not mine:
        return []
    most = max(row["parameters"] for row in mine)
    lines = ["", f"All two-layer networks of at most {most} parameters, by hidden units:", ""]
    lines += [
        "| | asked | proved | the upper bound is the closed form | longest |",
        "|---|---|---|---|---|",
    ]
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in mine:
        hidden = row["name"].split("-")[1] if row["name"].startswith("linear") else None
        kinds.setdefault(f"linear, H = {hidden}" if hidden else "tanh", []).append(row)
    for kind, some in kinds.items():
        proved = sum(row["status"] == "proved" for row in some)
        upper = sum(row["upper"] == row["truth"].split(",")[0] for row in some)
        longest = max(row["seconds"] for row in some)
        lines.append(f"| {kind} | {len(some)} | {proved} | {upper} | {longest:.1f} s |")
    return lines


def compared(rows: list[dict[str, Any]]) -> list[str]:
    """Volumes and complex thresholds beside what was proved."""
    lines = []
    volumes = [r for r in rows if r["group"] == "contradictions" and r["status"] == "proved"]
    if volumes:
        against = [row for row in volumes if row["contradicted"]]
        again = sum(row["moves_doubled"] for row in volumes)
        lines += [
            "",
            f"Volumes: {len(volumes)} proved values of the random suite were compared with `volume_exponent`, {again} "
            f"of them again with twice the moves; {len(against)} differ by more than 5 % and by more than 3 errors.",
        ]
        if against:
            lines += ["", "| ideal | λ, m | volume | poles that were met |", "|---|---|---|---|"]
        for row in against:
            told = f"{row['exponent']:.3f} ± {row['se']:.3f}"
            pair = f"{row['rlct']}, {row['multiplicity']}"
            lines.append(f"| `{row['name']}` | {pair} | {told} | {', '.join(row['poles'])} |")
    opinions = [r for r in rows if r["group"] == "opinion" and "lct" in r]
    if opinions:
        lines += ["", "| | Macaulay2: λ ≥ | λ, m proved | |", "|---|---|---|---|"]
        for row in opinions:
            pair = f"{row['rlct']}, {row['multiplicity']}"
            verdict = "equal" if row["equal"] else "real and complex differ"
            lines.append(f"| {row['name']} | {row['complex_lower']} | {pair} | {verdict} |")
    return lines


def page() -> str:
    """The page with its tables."""
    text = PAGE.read_text(encoding="utf-8")
    for name, make in (("exact", told), ("checker", checker)):
        begin, end = MARKS[name]
        head, _, rest = text.partition(begin)
        text = f"{head}{begin}{make()}{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
