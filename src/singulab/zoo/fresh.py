"""The fresh networks of the truth benchmark, and what is asked of each of them.

Nothing here was chosen by looking at a sampler: networks follow from their seeds, γ from size and depth.
"""

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from singulab.zoo.case import Case, Labels, NetworkCase
from singulab.zoo.deep_linear import DeepLinear
from singulab.zoo.direct_sum import DirectSum
from singulab.zoo.duplicated import Duplicated
from singulab.zoo.random_deep_linear import random_deep_linear
from singulab.zoo.tanh_network import TANH_NETWORKS
from singulab.zoo.tanh_unit import TanhUnit, TanhUnits

SMALL, LARGE = 5_000, 30_000  # weights
COPIES = 4  # of every weight of a duplicated network
TWINS = 12  # pairs of equal hidden units, side by side
CENTERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (0.8, 1.2))  # (a, b) of tanh units

# γ → fewer weights and no more layers than this: larger and deeper networks wander too far for exact chains to
# equilibrate at a weak tether.
LOCALIZATIONS = {1.0: (1_000, 3), 10.0: (SMALL, 5), 100.0: (math.inf, 8)}
LABELS: tuple[Labels, ...] = ("data", "model")


class Cell(NamedTuple):
    """One question: λ̂ of a case at γ."""

    case: Case
    localization: float
    labels: Labels


def random_tanh_units(
    seed: int,
    *,
    fewest: int = 5,
    most: int = 500,
    num_data: int = 10_000,
    batch_size: int = 64,
) -> TanhUnits:
    """Independent tanh units drawn by seed, singular and regular ones side by side.

    Their number is log-uniform from ``fewest`` to ``most``, each stands at one of four kinds of points, and half of the
    seeds have label noise, uniform from 0 to 2.
    """
    uniform = np.random.Generator(np.random.PCG64(seed)).random
    count, is_noisy, noise = uniform(3).tolist()
    centers = [CENTERS[int(4 * u)] for u in uniform(round(fewest * (most / fewest) ** count))]
    parts = tuple(
        TanhUnit(
            name=f"tanh-unit-{seed}-{index}",
            outer=(outer,),
            inner=(inner,),
            label_noise=2 * noise if is_noisy < 0.5 else 0.0,
            seed=1_000 * seed + index,
            num_data=num_data,
        )
        for index, (outer, inner) in enumerate(centers)
    )
    return TanhUnits(
        name=f"tanh-units-{seed}", parts=parts, num_data=num_data, batch_size=batch_size
    )


def _joined(seed: int) -> DirectSum:
    """A deep linear network beside tanh units."""
    linear = random_deep_linear(seed, most=3_000)
    units = random_tanh_units(seed, most=50, num_data=linear.num_data)
    return DirectSum(
        name=f"joined-{seed}",
        parts=(linear, units),
        num_data=linear.num_data,
        batch_size=linear.batch_size,
    )


def _duplicated(seed: int) -> Duplicated:
    base = random_deep_linear(seed, most=1_000)
    return Duplicated(
        name=f"duplicated-{seed}",
        base=base,
        copies=COPIES,
        num_data=base.num_data,
        batch_size=base.batch_size,
    )


TWIN_UNIT = TanhUnit(name="twin-unit", outer=(0.4, 0.4), inner=(1.2, 1.2), label_noise=1.0)

# Exact chains are dear on large networks: from the 41st seed on only small ones are kept.
FRESH_DEEP_LINEAR: tuple[DeepLinear, ...] = (
    *(
        case
        for seed in range(64)
        if (case := random_deep_linear(seed)).num_weights < SMALL or seed < 40
    ),
    *(random_deep_linear(seed, fewest=LARGE) for seed in range(8)),
)
TANH_UNITS: tuple[TanhUnits, ...] = (
    *(random_tanh_units(seed) for seed in range(8)),
    *(
        random_tanh_units(seed, fewest=LARGE // 2, most=LARGE, num_data=2_000, batch_size=16)
        for seed in range(300, 310)
    ),
    TanhUnits(name="twin-units", parts=(TWIN_UNIT,) * TWINS, num_data=10_000, batch_size=64),
)
JOINED: tuple[DirectSum, ...] = tuple(_joined(seed) for seed in range(100, 108))
DUPLICATED: tuple[Duplicated, ...] = tuple(_duplicated(seed) for seed in range(200, 206))


def _localizations(case: DeepLinear) -> tuple[float, ...]:
    return tuple(
        localization
        for localization, (most_weights, most_layers) in LOCALIZATIONS.items()
        if case.num_weights < most_weights and case.num_layers <= most_layers
    )


def _asked(case: NetworkCase) -> tuple[float, ...]:
    """Every γ at which a fresh network is asked; as its linear part allows."""
    match case:
        case DeepLinear():
            return _localizations(case)
        case DirectSum(parts=(DeepLinear() as linear, *_)):
            return _localizations(linear)
        case Duplicated(base=DeepLinear() as base):
            return tuple(found for found in _localizations(base) if found >= 10 * COPIES)
        case _ if case.num_weights > LARGE:
            return (max(LOCALIZATIONS),)
    return tuple(LOCALIZATIONS)


def _fresh() -> Iterator[Cell]:
    """One question of every network, then the next of each, so that every beginning is a balanced sample."""
    networks = (*FRESH_DEEP_LINEAR, *TANH_UNITS, *JOINED, *DUPLICATED, *TANH_NETWORKS)
    # Families and sizes are spread by the multiples of the golden ratio.
    spread = sorted(range(len(networks)), key=lambda index: index * 0.6180339887498949 % 1)
    rounds = []
    for place, index in enumerate(spread):
        cells = [
            Cell(networks[index], localization, labels)
            for labels in LABELS
            for localization in _asked(networks[index])
        ]
        first = place % len(cells)
        rounds.append(cells[first:] + cells[:first])
    for turn in zip_longest(*rounds):
        yield from (cell for cell in turn if cell is not None)


FRESH: tuple[Cell, ...] = tuple(_fresh())


def _gold() -> Iterator[Cell]:
    """What exact chains must measure for these; where noise does not move L_n, labels make no difference."""
    for case in FRESH_DEEP_LINEAR:
        for localization in _localizations(case):
            yield Cell(case, localization, "data")
    for joined in JOINED:
        linear = joined.parts[0]
        assert isinstance(linear, DeepLinear)
        for localization in _localizations(linear):
            yield Cell(linear, localization, "data")
    for duplicated in DUPLICATED:
        for localization in _asked(duplicated):
            yield Cell(duplicated.base, localization / COPIES, "data")
    for localization in LOCALIZATIONS:
        yield Cell(TWIN_UNIT, localization, "data")


# Small networks come first.
GOLD_CELLS: tuple[Cell, ...] = tuple(sorted(_gold(), key=lambda cell: cell.case.num_weights))
