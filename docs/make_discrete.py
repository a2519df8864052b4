"""Writes the tables of docs/discrete.md from the newest records of the benchmarks of finite machines.

Nothing is computed here but the choice of rows.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from singulab.report.table import Table, rounded

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "discrete.md"
ETAS = ("1e-2", "1e-3", "1e-4", "1e-6")

Record = dict[str, Any]


def page() -> str:
    """The page with all its tables up to date."""
    text = PAGE.read_text(encoding="utf-8")
    for name, (_, told) in TABLES.items():
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        pattern = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
        made = section(name, told)
        text = pattern.sub(lambda _, made=made: made, text)
    return text


def section(name: str, told: Callable[[Record], str]) -> str:
    """What stands between two marks."""
    benchmark = TABLES[name][0]
    files = sorted((ROOT / "benchmarks" / "records").glob(f"*_{benchmark}.json"))
    if not files:
        return f"There is no record in this checkout; `singulab bench {benchmark}` makes one.\n"
    record = json.loads(files[-1].read_bytes())
    path = files[-1].relative_to(ROOT).as_posix()
    source = f"From [{path}](../{path}), made by `singulab bench {benchmark}`.\n"
    return f"{told(record)}\n\n{source}"


def counted(record: Record) -> str:
    """Lattices, the enumeration and the Boolean system."""
    rows = {row["what"]: row for row in record["rows"]}

    def beside(what: str) -> dict[str, str]:
        parts = (part.rpartition(" ") for part in rows[what]["beside"].split(", "))
        return {name: value for name, _, value in parts}

    time = rows["seconds of enumeration"]["value"]
    work = beside("processor time over raw work")
    top = float(beside("constant functions on top")["probability"])
    found = "correlation of log P and C_LZ, met 10 times"
    others = [name for name in rows if name.startswith("the same, met ")]
    correlations = "; ".join(
        f"{rows[name]['value']:.2f} ± {float(beside(name)['se']):.2f} (ranks "
        f"{float(beside(name)['rank correlation']):.2f}) over {float(beside(name)['functions']):,.0f} "
        f"met {name.split('met ')[1]} or more"
        for name in (found, *others)
    )
    shares = ", ".join(f"{rows[f'share η={eta} ε=1e-7']['value']:.4f}" for eta in ETAS)
    limits = ", ".join(beside(f"share η={eta} ε=1e-7")["limit"] for eta in ETAS)
    cells = (
        (f"all {rows['settings enumerated']['value']:,} settings of a ±1 network 4-5-1",
         f"{time:.0f} s, of which {beside('seconds of enumeration')['cpu seconds']} s of processor time; about "
         f"{float(beside('settings enumerated')['functions']):,.0f} functions"),
        (f"7-40-40-1, {rows['draws']['value']:,} draws",
         f"{work['microseconds per draw']} µs of processor time a draw, "
         f"{rows['processor time over raw work']['value']:.2f} times that of drawing the weights and multiplying the "
         "matrices"),
        ("its functions",
         f"both constants on top, P = {top:.3f} together; {float(beside('draws')['functions']):,.0f} met, and "
         f"{rows['mass not met (Good-Turing)']['value']:.3f} of the probability not met"),
        ("correlation of log P and C_LZ", correlations),
        ("bound 2^{−aC+b} fitted to one half",
         f"holds for {rows['bound of one half holds for the other']['value']:.4f} of the other"),
        ("η=.01, ε=10⁻³: disk and all that rounds to 0",
         f"{rows['η=.01 ε=1e-3 origin']['value']:,} of {rows['η=.01 ε=1e-3 total']['value']:,}"),
        ("share of the origin, η = 10⁻², 10⁻³, 10⁻⁴, 10⁻⁶ at ε = 10⁻⁷", f"{shares}; limits {limits}"),
    )  # fmt: skip
    return Table(("", ""), cells).markdown()


def boltzmann(record: Record) -> str:
    """Who follows the law, and phases."""
    rows = [row for row in record["rows"] if shown(row["quantity"])]
    cells = tuple((row["quantity"], value(row), plain(row["expected"])) for row in rows)
    return Table(("number", "value", "expected"), cells).markdown()


def shown(quantity: str) -> bool:
    words = ("p of χ²", "beyond that of exact draws", "mean loss", "temperature of", "leader from", "mass of the truth",
             "F(n)", "streams", "ε = 1/8: n beyond", "ε = 1/128: n beyond", "n = 1e+06")  # fmt: skip
    return any(word in quantity for word in words)


def generalisation(record: Record) -> str:
    """One line per task: errors, and what SGD does; then classes of λ."""
    tasks = dict.fromkeys(row["task"] for row in record["functions"])
    facts = {(row["task"], row["quantity"]): row for row in record["rows"]}
    lines = []
    for task in tasks:
        best = [facts.get((task, name)) for name in (
            "error of the simplest that fit", "error of all that fit, each counted once", "error of the posterior",
            "error of SGD", "error of SGD less that of the posterior",
            "rank correlation of complexity and error",
            "rank correlation of SGD frequency and posterior mass",
            "total variation of SGD from the posterior, beyond that of exact draws",
        )]  # fmt: skip
        cells = [("–" if row is None else value(row)) for row in best]
        far = best[4]
        if far is not None and far["z"] is not None:
            cells[4] += f" ({far['z']:+.1f} errors)"
        lines.append((task, *cells))
    columns = (
        "system and target",
        "simplest that fit",
        "all that fit",
        "posterior",
        "SGD",
        "SGD − posterior",
        "rank corr. of complexity and error",
        "of SGD and posterior mass",
        "TV of SGD beyond exact draws",
    )
    classes = tuple(
        (
            row["task"],
            row["class"],
            str(row["functions"]),
            f"{row['mass']:.3f}",
            rounded(row["frequency"].get("SGD", float("nan")), row["frequency_se"].get("SGD", 0.0)),
            f"{row['error']:.3f}",
        )
        for row in record["classes"]
    )
    heads = (
        "system and target",
        "complexity",
        "functions",
        "posterior mass",
        "share of SGD runs",
        "mean error",
    )
    return (
        f"Errors off the training set:\n\n{Table(columns, tuple(lines)).markdown()}\n\n"
        f"The same by complexity, λ or A-complexity c in nats:\n\n{Table(heads, classes).markdown()}"
    )


def bits(record: Record) -> str:
    """Critical bits against λ, their correlations, and generalisation at each precision."""
    networks = tuple(
        (
            f"{one['network']}, rank {one['rank']}",
            f"{one['rlct']:g}",
            told(one["half_rank_of_hessian"]),
            told(one["trace_of_hessian"]),
            *(told(one["critical_bits"][t]) for t in ("0.1", "0.01", "0.0001")),
            told(one["bits_per_halving"]),
            f"{one['half_of_weights']:g}",
        )
        for one in record["networks"]
    )
    heads = (
        "network",
        "λ",
        "½ rank H",
        "tr H",
        "bits to .1",
        "to .01",
        "to .0001",
        "bits of all per halving",
        "half of the weights",
    )
    kinds = dict.fromkeys(
        row["quantity"] for row in record["rows"] if row["network"] == "all shapes"
    )
    shapes = dict.fromkeys(row["network"] for row in record["rows"] if row["quantity"] in kinds)
    facts = {(row["network"], row["quantity"]): value(row) for row in record["rows"]}
    correlations = tuple((kind, *(facts[shape, kind] for shape in shapes)) for kind in kinds)
    precisions = tuple(
        (one["precision"], *(told(one[name]) for name in ("excess", "disagreement", "error", "change")))
        for one in record["precisions"]
        if one["bits"] <= 8 or not one["precision"].startswith("grid")
    )  # fmt: skip
    names = (
        "5-20-1 at",
        "excess loss",
        "answers changed",
        "error off the training set",
        "less that of float32",
    )
    return "\n\n".join(
        (
            Table(heads, networks).markdown(),
            Table(("critical bits to an excess of .01", *shapes), correlations).markdown(),
            Table(names, precisions).markdown(),
        )
    )


def value(row: Record) -> str:
    return number(row["value"], row["se"])


def told(mean: Record) -> str:
    return number(mean["value"], mean["se"])


def number(value: float, se: float) -> str:
    """``value ± se``, or four digits of an exact number."""
    return rounded(value, se) if se > 1e-9 * abs(value) else plain(value)


def plain(value: float | None) -> str:
    """Four digits."""
    return "–" if value is None else f"{value:.4g}"


TABLES: dict[str, tuple[str, Callable[[Record], str]]] = {
    "boltzmann": ("boltzmann", boltzmann),
    "generalisation": ("generalisation", generalisation),
    "precision": ("precision", bits),
    "discrete": ("discrete", counted),
}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
