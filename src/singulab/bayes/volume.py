"""V(ε), the share of a box where the loss is below its minimum + ε, over many decades."""

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from singulab.bayes import quadrature
from singulab.bayes.box import Box, Loss, Sides, finite, loss_on, lowest
from singulab.bayes.splitting import SHARE, Levels, Splitting, levels

Method = Literal["auto", "quadrature", "splitting"]

_WINDOW = 9  # levels over which the spread of populations is compared with that of perfect mixing
_UNMIXED = 5.0  # where they spread so many times further, the curve ends
_FEWEST = 8  # levels
_PILOT = {"num_particles": 100, "num_populations": 4, "num_moves": 10}
_DEPTH = {1: 60, 2: 60, 3: 32}  # levels by quadrature, a factor e of V each
_ALLOWED = 5.0  # errors of the pilot by which an integral may differ from it …
_ROUGH = 0.05  # error of log V beyond which a level is left out
_SLACK = 0.05  # … and this much of log V beside


@dataclass(frozen=True, kw_only=True)
class VolumeCurve:
    """V(ε) = vol{L < L_min + ε}/vol(box) at falling ε, with errors."""

    log_epsilon: Float[np.ndarray, " level"]
    log_volume: Float[np.ndarray, " level"]
    log_volume_se: Float[np.ndarray, " level"]
    step_se: Float[np.ndarray, " level"]  # of log V at a level against the level before
    method: str  # "quadrature" or "splitting"
    box: Box
    minimum: float  # L_min
    evaluations: int  # of the loss
    stopped: str  # why it ends where it ends

    @property
    def epsilon(self) -> Float[np.ndarray, " level"]:
        """ε."""
        return np.exp(self.log_epsilon)

    @property
    def volume(self) -> Float[np.ndarray, " level"]:
        """V(ε) as a share of the box."""
        return np.exp(self.log_volume)

    @property
    def decades(self) -> float:
        """Decades of V that the curve covers."""
        return float(-self.log_volume[-1] / math.log(10)) if len(self.log_volume) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "log_epsilon": [float(x) for x in self.log_epsilon],
            "log_volume": [float(x) for x in self.log_volume],
            "log_volume_se": [float(x) for x in self.log_volume_se],
            "method": self.method,
            "box": self.box.to_list(),
            "minimum": self.minimum,
            "decades": self.decades,
            "evaluations": self.evaluations,
            "stopped": self.stopped,
        }


def volume_curve(
    loss: str | Loss,
    box: "int | Sides | Box | None" = None,
    *,
    method: Method = "auto",
    minimum: float | None = None,
    splitting: Splitting | None = None,
    num_levels: int | None = None,
    seed: int = 0,
) -> VolumeCurve:
    """V(ε) over many decades of V: by quadrature up to three weights, above by multilevel splitting.

    Quadrature measures chords along one weight and integrates their lengths over the others; the ε it looks at
    come from a short run of splitting, with which it must agree.

    Args:
        loss: a formula such as ``"x**2*y**2"``, or a function of an array of points (…, dim) with values (…).
        box: dimension of [−1, 1]^dim, or (low, high) of each weight; a formula may go without.
        method: ``"quadrature"``, ``"splitting"``, or ``"auto"``: quadrature where it is possible and settles.
        minimum: L_min; None finds it: 0 if the loss comes near 0, else by descent.
        splitting: how much work is done by splitting.
        num_levels: how far V falls, in factors of e, at least 8; None = 60 up to two weights, 32 for three, and what
            ``splitting`` says by splitting.
        seed: of all randomness.

    Raises:
        ValueError: a formula that cannot be read, a loss that is not a number, or one below its minimum; quadrature
            asked for in more than three dimensions; a minimum that is not finite, or too few levels.
        quadrature.UnsettledError: quadrature was asked for and does not settle.
    """
    if method not in ("auto", "quadrature", "splitting"):
        raise ValueError(f"method is 'auto', 'quadrature' or 'splitting', got {method!r}.")
    if minimum is not None and not finite(minimum):
        raise ValueError(f"minimum is a finite number, or None to have it found, got {minimum!r}.")
    whole = isinstance(num_levels, numbers.Integral) and not isinstance(num_levels, bool)
    if num_levels is not None and not (whole and num_levels >= _FEWEST):
        raise ValueError(
            f"num_levels is a whole number of at least {_FEWEST}, or None, got {num_levels!r}."
        )
    function, sides = loss_on(loss, box)
    if method == "quadrature" and sides.dim > quadrature.MOST_DIMENSIONS:
        raise ValueError(
            f"Volumes are integrated for up to {quadrature.MOST_DIMENSIONS} weights, got {sides.dim}: use "
            "method='splitting'."
        )
    if minimum is None:
        minimum = lowest(function, sides, np.random.default_rng(seed))
    if method != "splitting" and sides.dim <= quadrature.MOST_DIMENSIONS:
        depth = num_levels or _DEPTH[sides.dim]
        try:
            return _integrated(function, sides, minimum, depth, seed)
        except quadrature.UnsettledError:
            if method == "quadrature":
                raise
    plan = splitting or Splitting()
    if num_levels is not None:
        plan = replace(plan, num_levels=num_levels)
    return split_curve(levels(function, sides, minimum, plan, seed), sides, minimum, plan)


def split_curve(found: Levels, box: Box, minimum: float, plan: Splitting) -> VolumeCurve:
    """The curve that populations of particles measured, as far as they agree."""
    spread = _inflation(found.log_epsilon, plan.num_particles)
    mixed = len(spread) if (spread <= _UNMIXED).all() else int((spread > _UNMIXED).argmax())
    survivors = math.ceil(SHARE * plan.num_particles)
    fall = math.log(survivors / plan.num_particles)
    perfect = math.sqrt((math.e - 1) / plan.num_particles / len(found.log_epsilon))
    steps = perfect * spread[:mixed]
    return VolumeCurve(
        log_epsilon=found.log_epsilon.mean(axis=0)[:mixed],
        log_volume=fall * np.arange(1, mixed + 1),
        log_volume_se=np.sqrt(np.cumsum(steps**2)),
        step_se=steps,
        method="splitting",
        box=box,
        minimum=minimum,
        evaluations=found.evaluations,
        stopped=found.stopped if mixed == len(spread) else "the populations drifted apart",
    )


def _inflation(
    log_epsilon: Float[np.ndarray, "population level"], num_particles: int
) -> Float[np.ndarray, " level"]:
    """How many times further the populations spread than with perfect mixing, per level, ≥ 1."""
    last = log_epsilon.shape[1]
    if last < 2:
        return np.ones(last)
    steps = -np.diff(log_epsilon, axis=1, prepend=np.nan)
    steps[:, 0] = steps[:, 1]
    perfect = math.sqrt((math.e - 1) / num_particles)
    found = np.ones(last)
    for level in range(last):
        start = max(0, min(level - _WINDOW // 2, last - _WINDOW))
        spans = steps[:, start : start + _WINDOW].sum(axis=1)
        spread = spans.std(ddof=1) / max(spans.mean(), 1e-12)
        found[level] = spread / (perfect / math.sqrt(min(_WINDOW, last)))
    return np.maximum(found, 1.0)


def _integrated(function: Loss, box: Box, minimum: float, depth: int, seed: int) -> VolumeCurve:
    """The curve by quadrature, at the ε of a short run of splitting.

    Raises:
        UnsettledError: it does not settle, or differs from the short run by more than chance allows.
    """
    plan = Splitting(num_levels=depth, **_PILOT)
    run = levels(function, box, minimum, plan, seed)
    pilot = split_curve(run, box, minimum, plan)
    if len(pilot.log_epsilon) < 2:
        raise quadrature.UnsettledError("The loss has no sublevel sets that could be followed.")

    def excess(points: Float[np.ndarray, "point dim"]) -> Float[np.ndarray, " point"]:
        with np.errstate(all="ignore"):
            values = np.asarray(function(points)) - minimum
        return np.where(np.isnan(values), np.inf, np.maximum(values, 0.0))

    sizes = np.where(run.points != 0, np.abs(run.points), np.inf).min(axis=0)
    found = quadrature.volumes(
        excess,
        box,
        pilot.epsilon,
        smallest=np.minimum(sizes, box.upper - box.lower),
        order=_order(excess, run.points, float(pilot.epsilon[-1])),
        guess=pilot.volume,
    )
    with np.errstate(divide="ignore"):
        log_volume = np.log(found.volume)
    rough = ~(found.error <= _ROUGH)
    sound = int(rough.argmax()) if rough.any() else len(rough)
    away = (np.abs(log_volume - pilot.log_volume) - _ALLOWED * pilot.log_volume_se)[:sound]
    if not (away <= _SLACK).all():
        worst = int(np.argmax(away))
        raise quadrature.UnsettledError(
            f"Quadrature finds log V = {log_volume[worst]:.3f} where particles find {pilot.log_volume[worst]:.3f} ± "
            f"{pilot.log_volume_se[worst]:.3f}: a part of the set was stepped over; use method='splitting'."
        )
    errors = found.error[:sound]
    return VolumeCurve(
        log_epsilon=pilot.log_epsilon[:sound],
        log_volume=log_volume[:sound],
        log_volume_se=errors,
        step_se=np.hypot(errors, np.concatenate([[0.0], errors[:-1]])),
        method="quadrature",
        box=box,
        minimum=minimum,
        evaluations=found.evaluations + run.evaluations,
        stopped="rounding of the loss is as large as the loss" if rough.any() else pilot.stopped,
    )


def _order(excess: Loss, points: Float[np.ndarray, "point dim"], epsilon: float) -> tuple[int, ...]:
    """Weights by how far each can move inside {L < ε} against its own size, the thinnest last."""
    some = points[:: max(1, len(points) // 400)]
    widths = np.zeros(some.shape)
    for index in range(some.shape[1]):
        for share in 2.0 ** -np.arange(52, -1, -1.0):
            moved = some.copy()
            moved[:, index] *= 1 - share
            inside = excess(moved) <= epsilon
            widths[inside, index] = share
    return tuple(int(k) for k in np.argsort(-np.log(widths + 1e-17).mean(axis=0), kind="stable"))
