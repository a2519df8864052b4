"""Writes docs/trust.md and its figure from the newest records of the benchmarks.

Records are made by ``make bench-truth``, ``make bench-peers`` and ``singulab bench failures``; nothing is
computed here. A record that this checkout lacks is said to be missing.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # the pages are files, not a package
import make_truth

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "records"
PAGE, FIGURE = ROOT / "docs" / "trust.md", ROOT / "docs" / "trust.svg"

Record = dict[str, Any]
Row = dict[str, Any]

PROMISES = {
    "200_runs_on_60_networks": "at least 200 runs on 60 networks",
    "10_networks_above_30000_weights": "at least 10 networks above 30 000 weights",
    "median_error_at_most_2%": "median error at most 2 %",
    "no_passing_run_off_by_more_than_8%_or_4_errors": "no passing run off by more than 8 % or 4 joint errors",
    "at_most_1%_of_passing_runs_off_by_more_than_8%": "at most 1 % of passing runs off by more than 8 %",
    "at_least_75%_pass": "at least 75 % pass",
    "intervals_hold_in_93_to_97%_of_passing_runs": "95 % intervals hold in 93–97 % of passing runs",
    "intervals_hold_in_90%_of_all_runs": "95 % intervals hold in 90 % of all runs",
    "every_error_above_10%_is_flagged": "every error above 10 % is flagged",
}


def newest(name: str) -> tuple[Record, str] | None:
    """The record of a benchmark with the latest date, and its path."""
    files = list(RECORDS.glob(f"*_{name}.json"))
    if not files:
        return None
    file = max(files, key=lambda path: json.loads(path.read_bytes())["date"])
    return json.loads(file.read_bytes()), file.relative_to(ROOT).as_posix()


def page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        section("Networks drawn by seed", "truth", fresh),
        "![Errors in units of their own standard error, and error against budget beside other packages, where "
        "there is a record of it](trust.svg)",
        section("Cases one by one", "truth", make_truth.cases),
        section("Beside other packages", "peers", peers),
        section("What each check catches", "failures", failures),
        *(section(title, name, told) for title, name, told in FURTHER if newest(name)),
        LIMITS,
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def section(title: str, name: str, told: Any) -> str:
    """A heading, where its numbers are from, and what a record says."""
    found = newest(name)
    if found is None:
        return f"## {title}\n\nThere is no record of `singulab bench {name}` in this checkout."
    record, path = found
    source = f"From [{path}](../{path}), made on {record['date'][:10]} by `singulab bench {name}`."
    return f"## {title}\n\n{source}\n\n{told(record)}"


def fresh(record: Record) -> str:
    """What the truth benchmark found on fresh networks."""
    found = record["summary"]["fresh"]
    text = (
        f"{found['runs']} runs on {found['networks']} networks drawn by seed ({found['large_networks']} of them above "
        f"30 000 weights), {found['left_out']} questions left out beforehand because their exact value is not known "
        "well enough. The truth is what a perfect sampler returns at the same nβ and γ. No setting but γ, the labels "
        "and a batch size; at most 16 000 gradient units a run."
    )
    numbers = [
        ("median error", percent(found["median_error"])),
        ("runs that pass", percent(found["share_passing"])),
        ("largest error of a passing run", percent(found["worst_passing_error"])),
        ("passing runs off by more than 8 %", percent(found["share_of_passing_off"])),
        ("95 % intervals that hold, of passing runs", percent(found["coverage_of_passing"])),
        ("95 % intervals that hold, of all runs", percent(found["coverage_of_all"])),
        ("errors above 10 %", str(found["large_errors"])),
        ("… of these, passed all checks", str(found["large_errors_not_flagged"])),
    ]
    rows = [row for row in record["rows"] if row["group"] == "fresh"]
    promises = [
        f"- {'kept' if kept else '**not kept**'}: {PROMISES.get(name, name)}"
        for name, kept in record["promises"].items()
    ]
    return "\n\n".join(
        [
            text,
            table(("over all fresh runs", ""), numbers),
            "What was promised:",
            "\n".join(promises),
            "Where it is harder:",
            table(("runs", "number", "pass", "median error", "intervals that hold"), slices(rows)),
            "Why runs did not pass: "
            + ", ".join(f"`{name}` {count}" for name, count in found["failed_checks"].items())
            + ".",
        ]
    )


def slices(rows: list[Row]) -> Iterator[tuple[str, ...]]:
    """The same numbers for parts of the runs."""
    parts: list[tuple[str, list[Row]]] = []
    for gamma in sorted({row["localization"] for row in rows}):
        parts.append((f"γ = {gamma:g}", [r for r in rows if r["localization"] == gamma]))
    for least, most, name in REACHES:
        parts.append((name, [r for r in rows if least <= (r["relative_radius"] or -1.0) < most]))
    for labels in ("data", "model"):
        parts.append((f'labels="{labels}"', [r for r in rows if r["labels"] == labels]))
    for least, most in ((0, 300), (300, 3_000), (3_000, 30_000), (30_000, math.inf)):
        name = f"above {least:,} weights" if math.isinf(most) else f"{least:,} – {most:,} weights"
        parts.append((name, [r for r in rows if least <= r["num_weights"] < most]))
    for name, part in parts:
        if part:
            passed = sum(row["passed"] for row in part)
            held = sum(row["z"] is not None and abs(row["z"]) <= 1.96 for row in part)
            errors = [math.inf if row["error"] is None else abs(row["error"]) for row in part]
            yield (
                name,
                str(len(part)),
                percent(passed / len(part)),
                percent(median(errors)),
                percent(held / len(part)),
            )


REACHES = (
    (0.0, 0.3, "radius up to 0.3·\\|w\\*\\|"),
    (0.3, 1.0, "radius 0.3 – 1·\\|w\\*\\|"),
    (1.0, math.inf, "radius above \\|w\\*\\|"),
)


def peers(record: Record) -> str:
    """Gradients to 5 %."""
    budgets = record["config"]["budgets"]
    text = (
        "Gradient units from which on the root mean square error over "
        f"{len(record['config']['seeds'])} seeds stays at or below 5 %, at γ = 100 with the same nβ, batch size and "
        f'ledger; ">{budgets[-1]}" = not reached. *Literature*: the step size of the papers. *Best step*: the best of '
        "six step sizes, chosen with the answer. *Best of all*: also the best of three burn-ins and two baselines."
    )
    tools = list(dict.fromkeys((row["tool"], row["setting"]) for row in record["rows"]))
    cases = list(dict.fromkeys(row["case"] for row in record["rows"]))
    cells = {(r["case"], r["tool"], r["setting"]): r for r in record["rows"]}
    lines = [
        (
            tool if tool == "singulab" else f"{tool}, {setting}",
            *(cells[case, tool, setting]["gradients to 5 %"] for case in cases),
        )
        for tool, setting in tools
    ]
    ratios = ", ".join(f"{name} {ratio:.1f}" for name, ratio in record["median_ratios"].items())
    failed = [
        f"{row['tool']} ({row['setting']}) on {row['case']}: {row['failures']}"
        for row in record["rows"]
        if row["failures"] and not row["failures"].startswith("0 of")
    ]
    return "\n\n".join(
        [
            text,
            table(("", *cases), lines),
            f"Gradients of a peer over ours, median over the cases (the cap stands for never): {ratios}.",
            "Failures: " + ("; ".join(failed) if failed else "none") + ".",
        ]
    )


def failures(record: Record) -> str:
    """Which checks see which fault."""
    text = (
        "Each row is broken on purpose in one way. `z` is the error in units of its own standard error. A value off by "
        "more than 10 % or four errors must come with a failed check, or be no number at all."
    )
    lines = []
    for fault, case in dict.fromkeys((row["fault"], row["case"]) for row in record["rows"]):
        runs = [row for row in record["rows"] if (row["fault"], row["case"]) == (fault, case)]
        failed = dict.fromkeys(
            name for row in runs for name in row["failed_checks"].split(", ") if name
        )
        lines.append(
            (
                fault,
                case,
                ", ".join("none" if r["error"] is None else f"{r['error']:+.0%}" for r in runs),
                f"{sum(row['passed'] for row in runs)} of {len(runs)}",
                ", ".join(f"`{name}`" for name in failed),
            )
        )
    return text + "\n\n" + table(("what was broken", "case", "error", "passed", "checks"), lines)


def off_minimum(record: Record) -> str:
    """Estimators where w* is no minimum."""
    text = (
        f"A deep linear network is moved from its minimum by τ·N(0, 1) and sampled exactly at γ = "
        f"{record['config']['localization']:g}, so that nothing here is the error of a sampler. In brackets stands "
        "what an earlier, independent implementation gave for other random displacements. Away from a minimum two "
        "numbers mean something: *polished*, of the basin that `sl.polish` leads to, and *behavioural* "
        '(`labels="model"`), of the point itself.'
    )
    names = [name for name in record["rows"][0] if name.startswith("τ")]
    lines = [
        (row["case"], row["estimator"].replace("_", " "), *(row[name] for name in names))
        for row in record["rows"]
    ]
    return text + "\n\n" + table(("case", "estimator", *names), lines)


def rescaling(record: Record) -> str:
    """Rescaled ReLU networks."""
    text = (
        "W₁ → αW₁, b₁ → αb₁, W₂ → W₂/α leaves a ReLU network as a function what it is, and stretches the loss as a "
        "function of its weights. With `units=` the tether is stretched alike, and λ̂ stays. With the same tether as "
        "before another posterior is measured; what breaks the invariance is the tether, not the loss. `z` is the "
        "distance from the first row in joint standard errors, each row with a seed of its own."
    )
    lines = [
        (
            f"{row['alpha']:g}",
            plus_minus(row["llc"], row["se"]),
            f"{row['z']:.1f}",
            row["checks"],
            plus_minus(row["same_tether"], row["same_tether_se"]),
            row["same_tether_checks"].replace("failed ", ""),
        )
        for row in record["rows"]
    ]
    head = ("α", "λ̂ with units", "z", "checks", "λ̂ with the old tether", "its checks")
    return text + "\n\n" + table(head, lines)


def relu(record: Record) -> str:
    """The ReLU networks of the SGLD–MALA table."""
    text = (
        "The network 10 → 20 → 20 → 10 at γ = 1. *Exact* is a long run of Hamiltonian Monte Carlo on all data. The "
        "published schedule (SGLD, ε = 1e-5, 10 000 steps from w\\*) is too short to spread as far as γ = 1 allows: "
        "its value belongs to a larger γ_eff, and the exact value there stands beside it. The paper does not print "
        "its w\\*, so its own figures are for orientation."
    )
    lines = [
        (
            f"{row['n']:,}",
            plus_minus(row["gold"], row["gold_error"]),
            f"{row['virial']:.3f}",
            f"{plus_minus(row['llc'], row['se'])}, {row['checks']}",
            f"{row['z']:.1f}",
            f"{row['published_sgld']} / {row['published_mala']}",
            plus_minus(row["short"], row["short_error"]),
            f"{row['gamma_eff']:.3g}",
            plus_minus(row["gold_there"], row["gold_there_error"]),
        )
        for row in record["rows"]
    ]
    head = (
        *("n", "exact", "its virial", "λ̂", "z", "published SGLD / MALA"),
        *("published schedule, run here", "its γ_eff", "exact at γ_eff"),
    )
    parts = [text, table(head, lines)]
    for row, gold in zip(record["rows"], record["gold"][::2], strict=True):
        parts += [HISTORY.format(n=row["n"]), history(gold["history"], row["own_history"])]
    return "\n\n".join(parts)


HISTORY = (
    "Mean energy of every chain in equal parts of its run, one after another, at n = {n:,}; the first parts of exact "
    "chains are burn-in:"
)


def history(exact: list[list[float]], own: list[list[float]]) -> str:
    """Chains by part of the run."""
    lines = [
        (f"{name}, chain {chain}", *(f"{mean:.0f}" for mean in means))
        for name, chains in (("exact", exact), ("`sl.measure`", own))
        for chain, means in enumerate(chains, start=1)
    ]
    return table(("", *(str(part) for part in range(1, len(exact[0]) + 1))), lines)


def resolution(record: Record) -> str:
    """Limits of scale curves."""
    text = (
        "Polynomial networks of arXiv:2608.20183. The scale curve is followed to larger nβ until a point fails a "
        "check; every passing point is compared with quadrature (the largest distance in standard errors stands in "
        "the table), and the limit of the curve with the exact λ. *Of exact points* is what the same extrapolation "
        "makes of quadrature at the same temperatures with the same errors: the share of the error that no sampler "
        "could take away. Published SGLD figures stand beside it."
    )
    lines = [
        (
            row["case"],
            f"{row['exact']:.5g}",
            plus_minus(row["limit"], row["se"]),
            signed(row["error"]),
            signed(row["error_of_exact_points"]),
            str(row["points"]),
            f"{row['largest_nbeta']:.0e}",
            f"{row['largest_z']:.1f}",
            "–" if row["published_sgld"] is None else f"{row['published_sgld']:g}",
            signed(row["published_error"]),
        )
        for row in record["rows"]
    ]
    head = (
        *(
            "network",
            "λ",
            "limit of the curve",
            "error",
            "of exact points",
            "passing points",
            "largest nβ",
            "largest z",
        ),
        *("published SGLD", "its error"),
    )
    return text + "\n\n" + table(head, lines)


def chaos(record: Record) -> str:
    """Random faults."""
    rows = record["rows"]
    text = (
        f"{sum(row['runs'] for row in rows)} measurements from the shell, each hit by a fault drawn by seed, then "
        "given again until they ended. *Same*: the final trace is bitwise that of an undisturbed run. *Flagged*: a "
        "named check failed. *Wrong*: a number that is neither, nor within four errors."
    )
    lines = [
        (
            row["fault"],
            *(str(row[k]) for k in ("runs", "bitwise_the_same", "flagged", "agrees", "wrong")),
            f"{row['intervals_lost_at_most']:.2f}",
        )
        for row in rows
    ]
    head = ("fault", "runs", "same", "flagged", "agrees", "wrong", "save intervals lost, at most")
    return text + "\n\n" + table(head, lines)


def scale(record: Record) -> str:
    """Memory, and the large network."""
    text = "Memory above the model and one forward and backward pass, in vectors of the size of the weights per chain."
    lines = [
        (
            row["kernel"],
            f"{row['num_weights']:,}",
            str(row["num_chains"]),
            f"{row['vectors_per_chain']:.1f}",
            f"{row['promised']:g}",
        )
        for row in record["rows"]
    ]
    parts = [text, table(("kernel", "weights", "chains", "measured", "promised"), lines)]
    if network := record.get("network"):
        measured, exact = network["measurement"], network["independent"]
        parts.append(
            f"A deep linear network of {measured['num_weights']:,} weights, {measured['found']['num_chains']:.0f} "
            f"chains, {measured['gradients']['total']:,.0f} gradient units: "
            f"{plus_minus(measured['llc'], measured['se'])} in {measured['seconds'] / 60:.0f} minutes and "
            f"{measured['peak_megabytes'] / 1024:.1f} GiB ({measured['vectors_per_chain']:.1f} vectors per chain), "
            f"{'passing' if measured['passed'] else 'not passing (' + broken(measured) + ')'}, against "
            f"{plus_minus(exact['llc'], exact['se'])} by an independent sampler with exact gradients at "
            f"{'the same γ' if measured['passed'] else 'its γ_eff'}: {signed(network['relative_difference'])}, "
            f"{abs(network['z']):.1f} joint errors. The asymptotic λ is {measured['rlct']:,.0f}; what is measured is "
            f"the value at the tether of relative radius {measured['relative_radius']:.2f}."
        )
    return "\n\n".join(parts)


def broken(measured: Row) -> str:
    """The checks that failed."""
    return ", ".join(f"`{check['name']}`" for check in measured["checks"] if not check["passed"])


def speed(record: Record) -> str:
    """Cost of a chain step."""
    text = (
        f"Microseconds per step of one chain, {record['config']['num_chains']} chains, {record['threads']} "
        f"thread{'s' * (record['threads'] > 1)}, all taking turns in one process. *Raw* is the forward and backward "
        "pass of the same minibatches, written by hand. *Compiled* is `compiled=True`. Other packages take their "
        "minibatches from a shuffling `DataLoader` over tensors, which they are written for, or *prepared*: put "
        "together before the clock starts, so that only their own loop is timed. Steps of singulab always draw "
        "theirs."
    )
    lines = [
        (
            row["case"],
            " ".join(filter(None, (row["runner"], row["kernel"], row["preconditioner"]))),
            "–" if row.get("failure") else f"{row['us per chain-step']:.0f}",
            row["failure"]
            if row.get("failure")
            else f"{row['of raw']:.2f} ({row['low']:.2f} – {row['high']:.2f})",
        )
        for row in record["rows"]
    ]
    goals = [
        (
            ratio["case"],
            ratio["what"],
            f"{ratio['median']:.2f} ({ratio['low']:.2f} – {ratio['high']:.2f})",
            ratio["wanted"] or "–",
            ("kept" if ratio["held"] else "**not kept**") if ratio["wanted"] else "",
        )
        for ratio in record["ratios"]
        if ratio["wanted"] or "prepared over singulab, compiled" in ratio["what"]
    ]
    return "\n\n".join(
        [
            text,
            table(("case", "what", "µs", "of raw (range)"), lines),
            "What was promised, and the same beside minibatches that others were given ready:",
            table(("case", "ratio", "median (range)", "wanted", ""), goals),
        ]
    )


def plus_minus(value: float | None, error: float | None) -> str:
    """A value with its error, to two digits of the error."""
    if value is None or error is None or not math.isfinite(value) or not error > 0:
        return "–" if value is None else f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"


FURTHER = (
    ("Away from a minimum", "off_minimum", off_minimum),
    ("A rescaled network", "rescaling", rescaling),
    ("The ReLU networks of the SGLD–MALA table", "relu", relu),
    ("Finer and finer resolution", "resolution", resolution),
    ("Under random faults", "chaos", chaos),
    ("Memory, and ten million weights", "scale", scale),
    ("What a step costs", "speed", speed),
)


def table(head: tuple[str, ...], lines: Any) -> str:
    """A Markdown table."""
    rows = [head, ("---",) * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def draw() -> None:
    """The figure, from the records that there are."""
    import matplotlib.pyplot as plt
    import numpy as np

    found = newest("peers")
    panels = 1 if found is None else 2
    size = (5 * panels, 3.8)
    figure, axes = plt.subplots(1, panels, figsize=size, layout="constrained", squeeze=False)
    left, right = axes[0, 0], axes[0, -1]
    if found is not None:
        record = found[0]
        budgets = record["config"]["budgets"]
        for tool, setting in dict.fromkeys((r["tool"], r["setting"]) for r in record["rows"]):
            runs = [r for r in record["rows"] if (r["tool"], r["setting"]) == (tool, setting)]
            errors = [
                median(math.inf if r[f"rmse {b}"] is None else r[f"rmse {b}"] for r in runs)
                for b in budgets
            ]
            ours = tool == "singulab"
            name = tool if ours else f"{tool}, {setting}"
            left.plot(budgets, errors, marker="o", label=name, linewidth=2.5 if ours else 1.2)
        left.axhline(0.05, color="0.6", linestyle=":")
        left.set(xscale="log", yscale="log", xlabel="budget (gradient units)")
        left.set_ylabel("relative RMS error of λ̂, median of cases")
        left.set_ylim(top=4)  # room for the legend
        left.legend(fontsize=7, loc="upper right", ncols=2)
    found = newest("truth")
    if found is not None:
        rows = [r for r in found[0]["rows"] if r["group"] == "fresh" and r["z"] is not None]
        edges = np.linspace(-5, 5, 41)
        for name, part in (
            ("all runs", rows),
            ("passing runs", [r for r in rows if r["passed"]]),
        ):
            z = np.clip([r["z"] for r in part], -5, 5)
            right.hist(z, edges, histtype="stepfilled", alpha=0.45, label=f"{name} ({len(z)})")
        normal = np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi)
        right.plot(edges, normal * len(rows) * (edges[1] - edges[0]), "k", label="normal law")
        right.set(xlabel="(λ̂ − truth) / joint standard error", ylabel="runs")
        right.legend(fontsize=8)
    plt.rcParams["svg.hashsalt"] = "singulab"
    figure.savefig(FIGURE, metadata={"Date": None})
    plt.close(figure)


INTRODUCTION = """
# How far to trust λ̂

<!-- made by docs/make_trust.py; run `make docs` -->

A number that nobody can check is worth little, so this page says how often ours is right, by how much it is off, and
what is said about it when it is wrong. Every number here is read from a committed record, and every record can be
made again.

*Passing* means that every check of the measurement holds. It is what to look at first: the value of a run that did
not pass may still be good, and often is, but the run itself does not vouch for it.
"""

LIMITS = """
## What a passing run does not say

- **Another γ or nβ is another number.** A passing λ̂ is right for the posterior at its own γ and nβ, which are printed
  with it. How far it is from the asymptotic λ is another question; the scale curve ([scaling](scaling.md)) shows it.
- **Weak tethers are slow.** Directions that only the tether holds relax at a rate ∝ γ. Where the budget is too small
  for them, `virial` fails and the value belongs to the γ_eff that is printed. Deep networks of full rank with noisy
  labels (P10) stay there: their free directions run across layers, and no per-layer coordinates make them round.
- **Label noise costs gradients.** It heats the chains in proportion to the step. Most of it is predicted and taken
  off; the error of that prediction is a part of the standard error, and `monte_carlo_error` fails when it is too large.
  `labels="model"` has no label noise.
- **A basin that no chain visits is not seen.** All chains start at w\\*. The measurement is local, and says nothing of
  other minima.
- **The constants were chosen on P1–P13** (docs/algorithm.md). The fresh networks played no part in that at first;
  what was changed after looks at them is better told than hidden. After a pilot on some of them production was given
  at least 1000 steps, the error of λ̂ a part for chains that have not spread (a quarter of |1 − virial|), and the
  trust in the predicted heat was halved where the control variate is on. All three make the error bars wider or the
  runs longer. After a first run over all of them warm-up was cut from a quarter to a fifth of the budget, and burn-in
  from a third to a fifth of production, for too many runs ended without enough draws. After a second (70.6 % passed,
  and joined-105 passed with an error of +8.5 %) those that failed and 42 others were looked at anew: warm-up moves
  faster than production, the quiet share of gradient noise is 4 % and not 3 %, and the prediction of its heat gives
  way where the two step sizes contradict it. After a third (74.1 % passed, but only 90 % of their intervals held, for
  runs that had ended early) production takes at least 2000 steps, not 1000. After a fourth (67.1 % passed: chains had
  not spread, and wide networks with small batches failed `heat_capacity`) chains are stretched in warm-up, production
  that excites stiff directions begins anew, chains need relax 6 times in production and not 12, and the predicted heat
  of gradient noise is trusted to 25 %, not 15 %; five variants of this were compared on up to 208 of these runs.
- **Where label noise meets a deep network of low rank**, gradient noise can heat the chains more than its first
  order says (joined-105: eight layers of rank 2 beside tanh units). The two step sizes show it, and the error bar is
  then wide; with `labels="model"` there is no such noise.
- **γ = 1 on small networks.** The posterior is then wide beside w\\*, its slow directions hardly turn over within
  16 000 gradient units, and the table above shows how few of its intervals hold: an error of a few per cent is told as
  1 to 2 %. A larger γ mends it; a larger `max_gradients` need not. At small γ a virial below 0.95 is a warning.
- **A part of the posterior that is left too seldom is all that is seen.** The ReLU network with n = 1 000 and γ = 1
  spreads over almost three times the length of w\\*. Most chains of `sl.measure`, and half of the exact ones at first,
  stay in a part of lower energy near w\\*; they leave it one after another (see the table), most after a time that no
  usual run has. No check of chains that all start at w\\* can tell. Starting them elsewhere does not help: chains
  cooled from a hotter posterior can end in minima of higher energy, and stay there as well. So beyond a radius of
  \\|w\\*\\| errors are made as many times larger as chains go farther, at most four times, and a note says that the
  measurement is not local. That rule was made after this network had passed its checks four errors off. Among the
  fresh networks, few of which go as far, intervals beyond \\|w\\*\\| held about as often without it: there errors are
  now too wide.
- **Small batches and wide networks.** In the networks of one tanh layer with 31 000 weights or more (batches of 16)
  momentum excites the stiffest directions in bursts: the variance of the energy is many times λ̂. Its mean is hardly
  touched. Production then begins anew at a tenth of the speed, where the ratio is smaller, and its error no longer
  excludes that of a posterior.
- **No deep linear network above 5 005 weights is among the fresh ones**: long exact runs for their true values were
  too dear. P11, with 6 000 weights, is among the tuned ones.
"""


if __name__ == "__main__":
    draw()
    PAGE.write_text(page(), encoding="utf-8")
