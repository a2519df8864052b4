"""How real outputs become one of finitely many symbols per input, and symbols become machine words.

A function of a finite machine is the row of its symbols over all inputs. Rows are kept as ``words``: unsigned
64-bit integers, the first symbol in the highest bits, so that equal functions are equal rows of integers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt64
from torch import Tensor

Words = UInt64[np.ndarray, "function word"]
Symbols = Int64[np.ndarray, "function symbol"]


@dataclass(frozen=True)
class Sign:
    """1 where an output is above 0, else 0: a Boolean function."""

    def words(self, outputs: Float[Tensor, "setting input output"]) -> Words:
        return packed((outputs > 0).flatten(1).numpy())

    def symbols(self, words: Words, num_symbols: int) -> Symbols:
        return unpacked(words, num_symbols).astype(np.int64)

    def num_symbols(self, num_inputs: int, num_outputs: int) -> int:
        return num_inputs * num_outputs


@dataclass(frozen=True)
class Argmax:
    """The index of the largest output; the first of equal ones."""

    num_classes: int

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(f"argmax needs at least 2 classes, got {self.num_classes}.")

    def words(self, outputs: Float[Tensor, "setting input output"]) -> Words:
        winners = outputs.numpy().argmax(axis=2)
        places = np.arange(self._bits)[::-1]
        return packed((winners[:, :, None] >> places & 1).astype(bool).reshape(len(winners), -1))

    def symbols(self, words: Words, num_symbols: int) -> Symbols:
        bits = unpacked(words, num_symbols * self._bits).reshape(len(words), num_symbols, -1)
        return bits.astype(np.int64) @ (1 << np.arange(self._bits, dtype=np.int64)[::-1])

    def num_symbols(self, num_inputs: int, num_outputs: int) -> int:
        if num_outputs != self.num_classes:
            raise ValueError(
                f"argmax over {self.num_classes} classes needs as many outputs, got {num_outputs}."
            )
        return num_inputs

    @property
    def _bits(self) -> int:
        return (self.num_classes - 1).bit_length()


@dataclass(frozen=True)
class Rounding:
    """The nearest multiple of ``mesh`` > 0, counted in meshes; halves go away from 0."""

    mesh: float

    def __post_init__(self) -> None:
        if not self.mesh > 0:
            raise ValueError(f"the mesh of a rounding must be > 0, got {self.mesh}.")

    def words(self, outputs: Float[Tensor, "setting input output"]) -> Words:
        values = outputs.flatten(1).double().numpy()
        meshes = np.trunc(values / self.mesh + np.copysign(0.5, values))
        if not (np.abs(meshes) < 2.0**62).all():
            raise ValueError(
                f"outputs must be finite and below 2^62 meshes to be rounded to {self.mesh}."
            )
        return meshes.astype(np.int64).view(np.uint64)

    def symbols(self, words: Words, num_symbols: int) -> Symbols:
        return np.ascontiguousarray(words).view(np.int64)[:, :num_symbols]

    def num_symbols(self, num_inputs: int, num_outputs: int) -> int:
        return num_inputs * num_outputs


Outputs = Sign | Argmax | Rounding
SIGN = Sign()


def packed(bits: Bool[np.ndarray, "function bit"]) -> Words:
    """Rows of bits as whole words, the first bit in the highest place and zeros before it."""
    rows, count = bits.shape
    num_words = -(-count // 64)
    if count % 8:
        padded = np.zeros((rows, 64 * num_words), bool)
        padded[:, -count:] = bits
        octets = np.packbits(padded, axis=1)
    else:
        octets = np.zeros((rows, 8 * num_words), np.uint8)
        octets[:, -(count // 8) :] = np.packbits(bits, axis=1)
    return octets.view(">u8").astype(np.uint64)


def unpacked(words: Words, num_bits: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The inverse of :func:`packed`."""
    octets = np.ascontiguousarray(words.astype(">u8")).view(np.uint8)
    return np.unpackbits(octets, axis=1)[:, -num_bits:]


def text(symbols: Symbols) -> list[str]:
    """Functions of at most ten symbols as strings of digits.

    Example:
        >>> text(np.array([[0, 1, 1]]))
        ['011']
    """
    if symbols.size and not (symbols.min() >= 0 and symbols.max() <= 9):
        raise ValueError("only symbols from 0 to 9 can be written as digits.")
    return [row.tobytes().decode() for row in (symbols + ord("0")).astype(np.uint8)]
