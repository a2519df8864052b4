"""``singulab measure``: λ̂ of one's own model at one checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from singulab.cli.command import Outcome
from singulab.cli.inputs import ModelConfig, load_data, load_loss, load_model, usable_device
from singulab.cli.progress import bar
from singulab.cli.run_page import answer, rungs, write_report
from singulab.cli.screen import drawn
from singulab.report import table

if TYPE_CHECKING:
    from singulab.measurement import Measurement


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig):
    """Measure the local learning coefficient of a model of yours.

    The current directory is searched for modules first. Exit codes: 0 measured and every check passed,
    1 measured and a check failed, 2 bad input, 75 interrupted with --run (the same command goes on).
    """

    model: str  # package.module:factory; factory() returns the module
    data: str  # package.module:function; function() returns data in any form that sl.measure takes
    settings: Path | None = None  # TOML file of sl.Settings: fixed γ, nβ, kernel, step, …
    nbeta: float | None = None  # inverse temperature n·β; default n/log n
    localization: float | Literal["ladder"] | None = None  # γ; default from a relative radius
    kernel: str = "auto"  # auto, leimkuhler_matthews, baoab, sgld, sgnht, mala, hmc
    num_chains: int | None = None  # default 4
    relative_error: float = 0.02  # wanted standard error of λ̂, relative to λ̂
    max_gradients: float | None = None  # budget, in forward and backward passes of one minibatch
    run: Path | None = None  # folder that keeps the state, so that the same command resumes


def run(config: Config, console: Console) -> Outcome:
    """Measure and show."""
    import singulab as sl

    model, data = load_model(config.model, config.checkpoint), load_data(config.data)
    with bar(console) as on_progress:
        measurement = sl.measure(
            model,
            data,
            loss=load_loss(config.loss),
            weights=list(config.weights) or None,
            settings=None if config.settings is None else sl.Settings.load(config.settings),
            nbeta=config.nbeta,
            localization=config.localization,
            labels=config.labels,
            kernel=config.kernel,
            num_chains=config.num_chains,
            batch_size=config.batch_size,
            relative_error=config.relative_error,
            max_gradients=config.max_gradients,
            run=config.run,
            device=usable_device(config.device),
            seed=config.seed,
            on_progress=on_progress,
        )
    show(measurement, console)
    outcome = Outcome(data=measurement.to_dict(), passed=measurement.passed)
    if config.run is not None:
        write_report(config.run, outcome, measurement, console)
    return outcome


def show(measurement: "Measurement", console: Console) -> None:
    """Value and interval, resolution, checks with advice, cost and notes."""
    m = measurement
    console.print(m.scale)
    console.print(m.chosen)
    console.print(answer(m), style="bold green" if m.passed else "bold red")
    console.print()
    console.print(drawn(table.checks(m)))
    if m.ladder:
        console.print(drawn(rungs(m.ladder), title="λ̂ against γ"))
    items = ", ".join(f"{k} {v:,.0f}" for k, v in m.gradients.items() if k != "total" and v >= 0.5)
    console.print(f"\n{m.gradients['total']:,.0f} gradient units ({items}) in {m.seconds:.1f} s")
    for note in m.notes:
        console.print(f"note: {note}")
