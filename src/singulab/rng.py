"""Random numbers as a function of where they are used, not of what was drawn before.

Every draw is addressed by (seed, purpose, chain, step). A chain therefore sees the same noise whether it
runs alone, beside seven others, stacked, in turn or after a resume, and nothing about the generators has
to be saved. The address is hashed by :class:`numpy.random.SeedSequence` into the 192-bit state of SFC64.

Generators are dear to make and cheap to run, so little is drawn from each address in blocks: small vectors
for many consecutive steps at a time, large ones in runs of consecutive elements, so that whoever holds a
part of a vector can draw that part alone. Block lengths depend on sizes alone, so they change no number.
What is large is drawn on a second core before it is asked for, which changes none either.
"""

import math
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from singulab.ahead import Ahead

_BLOCK = 1 << 15  # numbers drawn at a time when a single step needs fewer
_RUN = 1 << 18  # consecutive elements of a large vector that come from one generator


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
    SLICE = 9


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


def fill_normal(
    generators: Sequence[np.random.Generator], out: Float[Tensor, "generator count"]
) -> None:
    """Put each generator's N(0, 1) numbers into its row, by the vectorised transform of Box and Muller.

    From two uniform numbers u, v: √(−2 log u)·(sin 2πv, cos 2πv). u keeps its full precision near 0, so
    float32 numbers reach to 6.7 standard deviations, as far as 2³² draws of one would. About twice as fast
    as the generators' own rejection method.

    Source: Box & Muller (1958), Ann. Math. Stat. 29.
    """
    count = out.shape[1]
    half = (count + 1) // 2
    double = out.dtype == torch.float64
    words = 2 * half if double else half
    bits = np.stack([random.bit_generator.random_raw(words) for random in generators])
    whole = torch.from_numpy(bits.view(np.int64 if double else np.int32)).to(out.dtype)
    scale = 2.0**-63 if double else 2.0**-31
    radius = whole[:, :half].abs_().add_(0.5).mul_(scale).log_().mul_(-2).sqrt_()
    angle = whole[:, half:].mul_(math.pi * scale)
    torch.mul(angle.sin(), radius, out=out[:, :half])
    rest = count - half
    torch.mul(angle[:, :rest].cos_(), radius[:, :rest], out=out[:, half:])


Chains = tuple[int, ...]


class Noise:
    """Standard normal vectors addressed by chain and step.

    Args:
        seed: the run's seed.
        size: numbers per chain and step, d.
        dtype: torch.float32 or torch.float64.
        device: where the result is wanted. Numbers are drawn on the CPU, so they do not depend on it.
        purpose: the stream; kernels use ``Purpose.NOISE``.
        ranges: start and stop of the elements that are wanted, ascending; None = all.
    """

    def __init__(
        self,
        seed: int,
        size: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        purpose: Purpose = Purpose.NOISE,
        ranges: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self.seed, self.size, self.dtype, self.purpose = seed, size, dtype, purpose
        self.device, self.ranges = torch.device(device), ranges
        self._steps = steps_per_block(size)
        self._blocks: dict[Chains, tuple[int, Tensor]] = {}
        self._large = Ahead(self._draw_large)
        self._served: dict[Chains, int] = {}  # the last step of each group of chains
        self._successor: dict[Chains, Chains] = {}  # whose turn came after whose
        self._previous: Chains | None = None
        self._last_run: tuple[tuple[int, int, int], Tensor] | None = None

    def normal(self, chains: Sequence[int], step: int) -> Float[Tensor, "chain dim"]:
        """The wanted N(0, 1) numbers of each chain at one step; not to be changed in place."""
        if self.ranges is None:
            return self._whole(chains, step)
        rows = [torch.cat([self.part(c, step, *range_) for range_ in self.ranges]) for c in chains]
        return torch.stack(rows)

    def _whole(self, chains: Sequence[int], step: int) -> Float[Tensor, "chain dim"]:
        key = tuple(chains)
        if self._steps == 1:
            return self._in_turn(key, step).to(self.device)
        block, row = divmod(step, self._steps)
        held = self._blocks.get(key)
        if held is None or held[0] != block:
            drawn = torch.empty(len(chains), self._steps * self.size, dtype=self.dtype)
            fill_normal([generator(self.seed, self.purpose, c, block) for c in chains], drawn)
            drawn = drawn.view(len(chains), self._steps, self.size)
            held = self._blocks[key] = (block, drawn.to(self.device))
        return held[1][:, row]

    def _in_turn(self, chains: Chains, step: int) -> Float[Tensor, "chain dim"]:
        """A large draw, while that of the chains whose turn is next is begun on another core."""
        drawn = self._large((chains, step))
        if self._served.get(chains) != step - 1:  # a jump: what was foreseen will not be asked for
            self._large.forget()
        if self._previous is not None:
            self._successor[self._previous] = chains
        self._previous, self._served[chains] = chains, step
        if (next_chains := self._successor.get(chains)) is not None:
            self._large.foresee((next_chains, self._served[next_chains] + 1))
        return drawn

    def _draw_large(self, address: tuple[Chains, int]) -> Float[Tensor, "chain dim"]:
        chains, step = address
        drawn = torch.empty(len(chains), self.size, dtype=self.dtype)
        for row, chain in zip(drawn, chains, strict=True):
            for run in range(-(-self.size // _RUN)):
                self._fill_run(row[run * _RUN : (run + 1) * _RUN], chain, step, run)
        return drawn

    def part(self, chain: int, step: int, start: int, stop: int) -> Float[Tensor, " part"]:
        """Elements ``start`` to ``stop`` of one chain's vector at one step, for whoever holds only these."""
        if self._steps > 1:
            return self._whole([chain], step)[0, start:stop]
        if start == stop:
            return torch.empty(0, dtype=self.dtype, device=self.device)
        drawn = torch.empty(stop - start, dtype=self.dtype)
        for run in range(start // _RUN, -(-stop // _RUN)):
            begin = run * _RUN
            first, last = max(start, begin), min(stop, begin + _RUN)
            drawn[first - start : last - start] = self._run(chain, step, run)[
                first - begin : last - begin
            ]
        return drawn.to(self.device)

    def _run(self, chain: int, step: int, run: int) -> Float[Tensor, " run"]:
        """A run of consecutive elements; the last one is kept for the next range that lies in it."""
        address = chain, step, run
        if self._last_run is None or self._last_run[0] != address:
            drawn = torch.empty(min(_RUN, self.size - run * _RUN), dtype=self.dtype)
            self._fill_run(drawn, *address)
            self._last_run = address, drawn
        return self._last_run[1]

    def _fill_run(self, out: Float[Tensor, " run"], chain: int, step: int, run: int) -> None:
        fill_normal([generator(self.seed, self.purpose, chain, step, run)], out[None])


def uniform(
    seed: int, purpose: Purpose, chains: Sequence[int], step: int
) -> Float[Tensor, " chain"]:
    """One U(0, 1) number per chain in float64."""
    return torch.tensor(
        [generator(seed, purpose, chain, step).random() for chain in chains], dtype=torch.float64
    )


class Minibatches:
    """Indices of fresh minibatches addressed by chain and step.

    Uniform data are drawn without replacement within a batch and independently between steps; weighted
    data with replacement. Chains never share a minibatch: shared ones make error bars several times too
    small.

    Args:
        seed: the run's seed.
        num_data: n.
        batch_size: B ≤ n.
        probabilities: weight of each datum, summing to 1; None = uniform.
        purpose: the stream.
    """

    def __init__(
        self,
        seed: int,
        *,
        num_data: int,
        batch_size: int,
        probabilities: np.ndarray | None = None,
        purpose: Purpose = Purpose.BATCH,
    ) -> None:
        self.seed, self.num_data, self.batch_size = seed, num_data, batch_size
        self.purpose = purpose
        self._steps = steps_per_block(batch_size)
        self._blocks: dict[tuple[int, ...], tuple[int, Tensor]] = {}
        self._edges = None
        if probabilities is not None:
            self._edges = np.cumsum(probabilities)
            self._edges /= self._edges[-1]

    def indices(self, chains: Sequence[int], step: int) -> Int[Tensor, "chain batch"]:
        """int64 indices in random order, so that the two halves of a batch are exchangeable."""
        if self.batch_size == self.num_data and self._edges is None:
            return torch.arange(self.num_data).repeat(len(chains), 1)
        block, row = divmod(step, self._steps)
        key = tuple(chains)
        held = self._blocks.get(key)
        if held is None or held[0] != block:
            rows = np.stack([self._block(chain, block) for chain in chains], 1)
            held = self._blocks[key] = (block, torch.from_numpy(rows))
        return held[1][row]

    def _block(self, chain: int, block: int) -> np.ndarray:
        random = generator(self.seed, self.purpose, chain, block)
        shape = (self._steps, self.batch_size)
        if self._edges is not None:
            return np.searchsorted(self._edges, random.random(shape), side="right")
        return without_replacement(random, self.num_data, shape)


def without_replacement(
    random: np.random.Generator, num_data: int, shape: tuple[int, int]
) -> np.ndarray:
    """Rows of distinct indices below ``num_data``, every ordered choice equally likely.

    Numbers that repeat an earlier one of their row are drawn again until none does. No step of this knows
    one index from another, so all ordered choices have the same probability. Rows that take more than a
    quarter of the data are shuffled instead.
    """
    rows, size = shape
    if size > num_data // 4:
        every = np.broadcast_to(np.arange(num_data), (rows, num_data))
        return random.permuted(every, axis=1)[:, :size]
    drawn = random.integers(0, num_data, shape)
    touched = np.arange(rows)
    while touched.size:
        row, place = _repeats(drawn[touched], num_data)
        row = touched[row]
        drawn[row, place] = random.integers(0, num_data, row.size)
        touched = row[np.flatnonzero(np.diff(row, prepend=-1))]
    return drawn


def _repeats(drawn: np.ndarray, num_data: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and places, in order, of numbers that have been seen earlier in their row."""
    size = drawn.shape[1]
    bits = (size - 1).bit_length()
    small = num_data << bits < 2**31  # half as wide, so that twice as many are sorted at a time
    ranked = drawn.astype(np.int32 if small else np.int64)
    np.left_shift(ranked, bits, out=ranked)
    np.bitwise_or(ranked, np.arange(size, dtype=ranked.dtype), out=ranked)
    ranked.sort(axis=1)  # by number, then by place
    number = ranked >> bits
    row, rank = np.divmod(np.flatnonzero(number[:, 1:] == number[:, :-1]), size - 1)
    found = np.sort(row * size + (ranked[row, rank + 1] & ((1 << bits) - 1)))
    return found // size, found % size
