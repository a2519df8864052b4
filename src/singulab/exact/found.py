"""What a search says of a chart, and why it may say nothing."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from singulab.exact.node import NOTHING, Pair

UNKNOWN: Pair = (Fraction(0), -(10**6))  # a lower bound that says nothing


@dataclass
class Found:
    """What a search says of a chart: bounds of its pair and the branch of the certificate."""

    lower: Pair
    upper: Pair
    branch: dict[str, Any]


class UnresolvedError(Exception):
    """A branch that cannot be followed; the message is the reason."""


def moved(pair: Pair, offset: Fraction) -> Pair:
    """A pair with something added to λ."""
    return pair if pair == NOTHING else (pair[0] + offset, pair[1])
