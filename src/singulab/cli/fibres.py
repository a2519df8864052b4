"""``singulab fibres``: how many settings of its weights give a network each function."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.console import Console

from singulab.cli.command import CommandConfig, Outcome, extra
from singulab.cli.progress import bar
from singulab.cli.screen import drawn
from singulab.errors import StaleRunError
from singulab.report.table import Table

if TYPE_CHECKING:
    from singulab.discrete.fibres import Fibres
    from singulab.discrete.machine import Machine
    from singulab.discrete.tally import Tally

Activation = Literal["sign", "relu", "tanh", "linear"]
_STATE = "tally.state"
_MOST_COMPLEXITIES = 20_000  # functions whose C_LZ is computed, the most frequent first


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Count the settings of a layered Boolean network by the function that they compute.

    Every setting is computed, or --draws of them. With --run a stopped command goes on where it was, and no setting is
    counted twice.
    """

    widths: tuple[int, ...] = (3, 3, 1)  # inputs, hidden units, outputs
    weights: str = (
        "binary"  # binary, ternary, gaussian, grid:LEVELS, or a format such as float8_e4m3fn
    )
    activation: Activation = "sign"  # of the hidden units
    biases: Literal["hidden", "all", "none"] = "hidden"  # which layers have biases
    signed: bool = False  # inputs are −1 and 1, not 0 and 1; always so with sign units
    draws: int | None = None  # so many random settings in the place of all
    seed: int = 0  # of the draws
    show: int = 20  # functions that are listed, the most frequent first
    run: Path | None = None  # folder that keeps the state, so that the same command resumes
    figure: Path | None = None  # where the picture is drawn: .png, .svg or .pdf

    def __post_init__(self) -> None:
        if self.figure is not None and self.figure.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--figure must end in .png, .svg or .pdf, got {str(self.figure)!r}.")
        if self.show < 0 or self.seed < 0:
            raise ValueError("--show and --seed are 0 or more.")
        if len(self.widths) < 2 or min(self.widths) < 1 or self.widths[0] > 12:
            raise ValueError(
                f"--widths needs inputs (at most 12), hidden units and outputs, got {self.widths}."
            )


def run(config: Config, console: Console) -> Outcome:
    """The count as a table of the most frequent functions, and what follows from it."""
    from singulab.discrete import fibres

    machine = machine_of(config)
    start, keep = _kept(config)
    began, before = time.monotonic(), 0 if start is None else start.done
    with bar(console, "settings") as show:

        def on_progress(done: int, total: int) -> None:
            from singulab.sample.plan import Progress

            spent = max(time.monotonic() - began, 1e-9)
            rate = (done - before) / spent
            left = (total - done) / rate if rate > 0 else float("nan")
            show(Progress("", done, total, float("nan"), left, None, None))

        try:
            found = fibres(
                machine,
                num_draws=config.draws,
                seed=config.seed,
                start=start,
                keep=keep,
                on_progress=on_progress,
            )
        except ValueError as error:  # its sentences speak of arguments; here they are flags
            raise ValueError(str(error).replace("num_draws", "--draws")) from None
    data = _data(config, found, machine)
    _say(console, found, data)
    if config.figure is not None:
        with extra("plot"):
            from singulab.report import discrete_figure

            complexity = _complexities(found, machine)
            figure = discrete_figure.machine(found, complexity)
            config.figure.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(config.figure, dpi=150)
        console.print(f"\nfigure: {config.figure}")
        data["figure"] = str(config.figure)
    return Outcome(data=data)


def machine_of(config: Config) -> "Machine":
    """The machine that the flags describe; networks of ±1 sign units are counted by bit operations."""
    from singulab.discrete import boolean_network, sign_network

    hidden = len(config.widths) - 2
    one_layer = hidden == 1 and config.widths[2] == 1 and config.widths[0] <= 6
    if (
        config.weights == "binary"
        and config.activation == "sign"
        and one_layer
        and config.biases != "all"
    ):
        return sign_network(config.widths[0], config.widths[1], bias=config.biases == "hidden")
    biases = (config.biases != "none",) * hidden + (config.biases == "all",)
    return boolean_network(
        config.widths,
        weights=_weights(config.weights),
        activation=config.activation,
        biases=biases,
        signed=config.signed or config.activation == "sign",
    )


def _weights(name: str) -> Any:
    from singulab.discrete import Gaussian, binary, float_format, ternary, uniform
    from singulab.discrete.levels import FORMATS

    named: dict[str, Callable[[], Any]] = {
        "binary": binary,
        "ternary": ternary,
        "gaussian": Gaussian,
    }
    if name in named:
        return named[name]()
    kind, _, number = name.partition(":")
    if kind == "grid" and number.isdecimal() and len(number) < 6:
        return uniform(int(number))
    if name in FORMATS:
        return float_format(name)
    raise ValueError(
        f"--weights is binary, ternary, gaussian, grid:LEVELS or one of {', '.join(FORMATS)}, got {name!r}."
    )


def _kept(config: Config) -> "tuple[Tally | None, Any]":
    """The state of an earlier run of the same command, and how to keep the next one."""
    if config.run is None:
        return None, None
    import torch

    from singulab.discrete import Tally
    from singulab.files import read_state, write_state

    path = config.run / _STATE
    facts = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config).items()
        if name not in ("json", "run", "figure", "show")
    }
    start = None
    if path.exists():
        tensors, held = read_state(path)
        _same(config.run, held, facts)
        start = Tally.of_arrays({name: tensor.numpy() for name, tensor in tensors.items()})

    def keep(tally: Tally) -> None:
        tensors = {name: torch.from_numpy(array) for name, array in tally.arrays().items()}
        write_state(path, tensors, facts)

    return start, keep


def _same(run: Path, held: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    names = dict.fromkeys((*held, *facts))
    differences = {
        name: (held.get(name), facts.get(name))
        for name in names
        if held.get(name) != facts.get(name)
    }
    if differences:
        raise StaleRunError(run, differences)


def _complexities(found: "Fibres", machine: "Machine") -> np.ndarray | None:
    """C_LZ of the most frequent functions; None where they are too short to say anything."""
    from singulab.discrete import lempel_ziv, text

    often = found.counts >= (1 if found.exact else 2)  # P of a function met once is anyone's guess
    tables = text(found.symbols[often][:_MOST_COMPLEXITIES])
    if machine.num_symbols < 8 or not tables:
        return None
    return np.array([lempel_ziv(table) for table in tables])


def _data(config: Config, found: "Fibres", machine: "Machine") -> dict[str, Any]:
    from singulab.discrete import spearman

    data: dict[str, Any] = found.to_dict(config.show)
    data["num_weights"] = machine.num_weights
    complexity = _complexities(found, machine)
    if complexity is not None and len(complexity) >= 3:
        seen = spearman(found.complexity[: len(complexity)], complexity)
        data["correlation_with_lempel_ziv"] = {"value": seen.value, "se": seen.se}
    return data


def _say(console: Console, found: "Fibres", data: Mapping[str, Any]) -> None:
    from singulab.discrete import text

    tables = text(found.symbols[: len(data["functions"])])
    rows = tuple(
        (
            table if len(table) <= 64 else f"0x{int(table, 2):0{len(table) // 4}x}",
            f"{row['count']:,}",
            f"{row['probability']:.4g}",
            f"{row['complexity']:.3f}",
        )
        for table, row in zip(tables, data["functions"], strict=True)
    )
    console.print(drawn(Table(("function", "settings", "P", "A-complexity (nats)"), rows)))
    kind = "settings, all computed" if found.exact else "draws"
    console.print(f"\n{found.total:,} {kind}; {len(found):,} functions.")
    if not found.exact:
        unseen = found.unseen
        console.print(f"Probability of functions not met: {unseen.value:.3g} ± {unseen.se:.2g}.")
    spread = found.flexibility
    console.print(
        f"Flexibility: A-complexities spread over {spread.range:.2f} nats, standard deviation "
        f"{spread.deviation:.2f}."
    )
    if "correlation_with_lempel_ziv" in data:
        seen = data["correlation_with_lempel_ziv"]
        console.print(f"Rank correlation with C_LZ: {seen['value']:.2f} ± {seen['se']:.2f}.")
