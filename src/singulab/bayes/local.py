"""λ and m of one well of a posterior: by Hessian, by algebra, or by its volume."""

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from singulab.bayes.exponent import SUSPECTED, volume_exponent
from singulab.bayes.expression import expression
from singulab.bayes.splitting import Splitting
from singulab.errors import SingulabError
from singulab.exact import rlct_over

if TYPE_CHECKING:
    from singulab.bayes.posterior import Posterior

_SECONDS = 5.0  # for algebra
_STEP = 1e-4  # of second differences, in sides of the box
_REGULAR = 1e-4  # least eigenvalue of a Hessian of full rank, relative to the largest
_QUICK = Splitting(num_particles=500, num_populations=8, num_moves=24, num_levels=28)


def local_coefficient(posterior: "Posterior", index: int) -> tuple[float, int, str]:
    """λ, m and how they are known, for a well of a posterior."""
    well = posterior.wells.wells[index]
    if well.name in posterior.known:
        rlct, multiplicity = posterior.known[well.name]
        return float(rlct), int(multiplicity), "given"
    center = np.array(well.center)
    if _has_full_rank(posterior, center):
        return posterior.dim / 2, 1, "the Hessian has full rank"
    if (exact := _by_algebra(posterior)) is not None:
        return exact
    return _by_volume(posterior, index)


def _has_full_rank(posterior: "Posterior", center: Float[np.ndarray, " dim"]) -> bool:
    """Whether the second differences at an interior minimum are positive definite at two step sizes."""
    box, least = posterior.box, []
    for scale in (_STEP, _STEP / 4):
        steps = np.diag(scale * (box.upper - box.lower))
        if (
            (center - 2 * steps.diagonal() < box.lower)
            | (center + 2 * steps.diagonal() > box.upper)
        ).any():
            return False
        rows = np.arange(box.dim)
        points = np.stack(
            [
                center + one * steps[i] + other * steps[j]
                for i in rows
                for j in rows
                for one, other in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
        )
        values = np.asarray(posterior.loss(points)).reshape(box.dim, box.dim, 4)
        # In units of the steps: their ratios are what rank is about.
        hessian = (values[..., 0] - values[..., 1] - values[..., 2] + values[..., 3]) / 4
        eigenvalues = np.linalg.eigvalsh((hessian + hessian.T) / 2)
        if not eigenvalues[0] > _REGULAR * abs(eigenvalues[-1]) > 0:
            return False
        least.append(eigenvalues[0])
    # A curvature falls with the square of the step; the fourth power would fall 16 times further.
    return bool(0.5 < least[0] / least[1] / 16 < 2)


def _by_algebra(posterior: "Posterior") -> tuple[float, int, str] | None:
    """The least (λ, m) over all zeros in the box, if the loss is a polynomial ≥ 0 with one well at height 0.

    Not the pair at the point that a descent stopped at: a flat minimum has points of other λ.
    """
    wells = posterior.wells.wells
    if posterior.text is None or len(wells) != 1 or wells[0].loss != 0.0:
        return None
    names = expression(posterior.text).names
    sides = zip(posterior.box.lower, posterior.box.upper, strict=True)
    box = {
        name: (Fraction(str(low)), Fraction(str(high)))
        for name, (low, high) in zip(names, sides, strict=True)
    }
    try:
        found = rlct_over(posterior.text, box, time_limit=_SECONDS)
    except (ValueError, TypeError, SingulabError):  # no polynomial, or none that algebra can do
        return None
    if found.value is None or found.multiplicity is None:
        return None
    return float(found.value), found.multiplicity, f"proved, λ = {found.value}"


def _by_volume(posterior: "Posterior", index: int) -> tuple[float, int, str]:
    """λ of the sublevel sets inside the well."""
    height = posterior.wells.wells[index].loss

    def inside(points: Float[np.ndarray, "*batch dim"]) -> Float[np.ndarray, "*batch"]:
        values = np.asarray(posterior.loss(points))
        # What a descent left undone of the minimum is no loss below it.
        values = np.maximum(values, height)
        return np.where(posterior.wells.label(points) == index, values, np.inf)

    found = volume_exponent(
        inside,
        posterior.box,
        minimum=height,
        splitting=_QUICK,
        num_levels=_QUICK.num_levels,
        seed=posterior.seed,
    )
    if not np.isfinite(found.value):
        raise ValueError(
            f"The volume of the well {posterior.wells.wells[index].name} spans too few decades to read λ off; give "
            "rlct={name: (λ, m)}."
        )
    multiplicity = 2 if found.kinds["logarithm"] >= SUSPECTED else 1
    return found.value, multiplicity, f"from its volume, ± {found.se:.2g}"
