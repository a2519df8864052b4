"""Writes the table of docs/exact.md from the newest record of `singulab bench exact`."""

import json
from pathlib import Path

PAGE = Path(__file__).with_name("exact.md")
RECORDS = Path(__file__).parents[1] / "benchmarks" / "records"
BEGIN, END = "<!-- exact:begin -->\n", "<!-- exact:end -->"

NAMES = {
    "table": "known losses and ideals",
    "random 2": "random ideals, 2 variables",
    "random 3": "random ideals, 3 variables",
    "random 4": "random ideals, 4 variables",
    "coordinates": "nine ideals under five changes of coordinates",
    "networks": "networks at the zero function",
}


def told() -> str:
    """Tables of what the newest record holds."""
    path = sorted(RECORDS.glob("*_exact.json"))[-1]
    record = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| | asked | proved | median | longest |", "|---|---|---|---|---|"]
    for key, name in NAMES.items():
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
    lines += ["", f"Record: `{path.relative_to(RECORDS.parents[1])}`."]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page with its tables."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}{told()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
