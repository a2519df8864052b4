"""The parameter–function map A: W → F of a finite machine, counted: function → number of settings.

P(f) = |A⁻¹(f)|/|W|,    A-complexity c(f) = −log P(f)  (nats)
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from singulab.discrete.levels import Gaussian
from singulab.discrete.machine import Machine
from singulab.discrete.outputs import Symbols, Words
from singulab.discrete.tally import Counts, Tally

MOST_SETTINGS = 1 << 36  # an hour or more, even by bit operations
SHARE = 1 << 18  # settings or draws between two looks at the clock, rounded to whole blocks
KEEP_SECONDS = 10.0

Keep = Callable[[Tally], None]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Flexibility:
    """Spread of the A-complexities of a machine, in nats. All four are 0 for a one-to-one machine."""

    range: float  # largest minus smallest c(f)
    deviation: float  # standard deviation of c(f), every function counted once
    weighted_deviation: float  # the same, every setting counted once
    deficit: float  # log of the number of functions − entropy of P: how far P is from uniform


@dataclass(frozen=True)
class Unseen:
    """Probability of all functions that a sample has not met, after Good and Turing."""

    value: float
    se: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Fibres:
    """What :func:`fibres` found, the most frequent function first."""

    functions: Words
    counts: Counts
    total: int  # |W|, or the number of draws
    exact: bool  # every setting was computed
    machine: Machine

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def probability(self) -> Float[np.ndarray, " function"]:
        """P(f), or its estimate from the sample."""
        return self.counts / self.total

    @cached_property
    def complexity(self) -> Float[np.ndarray, " function"]:
        """c(f) = −log P(f) in nats."""
        return math.log(self.total) - np.log(self.counts)

    @cached_property
    def symbols(self) -> Symbols:
        """The answers of every function, input after input."""
        return self.machine.symbols(self.functions)

    @cached_property
    def flexibility(self) -> Flexibility:
        c, p = self.complexity, self.probability
        mean = float(p @ c)
        return Flexibility(
            range=float(c.max() - c.min()),
            deviation=float(c.std()),
            weighted_deviation=math.sqrt(float(p @ (c - mean) ** 2)),
            deficit=math.log(len(c)) - mean,
        )

    def count(self, symbols: Int64[np.ndarray, " symbol"]) -> int:
        """|A⁻¹(f)| of the function with these symbols; 0 if it was never met."""
        same = (self.symbols == symbols).all(axis=1)
        return int(self.counts[same].sum())

    def intervals(self, level: float = 0.95) -> Float[np.ndarray, "function end"]:
        """Wilson intervals of P(f), or P(f) twice where the count is exact.

        Each holds with about the wanted level for its own function; together they hold less often.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}.")
        p = self.probability
        if self.exact:
            return np.stack([p, p], axis=1)
        z2, n = normal_quantile(0.5 + level / 2) ** 2, self.total
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n**2))) / (1 + z2 / n)
        return np.stack([middle - half, middle + half], axis=1)

    @cached_property
    def unseen(self) -> Unseen:
        """The probability of everything that was not met: N₁/n, N₁ functions having been met once.

        Source: Good (1953), Biometrika 40; its error after Esty (1983), Ann. Stat. 11:
        √(N₁(1 − N₁/n) + 2N₂)/n.
        """
        if self.exact:
            return Unseen(0.0, 0.0)
        once, twice = (int((self.counts == k).sum()) for k in (1, 2))
        variance = once * (1 - once / self.total) + 2 * twice
        return Unseen(once / self.total, math.sqrt(variance) / self.total)

    def to_dict(self, most: int = 20) -> dict[str, Any]:
        """Plain JSON: the totals and the ``most`` most frequent functions."""
        low, high = self.intervals().T
        return {
            "total": self.total,
            "exact": self.exact,
            "num_functions": len(self),
            "unseen": {"value": self.unseen.value, "se": self.unseen.se},
            "flexibility": vars(self.flexibility),
            "functions": [
                {
                    "symbols": self.symbols[rank].tolist(),
                    "count": int(self.counts[rank]),
                    "probability": float(self.probability[rank]),
                    "low": float(low[rank]),
                    "high": float(high[rank]),
                    "complexity": float(self.complexity[rank]),
                }
                for rank in range(min(most, len(self)))
            ],
        }


def fibres(
    machine: Machine,
    *,
    num_draws: int | None = None,
    seed: int = 0,
    start: Tally | None = None,
    keep: Keep | None = None,
    on_progress: OnProgress | None = None,
) -> Fibres:
    """Count the settings of every function, all of them or a sample.

    Draws are numbered, and each is a function of its number and the seed: a run that was stopped and taken up
    again, in pieces of any length, counts the same settings, each once.

    Args:
        machine: what is counted.
        num_draws: None enumerates every setting; else so many independent draws.
        seed: of the draws.
        start: a tally of an earlier call with the same machine, number of draws and seed.
        keep: called with the tally every 10 seconds, at the end, and when the call is interrupted.
        on_progress: called with the settings done and their number.

    Returns:
        The functions with their counts.

    Raises:
        ValueError: the machine is no finite set or too large to enumerate, or ``start`` is of another.

    Example:
        >>> from singulab.discrete import sign_network
        >>> found = fibres(sign_network(2, 3))
        >>> found.total, len(found), int(found.counts.sum())
        (4096, 16, 4096)
    """
    total = _total(machine, num_draws)
    num_words = machine.functions(_one(machine)).shape[1]
    tally = Tally.empty(num_words) if start is None else start
    _fits(tally, total, num_words, machine, num_draws)
    size = max(1, SHARE // machine.block) * machine.block
    kept = time.monotonic()
    try:
        while tally.done < total:
            stop = min(tally.done - tally.done % size + size, total)
            if num_draws is None:
                words = machine.functions_of_range(tally.done, stop)
            else:
                words = machine.functions_of_draws(seed, tally.done, stop)
            tally = tally.with_words(words)
            if on_progress is not None:
                on_progress(tally.done, total)
            if keep is not None and time.monotonic() - kept > KEEP_SECONDS:
                keep(tally)
                kept = time.monotonic()
    except KeyboardInterrupt:
        if keep is not None:
            keep(tally)
        raise
    tally = tally.merged()
    if keep is not None:
        keep(tally)
    order = np.argsort(-tally.counts, kind="stable")
    return Fibres(
        functions=tally.functions[order],
        counts=tally.counts[order],
        total=total,
        exact=num_draws is None,
        machine=machine,
    )


def _total(machine: Machine, num_draws: int | None) -> int:
    if num_draws is not None:
        if num_draws < 1:
            raise ValueError(f"num_draws must be at least 1, got {num_draws}.")
        if num_draws > MOST_SETTINGS:
            raise ValueError(
                f"num_draws must be at most 2^36, got a number of {num_draws.bit_length()} bits."
            )
        return num_draws
    if isinstance(machine.weights, Gaussian):
        raise ValueError("Gaussian weights are no finite set to enumerate; give num_draws.")
    size = machine.num_weights * math.log2(len(machine.weights))
    if size > MOST_SETTINGS.bit_length() - 1:
        raise ValueError(
            f"this machine has about 2^{size:.0f} settings, and at most "
            f"2^{MOST_SETTINGS.bit_length() - 1} are enumerated; give num_draws to sample it."
        )
    assert machine.num_settings is not None
    return machine.num_settings


def _fits(
    tally: Tally, total: int, num_words: int, machine: Machine, num_draws: int | None
) -> None:
    if tally.functions.shape[1] != num_words:
        raise ValueError(
            f"functions of this machine take {num_words} words, those of the tally "
            f"{tally.functions.shape[1]}: it is of another machine."
        )
    if tally.done > total:
        raise ValueError(f"the tally has {tally.done} settings, more than the {total} wanted.")
    if num_draws is not None and tally.done % machine.block and tally.done != total:
        raise ValueError(
            f"a tally of {tally.done} draws ends within a block of {machine.block}; it is of another "
            f"machine, or of a finished run with fewer draws."
        )


def _one(machine: Machine) -> Any:
    return machine.draws(0, 0)[:1]


def normal_quantile(share: float) -> float:
    """The value that a standard normal number stays below with this probability."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)
