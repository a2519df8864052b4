"""The numbers that decide a claim, in one form for every package that has any.

A package lists its experiments in ``EVIDENCE``: claim → functions that return such numbers. Whoever keeps the ledger
of claims calls them.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

FAR_OFF = 4.0  # errors at which a number contradicts an expectation
LATTICE = 0.01  # relative: how far an exact count of a finite lattice may be from its limit


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One number that bears on a claim, and what theory and claim say it is."""

    claim: int  # its row in the list of claims
    quantity: str  # what the number is
    value: float
    se: float  # 0 where the number is exact
    theory: float | None = None  # what holds if the theory does; None where it names no number
    claimed: float | None = None  # what would hold if the claim did; None where it names no number
    how: str = ""  # where the number comes from

    def agrees(self, expected: float) -> bool:
        """Whether the number is what was expected, within 4 of its errors and 1 % for a finite lattice."""
        return abs(self.value - expected) <= FAR_OFF * self.se + LATTICE * abs(expected)

    def to_dict(self) -> dict[str, float | int | str | None]:
        return dict(vars(self))


Experiment = Callable[..., Evidence | tuple[Evidence, ...]]


def numbers(experiment: Experiment, *, seed: int = 0) -> tuple[Evidence, ...]:
    """What an experiment returns as it stands, always as a tuple; the seed goes to those that draw numbers."""
    draws = "seed" in inspect.signature(experiment).parameters
    found = experiment(seed=seed) if draws else experiment()
    return found if isinstance(found, tuple) else (found,)
