"""How fast chains may move: relaxations of the stiffest direction per step, s = c(1 + a)/(1 − a).

c = εk/2 is the Courant number, with the step ε and the largest curvature k; a is the memory of the velocity.
Gradient noise heats chains in proportion to s, and slow chains give few independent draws.
"""

import math

QUIET = 0.04  # share of λ̂ that gradient noise may always add, before it is extrapolated away …
TOLERANCE = 0.2  # … and what it may add where the chains would else be too slow
DISTRUST = 0.25  # relative error of that extrapolation …
DISTRUST_CONTROLLED = 0.3  # … where the noise at w* is taken off
RELAXATIONS = 6  # of whitened coordinates, wanted in production
LARGEST = 0.3  # largest c without momentum
LARGEST_WITH_MOMENTUM = 0.15
SMALLEST = 0.003
MEMORY = 0.8  # largest a …
HURRIED_MEMORY = 0.95  # … and in warm-up


def speed_of(courant: float, memory: float) -> float:
    """The speed of a step, s = c(1 + a)/(1 − a)."""
    return courant * (1 + memory) / (1 - memory)


FASTEST = speed_of(LARGEST_WITH_MOMENTUM, MEMORY)
HURRIED = speed_of(LARGEST_WITH_MOMENTUM, HURRIED_MEMORY)


def best_speed(
    hot: float,
    *,
    level: float,
    num_chains: int,
    relaxations: float,
    controlled: bool,
    relative_error: float,
) -> tuple[float, float]:
    """The speed with the least error of λ̂, and that error relative to λ̂.

    Noise heats the chains by ``hot``·s of λ̂; that is extrapolated away with a relative error of ``DISTRUST``. Slow
    chains give few independent energies, each with the relative variance 1/λ̂ of a Gamma law. The chains
    relax at least ``RELAXATIONS`` times in production, where that heats them by less than ``TOLERANCE``.

    Args:
        hot: what noise adds to λ̂ at s = 1, relative to it.
        level: λ̂, about.
        num_chains: chains.
        relaxations: of a chain at s = 1 in all of production.
        controlled: whether the noise at w* is taken off.
        relative_error: wanted of λ̂; below half of ``QUIET``, noise may always add twice this and no more.
    """
    distrust = DISTRUST_CONTROLLED if controlled else DISTRUST
    spread = 1 / (level * num_chains * relaxations)
    speed = FASTEST
    if hot > 0:
        best = (spread / (2 * (distrust * hot) ** 2)) ** (1 / 3)
        allowed = min(QUIET, 2 * relative_error)
        quiet = max(best, allowed / hot, RELAXATIONS / relaxations)
        speed = max(min(quiet, TOLERANCE / hot, FASTEST), SMALLEST)
    return speed, math.sqrt((distrust * hot * speed) ** 2 + spread / speed)


def hurried_speed(hot: float, least: float) -> float:
    """The speed that ``TOLERANCE`` allows, and no less than ``least``: for warm-up, which is thrown away."""
    return max(min(TOLERANCE / max(hot, 1e-12), HURRIED), least)


def knobs(speed: float, *, memory: float | None = None) -> tuple[float, float]:
    """C and a that make this speed, or c alone for a given a; momentum where c alone would be too large."""
    if memory is not None:
        largest = LARGEST if memory == 0 else LARGEST_WITH_MOMENTUM
        return min(speed / speed_of(1.0, memory), largest), memory
    if speed <= LARGEST:
        return speed, 0.0
    hotter = speed / LARGEST_WITH_MOMENTUM
    return LARGEST_WITH_MOMENTUM, (hotter - 1) / (hotter + 1)
