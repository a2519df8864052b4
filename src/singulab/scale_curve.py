"""λ_eff(nβ, γ): the learning coefficient at every resolution, instead of at one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from singulab.estimate import limit
from singulab.estimate.limit import LEAST, Limit
from singulab.estimate.llc import NOTHING, Estimate, llc_slope
from singulab.files import finite
from singulab.measure import (
    measure_potential,
    untouched_random_state,
    write_run_files,
)
from singulab.measurement import Measurement
from singulab.potential import LocalPotential
from singulab.sample.plan import Progress
from singulab.settings import Settings


@dataclass(frozen=True)
class ScaleCurve:
    """Measurements of one landscape at several nβ and γ, γ by γ with nβ rising."""

    points: tuple[Measurement, ...]

    @property
    def localizations(self) -> tuple[float, ...]:
        """The γ of the curves, ascending."""
        return tuple(sorted({point.localization for point in self.points}))

    def at(self, localization: float) -> tuple[Measurement, ...]:
        """The points of one γ, by rising nβ."""
        return tuple(p for p in self.points if p.localization == localization)

    def slope(self, localization: float) -> Estimate:
        """λ̂ from the slope of E[L] against 1/nβ at one γ; it does not need L(w*).

        NaN where fewer than two temperatures have living chains to look at.
        """
        traces = [
            p.trace.select(first=p.trace.num_draws // 3)
            for p in self.at(localization)
            if p.trace is not None and p.trace.num_draws >= 30 and not p.trace.dead_chains
        ]
        if len({trace.nbeta for trace in traces}) < 2:
            return NOTHING
        return llc_slope(traces)

    def limit(self, localization: float) -> Limit:
        """λ̂ at infinite nβ at one γ, from the points that passed; see :func:`singulab.estimate.limit`.

        NaN where fewer than four of them passed.
        """
        points = [p for p in self.at(localization) if p.passed]
        return limit(
            [p.nbeta for p in points],
            [p.llc for p in points],
            num_weights=self.points[0].num_weights,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the points; for each γ with two temperatures their slope, with four the limit."""
        temperatures = {gamma: {p.nbeta for p in self.at(gamma)} for gamma in self.localizations}
        return finite(
            {
                "points": [point.to_dict() for point in self.points],
                "slopes": {
                    repr(gamma): self.slope(gamma).to_dict()
                    for gamma, several in temperatures.items()
                    if len(several) > 1
                },
                "limits": {
                    repr(gamma): self.limit(gamma).to_dict()
                    for gamma, several in temperatures.items()
                    if len(several) >= LEAST
                },
            }
        )

    def figure(self) -> Any:
        """λ_eff against nβ, one line per γ, with error bars (extra ``singulab[plot]``)."""
        from singulab.report.figure import scale_curve as draw

        return draw(self)


def scale_curve(
    model: nn.Module | LocalPotential,
    data: Any = None,
    loss: Any = "cross_entropy",
    *,
    nbeta: Sequence[float],
    localization: Sequence[float],
    settings: Settings | None = None,
    labels: str = "data",
    weights: Any = None,
    batch_size: int | None = None,
    kernel: str = "auto",
    relative_error: float = 0.02,
    max_gradients: float | None = None,
    num_chains: int | None = None,
    until_failure: bool = False,
    run: str | Path | None = None,
    device: torch.device | str | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> ScaleCurve:
    """Measure λ_eff at every combination of nβ and γ; passes over the data at w* are made once.

    λ̂ is a function of the resolution at which one looks. At small nβ and large γ it counts few directions,
    and it tends to λ as nβ grows and γ falls. Every point has random numbers of its own, so that the errors
    of the points are independent and curves may be fitted to them.

    Args:
        model: a module at w*, or a :class:`LocalPotential`, whose own nβ and γ are then not used.
        data: see :func:`singulab.measure`.
        loss: see :func:`singulab.measure`.
        nbeta: the temperatures nβ, at least one.
        localization: the tethers γ, at least one.
        settings: how to sample; its nβ and γ must be None.
        labels: see :func:`singulab.measure`.
        weights: see :func:`singulab.measure`.
        batch_size: see :func:`singulab.measure`.
        kernel: see :func:`singulab.measure`.
        relative_error: wanted standard error of each point.
        max_gradients: budget of each point, in gradient units.
        num_chains: independent chains of each point.
        until_failure: leave the rest of a γ out once a point fails: larger nβ are harder still.
        run: folder with one sub-folder per point; the same call resumes.
        device: where to compute; default where the model is.
        seed: a non-negative integer.
        on_progress: called with the progress of the present point.

    Returns:
        The points; those that failed a check say so.
    """
    if not nbeta or not localization:
        raise ValueError("scale_curve needs at least one nbeta and one localization.")
    if isinstance(model, LocalPotential):
        told = {"data": data, "weights": weights, "batch_size": batch_size, "device": device}
        if given := [name for name, value in told.items() if value is not None]:
            raise ValueError(f"a LocalPotential fixes {', '.join(given)} itself; leave it out.")
    if settings is None:
        settings = Settings(
            kernel=kernel,
            labels=labels,
            batch_size=batch_size,
            relative_error=relative_error,
            max_gradients=max_gradients,
            num_chains=num_chains,
        )
    elif settings.nbeta is not None or settings.localization is not None:
        raise ValueError("scale_curve varies nβ and γ; the settings must leave them None.")
    with untouched_random_state():
        if isinstance(model, LocalPotential):
            base = model
        else:
            base = LocalPotential.of(
                model,
                data,
                loss,
                weights=weights,
                nbeta=nbeta[0],
                localization=localization[0],
                labels=settings.labels,
                batch_size=settings.batch_size,
                device=device,
            )
        folder = None if run is None else Path(run)
        if folder is not None:
            write_run_files(
                folder,
                {
                    "nbeta": list(nbeta),
                    "localization": list(localization),
                    "settings": settings.to_dict(),
                    "seed": seed,
                },
            )
        points = []
        for gamma in sorted(localization):
            for temperature in sorted(nbeta):
                potential = base.at(nbeta=temperature, localization=gamma)
                place = (
                    None
                    if folder is None
                    else folder / f"nbeta-{temperature:.6g}-gamma-{gamma:.6g}"
                )
                point = measure_potential(
                    potential,
                    replace(settings, nbeta=potential.nbeta, localization=potential.localization),
                    seed=_seed(seed, temperature, gamma),
                    folder=place,
                    on_progress=on_progress,
                )
                points.append(point)
                if until_failure and not point.passed:
                    break
    return ScaleCurve(tuple(points))


def _seed(seed: int, nbeta: float, localization: float) -> int:
    """A seed that belongs to a resolution, whatever other points the curve has."""
    resolution = np.array([nbeta, localization], dtype=np.float64).view(np.uint64).tolist()
    return int(np.random.SeedSequence((seed, *resolution)).generate_state(1)[0])
