"""A finite machine: settings of weights, finitely many inputs, outputs that are one of finitely many symbols."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from singulab.discrete.levels import Gaussian, Levels, binary
from singulab.discrete.network import Activation, Layered
from singulab.discrete.outputs import SIGN, Outputs, Symbols, Words
from singulab.rng import Purpose, fill_normal, generator

Network = Callable[[Tensor, Tensor], Tensor]

_DRAWN = 1 << 18  # numbers that come from one generator, so that a block fits the cache
_HELD = 1 << 20  # outputs computed at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Machine:
    """A network, the settings of its weights, the inputs it is asked about, and how its answers are read.

    Settings of finite ``levels`` are numbered: the digits of a number in base ``len(levels)``, the highest
    first, choose the level of every weight. A machine with ``Gaussian`` weights can only be sampled.
    """

    network: (
        Network  # (weights [setting, weight], inputs [input, feature]) → [setting, input, output]
    )
    num_weights: int
    weights: Levels | Gaussian
    inputs: Float[Tensor, "input feature"]  # all that the machine is ever asked
    outputs: Outputs = SIGN

    def __post_init__(self) -> None:
        if self.num_weights < 1:
            raise ValueError(f"a machine needs at least 1 weight, got {self.num_weights}.")
        if len(self.inputs) == 0:
            raise ValueError("a machine needs at least 1 input, got an empty set.")
        if isinstance(self.weights, Gaussian) and not isinstance(self.network, Layered):
            raise ValueError("Gaussian weights need a Layered network, whose fan-ins are known.")

    @cached_property
    def num_settings(self) -> int | None:
        """|W|, or None for weights that are no finite set."""
        return None if isinstance(self.weights, Gaussian) else len(self.weights) ** self.num_weights

    @cached_property
    def num_symbols(self) -> int:
        """Symbols of a function."""
        with torch.no_grad():
            shape = self.network(
                torch.zeros(1, self.num_weights, dtype=self.inputs.dtype), self.inputs
            ).shape
        if len(shape) != 3 or shape[0] != 1 or shape[1] != len(self.inputs):
            raise ValueError(
                f"the network must return [setting, input, output] = [1, {len(self.inputs)}, …], "
                f"got {list(shape)}."
            )
        return self.outputs.num_symbols(shape[1], shape[2])

    @cached_property
    def block(self) -> int:
        """Settings that are drawn or computed together; depends on the machine alone."""
        return max(1, min(_DRAWN // self.num_weights, _HELD // len(self.inputs)))

    def functions(self, weights: Float[Tensor, "setting weight"]) -> Words:
        """The function of every setting."""
        with torch.no_grad():
            return self.outputs.words(self.network(weights.to(self.inputs.dtype), self.inputs))

    def symbols(self, words: Words) -> Symbols:
        """The symbols of functions, input after input."""
        return self.outputs.symbols(words, self.num_symbols)

    def settings(self, start: int, stop: int) -> Float[Tensor, "setting weight"]:
        """The weights of the settings numbered ``start`` to ``stop``."""
        return self.values(self.digits(np.arange(start, stop, dtype=np.int64)))

    def digits(self, numbers: Int64[np.ndarray, " setting"]) -> Int64[np.ndarray, "setting weight"]:
        """Which level every weight of the numbered settings has."""
        base = len(self.levels)
        digits = np.empty((len(numbers), self.num_weights), np.int64)
        rest = numbers
        for place in range(self.num_weights - 1, -1, -1):
            rest, digits[:, place] = np.divmod(rest, base)
        return digits

    def values(
        self, digits: Int64[np.ndarray, "setting weight"]
    ) -> Float[Tensor, "setting weight"]:
        """The weights that have these levels."""
        values = np.asarray(self.levels.values)[digits]
        return torch.from_numpy(values).to(self.inputs.dtype)

    def functions_of_range(self, start: int, stop: int) -> Words:
        """The functions of the settings numbered ``start`` to ``stop``, every one computed."""
        parts = [
            self.functions(self.settings(begin, min(begin + self.block, stop)))
            for begin in range(start, stop, self.block)
        ]
        return np.concatenate(parts)

    def draws(self, seed: int, block: int) -> Float[Tensor, "setting weight"]:
        """A block of settings drawn independently: uniform over the levels, or Gaussian."""
        random = generator(seed, Purpose.START, block)
        if isinstance(self.weights, Levels):
            shape = self.block, self.num_weights
            return self.values(random.integers(0, len(self.weights), shape))
        drawn = torch.empty(1, self.block * self.num_weights, dtype=self.inputs.dtype)
        fill_normal([random], drawn)
        return drawn.view(self.block, self.num_weights).mul_(self._deviations)

    def functions_of_draws(self, seed: int, start: int, stop: int) -> Words:
        """The functions of the draws numbered ``start`` to ``stop``; ``start`` begins a block."""
        parts = [
            self.functions(self.draws(seed, begin // self.block))
            for begin in range(start, stop, self.block)
        ]
        return np.concatenate(parts)[: stop - start]

    @cached_property
    def _deviations(self) -> Tensor:
        assert isinstance(self.network, Layered)
        assert isinstance(self.weights, Gaussian)
        found = self.network.deviations(self.weights.scale, self.weights.bias_scale)
        return found.to(self.inputs.dtype)

    @property
    def levels(self) -> Levels:
        """The levels of every weight."""
        if isinstance(self.weights, Gaussian):
            raise ValueError("Gaussian weights have no levels; draw them instead.")
        return self.weights


def boolean_inputs(
    num_inputs: int, *, signed: bool = False, dtype: torch.dtype = torch.float64
) -> Float[Tensor, "input feature"]:
    """All 2^b rows of b bits in counting order, the first feature being the highest bit.

    Args:
        num_inputs: b, from 1 to 20.
        signed: −1 and 1 in the place of 0 and 1.
        dtype: of the result.
    """
    if not 1 <= num_inputs <= 20:
        raise ValueError(f"Boolean inputs number from 1 to 20, got {num_inputs}.")
    places = np.arange(num_inputs)[::-1]
    bits = np.arange(2**num_inputs)[:, None] >> places & 1
    return torch.from_numpy(2 * bits - 1 if signed else bits).to(dtype)


def boolean_network(
    widths: tuple[int, ...],
    *,
    weights: Levels | Gaussian | None = None,
    activation: Activation = "relu",
    biases: tuple[bool, ...] | bool = True,
    signed: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Machine:
    """A layered network on all Boolean inputs, its outputs read by their sign.

    ``boolean_network((7, 40, 40, 1))`` is the system of Valle-Pérez et al. with Gaussian weights of variance
    1/fan-in and biases of variance 1.

    Args:
        widths: inputs, hidden units, outputs.
        weights: levels or a Gaussian; None = ``Gaussian()``.
        activation: relu, tanh, sign or linear.
        biases: of every layer, or of all.
        signed: inputs are −1 and 1 in the place of 0 and 1.
        dtype: of the computation.

    Source: Valle-Pérez, Camargo & Louis, arXiv:1805.08522.
    """
    network = Layered(widths, activation, biases)
    return Machine(
        network=network,
        num_weights=network.num_weights,
        weights=Gaussian() if weights is None else weights,
        inputs=boolean_inputs(widths[0], signed=signed, dtype=dtype),
    )


def sign_network(num_inputs: int, num_hidden: int, *, bias: bool = True) -> "SignNetwork":
    """±1 weights, ±1 inputs and one hidden layer of sign units, enumerated by bit operations.

    The output is the majority of the hidden units, each with its sign; there is no output bias. Where
    num_inputs + bias and num_hidden are odd no sum is ever 0, and every symmetry of the architecture is one
    of the parameter–function map.

    Args:
        num_inputs: b, from 1 to 6: a function is one word of 2^b bits.
        num_hidden: H ≥ 1.
        bias: hidden units have one.
    """
    if not 1 <= num_inputs <= 6:
        raise ValueError(f"a sign network has 1 to 6 inputs, got {num_inputs}.")
    network = Layered((num_inputs, num_hidden, 1), "sign", (bias, False))
    return SignNetwork(
        network=network,
        num_weights=network.num_weights,
        weights=binary(),
        inputs=boolean_inputs(num_inputs, signed=True, dtype=torch.float32),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class SignNetwork(Machine):
    """A one-hidden-layer network of ±1 weights; made by :func:`sign_network`.

    One word holds a hidden unit's signs on all inputs, and depends on the few weights of that unit alone: it is
    looked up. Per setting the words are negated by their output weights and summed bit by bit in a
    binary counter, for all inputs at once.
    """

    @property
    def num_hidden(self) -> int:
        assert isinstance(self.network, Layered)
        return self.network.widths[1]

    @cached_property
    def unit_words(self) -> np.ndarray:
        """The signs of one hidden unit on all inputs, for every setting of its weights."""
        assert isinstance(self.network, Layered)
        fan_in, _, bias = self.network.layers[0]
        unit = Layered((fan_in, 1), "sign", bias)
        alone = replace(self.as_machine(), network=unit, num_weights=unit.num_weights)
        assert alone.num_settings is not None
        words = alone.functions_of_range(0, alone.num_settings)[:, 0]
        return words.astype(np.dtype(f"u{max(1, len(self.inputs) // 8)}"))

    def as_machine(self) -> Machine:
        """The same machine without its bit operations: the naive twin."""
        return Machine(
            network=self.network,
            num_weights=self.num_weights,
            weights=self.weights,
            inputs=self.inputs,
            outputs=self.outputs,
        )

    @cached_property
    def block(self) -> int:
        return 1 << 16

    def functions_of_range(self, start: int, stop: int) -> Words:
        block = self.block
        parts = []
        for begin in range(start - start % block, stop, block):
            words = self._block(begin)
            parts.append(words[max(start - begin, 0) : stop - begin])
        return np.concatenate(parts).astype(np.uint64)[:, None]

    def _block(self, begin: int) -> np.ndarray:
        """The words of one block of settings, which begins at a multiple of its length."""
        sum_bits: list[Any] = []  # arrays, or scalars where a block holds one value
        for unit in range(self.num_hidden):
            carry = self._word(unit, begin) ^ self._negation(unit, begin)
            for place, bits in enumerate(sum_bits):
                sum_bits[place], carry = bits ^ carry, bits & carry
            if 2 ** len(sum_bits) < unit + 2:
                sum_bits.append(carry)
        above = _at_least(sum_bits, self.num_hidden // 2 + 1)
        return np.broadcast_to(above & self._mask, (self.block,))

    @cached_property
    def _mask(self) -> np.generic:
        dtype = self.unit_words.dtype
        return dtype.type((1 << len(self.inputs)) - 1)

    @cached_property
    def _low(self) -> np.ndarray:
        return np.arange(self.block, dtype=np.int64)

    @cached_property
    def _kept(self) -> dict[tuple[str, int], np.ndarray]:
        return {}

    def _word(self, unit: int, begin: int) -> Any:
        width = self._fan_in
        shift = self.num_hidden + width * (self.num_hidden - 1 - unit)
        if shift + width <= 16:  # these digits run through the same values in every block
            key = ("word", unit)
            if key not in self._kept:
                self._kept[key] = self.unit_words[self._low >> shift & (1 << width) - 1]
            return self._kept[key]
        if shift >= 16:  # constant within a block
            return self.unit_words[begin >> shift & (1 << width) - 1]
        return self.unit_words[(self._low | begin) >> shift & (1 << width) - 1]

    def _negation(self, unit: int, begin: int) -> Any:
        """All ones where the output weight of a unit is −1."""
        dtype = self.unit_words.dtype
        shift = self.num_hidden - 1 - unit
        ones = dtype.type(~dtype.type(0))
        if shift >= 16:
            return ones if not begin >> shift & 1 else dtype.type(0)
        key = ("negation", unit)
        if key not in self._kept:
            positive = (self._low >> shift & 1).astype(bool)
            self._kept[key] = np.where(positive, dtype.type(0), ones)
        return self._kept[key]

    @cached_property
    def _fan_in(self) -> int:
        assert isinstance(self.network, Layered)
        fan_in, _, bias = self.network.layers[0]
        return fan_in + bias


def _at_least(sum_bits: list[Any], threshold: int) -> Any:
    """Bits where a sum, given place by place, is ``threshold`` or more: a comparison from the highest place."""
    above, equal = None, None
    for place in range(len(sum_bits) - 1, -1, -1):
        bits = sum_bits[place]
        if threshold >> place & 1:
            equal = bits if equal is None else equal & bits
        else:
            gained = bits if equal is None else equal & bits
            above = gained if above is None else above | gained
            equal = ~bits if equal is None else equal & ~bits
    assert equal is not None
    return equal if above is None else above | equal
