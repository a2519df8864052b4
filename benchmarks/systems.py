"""The machines of ``bench generalisation``: how each is trained, and how complex its functions are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from singulab.discrete import Machine, Optimiser, Rounding, boolean_network, multiples, ternary
from singulab.discrete.network import Layered
from singulab.exact import formulas
from singulab.exact.threshold import rlct_of_ideal

RLCTs = Callable[[np.ndarray], np.ndarray]  # symbols of functions → λ of each


@dataclass(frozen=True, kw_only=True)
class System:
    """A machine, how its functions are ranked by complexity, and how it is trained."""

    name: str
    machine: Machine
    chosen: tuple[int, ...]  # places that are trained on
    targets: dict[str, tuple[int, ...]]  # on all places; kind, unkind, or plain names
    rlct: RLCTs | None = None  # None ranks by A-complexity
    num_draws: int | None = None  # None counts every setting
    optimisers: dict[str, Optimiser] = field(default_factory=dict)


def crossing_machine(weight_mesh: str, output_mesh: float) -> Machine:
    """θ₁(θ₂x₁ + θ₃x₂) on a lattice, asked at (1, 0) and (0, 1)."""
    return Machine(
        network=lambda w, x: w[:, :1, None] * (w[:, 1:] @ x.T)[:, :, None],
        num_weights=3,
        weights=multiples(weight_mesh),
        inputs=torch.eye(2, dtype=torch.float64),
        outputs=Rounding(output_mesh),
    )


def crossing_rlct(symbols: np.ndarray) -> np.ndarray:
    """λ of the function 0 and of every other one, by algebra at the worst of their points."""
    zero = rlct_of_ideal(["a*b", "a*c"]).value
    other = rlct_of_ideal(["a*b", "a*c - 1"], {"a": 1, "c": 1}).value
    assert zero is not None
    assert other is not None
    return np.where((symbols == 0).all(axis=1), float(zero), float(other))


def linear_machine(widths: tuple[int, int, int], weights: Any, output_mesh: float) -> Machine:
    """A linear network without biases, asked at the unit vectors: its function is the matrix."""
    network = Layered(widths, "linear", False)
    return Machine(
        network=network,
        num_weights=network.num_weights,
        weights=weights,
        inputs=torch.eye(widths[0], dtype=torch.float64),
        outputs=Rounding(output_mesh),
    )


def reduced_rank_rlct(widths: tuple[int, int, int]) -> RLCTs:
    """λ by the rank of the matrix; a rounded one counts as the nearest rank that the network has."""
    by_rank = [float(formulas.reduced_rank(*widths, rank).lower.rlct) for rank in range(widths[1] + 1)]  # fmt: skip

    def rlct(symbols: np.ndarray) -> np.ndarray:
        matrices = symbols.reshape(len(symbols), widths[0], widths[2]).astype(float)
        ranks = np.minimum(np.linalg.matrix_rank(matrices), widths[1])
        return np.array(by_rank)[ranks]

    return rlct


def systems(num_draws: int) -> list[System]:
    """All that is trained, sampled machines with so many draws; places count inputs, and outputs within an input."""
    stop = {"SGD": Optimiser(learning_rate=2e-3, num_steps=4_000)}
    linear = {"SGD": Optimiser(learning_rate=2e-2, num_steps=4_000)}
    boolean = {
        "SGD": Optimiser(learning_rate=0.2, batch_size=2, num_steps=4_000),
        "SGLD": Optimiser(learning_rate=0.2, temperature=1e-3, num_steps=4_000),
    }
    half = (0, 3, 5, 6, 9, 10, 12, 15)  # inputs of even parity
    ones = np.array([bin(k).count("1") for k in range(16)])
    majority, parity, off = (ones >= 3) * 1, ones % 2, np.ones(16, int)
    off[list(half)] = 0
    few = (0, 3, 5, 10, 12, 15)
    return [
        System(name="θ₁(θ₂x₁ + θ₃x₂)", machine=crossing_machine("1/32", 1 / 16), chosen=(0,),
               targets={"kind": (0, 0), "unkind": (0, 4)}, rlct=crossing_rlct, optimisers=stop),
        System(name="reduced rank 3-1-2", machine=linear_machine((3, 1, 2), multiples("1/8"), 1 / 4),
               chosen=(0, 1), targets={"kind": (0,) * 6, "unkind": (0, 0, 3, 3, 3, 3)},
               rlct=reduced_rank_rlct((3, 1, 2)), optimisers=linear),
        System(name="reduced rank 3-2-2", machine=linear_machine((3, 2, 2), ternary(), 1.0),
               chosen=(0, 1),
               targets={"kind": (0,) * 6, "unkind": (0, 0, 1, 1, 1, -1),
                        "a rank-2 map of two entries": (0, 0, 1, 0, 0, 1)},
               rlct=reduced_rank_rlct((3, 2, 2)), optimisers=linear),
        System(name="4-8-1, 8 of 16 inputs", machine=boolean_network((4, 8, 1)), chosen=half,
               targets={"kind: 0 everywhere": (0,) * 16, "unkind: 1 off the training set": tuple(off),
                        "majority": tuple(majority)},
               num_draws=num_draws, optimisers=boolean),
        System(name="4-8-1, 6 of 16 inputs", machine=boolean_network((4, 8, 1)), chosen=few,
               targets={"majority": tuple(majority), "parity": tuple(parity)},
               num_draws=num_draws, optimisers=boolean),
        System(name="ternary 3-2-1, 4 of 8 inputs",
               machine=boolean_network((3, 2, 1), weights=ternary()), chosen=(0, 3, 5, 6),
               targets={"kind: 0 everywhere": (0,) * 8,
                        "unkind: 1 off the training set": (0, 1, 1, 0, 1, 0, 0, 1)},
               optimisers=boolean),
    ]  # fmt: skip
