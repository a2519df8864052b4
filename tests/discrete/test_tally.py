import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singulab.discrete import Tally
from singulab.discrete import tally as module
from singulab.discrete.tally import added, unique


def naive(words):
    counts = {}
    for row in words.tolist():
        counts[tuple(row)] = counts.get(tuple(row), 0) + 1
    return counts


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(st.integers(0, 40), min_size=0, max_size=5),
    st.sampled_from([4, 1 << 20, 1 << 63]),
    st.integers(0, 2**32 - 1),
)
def test_a_tally_counts_like_a_dictionary(num_words, sizes, high, seed):
    random = np.random.default_rng(seed)
    parts = [
        random.integers(0, high, (size, num_words), dtype=np.uint64) % 7 * (high // 7)
        for size in sizes
    ]
    tally = Tally.empty(num_words)
    for part in parts:
        tally = tally.with_words(part)
    tally = tally.merged()
    whole = np.concatenate([np.empty((0, num_words), np.uint64), *parts])
    found = dict(zip(map(tuple, tally.functions.tolist()), tally.counts.tolist(), strict=True))
    assert found == naive(whole)
    assert tally.done == len(whole)


def test_rows_that_share_a_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(module, "_mixed", lambda words: np.zeros(len(words), np.uint64))
    words = np.array([[1, 2], [3, 4], [1, 2], [1, 5]], np.uint64)
    functions, counts = added(words, np.array([1, 1, 1, 1]))
    assert dict(zip(map(tuple, functions.tolist()), counts.tolist(), strict=True)) == {
        (1, 2): 2,
        (1, 5): 1,
        (3, 4): 1,
    }


def test_the_hash_separates_rows_that_differ_in_one_bit():
    words = np.zeros((128, 2), np.uint64)
    for bit in range(128):
        words[bit, bit // 64] = 1 << bit % 64
    assert len(np.unique(module._mixed(words))) == 128


def test_arrays_bring_the_tally_back():
    words = np.random.default_rng(0).integers(0, 1 << 63, (100, 2), dtype=np.uint64) | np.uint64(
        1 << 63
    )
    tally = Tally.empty(2).with_words(words).with_words(words[:10])
    again = Tally.of_arrays(tally.arrays())
    assert again.done == 110
    assert np.array_equal(again.functions, tally.merged().functions)
    assert np.array_equal(again.counts, tally.merged().counts)


def test_arrays_that_do_not_add_up_are_refused():
    arrays = Tally.empty(1).with_words(np.array([[3], [3]], np.uint64)).arrays()
    with pytest.raises(ValueError, match="add up to 2, not to the 5"):
        Tally.of_arrays({**arrays, "done": np.array([5])})
    with pytest.raises(ValueError, match="'counts' is missing"):
        Tally.of_arrays({"done": arrays["done"], "functions": arrays["functions"]})


def test_nothing_is_unique_in_nothing():
    functions, counts = unique(np.empty((0, 1), np.uint64))
    assert len(functions) == len(counts) == 0
