"""Random numbers as a function of where they are used, not of what was drawn before.

Every draw is addressed by (seed, purpose, chain, step). A chain therefore sees the same noise whether it
runs alone, beside seven others, stacked, in turn or after a resume, and nothing about the generators has
to be saved. The address is hashed by :class:`numpy.random.SeedSequence` into the 192-bit state of SFC64.

Small vectors are drawn for many steps at a time: a block of ``steps_per_block(size)`` consecutive steps
shares one generator. The block length depends on the size alone, so it changes no number.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 1 << 15  # numbers drawn at a time when a single step needs fewer


class Purpose(IntEnum):
    """What a stream is for: streams of different purpose never overlap."""

    NOISE = 1
    BATCH = 2
    START = 3
    ACCEPT = 4
    SCORE = 5
    DIRECTION = 6
    BATCH_FOR_CURVATURE = 7
    TRAJECTORY = 8


def generator(seed: int, purpose: Purpose, *address: int) -> np.random.Generator:
    """The generator that belongs to an address.

    Args:
        seed: the caller's seed, any non-negative integer.
        purpose: what the numbers are for.
        *address: chain, step or block; non-negative integers.

    Returns:
        A fresh generator; the same address always gives the same one.
    """
    if seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed}.")
    return np.random.Generator(
        np.random.SFC64(np.random.SeedSequence((int(seed), int(purpose), *map(int, address))))
    )


def steps_per_block(size: int) -> int:
    """How many consecutive steps of ``size`` numbers come from one generator."""
    return max(1, _BLOCK // max(size, 1))


class Noise:
    """Standard normal vectors addressed by chain and step.

    Args:
        seed: the run's seed.
        size: numbers per chain and step, d.
        dtype: torch.float32 or torch.float64.
        device: where the result is wanted. Numbers are drawn on the CPU, so they do not depend on it.
        purpose: the stream; kernels use ``Purpose.NOISE``.
    """

    def __init__(
        self,
        seed: int,
        size: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        purpose: Purpose = Purpose.NOISE,
    ) -> None:
        self.seed, self.size, self.dtype, self.purpose = seed, size, dtype, purpose
        self.device = torch.device(device)
        self._numpy_dtype = np.float64 if dtype == torch.float64 else np.float32
        self._steps = steps_per_block(size)
        self._blocks: dict[int, tuple[int, np.ndarray]] = {}

    def normal(self, chains: Sequence[int], step: int) -> Float[Tensor, "chain dim"]:
        """N(0, 1) numbers of shape (len(chains), size) for one step."""
        block, row = divmod(step, self._steps)
        drawn = torch.empty(len(chains), self.size, dtype=self.dtype)
        for index, chain in enumerate(chains):
            if self._steps == 1:
                generator(self.seed, self.purpose, chain, step).standard_normal(
                    dtype=self._numpy_dtype, out=drawn[index].numpy()
                )
            else:
                drawn[index] = torch.from_numpy(self._block(chain, block)[row])
        return drawn.to(self.device)

    def _block(self, chain: int, block: int) -> np.ndarray:
        held = self._blocks.get(chain)
        if held is None or held[0] != block:
            rows = generator(self.seed, self.purpose, chain, block).standard_normal(
                (self._steps, self.size), dtype=self._numpy_dtype
            )
            held = self._blocks[chain] = (block, rows)
        return held[1]


def uniform(
    seed: int, purpose: Purpose, chains: Sequence[int], step: int
) -> Float[Tensor, " chain"]:
    """One U(0, 1) number per chain in float64."""
    return torch.tensor(
        [generator(seed, purpose, chain, step).random() for chain in chains], dtype=torch.float64
    )


def minibatch(
    seed: int,
    chains: Sequence[int],
    step: int,
    *,
    num_data: int,
    batch_size: int,
    probabilities: np.ndarray | None = None,
    purpose: Purpose = Purpose.BATCH,
) -> Int[Tensor, "chain batch"]:
    """Indices of one fresh minibatch per chain.

    Uniform data are drawn without replacement within a batch and independently between steps; weighted
    data with replacement. Chains never share a minibatch: shared ones make error bars several times too
    small.

    Args:
        seed: the run's seed.
        chains: which chains draw.
        step: the step they are at.
        num_data: n.
        batch_size: B ≤ n.
        probabilities: weight of each datum, summing to 1; None = uniform.
        purpose: the stream.

    Returns:
        int64 indices in random order, so that the two halves of a batch are exchangeable.
    """
    if batch_size == num_data and probabilities is None:
        return torch.arange(num_data).repeat(len(chains), 1)
    rows = [
        generator(seed, purpose, chain, step).choice(
            num_data, batch_size, replace=probabilities is not None, p=probabilities
        )
        for chain in chains
    ]
    return torch.from_numpy(np.stack(rows).astype(np.int64))
