"""Random numbers for thousands of replicas side by side.

A generator per replica and step would cost more than the step itself. Replicas are therefore drawn in blocks
of ``BLOCK`` and steps in runs, each block and run from the generator of its own address: what a replica sees
depends on the seed, its number and the step, and not on how many others run or where a run was cut.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from singulab.rng import Purpose, generator, without_replacement

BLOCK = 256  # replicas that share a generator
_NUMBERS = 1 << 16  # drawn at a time by one generator, about


class Draws:
    """Numbers addressed by stream, replica and step.

    Args:
        seed: the run's seed.
        num_replicas: replicas, each with numbers of its own.

    Raises:
        ValueError: a negative seed or no replica.
    """

    def __init__(self, seed: int, num_replicas: int) -> None:
        if num_replicas < 1:
            raise ValueError(f"num_replicas must be at least 1, got {num_replicas}.")
        self.seed, self.num_replicas = seed, num_replicas
        self._held: dict[tuple[int, ...], tuple[int, Tensor]] = {}

    def normal(self, step: int, size: int, stream: int = 0) -> Float[Tensor, "replica size"]:
        """N(0, 1) numbers in float64; not to be changed in place."""
        return self._draw(
            (int(Purpose.NOISE), stream, size),
            step,
            size,
            lambda random, steps: random.standard_normal((steps, BLOCK, size)),
        )

    def indices(
        self, step: int, *, num_data: int, batch_size: int, replacement: bool
    ) -> Int[Tensor, "replica batch"]:
        """Indices of a fresh minibatch of each replica, drawn with or without replacement."""

        def draw(random: np.random.Generator, steps: int) -> np.ndarray:
            shape = (steps * BLOCK, batch_size)
            if replacement:
                drawn = random.integers(0, num_data, shape)
            else:
                drawn = without_replacement(random, num_data, shape)
            return drawn.reshape(steps, BLOCK, batch_size)

        key = (int(Purpose.BATCH), int(replacement), num_data, batch_size)
        return self._draw(key, step, batch_size, draw)

    def _draw(
        self,
        key: tuple[int, ...],
        step: int,
        size: int,
        draw: Callable[[np.random.Generator, int], np.ndarray],
    ) -> Tensor:
        steps = max(1, _NUMBERS // (BLOCK * max(size, 1)))
        run, row = divmod(step, steps)
        held = self._held.get(key)
        if held is None or held[0] != run:
            purpose, *address = key
            blocks = [
                draw(generator(self.seed, Purpose(purpose), *address, block, run), steps)
                for block in range(-(-self.num_replicas // BLOCK))
            ]
            drawn = np.concatenate(blocks, axis=1)[:, : self.num_replicas]
            held = self._held[key] = (run, torch.from_numpy(drawn))
        return held[1][row]
