"""``singulab volume "x^2*y^2"``: λ from the volume of the sublevel sets, without algebra."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from singulab.cli.command import CommandConfig, Outcome, extra


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Measure the volume of {L < L_min + ε} in a box over many decades, and read λ off it.

    Up to three variables the volume is integrated, above it is measured by particles (multilevel splitting). The exit
    code is 1 if the curve covers less than 8 decades of volume, or if λ lies above d/2, as it may where the loss has a
    kink or its minimum only on the boundary of the box.
    """

    loss: Annotated[str, tyro.conf.Positional]  # a formula such as "x^2*y^2 + z^4"
    half: float = 1.0  # half a side of the box
    center: tuple[float, ...] = ()  # its middle, variables in alphabetical order; default 0
    minimum: float | None = None  # L_min; default 0 if the loss comes near 0, else found by descent
    method: Literal["auto", "quadrature", "splitting"] = "auto"  # auto: quadrature where it settles
    particles: int = 1000  # splitting: particles in each of 8 populations
    levels: int | None = None  # factors e of V; default 60 in 1 or 2 variables, 32 in 3, 40 above
    seed: int = 0  # of all randomness
    figure: Path = Path("runs/volume.png")  # where the figure is drawn: .png, .svg or .pdf

    def __post_init__(self) -> None:
        if self.figure.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--figure must end in .png, .svg or .pdf, got {str(self.figure)!r}.")
        if not (math.isfinite(self.half) and self.half > 0):
            raise ValueError(f"--half is a number above 0, got {self.half}.")
        if not all(map(math.isfinite, self.center)):
            raise ValueError(f"--center is finite numbers, got {self.center}.")
        if self.levels is not None and self.levels < 8:
            raise ValueError(f"--levels is at least 8, got {self.levels}.")
        if self.minimum is not None and not math.isfinite(self.minimum):
            raise ValueError(f"--minimum is a finite number, got {self.minimum}.")


def run(config: Config, console: Console) -> Outcome:
    """The exponent, the curve and the figure."""
    from singulab.bayes.exponent import volume_exponent
    from singulab.bayes.expression import expression
    from singulab.bayes.splitting import Splitting

    names = expression(config.loss).names
    center = config.center or (0.0,) * len(names)
    if len(center) != len(names):
        raise ValueError(
            f"--center needs one number for each of {', '.join(names)}, got {len(center)}."
        )
    found = volume_exponent(
        config.loss,
        [(x - config.half, x + config.half) for x in center],
        method=config.method,
        minimum=config.minimum,
        splitting=Splitting(num_particles=config.particles),
        num_levels=config.levels,
        seed=config.seed,
    )
    console.print(str(found))
    console.print(
        f"by {found.curve.method}, {found.curve.evaluations:.2g} evaluations; it ended since "
        f"{found.curve.stopped}."
    )
    drawn = len(found.curve.log_volume) > 0
    if drawn:
        with extra("plot"):
            picture = found.figure(config.loss if len(names) == 2 else None)
            config.figure.parent.mkdir(parents=True, exist_ok=True)
            picture.savefig(config.figure, dpi=120)
        console.print(f"figure: {config.figure}")
    else:
        console.print(
            "No sublevel set could be followed, so that there is no figure: is the loss constant in the box?"
        )
    passed = found.curve.decades >= 8 and math.isfinite(found.value) and not found.above
    data = {
        **found.to_dict(),
        "variables": list(names),
        "passed": passed,
        "figure": str(config.figure) if drawn else None,
    }
    return Outcome(data=data, passed=passed)
