"""How often each function was met so far: the state of an enumeration, which can be kept and taken up again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64, UInt64

from singulab.discrete.outputs import Words

Counts = Int64[np.ndarray, " function"]
Rows = UInt64[np.ndarray, "row word"]

_DENSE_BITS = 16  # functions below 2^16 are counted in a table


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Functions and counts after the first ``done`` settings or draws; never changed, only replaced.

    What came last waits in ``pending`` until there is as much of it as of the rest, so that merging costs
    n log n in all.
    """

    done: int = 0
    functions: Words
    counts: Counts
    pending: tuple[tuple[np.ndarray, np.ndarray], ...] = ()  # functions and counts

    @classmethod
    def empty(cls, num_words: int) -> "Tally":
        return cls(functions=np.empty((0, num_words), np.uint64), counts=np.empty(0, np.int64))

    def with_words(self, words: Rows) -> "Tally":
        """The tally after these settings too."""
        found = unique(words)
        pending = (*self.pending, found)
        longer = replace(self, done=self.done + len(words), pending=pending)
        waiting = sum(len(counts) for _, counts in pending)
        return longer.merged() if waiting >= len(self.counts) else longer

    def merged(self) -> "Tally":
        """The same with nothing pending; functions in the order of their words."""
        if not self.pending:
            return self
        functions = np.concatenate([self.functions, *(words for words, _ in self.pending)])
        counts = np.concatenate([self.counts, *(counts for _, counts in self.pending)])
        functions, counts = added(functions, counts)
        return replace(self, functions=functions, counts=counts, pending=())

    def arrays(self) -> dict[str, np.ndarray]:
        """The state as arrays to be kept in any format; :meth:`of_arrays` takes them back."""
        merged = self.merged()
        return {
            "done": np.array([merged.done], np.int64),
            "functions": merged.functions.view(np.int64),
            "counts": merged.counts,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Tally":
        """The tally that :meth:`arrays` described.

        Raises:
            ValueError: an array is missing, or the counts do not add up.
        """
        try:
            done = int(arrays["done"][0])
            functions = np.ascontiguousarray(arrays["functions"], np.int64).view(np.uint64)
            counts = np.ascontiguousarray(arrays["counts"], np.int64)
        except KeyError as error:
            raise ValueError(
                f"a tally needs done, functions and counts; {error} is missing."
            ) from None
        if functions.ndim != 2 or counts.shape != (len(functions),) or counts.sum() != done:
            raise ValueError(
                f"the counts of this tally add up to {counts.sum()}, not to the {done} that were done."
            )
        return cls(done=done, functions=functions, counts=counts)


def unique(words: Rows) -> tuple[Words, Counts]:
    """Distinct rows and how often each occurs."""
    if words.shape[1] > 1:
        return added(words, np.ones(len(words), np.int64))
    flat = words[:, 0]
    if len(flat) and flat.max() < 1 << _DENSE_BITS:
        table = np.bincount(flat.astype(np.int64))
        found = np.flatnonzero(table)
        return found.astype(np.uint64)[:, None], table[found]
    flat = np.sort(flat)
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])[: len(flat)])
    return flat[starts][:, None], np.diff(np.append(starts, len(flat)))


def added(words: Rows, counts: Int64[np.ndarray, " row"]) -> tuple[Words, Counts]:
    """Equal rows united, their counts added.

    Rows of several words are brought together by a hash of 64 bits; if two different rows ever share one, they
    are sorted in full instead, so the result is exact.
    """
    if not len(words):
        return words, counts
    keys = words[:, 0] if words.shape[1] == 1 else _mixed(words)
    order = np.argsort(keys, kind="stable")
    words, keys = words[order], keys[order]
    differs = (words[1:] != words[:-1]).any(axis=1)
    if (differs & (keys[1:] == keys[:-1])).any():
        order = order[np.lexsort(words.T[::-1])]
        words = words[np.lexsort(words.T[::-1])]
        differs = (words[1:] != words[:-1]).any(axis=1)
    starts = np.flatnonzero(np.concatenate([[True], differs]))
    return words[starts], np.add.reduceat(counts[order], starts)


def _mixed(words: Rows) -> UInt64[np.ndarray, " row"]:
    """A hash of every row, by the finaliser of SplitMix64 after every word."""
    mixed = np.zeros(len(words), np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed
