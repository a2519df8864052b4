"""Stages of a training run: stretches over which λ̂ keeps its direction.

The rule, in four sentences. λ̂ against x = ln(1 + step) is fitted by straight pieces of at least three
points, each weighted by its own error bar, with the number of borders chosen by a penalty of ln N per
parameter. The fit must beat the same fit to the points in shuffled order, or there is no border at all.
Each border must then beat chance: simulated points on one unbroken line, scattered by their error bars,
may reach its gain in fewer than 5 % of the draws. Neighbouring pieces that move in the same direction
are one stage.

What a careful reader would get wrong:

* A border is a change of *direction* of λ̂ (rises, falls, flat) or a jump between two levels. A rise that
  only becomes steeper is one stage.
* The shuffling makes the rule safe where error bars are much smaller than the differences between points:
  there *any* order of the points is "significant" by the error bars alone.
* The share of the training that a stage takes is printed on no absolute scale: it depends on the logarithm
  of the step, and so on where counting starts.
"""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import chi2, norm

from singulab.development.curve import Curve

logger = logging.getLogger(__name__)

_BATCH = 4_000_000  # numbers per work array


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training."""

    first_step: float  # step of its first point
    last_step: float  # step of its last point
    num_points: int  # points that it rests on
    direction: str  # "rises", "falls" or "flat"
    change: float  # Δλ̂ from its first to its last point, along the fitted line
    change_se: float  # standard error of that

    def sentence(self) -> str:
        moved = f"{self.change:+.3g} ± {self.change_se:.2g}"
        verb = {"rises": "rises", "falls": "falls", "flat": "shows no trend"}[self.direction]
        return f"From step {self.first_step:g} to step {self.last_step:g} λ̂ {verb} ({moved})."

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "sentence": self.sentence()}


@dataclass(frozen=True, kw_only=True)
class Border:
    """Where one stage ends and the next begins."""

    after_step: float  # last step of the earlier stage
    before_step: float  # first step of the later stage
    earliest_step: float  # the border may as well lie anywhere from here …
    latest_step: float  # … to here: places that fit worse by less than χ²₁ at the level
    p_value: float  # the larger of: the order of all points is chance; no border is needed here
    jump: float  # λ̂ on the later line minus λ̂ on the earlier one, at the middle of the gap
    jump_se: float

    def sentence(self) -> str:
        return (
            f"Border between step {self.after_step:g} and step {self.before_step:g} "
            f"(plausible: {self.earliest_step:g} to {self.latest_step:g}; p = {self.p_value:.2g})."
        )

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "sentence": self.sentence()}


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages of a curve: exactly one without a border, none if every point failed its checks."""

    stages: tuple[Stage, ...]
    borders: tuple[Border, ...]
    p_order: float  # how often shuffled points are fitted as well as the points in their order
    level: float  # false-alarm rate asked for
    scatter: float  # factor ≥ 1 on all error bars: what the richest fit leaves unexplained
    num_points: int  # points used
    left_out: tuple[float | int, ...]  # steps of the points that failed their checks

    def sentences(self) -> tuple[str, ...]:
        """One plain sentence per stage and border in order, then the caveats."""
        if not self.stages:
            return ("Every point failed its checks: there is nothing to divide into stages.",)
        said = [self.stages[0].sentence()]
        for border, stage in zip(self.borders, self.stages[1:], strict=True):
            said += [border.sentence(), stage.sentence()]
        if not self.borders:
            said.append(
                f"No border: {self.num_points} points in this order show nothing that chance would "
                f"not (level {self.level:g}; order p = {self.p_order:.2g})."
            )
        if self.scatter > 1.05:
            said.append(
                f"The points lie {self.scatter:.2g} times as far from straight lines as their error bars "
                f"explain; all errors above are widened by this factor."
            )
        if self.left_out:
            steps = ", ".join(f"{step:g}" for step in self.left_out)
            said.append(f"Left out because they failed their checks: step {steps}.")
        return tuple(said)

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "stages": [stage.to_dict() for stage in self.stages],
            "borders": [border.to_dict() for border in self.borders],
            "sentences": list(self.sentences()),
        }


def stages(
    curve: Curve,
    *,
    level: float = 0.05,
    num_simulations: int = 999,
    min_points: int = 3,
    max_stages: int = 8,
    seed: int = 0,
) -> Stages:
    """Find the stages of a curve and test every border.

    On a curve whose points are put in random order, or that is flat up to its error bars, a border is
    found with probability at most ``level``: the first test compares the penalised fit with the fits of
    ``num_simulations`` shuffles of the same points (value and error bar travel together), which is an
    exact permutation test. With 13 points and error bars of 2.5 % a rise or fall by a third is found
    almost always; fewer than 7 points have too few orders to find anything.

    Args:
        curve: λ̂ along training; points that failed their checks are left out and named.
        level: false-alarm rate, in (0, 1).
        num_simulations: shuffles, and simulated curves per border; ≥ 1/level − 1.
        min_points: least number of points in a piece, ≥ 3.
        max_stages: largest number of pieces tried.
        seed: seed of the shuffles and simulations.

    Returns:
        Stages, borders, and plain sentences.

    Raises:
        ValueError: for arguments outside their range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, got {level}.")
    if num_simulations < 1 / level - 1:
        raise ValueError(
            f"At level {level} at least {1 / level - 1:.0f} simulations are needed, got "
            f"{num_simulations}."
        )
    if min_points < 3:
        raise ValueError(f"A piece needs at least 3 points to show a scatter, got {min_points}.")
    if max_stages < 1:
        raise ValueError(f"max_stages must be at least 1, got {max_stages}.")

    keep = np.array(curve.passed) & (np.nan_to_num(curve.errors) > 0)
    left_out = tuple(step for step, kept in zip(curve.steps, keep, strict=True) if not kept)
    if left_out:
        logger.warning("stages: left out steps %s, which failed their checks.", left_out)
    if not keep.any():
        return Stages(
            stages=(),
            borders=(),
            p_order=1.0,
            level=level,
            scatter=1.0,
            num_points=0,
            left_out=left_out,
        )
    steps = np.array(curve.steps, dtype=float)[keep]
    points = _Points(np.log1p(steps), curve.values[keep], curve.errors[keep])
    search = _Search(min_points, max_stages)
    random = np.random.default_rng(seed)

    p_order = _order_p_value(points, search, num_simulations, random)
    scatter = _scatter(points, search)
    wide = points.widened(scatter)
    starts = search.best_starts(wide) if p_order <= level else [0]
    p_values: list[float] = []
    while len(starts) > 1:
        p_values = [
            _border_p_value(wide.part(begin, end), min_points, num_simulations, random)
            for begin, end in zip(starts, [*starts[2:], len(wide.x)], strict=False)
        ]
        if max(p_values) <= level:
            break
        starts = search.best_starts(wide, num_pieces=len(starts) - 1)
    return _describe(
        wide,
        steps,
        starts,
        [max(p_order, p) for p in p_values] if len(starts) > 1 else [],
        min_points=min_points,
        p_order=p_order,
        level=level,
        scatter=scatter,
        left_out=left_out,
    )


@dataclass(frozen=True)
class _Points:
    """Points on a line; x is shared, y and se may carry a leading axis of draws."""

    x: Float[np.ndarray, " point"]
    y: Float[np.ndarray, "*draw point"]
    se: Float[np.ndarray, "*draw point"]

    def part(self, begin: int, end: int) -> "_Points":
        return _Points(self.x[begin:end], self.y[..., begin:end], self.se[..., begin:end])

    def widened(self, factor: float) -> "_Points":
        return _Points(self.x, self.y, self.se * factor)


class _Sums:
    """Weighted residual sums of squares of every piece [i, j], for a level and for a line.

    Both follow from differences of running sums: with W, Sx, Sy, … the weighted sums over the piece,
    RSS(level) = Syy − Sy²/W and RSS(line) = RSS(level) − Cxy²/Cxx, where C are the centred sums.
    """

    def __init__(self, points: _Points, min_points: int) -> None:
        size = points.x.size
        begin, end = np.indices((size, size))
        self.allowed = end - begin + 1 >= min_points
        weight = points.se**-2.0
        x = points.x - points.x.mean()
        y = points.y - np.average(points.y, axis=-1, weights=weight)[..., None]
        w, sx, sxx, sy, sxy, syy = (
            _between(weight * term) for term in (np.ones_like(y), x, x**2, y, x * y, y**2)
        )
        w = np.where(self.allowed, w, 1.0)
        centred_xx = np.where(self.allowed, sxx - sx**2 / w, 1.0)
        self.level = np.maximum(syy - sy**2 / w, 0.0)
        self.line = np.maximum(self.level - (sxy - sx * sy / w) ** 2 / centred_xx, 0.0)

    def cost(self, penalty: float) -> Float[np.ndarray, "*draw point point"]:
        """Criterion of each piece: the better of a level (1 parameter) and a line (2)."""
        best = np.minimum(self.level + penalty, self.line + 2 * penalty)
        return np.where(self.allowed, best, np.inf)


def _between(terms: Float[np.ndarray, "*draw point"]) -> Float[np.ndarray, "*draw point point"]:
    """Sums of terms i…j for all i (rows) and j (columns)."""
    running = np.cumsum(terms, axis=-1)
    before = np.concatenate([np.zeros_like(running[..., :1]), running[..., :-1]], axis=-1)
    return running[..., None, :] - before[..., :, None]


@dataclass(frozen=True)
class _Search:
    """The best division into at most ``max_pieces`` pieces, by dynamic programming."""

    min_points: int
    max_pieces: int

    def _tables(
        self, cost: Float[np.ndarray, "*draw point point"], penalty: float
    ) -> Iterator[tuple[Float[np.ndarray, "*draw point"], Int[np.ndarray, "*draw point"] | None]]:
        """For 1, 2, … pieces: best criterion of the points 0…j, and where its last piece begins."""
        size = cost.shape[-1]
        best = cost[..., 0, :]
        yield best, None
        for _ in range(min(self.max_pieces, size // self.min_points) - 1):
            joined = best[..., :-1, None] + cost[..., 1:, :] + penalty
            yield joined.min(axis=-2), joined.argmin(axis=-2) + 1
            best = joined.min(axis=-2)

    def criteria(self, points: _Points) -> Float[np.ndarray, "*draw piece"]:
        """Best criterion of all points for each number of pieces."""
        penalty = float(np.log(points.x.size))
        tables = self._tables(_Sums(points, self.min_points).cost(penalty), penalty)
        return np.stack([best[..., -1] for best, _ in tables], axis=-1)

    def best_starts(self, points: _Points, num_pieces: int | None = None) -> list[int]:
        """Index of the first point of each piece; ``num_pieces`` None = the penalty decides."""
        size = points.x.size
        if size < 2 * self.min_points:
            return [0]
        penalty = float(np.log(size))
        tables = list(self._tables(_Sums(points, self.min_points).cost(penalty), penalty))
        if num_pieces is None:
            num_pieces = 1 + int(np.argmin([best[-1] for best, _ in tables]))
        starts: list[int] = []
        last = size - 1
        for _, begin in reversed(tables[1:num_pieces]):
            assert begin is not None
            starts.append(int(begin[last]))
            last = starts[-1] - 1
        return [0, *reversed(starts)]


def _order_p_value(
    points: _Points, search: _Search, num_simulations: int, random: np.random.Generator
) -> float:
    """How often shuffled points are fitted at least as well as the points in their order."""
    size = points.x.size
    if size < search.min_points:
        return 1.0
    observed = search.criteria(points).min()
    # Equal fits count against the order; a relative slack keeps rounding from breaking ties.
    limit = observed + 1e-9 * (1 + abs(observed))
    at_least_as_good = 0
    rows = max(1, _BATCH // size**2)
    for done in range(0, num_simulations, rows):
        order = random.permuted(
            np.tile(np.arange(size), (min(rows, num_simulations - done), 1)), axis=1
        )
        shuffled = _Points(points.x, points.y[order], points.se[order])
        at_least_as_good += int((search.criteria(shuffled).min(axis=-1) <= limit).sum())
    return (1 + at_least_as_good) / (1 + num_simulations)


def _scatter(points: _Points, search: _Search) -> float:
    """Factor ≥ 1 by which the points scatter beyond their error bars about the richest fit.

    The richest fit has as many lines as leave four degrees of freedom (each line spends two, each border
    one), so that structure of the curve is not taken for noise.
    """
    size = points.x.size
    if size < 2 * search.min_points:
        return 1.0
    num_pieces = min(max(2, (size - 3) // 3), search.max_pieces, size // search.min_points)
    sums = _Sums(points, search.min_points)
    lines = np.where(sums.allowed, sums.line, np.inf)
    tables = list(search._tables(lines, 0.0))
    freedom = max(size - 3 * num_pieces + 1, 1)
    return float(np.sqrt(max(1.0, tables[num_pieces - 1][0][-1] / freedom)))


def _border_p_value(
    part: _Points, min_points: int, num_simulations: int, random: np.random.Generator
) -> float:
    """How often one unbroken line, scattered by its error bars, seems to need a border as badly.

    The statistic is the largest drop of the residual sum of squares that any border allows. It does not
    depend on the line itself, so pure noise is simulated.
    """
    noise = random.standard_normal((num_simulations, part.x.size)) * part.se
    observed = float(_largest_gain(part, min_points))
    rows = max(1, _BATCH // part.x.size**2)
    gains = np.concatenate(
        [
            _largest_gain(
                _Points(part.x, rows_of, np.broadcast_to(part.se, rows_of.shape)), min_points
            )
            for rows_of in np.array_split(noise, -(-num_simulations // rows))
        ]
    )
    return float((1 + (gains >= observed * (1 - 1e-9)).sum()) / (1 + num_simulations))


def _largest_gain(points: _Points, min_points: int) -> Float[np.ndarray, "*draw"]:
    """Drop of the residual sum of squares from one line to the best two."""
    whole, broken = _one_or_two_lines(points, min_points)
    return np.asarray(whole - broken.min(axis=-1))


def _plausible(part: _Points, min_points: int, level: float) -> tuple[int, int]:
    """First and last place in the part where a border fits nearly as well as at the best place.

    Returns:
        Indices of the point before the first such border and of the point after the last one.
    """
    _, broken = _one_or_two_lines(part, min_points)
    near = np.flatnonzero(broken <= broken.min() + chi2.isf(level, 1))
    return int(near[0]), int(near[-1]) + 1


def _one_or_two_lines(
    points: _Points, min_points: int
) -> tuple[Float[np.ndarray, "*draw"], Float[np.ndarray, "*draw place"]]:
    """RSS of one line through all points, and of two lines for each place of the border."""
    sums = _Sums(points, min_points)
    lines = np.where(sums.allowed, sums.line, np.inf)
    return np.asarray(lines[..., 0, -1]), lines[..., 0, :-1] + lines[..., 1:, -1]


@dataclass(frozen=True)
class _Line:
    """A weighted least-squares line through one piece."""

    x: Float[np.ndarray, " point"]
    mean: float
    slope: float
    mean_se: float
    slope_se: float
    middle: float

    @staticmethod
    def through(part: _Points) -> "_Line":
        weight = part.se**-2.0
        middle = float(np.average(part.x, weights=weight))
        mean = float(np.average(part.y, weights=weight))
        spread = float((weight * (part.x - middle) ** 2).sum())
        slope = (
            float((weight * (part.x - middle) * (part.y - mean)).sum() / spread) if spread else 0.0
        )
        slope_se = spread**-0.5 if spread else 0.0
        return _Line(part.x, mean, slope, float(weight.sum() ** -0.5), slope_se, middle)

    def at(self, x: float) -> tuple[float, float]:
        """Value and standard error at x."""
        away = x - self.middle
        return self.mean + self.slope * away, float(np.hypot(self.mean_se, self.slope_se * away))

    @property
    def change(self) -> tuple[float, float]:
        """Value and standard error of the change from its first to its last point."""
        span = float(self.x[-1] - self.x[0])
        return self.slope * span, self.slope_se * span

    def direction(self, level: float) -> str:
        change, error = self.change
        if abs(change) <= float(norm.isf(level / 2)) * error:
            return "flat"
        return "rises" if change > 0 else "falls"


def _describe(
    points: _Points,
    steps: Float[np.ndarray, " point"],
    starts: list[int],
    p_values: list[float],
    *,
    min_points: int,
    p_order: float,
    level: float,
    scatter: float,
    left_out: tuple[float | int, ...],
) -> Stages:
    """Join neighbouring pieces of one direction, and put numbers to what remains."""
    ends = [*starts[1:], points.x.size]
    lines = [
        _Line.through(points.part(begin, end)) for begin, end in zip(starts, ends, strict=True)
    ]
    directions = [line.direction(level) if p_order <= level else "flat" for line in lines]
    jumps = []
    for left, right in pairwise(lines):
        gap = float((left.x[-1] + right.x[0]) / 2)
        (low, low_se), (high, high_se) = left.at(gap), right.at(gap)
        jumps.append((high - low, float(np.hypot(low_se, high_se))))

    groups = [[0]]
    borders: list[Border] = []
    for index, (jump, jump_se) in enumerate(jumps, start=1):
        before, after = directions[index - 1], directions[index]
        against = {"rises": -jump, "falls": jump}.get(after, np.inf)
        if before == after and against <= 2 * jump_se:
            groups[-1].append(index)
            continue
        begin, end = starts[index - 1], ends[index]
        first, last = _plausible(points.part(begin, end), min_points, level)
        borders.append(
            Border(
                after_step=float(steps[ends[index - 1] - 1]),
                before_step=float(steps[starts[index]]),
                earliest_step=float(steps[begin + first]),
                latest_step=float(steps[begin + last]),
                p_value=p_values[index - 1],
                jump=jump,
                jump_se=jump_se,
            )
        )
        groups.append([index])

    found = []
    for group in groups:
        left, right = lines[group[0]], lines[group[-1]]
        if len(group) == 1:
            change, change_se = left.change
        else:
            (low, low_se), (high, high_se) = left.at(float(left.x[0])), right.at(float(right.x[-1]))
            change, change_se = high - low, float(np.hypot(low_se, high_se))
        begin, end = starts[group[0]], ends[group[-1]]
        found.append(
            Stage(
                first_step=float(steps[begin]),
                last_step=float(steps[end - 1]),
                num_points=end - begin,
                direction=directions[group[0]],
                change=change,
                change_se=change_se,
            )
        )
    return Stages(
        stages=tuple(found),
        borders=tuple(borders),
        p_order=p_order,
        level=level,
        scatter=scatter,
        num_points=int(points.x.size),
        left_out=left_out,
    )
