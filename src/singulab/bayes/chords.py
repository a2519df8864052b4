"""Length of {f < ε} on many lines at once, at many ε: minima by bracketing, ends of the chords by root finding.

On a line a sublevel set is a few intervals, each around a local minimum. They are bracketed on a grid, narrowed to
the last digits, and their ends are solved for in log distance from the minimum, where a function that vanishes like
a power is a straight line: an interval of 1e-15 of its place is measured as well as one of the whole line. A grid may
step over two minima between neighbouring nodes; nothing here is a proof, so whoever calls it compares with another way.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Lines = Int[np.ndarray, " at"]
Numbers = Float[np.ndarray, " at"]
OfMinima = Float[np.ndarray, " minimum"]
OnLines = Callable[[Lines, Numbers], Numbers]

_GOLDEN = (math.sqrt(5) - 1) / 2
_MOST_NARROWINGS, _MOST_STEPS, _TOP_STEPS = 90, 60, 20
_FLAT = 1e-11  # relative change of f at which a minimum is found well enough
_CLOSE = 1e-9  # of log f at the end of a chord
_APART = 3000.0  # between the keys of neighbouring sides, more than any log
_DEEPEST = 50.0  # a chord ends at no less than e^-50 of the first node's distance


class _Minima(NamedTuple):
    line: Int[np.ndarray, " minimum"]
    first: Int[np.ndarray, " minimum"]  # node at the left end of its stretch …
    node: Int[np.ndarray, " minimum"]  # … the lowest …
    last: Int[np.ndarray, " minimum"]  # … and the right end


def chord_lengths(
    function: OnLines,
    num_lines: int,
    grid: Float[np.ndarray, " node"],
    epsilon: Float[np.ndarray, " level"],
) -> tuple[Float[np.ndarray, "line level"], Float[np.ndarray, "line level"]]:
    """Length of {z: f(line, z) < ε} between the ends of the grid, and what rounding may make of it.

    Args:
        function: index of a line and z, many at once → f ≥ 0 there.
        num_lines: lines are 0 … num_lines − 1.
        grid: increasing z, dense enough that neighbouring nodes enclose one minimum at most.
        epsilon: levels, decreasing.
    """
    count = len(grid)
    everywhere = np.repeat(np.arange(num_lines), count)
    values = function(everywhere, np.tile(grid, num_lines)).reshape(num_lines, count)
    minima = _minima(values)
    place, least = _narrowed(function, minima, values, grid, float(epsilon[-1]))
    tops = _tops(function, minima, values, grid)
    found, rounding = (np.zeros((num_lines, len(epsilon))) for _ in range(2))
    low = least[:, None] < epsilon
    which, level = np.nonzero(low)
    np.add.at(rounding, (minima.line[which], level), 4 * np.finfo(float).eps * np.abs(place[which]))
    for direction in (1, -1):
        if len(which):
            reach = _reach(
                function, minima, values, grid, place, least, tops, direction, which, epsilon[level]
            )
            np.add.at(found, (minima.line[which], level), reach)
    return found, np.minimum(rounding, found)


def _minima(values: Float[np.ndarray, "line node"]) -> _Minima:
    """Where a line stops falling, and the stretch to the two nodes where it stops rising."""
    count = values.shape[1]
    falls = np.zeros((values.shape[0], count + 1), dtype=bool)
    falls[:, 0] = True
    falls[:, 1:-1] = values[:, 1:] < values[:, :-1]
    line, node = np.nonzero(falls[:, :-1] & ~falls[:, 1:])
    tops = ~falls[:, :-1] & falls[:, 1:]
    tops[:, -1] |= ~falls[:, -2]
    # Minima and tops alternate; a line whose last node is a minimum ends there.
    last = np.full(len(line), count - 1)
    top_line, top_node = np.nonzero(tops)
    after = np.searchsorted(top_line * (count + 1) + top_node, line * (count + 1) + node)
    there = after < len(top_line)
    there[there] &= top_line[after[there]] == line[there]
    last[there] = top_node[after[there]]
    first = np.zeros(len(line), dtype=int)
    if len(line):
        same = line[1:] == line[:-1]
        first[1:][same] = last[:-1][same]
    return _Minima(line, first, node, last)


def _narrowed(
    function: OnLines,
    minima: _Minima,
    values: Float[np.ndarray, "line node"],
    grid: Float[np.ndarray, " node"],
    smallest: float,
) -> tuple[OfMinima, OfMinima]:
    """Place and value of each minimum, by golden sections between the neighbours of its node."""
    place = grid[minima.node].copy()
    least = values[minima.line, minima.node].copy()
    a = grid[np.maximum(minima.node - 1, 0)].copy()
    b = grid[np.minimum(minima.node + 1, len(grid) - 1)].copy()
    rows = np.arange(len(place))
    c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
    at_c, at_d = function(minima.line, c), function(minima.line, d)
    for step in range(_MOST_NARROWINGS):
        better = np.minimum(at_c, at_d)
        chosen = np.where(at_c <= at_d, c, d)
        lower = better < least[rows]
        least[rows[lower]], place[rows[lower]] = better[lower], chosen[lower]
        worse = np.maximum(at_c, at_d)
        open_ = (b - a > 4e-16 * np.maximum(np.abs(a), np.abs(b))) & (worse > 1e-6 * smallest)
        if step > 20:
            open_ &= worse - better > _FLAT * worse
        if not open_.any():
            break
        rows, a, b, c, d, at_c, at_d = (x[open_] for x in (rows, a, b, c, d, at_c, at_d))
        left = at_c <= at_d
        a, b = np.where(left, a, c), np.where(left, d, b)
        new = np.where(left, b - _GOLDEN * (b - a), a + _GOLDEN * (b - a))
        at_new = function(minima.line[rows], new)
        c, d = np.where(left, new, d), np.where(left, c, new)
        at_c, at_d = np.where(left, at_new, at_d), np.where(left, at_c, at_new)
    return place, least


def _tops(
    function: OnLines,
    minima: _Minima,
    values: Float[np.ndarray, "line node"],
    grid: Float[np.ndarray, " node"],
) -> dict[int, tuple[OfMinima, OfMinima]]:
    """Place and height of the two ends of each stretch, right (1) and left (−1): the highest points, not nodes.

    Between the highest node and the highest point f may pass ε twice more, and the chord has a gap there.
    """
    place = grid[minima.last].copy()
    height = values[minima.line, minima.last].copy()
    inside = np.flatnonzero((minima.last > 0) & (minima.last < len(grid) - 1))
    a, b = grid[minima.last[inside] - 1], grid[minima.last[inside] + 1]
    line = minima.line[inside]
    for _ in range(_TOP_STEPS if len(inside) else 0):
        c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        left = function(line, c) >= function(line, d)
        a, b = np.where(left, a, c), np.where(left, d, b)
    middle = (a + b) / 2
    at_middle = function(line, middle) if len(inside) else height[inside]
    higher = at_middle > height[inside]
    place[inside[higher]], height[inside[higher]] = middle[higher], at_middle[higher]
    before_place, before_height = grid[minima.first].copy(), values[minima.line, minima.first]
    follows = np.flatnonzero(minima.line[1:] == minima.line[:-1]) + 1
    before_place[follows], before_height[follows] = place[follows - 1], height[follows - 1]
    return {1: (place, height), -1: (before_place, before_height)}


def _reach(
    function: OnLines,
    minima: _Minima,
    values: Float[np.ndarray, "line node"],
    grid: Float[np.ndarray, " node"],
    place: OfMinima,
    least: OfMinima,
    tops: dict[int, tuple[OfMinima, OfMinima]],
    direction: int,
    which: Int[np.ndarray, " at"],
    epsilon: Numbers,
) -> Numbers:
    """Distance from each minimum to where f rises through ε on one side, or to the end of its stretch."""
    beside = (grid[minima.node] - place) * direction > 0
    start = np.where(beside, minima.node, minima.node + direction)
    end = minima.last if direction > 0 else minima.first
    sizes = np.maximum((end - start) * direction + 1, 0)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    owner = np.repeat(np.arange(len(place)), sizes)
    nodes = start[owner] + direction * (np.arange(offsets[-1]) - offsets[owner])
    stretch, at_nodes = grid[nodes], values[minima.line[owner], nodes]
    is_end = nodes == end[owner]
    stretch[is_end], at_nodes[is_end] = (part[owner[is_end]] for part in tops[direction])
    with np.errstate(divide="ignore"):
        heights = np.clip(np.log(at_nodes), -750.0, 750.0)
    keys = owner * _APART + heights
    found = np.searchsorted(keys, which * _APART + np.log(epsilon))
    found = np.clip(found, offsets[which], offsets[which + 1])
    whole = found == offsets[which + 1]
    farthest = np.maximum((tops[direction][0] - place) * direction, 0.0)
    result = np.where(sizes[which] > 0, farthest[which], 0.0)
    rows = np.flatnonzero(~whole)
    minimum, at = which[rows], found[rows]
    outer = np.abs(stretch[at] - place[minimum])
    is_first = at == offsets[minimum]
    inner = np.where(is_first, 0.0, np.abs(stretch[np.maximum(at - 1, 0)] - place[minimum]))
    base, target = least[minimum], np.log(epsilon[rows] - least[minimum])

    def height(
        distance: Float[np.ndarray, " some"], some: Int[np.ndarray, " some"]
    ) -> Float[np.ndarray, " some"]:
        chosen = minimum[some]
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = function(minima.line[chosen], place[chosen] + direction * distance) - base[some]
            return np.nan_to_num(np.log(np.maximum(rise, 0.0)), neginf=-750.0, posinf=750.0)

    everything = np.arange(len(rows))
    high = np.log(outer)
    at_high = height(outer, everything)
    with np.errstate(divide="ignore"):
        low = np.where(is_first, high - _DEEPEST, np.log(inner))
    # The first guess is a parabola; a wrong one costs a step or two.
    at_low = at_high - 2 * _DEEPEST
    inside = np.flatnonzero(~is_first)
    at_low[inside] = height(inner[inside], inside)
    result[rows] = np.exp(_solved(height, low, high, at_low, at_high, target))
    return result


def _solved(
    height: Callable[
        [Float[np.ndarray, " some"], Int[np.ndarray, " some"]], Float[np.ndarray, " some"]
    ],
    low: Numbers,
    high: Numbers,
    at_low: Numbers,
    at_high: Numbers,
    target: Numbers,
) -> Numbers:
    """Log distances at which log heights meet their targets: regula falsi (Illinois) with bisections between."""
    answer = high.copy()
    rows = np.arange(len(high))
    below, above = at_low - target, at_high - target
    rows = rows[above > 0]
    low, high, below, above = low[rows], high[rows], np.minimum(below[rows], -1e-300), above[rows]
    side = np.zeros(len(rows), dtype=int)
    for step in range(_MOST_STEPS):
        if not len(rows):
            break
        middle = (low * above - high * below) / (above - below)
        if step % 4 == 3:
            middle = (low + high) / 2
        miss = height(np.exp(middle), rows) - target[rows]
        answer[rows] = middle
        keep = (np.abs(miss) > _CLOSE) & (high - low > _CLOSE)
        up = miss >= 0
        high, above = np.where(up, middle, high), np.where(up, miss, above)
        low, below = np.where(up, low, middle), np.where(up, below, miss)
        below = np.where(up & (side == 1), below / 2, below)
        above = np.where(~up & (side == -1), above / 2, above)
        side = np.where(up, 1, -1)
        rows, low, high, below, above, side = (
            x[keep] for x in (rows, low, high, below, above, side)
        )
    return answer
