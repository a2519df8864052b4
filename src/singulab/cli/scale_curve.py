"""``singulab scale-curve``: λ_eff against nβ and γ, of one's own model or of a case of the zoo."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from singulab.cli.command import Outcome, extra
from singulab.cli.inputs import ModelConfig, load_data, load_loss, load_model, usable_device
from singulab.cli.progress import bar
from singulab.cli.run_page import rungs, write_report
from singulab.cli.screen import drawn
from singulab.report.table import Table, rounded

if TYPE_CHECKING:
    from singulab.measurement import Measurement
    from singulab.potential import LocalPotential
    from singulab.zoo import Case, Truth

SHARES = (0.1, 0.3, 1.0)  # of n/log n, where --nbeta is not given


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig):
    """Measure the effective learning coefficient at every combination of nβ and γ.

    Needs --model with --data, or --zoo. The exit code is 1 if a check failed at any point.
    """

    model: str | None = None  # package.module:factory; factory() returns the module
    data: str | None = None  # package.module:function; function() returns the data
    zoo: str | None = None  # a case of the zoo, such as P3 or x^2y^2
    nbeta: tuple[float, ...] = ()  # temperatures nβ; default 0.1, 0.3 and 1 times n/log n
    localization: tuple[float, ...] = ()  # tethers γ; default from a relative radius
    kernel: str = "auto"  # auto, leimkuhler_matthews, baoab, sgld, hmc
    relative_error: float = 0.02  # wanted standard error of each point, relative to it
    max_gradients: float | None = None  # budget of each point, in gradient units
    run: Path | None = None  # folder that keeps the state, so that the same command resumes
    figure: Path = Path("runs/scale-curve.png")  # where the figure is drawn: .png, .svg or .pdf

    def __post_init__(self) -> None:
        if self.figure.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--figure must end in .png, .svg or .pdf, got {str(self.figure)!r}.")


def run(config: Config, console: Console) -> Outcome:
    """Measure all points, show them as a table, draw them."""
    import singulab as sl

    case = _case(config)
    potential = _potential(config, case)
    nbeta = config.nbeta or tuple(share * potential.nbeta for share in SHARES)
    localization = config.localization or (potential.localization,)
    with bar(console) as on_progress:
        curve = sl.scale_curve(
            potential,
            nbeta=nbeta,
            localization=localization,
            labels=config.labels,
            kernel=config.kernel,
            relative_error=config.relative_error,
            max_gradients=config.max_gradients,
            run=config.run,
            seed=config.seed,
            on_progress=on_progress,
        )
    truths = [None if case is None else _truth(case, config, point) for point in curve.points]
    console.print(drawn(_with_truths(rungs(curve.points), truths)))
    with extra("plot"):
        axes = curve.figure()
        config.figure.parent.mkdir(parents=True, exist_ok=True)
        axes.figure.savefig(config.figure, dpi=150)
    console.print(f"\nfigure: {config.figure}")
    passed = all(point.passed for point in curve.points)
    data = {
        **curve.to_dict(),
        "passed": passed,
        "truths": [t and {"value": t.value, "error": t.error, "how": t.how} for t in truths],
        "figure": str(config.figure),
    }
    outcome = Outcome(data=data, passed=passed)
    if config.run is not None:
        write_report(config.run, outcome, curve, console)
    return outcome


def _case(config: Config) -> "Case | None":
    if config.zoo is None:
        if config.model is None or config.data is None:
            raise ValueError("scale-curve needs --model with --data, or --zoo.")
        return None
    if config.model is not None or config.data is not None or config.checkpoint is not None:
        raise ValueError("--zoo brings model and data; leave out --model, --data and --checkpoint.")
    from singulab.zoo import CASES

    return CASES[config.zoo]


def _potential(config: Config, case: "Case | None") -> "LocalPotential":
    from singulab.potential import LocalPotential
    from singulab.zoo import NetworkCase

    model: Any
    if case is None:
        assert config.model is not None
        assert config.data is not None
        model, data = load_model(config.model, config.checkpoint), load_data(config.data)
        loss, batch_size = load_loss(config.loss), config.batch_size
    elif isinstance(case, NetworkCase):
        model, data, loss = case.model(), case.data(), case.loss
        batch_size = config.batch_size or case.batch_size
    else:
        return case.exact_potential(labels=config.labels)
    return LocalPotential.of(
        model,
        data,
        loss,
        weights=list(config.weights) or None,
        nbeta=config.nbeta[0] if config.nbeta else None,
        localization=config.localization[0] if config.localization else None,
        labels=config.labels,
        batch_size=batch_size,
        device=usable_device(config.device),
    )


def _truth(case: "Case", config: Config, point: "Measurement") -> "Truth | None":
    try:
        return case.truth(point.localization, nbeta=point.nbeta, labels=config.labels)
    except LookupError:
        return None


def _with_truths(table: Table, truths: "list[Truth | None]") -> Table:
    if not any(truths):
        return table
    cells = ["–" if t is None else _told(t) for t in truths]
    rows = tuple((*row, cell) for row, cell in zip(table.rows, cells, strict=True))
    return Table((*table.columns, "truth"), rows)


def _told(truth: "Truth") -> str:
    if truth.error < 1e-4 * abs(truth.value):
        return f"{truth.value:.4g}"
    return rounded(truth.value, truth.error)
