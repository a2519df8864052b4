"""The numbers behind the figures of :mod:`singulab.report.bayes_figure`, as plain JSON-ready dictionaries."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from singulab.bayes.box import Loss, loss_on
from singulab.bayes.crossing import Crossing
from singulab.bayes.exponent import VolumeExponent
from singulab.bayes.posterior import Posterior

Series = dict[str, Any]

LEVELS = (1, 3, 6)  # log 1/V of the sublevel sets that are drawn
SIDE = 401  # points per side of their picture


def volume(found: VolumeExponent, loss: "str | Loss | None" = None) -> Series:
    """V(ε) with its errors, the fitted slope, d/2 for contrast, and sublevel sets of a loss of two weights."""
    curve = found.curve
    if not len(curve.log_volume):
        raise ValueError("A curve without levels has no figure: no sublevel set could be followed.")
    epsilon, volumes = curve.epsilon, curve.volume
    anchor = len(epsilon) - 1
    lines = []
    for label, slope in (
        (f"slope λ = {found.told}", found.value),
        (f"parabola: slope d/2 = {curve.box.dim / 2:g}", curve.box.dim / 2),
    ):
        if math.isfinite(slope):
            # The fit speaks for small ε, the parabola starts where the curve does.
            at = anchor if slope == found.value else 0
            y = np.log(volumes[at]) + slope * (np.log(epsilon) - np.log(epsilon[at]))
            lines.append({"label": label, "log_volume": y.tolist()})
    return {
        "log_epsilon": np.log(epsilon).tolist(),
        "log_volume": curve.log_volume.tolist(),
        "log_volume_se": curve.log_volume_se.tolist(),
        "lines": lines,
        "multiplicity": found.multiplicity,
        "x_label": "ε",
        "y_label": "V(ε), share of the box",
        "sublevel": None if loss is None else sublevel(found, loss),
    }


def sublevel(found: VolumeExponent, loss: "str | Loss") -> Series:
    """A loss of two weights on a grid, and the ε at which V is e^{-1}, e^{-3}, e^{-6}."""
    function, box = loss_on(loss, found.curve.box)
    if box.dim != 2:
        raise ValueError(f"Sublevel sets are drawn for two weights, got {box.dim}.")
    x, y = (np.linspace(a, b, SIDE) for a, b in zip(box.lower, box.upper, strict=True))
    grid = np.stack(np.meshgrid(x, y, indexing="xy"), axis=-1)
    values = np.asarray(function(grid.reshape(-1, 2))).reshape(SIDE, SIDE) - found.curve.minimum
    epsilon = found.curve.epsilon
    chosen = [epsilon[k - 1] for k in LEVELS if k <= len(epsilon)]
    names = getattr(function, "names", ("w₁", "w₂"))
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "loss": values.tolist(),
        "epsilon": [float(e) for e in chosen],
        "x_label": names[0],
        "y_label": names[1],
    }


def jump(posterior: Posterior, ns: Sequence[float], crossing: Crossing) -> Series:
    """Densities of a posterior of one weight at several n, and the free energy of each phase around the crossing."""
    if posterior.dim != 1:
        raise ValueError(f"The picture of a jump is for one weight, got {posterior.dim}.")
    bumps = [bump for n in ns for bump in posterior.at(n).bumps]
    reach = [
        (bump.mean[0] - 16 * bump.width[0], bump.mean[0] + 5 * bump.width[0])
        for bump in bumps
        if math.isfinite(bump.mean[0])
    ]
    # One stretch of x for each well: the bumps are thousands of times narrower than their distance.
    stretches = []
    for well in posterior.wells.wells:
        mine = [
            r for r, bump in zip(reach, (b for b in bumps if math.isfinite(b.mean[0])), strict=True)
            if bump.name == well.name
        ]  # fmt: skip
        if mine:
            stretches.append((well.name, min(r[0] for r in mine), max(r[1] for r in mine)))
    densities = []
    for n in ns:
        at = posterior.at(n)
        for name, low, high in stretches:
            x = np.linspace(low, high, 301)
            u = posterior.log_prior(x[:, None]) - n * np.asarray(posterior.loss(x[:, None]))
            densities.append(
                {
                    "n": n,
                    "well": name,
                    "x": x.tolist(),
                    "density": np.exp(u - at.log_evidence).tolist(),
                    "mass": at[name].mass,
                }
            )
    # A jump so wide that its ends were not seen is drawn from a third of n_c to three times it.
    start = crossing.start if math.isfinite(crossing.start) else crossing.true / 3
    stop = crossing.stop if math.isfinite(crossing.stop) else crossing.true * 3
    span = np.geomspace(start / 1.25, stop * 1.25, 61)
    phases = {phase.name: phase for phase in posterior.phases(n=crossing.true)}
    exact = [posterior.at(float(n)) for n in span]
    return {
        "densities": densities,
        "wells": [name for name, _, _ in stretches],
        "n": span.tolist(),
        "free_energy": {
            name: {
                "exact": [at[name].free_energy for at in exact],
                "formula": [phases[name].free_energy(float(n)) for n in span],
            }
            for name in (crossing.before, crossing.after)
        },
        "total": [at.free_energy for at in exact],
        "mass": [at[crossing.after].mass for at in exact],
        "after": crossing.after,
        "crossing": crossing.to_dict(),
    }
