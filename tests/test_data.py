import itertools
import math
import multiprocessing
import random

import numpy as np
import pytest
import torch
from scipy import stats
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

import singulab as sl
from networks import integers, normal
from singulab import data as data_module
from singulab.data import (
    DatasetSource,
    Feed,
    StreamSource,
    TensorSource,
    as_source,
    default_batch_size,
    leaves,
    pad,
)
from singulab.rng import Minibatches, Purpose

X, Y = normal(10, 3), integers(2, 10)


class Pairs(Dataset):
    """A map-style data set that counts how often it was asked."""

    def __init__(self, x=X, y=Y):
        self.x, self.y, self.asked = x, y, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        self.asked += 1
        return self.x[index], self.y[index]


class Uneven(Dataset):
    """Sequences of unequal length."""

    lengths = (3, 5, 2, 4, 6, 3, 2, 5)

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, index):
        return {"input_ids": torch.arange(self.lengths[index]) + 10 * index}


class Endless(IterableDataset):
    """A stream of single data."""

    def __init__(self, length=10):
        self.length = length

    def __iter__(self):
        return zip(X[: self.length], Y[: self.length], strict=True)


class Singles:
    """An iterable of single data that is no data set of torch."""

    def __iter__(self):
        return iter(Endless())


class Batches:
    """An iterable of batches, each started anew."""

    def __iter__(self):
        return iter(DataLoader(Pairs(), batch_size=4))


def whole(source) -> list[torch.Tensor]:
    """The leaves of all data in order."""
    rows = torch.arange(source.num_data)[None]
    return [leaf[0] for leaf in leaves(source.fetch(rows))]


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


CONTAINERS = {
    "tuple of tensors": (X, Y),
    "list of two tensors": [X, Y],
    "numpy arrays": (X.numpy(), Y.numpy()),
    "TensorDataset": TensorDataset(X, Y),
    "Dataset": Pairs(),
    "list of pairs": list(zip(X, Y, strict=True)),
    "list of pairs with numbers": [(x, int(y)) for x, y in zip(X, Y, strict=True)],
    "Subset": Subset(Pairs(X.repeat(2, 1), Y.repeat(2)), range(10)),
    "DataLoader": DataLoader(Pairs(), batch_size=4),
    "shuffled DataLoader": DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True),
    "DataLoader that drops": DataLoader(Pairs(), batch_size=4, drop_last=True),
    "sampler": DataLoader(Pairs(), batch_size=4, sampler=RandomSampler(Pairs())),
    "sl.Data": sl.Data(Pairs()),
    "sl.Data of tensors": sl.Data((X, Y)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_data_in_order(name):
    source = as_source(CONTAINERS[name])
    assert source.num_data == 10
    assert same(whole(source), [X, Y])


def test_dicts_keep_their_names_and_tuples_nest():
    source = as_source({"a": X, "label": Y})
    assert sorted(source.tree) == ["a", "label"]
    nested = as_source(((X, {"mask": Y}), Y)).fetch(torch.tensor([[1, 3]]))
    assert torch.equal(nested[0][1]["mask"][0], Y[[1, 3]])


def test_a_loader_gives_its_batch_size_and_its_collate():
    def collate(rows):
        return torch.stack([x for x, _ in rows]) * 2, torch.stack([y for _, y in rows])

    source = as_source(DataLoader(Pairs(), batch_size=4, collate_fn=collate))
    assert source.batch_size == default_batch_size(source) == 4
    assert same(whole(source), [2 * X, Y])
    loader = sl.Data(DataLoader(Pairs(), batch_size=4), collate=collate)
    assert same(whole(as_source(loader)), [2 * X, Y])


@pytest.mark.parametrize(
    "source",
    [(X, Y), TensorDataset(X, Y), Pairs(), DataLoader(Pairs(), batch_size=2)],
    ids=["tensors", "TensorDataset", "Dataset", "DataLoader"],
)
@pytest.mark.parametrize(
    "subset", [[7, 2, 5], torch.tensor([7, 2, 5]), np.array([7, 2, 5])], ids=["list", "torch", "np"]
)
def test_a_subset_is_all_there_is(source, subset):
    chosen = as_source(sl.Data(source, subset=subset))
    assert chosen.num_data == 3
    assert same(whole(chosen), [X[[7, 2, 5]], Y[[7, 2, 5]]])


@pytest.mark.parametrize("source", [(X, Y), Pairs()], ids=["tensors", "Dataset"])
def test_a_subset_may_be_a_mask(source):
    mask = torch.zeros(10, dtype=torch.bool)
    mask[[2, 5, 7]] = True
    assert same(whole(as_source(sl.Data(source, subset=mask))), [X[mask], Y[mask]])


def test_the_indices_of_a_subset_sampler_are_a_subset():
    loader = DataLoader(Pairs(), batch_size=2, sampler=SubsetRandomSampler([7, 2, 5]))
    assert same(whole(as_source(loader)), [X[[7, 2, 5]], Y[[7, 2, 5]]])


@pytest.mark.parametrize("dataset", [TensorDataset(X, Y), Pairs()], ids=["tensors", "Dataset"])
def test_a_weighted_sampler_becomes_probabilities(dataset):
    weights = [1.0, 3.0] + [0.5] * 8
    loader = DataLoader(dataset, batch_size=4, sampler=WeightedRandomSampler(weights, 10))
    source = as_source(loader)
    assert source.probabilities == pytest.approx(np.array(weights) / 8)
    cut = as_source(sl.Data(loader, subset=[1, 0]))
    assert cut.probabilities == pytest.approx([0.75, 0.25])
    feed = Feed(source, seed=0, batch_size=4, num_chains=3)
    drawn = torch.cat([feed([0, 1, 2], step)[1].reshape(-1) for step in range(300)])
    counts = torch.bincount(drawn, minlength=10).numpy()
    assert stats.chisquare(counts, source.probabilities * drawn.numel()).pvalue > 1e-4


def test_each_chain_gets_the_data_of_its_own_indices():
    source = as_source((X, Y))
    feed = Feed(source, seed=4, batch_size=4, num_chains=3)
    (x, y), indices = feed([0, 1, 2], 5)
    wanted = Minibatches(4, num_data=10, batch_size=4).indices(range(3), 5)
    assert torch.equal(indices, wanted)
    assert torch.equal(x, X[indices])
    assert torch.equal(y, Y[indices])


def test_a_large_data_set_is_fetched_datum_by_datum(monkeypatch):
    monkeypatch.setattr(data_module, "_IN_MEMORY_BYTES", 100)
    dataset = Pairs()
    source = as_source(dataset)
    assert isinstance(source, DatasetSource)
    dataset.asked = 0
    (x, y), indices = Feed(source, seed=0, batch_size=4, num_chains=2)([0, 1], 3)
    assert dataset.asked == 8
    assert torch.equal(x, X[indices])
    assert torch.equal(y, Y[indices])


def test_sequences_of_unequal_length_are_padded_per_batch(monkeypatch):
    monkeypatch.setattr(data_module, "_CHUNK", 4)  # no padding that all batches share
    source = as_source(DataLoader(Uneven(), batch_size=2, collate_fn=pad))
    assert isinstance(source, DatasetSource)
    assert not source.even
    batch, indices = Feed(source, seed=0, batch_size=2, num_chains=1)([0], 0)
    lengths = torch.tensor(Uneven.lengths)[indices[0]]
    assert batch["input_ids"].shape == (1, 2, int(lengths.max()))
    assert torch.equal(batch["attention_mask"][0].sum(1), lengths)


def test_workers_prepare_the_same_batches_as_this_process(monkeypatch):
    monkeypatch.setattr(data_module, "_IN_MEMORY_BYTES", 100)
    plain, worked = (as_source(DataLoader(Pairs(), num_workers=w)) for w in (0, 2))
    assert worked.num_workers == 2
    for order in ([[0, 1, 2]], [[0], [1], [2]]):
        feeds = [Feed(source, seed=1, batch_size=4, num_chains=3) for source in (plain, worked)]
        for step, chains in itertools.product((3, 4, 9), order):
            one, other = (feed(chains, step) for feed in feeds)
            assert same(leaves(one), leaves(other))
    del feeds
    assert multiprocessing.active_children() == []  # workers end with the feed that uses them


@pytest.mark.parametrize(
    "source",
    [
        sl.Data(Endless(), n=10),
        sl.Data(DataLoader(Endless(), batch_size=4), n=10),
        sl.Data(Singles(), n=10, collate=default_collate),
        sl.Data(Batches(), n=10),
        sl.Data(DataLoader(Pairs(), batch_sampler=[[0, 1, 2, 3], [4, 5, 6, 7]]), n=10),
        sl.Data(DataLoader(Pairs(), batch_size=4, sampler=list(range(10))), n=10),
    ],
    ids=["IterableDataset", "DataLoader", "single data", "batches", "batch sampler", "sampler"],
)
def test_a_stream_deals_its_batches_to_the_chains_in_turn(source):
    stream = as_source(source)
    assert isinstance(stream, StreamSource)
    assert stream.num_data == 10
    feed = Feed(stream, seed=0, batch_size=4, num_chains=2)
    dealt = [feed([chain], step)[0][0][0] for step in (0, 1) for chain in (0, 1)]
    assert torch.equal(dealt[0], X[:4])
    assert torch.equal(dealt[1], X[4:8])
    resumed = Feed(stream, seed=0, batch_size=4, num_chains=2)
    assert torch.equal(resumed([1], 1)[0][0][0], dealt[3])


def test_a_finished_stream_begins_anew():
    stream = as_source(sl.Data(Endless(), n=10))
    batches = stream.batches(4)
    seen = [next(batches)[0] for _ in range(4)]
    assert torch.equal(seen[0], seen[2])  # two whole batches of four in ten data


def test_curvature_takes_batches_of_a_stream_without_disturbing_the_chains():
    stream = as_source(sl.Data(Endless(), n=10))
    feed = Feed(stream, seed=0, batch_size=4, num_chains=1)
    first = feed([0], 0)
    other = Feed(stream, seed=0, batch_size=4, num_chains=1, purpose=Purpose.BATCH_FOR_CURVATURE)
    other([0], 1000)
    assert not same(leaves(first), leaves(feed([0], 1)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: as_source(Pairs()),
        lambda: as_source(DataLoader(Pairs(), batch_size=4, shuffle=True)),
        lambda: Feed(as_source((X, Y)), seed=0, batch_size=4, num_chains=2)([0, 1], 0),
        lambda: list(DatasetSource(Pairs(), default_collate, num_workers=1).fetch_ahead([[0, 1]])),
    ],
    ids=["Dataset", "DataLoader", "Feed", "workers"],
)
def test_reading_data_leaves_the_global_generators_alone(unchecked, make):
    before = torch.random.get_rng_state(), random.getstate()
    make()
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_the_default_batch_is_all_of_little_data_and_an_even_part_of_more():
    def size(n):
        return default_batch_size(TensorSource((torch.zeros(n, 1), torch.zeros(n))))

    assert [size(n) for n in (2, 64, 65, 101, 102, 10_000)] == [2, 64, 32, 50, 50, 128]


def test_padding_fills_ids_with_zero_labels_with_minus_100_and_marks_what_is_real():
    rows = [
        {
            "input_ids": torch.tensor([5, 6, 7]),
            "labels": torch.tensor([5, 6, 7]),
            "id": torch.tensor(1),
        },
        {"input_ids": torch.tensor([8]), "labels": torch.tensor([8]), "id": torch.tensor(2)},
    ]
    batch = pad(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[5, 6, 7], [8, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["id"].tolist() == [1, 2]


def test_padding_makes_each_column_as_long_as_it_must_be():
    rows = [{"x": torch.ones(5), "z": torch.ones(2), "label": torch.tensor(0)}] * 2
    assert {name: tuple(t.shape) for name, t in pad(rows).items()} == {
        "x": (2, 5),
        "z": (2, 2),
        "label": (2,),
    }
    assert pad([{"label": torch.tensor(1)}])["label"].tolist() == [1]


def test_hugging_face_data_sets_give_their_numeric_columns():
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict(
        {"x": X.tolist(), "text": ["a"] * 10, "label": Y.tolist(), "extra": [[1, 2]] * 10}
    )
    source = as_source(table)
    assert source.num_data == 10
    assert sorted(source.tree) == ["extra", "label", "x"]
    assert torch.equal(source.tree["x"], X)
    assert torch.equal(source.tree["label"], Y)
    chosen = as_source(sl.Data(table.select_columns(["x", "label"]), subset=[3, 1]))
    assert torch.equal(chosen.tree["x"], X[[3, 1]])


def test_hugging_face_tokens_of_unequal_length_are_padded():
    datasets = pytest.importorskip("datasets")
    ids = [list(range(1, length + 1)) for length in Uneven.lengths]
    table = datasets.Dataset.from_dict({"input_ids": ids})
    batch, indices = Feed(as_source(table), seed=0, batch_size=4, num_chains=1)([0], 0)
    lengths = torch.tensor(Uneven.lengths)[indices[0]]
    assert torch.equal(batch["attention_mask"][0].sum(1), lengths)
    stream = as_source(sl.Data(table.to_iterable_dataset(), n=8))
    assert isinstance(stream, StreamSource)
    first = next(stream.batches(2))
    assert first["input_ids"].tolist() == [[1, 2, 3, 0, 0], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize(
    "data, error, sentence",
    [
        ((torch.zeros(0, 3), torch.zeros(0)), ValueError, "the data are empty"),
        (Pairs(X[:0], Y[:0]), ValueError, "the data are empty"),
        ([], ValueError, "the data are empty"),
        ((X[:1], Y[:1]), ValueError, "there is one datum only"),
        (Pairs(X[:1], Y[:1]), ValueError, "there is one datum only"),
        (sl.Data((X, Y), subset=[4]), ValueError, "there is one datum only"),
        ((X, Y[:9]), ValueError, r"must have one length, got \[9, 10\]"),
        ((X, torch.tensor(1.0)), ValueError, "got a scalar tensor"),
        ((X * math.nan, Y), ValueError, "the data hold NaN or infinite numbers"),
        ((X, {"y": X / 0}), ValueError, "the data hold NaN or infinite numbers"),
        (TensorDataset(X * math.inf, Y), ValueError, "the data hold NaN or infinite numbers"),
        (iter([(X, Y)]), TypeError, "an iterator that can be read only once"),
        (((x, y) for x, y in [(X, Y)]), TypeError, "an iterator that can be read only once"),
        (7, TypeError, "data must be tensors, a Dataset, a DataLoader or an iterable .* got int"),
        (Endless(0), ValueError, "the data stream is empty"),
        (sl.Data(Endless(), subset=[1, 2]), ValueError, "a stream has no indices"),
        (sl.Data((X, Y), n=7), ValueError, "n=7 was given, but the source holds 10 data"),
        (["some", "text"], TypeError, "a batch must hold at least one tensor"),
    ],
)
def test_wrong_data_say_what_is_wrong(unchecked, data, error, sentence):
    def read():
        Feed(as_source(data), seed=0, batch_size=2, num_chains=1)([0], 0)

    with pytest.raises(error, match=sentence):
        read()


def test_a_stream_of_single_data_needs_a_batch_size():
    stream = as_source(Endless())
    with pytest.raises(ValueError, match="a stream of single data needs batch_size"):
        Feed(stream, seed=0, batch_size=None, num_chains=1)([0], 0)


@pytest.mark.parametrize("n", [1, 0, -3])
def test_n_is_at_least_2(n):
    with pytest.raises(ValueError, match=f"n must be at least 2, got {n}"):
        sl.Data((X, Y), n=n)


def test_a_dict_of_hugging_face_splits_is_refused():
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"x": X.tolist(), "label": Y.tolist()})
    with pytest.raises(TypeError, match=r"several splits \(train, test\); choose one"):
        as_source(datasets.DatasetDict({"train": table, "test": table}))
    words = datasets.Dataset.from_dict({"text": ["a", "b"]})
    with pytest.raises(ValueError, match="no numeric column; it has .*'text'.* Tokenise it first"):
        as_source(words)
