"""Finite machines and lattices: what is promised of them, measured.

    singulab bench discrete

* ``lattice``: θ₁θ₂ counted exactly on a grid of (η, ε), beside the closed form of each regime;
* ``enumeration``: every setting of a network of ±1 sign units, 2³⁰ of them, and checks of the count;
* ``boolean``: the 7-40-40-1 system of Valle-Pérez et al., 10⁷ draws, its throughput against drawing the weights and
  multiplying the matrices, both measured in turns in the same run.

The draws are kept in ``--state``; a run that reaches ``--max-seconds`` stops there, and the next one goes on.
"""

import itertools
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from singulab.cli.bench import BenchConfig
from singulab.discrete import (
    Gaussian,
    Machine,
    Tally,
    boolean_network,
    crossing,
    fibres,
    lempel_ziv,
    pearson,
    predicted_bound,
    rank_frequency,
    sign_network,
    spearman,
    text,
    upper_bound,
)
from singulab.discrete.network import Layered
from singulab.files import write_atomic
from singulab.report.discrete_figure import machine as machine_figure
from singulab.rng import Purpose, fill_normal, generator

SHARES = {"1e-2": 0.249, "1e-3": 0.183, "1e-4": 0.144, "1e-6": 0.101}  # published limits, ε → 0
BASELINE_BLOCKS = 96  # blocks of the raw work, measured after every 2¹⁸ draws

Row = dict[str, Any]
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Lattices, an exhaustive enumeration, and the 7-input Boolean system."""

    parts: tuple[str, ...] = ("lattice", "enumeration", "boolean")  # what is run
    num_inputs: int = 4  # of the enumerated network
    num_hidden: int = 5  # sign units of the enumerated network; 4 and 5 make 2³⁰ settings
    num_draws: int = 10_000_000  # of the Boolean system
    scale: float = 1.0  # σ_w of its weights N(0, σ_w²/fan-in)
    bias_scale: float = 1.0  # σ_b of its biases
    least: int = 10  # times that a function must be met to be correlated
    max_seconds: float = 1800.0  # of the Boolean system in one run
    seed: int = 0
    state: Path = Path("runs/bench-discrete")  # where the draws are kept


def run(config: Config, on_progress: OnProgress) -> dict[str, Any]:
    """The rows of all parts; passed if every one is."""
    torch.set_num_threads(1)
    parts = {"lattice": lattice, "enumeration": enumeration, "boolean": boolean}
    unknown = set(config.parts) - set(parts)
    if unknown:
        raise ValueError(f"--parts are {', '.join(parts)}, got {', '.join(sorted(unknown))}.")
    rows = [row for name in config.parts for row in parts[name](config, on_progress)]
    return {"rows": rows, "passed": all(row["passed"] for row in rows)}


def row(what: str, value: Any, wanted: Any, passed: bool, **more: Any) -> Row:
    """One promise; what else is worth keeping stands in ``beside`` as text."""
    beside = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in more.items())
    return {
        "what": what,
        "value": value,
        "wanted": wanted,
        "passed": bool(passed),
        "beside": beside,
    }


def lattice(config: Config, on_progress: OnProgress) -> list[Row]:
    on_progress("lattice", 0.0)
    found = crossing("0.01", "1e-3")
    rows = [
        row("η=.01 ε=1e-3 total", found.total, 126_121, found.total == 126_121),
        row("η=.01 ε=1e-3 origin", found.origin, 31_417, found.origin == 31_417),
    ]
    for eta, share in SHARES.items():
        start = time.monotonic()
        found = crossing(eta, "1e-7")
        rows.append(
            row(
                f"share η={eta} ε=1e-7",
                found.share,
                share,
                abs(found.share / found.limit.share - 1) < 0.01
                and abs(found.limit.share - share) < 6e-4,
                limit=found.limit.share,
                seconds=time.monotonic() - start,
            )
        )
    axes = [crossing(eta, "1e-6") for eta in ("1e-7", "1e-8", "1e-9", "1e-10")]
    shares = [c.share for c in axes]
    rows += [
        row(f"share η={float(c.eta):g} ε=1e-6", c.share, "falls to 0", c.limit.regime == "axes",
            limit=c.limit.share)
        for c in axes
    ]  # fmt: skip
    rows.append(row("shares fall for ε² ≪ η ≪ ε", shares[-1], 0.0, shares == sorted(shares)[::-1]))
    below = crossing("1e-10", "1e-4")
    rows.append(row("share η=1e-10 ε=1e-4", below.share, 1 / 40_001, below.share == 1 / 40_001))
    for eta, mesh in itertools.product(("1e-2", "1e-4", "1e-6", "1e-8"), ("1e-3", "1e-5", "1e-7")):
        found = crossing(eta, mesh)
        rows.append(
            row(
                f"closed form η={eta} ε={mesh}",
                found.uniform_total / found.total,
                1.0,
                abs(found.uniform_total / found.total - 1) < 0.01,
            )
        )
    return rows


def enumeration(config: Config, on_progress: OnProgress) -> list[Row]:
    machine = sign_network(config.num_inputs, config.num_hidden)
    assert machine.num_settings is not None
    start, spent = time.monotonic(), time.process_time()
    found = fibres(
        machine, on_progress=lambda done, total: on_progress("enumeration", done / total)
    )
    seconds, cpu = time.monotonic() - start, time.process_time() - spent
    counts = dict(zip(found.functions[:, 0].tolist(), found.counts.tolist(), strict=True))
    ones = (1 << len(machine.inputs)) - 1
    negated = all(counts[ones ^ f] == n for f, n in counts.items())
    order = np.arange(len(machine.inputs)).reshape((2,) * config.num_inputs)
    swapped = order.swapaxes(0, 1).ravel()
    flipped = order[::-1].ravel()
    tables = found.symbols
    invariant = all(
        counts[int("".join(map(str, tables[k][moved])), 2)] == found.counts[k]
        for moved in (swapped, flipped)
        for k in range(0, len(found), max(1, len(found) // 5_000))
    )
    small = sign_network(2, 3)
    twin = fibres(small.as_machine())
    same = np.array_equal(fibres(small).functions, twin.functions)
    same &= np.array_equal(fibres(small).counts, twin.counts)
    return [
        row("settings enumerated", int(found.counts.sum()), machine.num_settings,
            found.counts.sum() == machine.num_settings >= 2**26, functions=len(found)),
        row("seconds of enumeration", seconds, "< 300", seconds < 300, cpu_seconds=cpu,
            settings_per_second=machine.num_settings / seconds),
        row("fibres under negation of the output", float(negated), 1.0, negated),
        row("fibres under swapped and flipped inputs", float(invariant), 1.0, invariant),
        row("equal to the naive twin on 2^12 settings", float(same), 1.0, same),
        row("equal when stopped and resumed", float(resumed(config)), 1.0, resumed(config)),
    ]  # fmt: skip


def resumed(config: Config) -> bool:
    """Whether a count that is interrupted twice is that of one go."""
    machine = sign_network(4, 3)
    whole, tally = fibres(machine), None
    kept: list[Tally] = []

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        try:
            fibres(machine, start=tally, keep=kept.append, on_progress=stop)
        except KeyboardInterrupt:
            tally = Tally.of_arrays(kept[-1].arrays())
    again = fibres(machine, start=tally)
    return np.array_equal(whole.functions, again.functions) and np.array_equal(
        whole.counts, again.counts
    )


class RawWork:
    """Drawing the weights of a block of networks and multiplying their matrices, and nothing else."""

    def __init__(self, machine: Machine, seed: int) -> None:
        assert isinstance(machine.network, Layered)
        self.machine, self.seed, self.network = machine, seed, machine.network
        self.numbers = torch.empty(1, machine.block * machine.num_weights)

    def seconds(self, blocks: int) -> float:
        start = time.process_time()
        for block in range(blocks):
            fill_normal([generator(self.seed, Purpose.DIRECTION, block)], self.numbers)
            weights = self.numbers.view(self.machine.block, self.machine.num_weights)
            with torch.no_grad():
                (first, _), *rest = self.network.parts(weights)
                signals = first.reshape(-1, first.shape[2]) @ self.machine.inputs.T
                signals = signals.view(len(weights), first.shape[1], -1)
                for matrix, _ in rest:
                    signals = torch.bmm(matrix, signals)
        return time.process_time() - start


def boolean(config: Config, on_progress: OnProgress) -> list[Row]:
    weights = Gaussian(scale=config.scale, bias_scale=config.bias_scale)
    machine = boolean_network((7, 40, 40, 1), weights=weights)
    path = config.state / f"{config.num_draws}_{config.scale}_{config.bias_scale}_{config.seed}.npz"
    tally, clock = None, {"cpu": 0.0, "raw": 0.0, "raw_draws": 0.0, "wall": 0.0}
    if path.exists():
        with np.load(path) as held:
            tally = Tally.of_arrays({k: held[k] for k in ("done", "functions", "counts")})
            clock = json.loads(bytes(held["clock"]).decode())
    raw = RawWork(machine, config.seed)
    raw.seconds(4)
    began = last_wall = time.monotonic()
    last_cpu = time.process_time()

    def tick(done: int, total: int) -> None:
        nonlocal last_cpu, last_wall
        clock["cpu"] += time.process_time() - last_cpu
        clock["wall"] += time.monotonic() - last_wall
        clock["raw"] += raw.seconds(BASELINE_BLOCKS)
        clock["raw_draws"] += BASELINE_BLOCKS * machine.block
        on_progress("boolean", done / total)
        last_cpu, last_wall = time.process_time(), time.monotonic()
        if time.monotonic() - began > config.max_seconds and done < total:
            raise KeyboardInterrupt

    def keep(state: Tally) -> None:
        import io

        buffer = io.BytesIO()
        told = np.frombuffer(json.dumps(clock).encode(), np.uint8)
        np.savez(buffer, clock=told, **state.arrays())
        write_atomic(path, buffer.getvalue())

    last: list[Tally] = []
    try:
        found = fibres(
            machine,
            num_draws=config.num_draws,
            seed=config.seed,
            start=tally,
            keep=last.append,
            on_progress=tick,
        )
    except KeyboardInterrupt:
        keep(last[-1])
        return [row("draws", last[-1].done, config.num_draws, passed=False)]
    keep(last[-1])
    return about(config, machine, found, clock)


def by_threshold(found: Any) -> list[Row]:
    """The same correlation for other choices of which functions are known well enough: it depends on them."""
    rows = []
    for least in (2, 30, 100):
        often = found.counts >= least
        complexity = np.array([lempel_ziv(table) for table in text(found.symbols[often])])
        log2_p = np.log2(found.probability[often])
        linear, ranked = pearson(log2_p, complexity), spearman(log2_p, complexity)
        rows.append(
            row(f"the same, met {least} times", linear.value, "reported", True, se=linear.se,
                rank_correlation=ranked.value, its_se=ranked.se, functions=int(often.sum()))
        )  # fmt: skip
    return rows


def about(config: Config, machine: Machine, found: Any, clock: dict[str, float]) -> list[Row]:
    per_draw, raw = clock["cpu"] / found.total, clock["raw"] / clock["raw_draws"]
    often = found.counts >= config.least
    tables = text(found.symbols[often])
    complexity = np.array([lempel_ziv(table) for table in tables])
    log2_p = np.log2(found.probability[often])
    ranked, linear = spearman(log2_p, complexity), pearson(log2_p, complexity)
    even = np.arange(len(log2_p)) % 2 == 0
    bound = upper_bound(log2_p[even], complexity[even])
    held = bound.held(log2_p[~even], complexity[~even])
    random = generator(config.seed, Purpose.SCORE).integers(0, 2, (1_000, 128))
    prior = predicted_bound(128, np.array([lempel_ziv(table) for table in text(random)]))
    top = {tables[0], tables[1]}
    figure = machine_figure(found, complexity)
    config.state.mkdir(parents=True, exist_ok=True)
    figure.savefig(config.state / "boolean.png", dpi=100)
    return [
        row("draws", found.total, ">= 1e7", found.total >= 10**7, functions=len(found)),
        row("constant functions on top", " ".join(sorted(t[0] for t in top)), "0 1",
            top == {"0" * 128, "1" * 128}, probability=float(found.probability[:2].sum())),
        row(f"correlation of log P and C_LZ, met {config.least} times", linear.value, "< -0.5",
            linear.value < -0.5, se=linear.se, rank_correlation=ranked.value, its_se=ranked.se,
            functions=int(often.sum())),
        *by_threshold(found),
        row("bound of one half holds for the other", held, "> 0.99", held > 0.99,
            slope=bound.slope, intercept=bound.intercept),
        row("a-priori bound holds", prior.held(log2_p, complexity), "reported", True,
            slope=prior.slope, intercept=0.0),
        row("slope of the rank plot", rank_frequency(found).slope, "reported", True),
        row("mass not met (Good-Turing)", found.unseen.value, "reported", True, se=found.unseen.se),
        row("processor time over raw work", per_draw / raw, "<= 2", per_draw / raw <= 2,
            microseconds_per_draw=1e6 * per_draw, raw_microseconds=1e6 * raw,
            seconds=clock["wall"]),
        row("A-complexity of a constant, nats", float(found.complexity[0]), "reported", True,
            se=math.sqrt(1 / found.counts[0])),
    ]  # fmt: skip
