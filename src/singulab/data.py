"""Data of any form, seen as minibatches that each chain draws for itself.

An *ordered* source gives any datum by its index, so the loss of every datum at w* is computed once and
excess losses are paired for free. A *stream* has no stable order: batches are dealt to the chains as they
come, and pairing costs a second forward pass.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from singulab.rng import Minibatches, Purpose

Batch = Any  # a tensor, or tuples, lists and mappings of tensors, all leading with the batch axis

_IN_MEMORY_BYTES = 2 << 30
_CHUNK = 256


class Data:
    """Data with what a plain container cannot say.

    Args:
        source: tensors, a ``Dataset``, a ``DataLoader``, a Hugging Face data set, or any iterable that can
            be started anew; an iterable of single data needs ``collate``, one of batches does not.
        n: number of data, for sources that do not know it. It sets nβ, not what is drawn.
        collate: makes a batch of a list of data.
        subset: indices (or a boolean mask) of the data to use; the others do not exist for the measurement.
    """

    def __init__(
        self,
        source: Any,
        n: int | None = None,
        collate: Callable[[list[Any]], Batch] | None = None,
        subset: Sequence[int] | Tensor | np.ndarray | None = None,
    ) -> None:
        if n is not None and n < 2:
            raise ValueError(f"n must be at least 2, got {n}.")
        self.source, self.collate = source, collate
        self.n = None if n is None else int(n)
        self.subset: Tensor | None = None
        if subset is not None:
            chosen = torch.as_tensor(subset)
            mask = chosen.dtype == torch.bool
            self.subset = chosen.nonzero().flatten() if mask else chosen.long()


def tree_map(function: Callable[[Tensor], Any], tree: Batch) -> Batch:
    """Apply a function to every tensor of a batch; other leaves stay as they are."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(tree_map(function, leaf) for leaf in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(tree_map(function, leaf) for leaf in tree)
    if isinstance(tree, Mapping):
        return {key: tree_map(function, leaf) for key, leaf in tree.items()}
    return tree


def entry(tree: Batch, *index: int | slice) -> Batch:
    """The same entry of every tensor of a batch."""
    return tree_map(lambda leaf: leaf[index], tree)


def leaves(tree: Batch) -> list[Tensor]:
    """The tensors of a batch, in order."""
    found: list[Tensor] = []
    tree_map(found.append, tree)
    return found


def _combine(trees: Sequence[Batch], join: Callable[[list[Tensor]], Tensor]) -> Batch:
    streams = [iter(leaves(tree)) for tree in trees]
    return tree_map(lambda _: join([next(stream) for stream in streams]), trees[0])


def batch_length(batch: Batch) -> int:
    """Number of data in a batch."""
    found = leaves(batch)
    if not found:
        raise TypeError(f"a batch must hold at least one tensor, got {type(batch).__name__}.")
    if any(leaf.ndim == 0 for leaf in found):
        raise ValueError(
            "every tensor of a batch must lead with the batch axis, got a scalar tensor."
        )
    lengths = {leaf.shape[0] for leaf in found}
    if len(lengths) != 1:
        raise ValueError(f"the tensors of a batch must have one length, got {sorted(lengths)}.")
    return lengths.pop()


class TensorSource:
    """All data in memory, as one big batch."""

    ordered = True
    even = True  # batches of one size have one shape, so those of several chains can be stacked

    def __init__(
        self, tree: Batch, *, batch_size: int | None = None, probabilities: np.ndarray | None = None
    ) -> None:
        self.num_data = batch_length(tree)
        for leaf in leaves(tree):
            if leaf.is_floating_point() and not bool(torch.isfinite(leaf).all()):
                raise ValueError(
                    "the data hold NaN or infinite numbers; clean them or drop those data."
                )
        self.tree, self.batch_size, self.probabilities = tree, batch_size, probabilities

    def fetch(self, indices: Int[Tensor, "chain batch"]) -> Batch:
        """One batch per chain; leaves are (chain, batch, …)."""
        chains, size = indices.shape
        if size == self.num_data and self.probabilities is None:
            return tree_map(lambda leaf: leaf.expand(chains, *leaf.shape), self.tree)

        def chosen(leaf: Tensor) -> Tensor:
            rows = leaf.index_select(0, indices.flatten().to(leaf.device))
            return rows.view(chains, size, *leaf.shape[1:])

        return tree_map(chosen, self.tree)

    def to(self, device: torch.device) -> "TensorSource":
        self.tree = tree_map(lambda leaf: leaf.to(device), self.tree)
        return self

    def with_targets(
        self, join: Callable[[Batch, Tensor], Batch], targets: Tensor
    ) -> "TensorSource":
        """The same inputs with other targets (a teacher's outputs)."""
        return TensorSource(
            join(self.tree, targets), batch_size=self.batch_size, probabilities=self.probabilities
        )


class DatasetSource:
    """A map-style data set too large or too uneven to hold in memory."""

    ordered = True
    even = False

    def __init__(
        self,
        dataset: Any,
        collate: Callable[[list[Any]], Batch],
        *,
        batch_size: int | None = None,
        probabilities: np.ndarray | None = None,
        num_workers: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.dataset, self.collate, self.num_workers = dataset, collate, num_workers
        self.num_data = len(dataset)
        self.batch_size, self.probabilities = batch_size, probabilities
        self.device = device or torch.device("cpu")

    def fetch(self, indices: Int[Tensor, "chain batch"]) -> Batch:
        """One batch per chain, put together in this process."""
        return self._stack([self.collate([self.dataset[int(i)] for i in row]) for row in indices])

    def fetch_ahead(self, rows: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """Batches of the rows in order, prepared ahead by worker processes."""
        loader = DataLoader(
            self.dataset,
            batch_sampler=_Rows(rows),
            collate_fn=self.collate,
            num_workers=self.num_workers,
            generator=torch.Generator(),  # else the global one is asked for a seed
        )
        for batch in loader:
            yield tree_map(lambda leaf: leaf.to(self.device), batch)

    def _stack(self, batches: list[Batch]) -> Batch:
        return tree_map(lambda leaf: leaf.to(self.device), _combine(batches, torch.stack))

    def to(self, device: torch.device) -> "DatasetSource":
        self.device = device
        return self


class StreamSource:
    """Batches in the order in which they come; started anew when exhausted."""

    ordered = False
    even = False
    probabilities = None

    def __init__(
        self,
        iterable: Iterable[Any],
        *,
        num_data: int | None = None,
        batch_size: int | None = None,
        collate: Callable[[list[Any]], Batch] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.iterable, self.num_data, self.batch_size, self.collate = (
            iterable,
            num_data,
            batch_size,
            collate,
        )
        self.device = device or torch.device("cpu")

    def batches(self, batch_size: int | None) -> Iterator[Batch]:
        """Endless batches; data are grouped by ``batch_size`` if the stream yields single ones."""
        while True:
            count = 0
            for batch in self._once(batch_size):
                count += 1
                yield tree_map(lambda leaf: leaf.to(self.device), batch)
            if count == 0:
                raise ValueError("the data stream is empty, or cannot be started a second time.")

    def _once(self, batch_size: int | None) -> Iterator[Batch]:
        if self.collate is None:
            yield from self.iterable
            return
        if batch_size is None:
            raise ValueError("a stream of single data needs batch_size.")
        held: list[Any] = []
        for datum in self.iterable:
            held.append(datum)
            if len(held) == batch_size:
                yield self.collate(held)
                held = []

    def to(self, device: torch.device) -> "StreamSource":
        self.device = device
        return self


Source = TensorSource | DatasetSource | StreamSource


class _Rows:
    """A batch sampler that walks over given rows of indices."""

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[list[int]]:
        for row in self.rows:
            yield [int(index) for index in row]


def as_source(data: Any, *, n: int | None = None) -> Source:
    """Turn anything that holds data into a source.

    Args:
        data: tensors or tuples/dicts of tensors, a ``Dataset``, a ``DataLoader``, a Hugging Face data set,
            :class:`Data`, or an iterable of batches.
        n: number of data, where the source does not know it.

    Raises:
        ValueError: empty data, a single datum, unequal lengths, NaN or infinite numbers, an ``n`` that is
            not the number of data, a subset of a stream.
        TypeError: nothing that can be read as data.
    """
    options = Data(data, n=n) if not isinstance(data, Data) else data
    source = _read(options)
    if source.num_data is not None:
        if source.num_data == 0:
            raise ValueError("the data are empty; at least 2 data are needed.")
        if source.num_data == 1:
            raise ValueError("there is one datum only; n/log n needs at least 2 data.")
        if options.n not in (None, source.num_data):
            raise ValueError(
                f"n={options.n} was given, but the source holds {source.num_data} data; leave n out, "
                "and give nbeta for another temperature."
            )
    if isinstance(source, StreamSource) and options.subset is not None:
        raise ValueError("a stream has no indices, so no subset of it can be chosen.")
    return source


def _read(data: Data) -> Source:
    source, collate, subset = data.source, data.collate, data.subset
    if isinstance(source, DataLoader):
        return _read_loader(source, data)
    if isinstance(source, Mapping) and any(_is_hugging_face(part) for part in source.values()):
        raise TypeError(f"the data have several splits ({', '.join(source)}); choose one.")
    if (
        isinstance(source, Mapping)
        or _is_tensor_tuple(source)
        or isinstance(source, Tensor | np.ndarray)
    ):
        tree = _as_tensors(source)
        if subset is not None:
            tree = tree_map(lambda leaf: leaf[subset], tree)
        return TensorSource(tree)
    if _is_hugging_face(source):
        return _read_hugging_face(source, data)
    if isinstance(source, IterableDataset) or not hasattr(source, "__getitem__"):
        if not isinstance(source, Iterable):
            raise TypeError(
                f"data must be tensors, a Dataset, a DataLoader or an iterable of batches, got {type(source).__name__}."
            )
        if iter(source) is source:
            raise TypeError(
                "data is an iterator that can be read only once; pass an iterable that can be started anew."
            )
        single = isinstance(source, IterableDataset) and collate is None
        return StreamSource(source, num_data=data.n, collate=default_collate if single else collate)
    if not hasattr(source, "__len__"):
        raise TypeError(
            "a data set with __getitem__ needs __len__ as well; wrap a stream in sl.Data(source, n=…)."
        )
    return _read_dataset(source, data, collate or default_collate)


def _read_loader(loader: DataLoader, data: Data) -> Source:
    dataset, collate = loader.dataset, data.collate or loader.collate_fn
    known = loader.batch_size is not None and isinstance(loader.batch_sampler, BatchSampler)
    if isinstance(dataset, IterableDataset) or not known:
        return StreamSource(loader, num_data=data.n, batch_size=loader.batch_size)
    sampler, probabilities, subset = loader.sampler, None, data.subset
    if isinstance(sampler, WeightedRandomSampler):
        weights = np.asarray(sampler.weights, dtype=np.float64)
        probabilities = weights / weights.sum()
    elif isinstance(sampler, SubsetRandomSampler):
        subset = torch.as_tensor(sampler.indices) if subset is None else subset
    elif not isinstance(sampler, RandomSampler | SequentialSampler):
        return StreamSource(loader, num_data=data.n, batch_size=loader.batch_size)
    return _read_dataset(
        dataset,
        Data(dataset, n=data.n, subset=subset),
        collate,
        batch_size=loader.batch_size,
        probabilities=probabilities,
        num_workers=loader.num_workers,
    )


def _read_dataset(
    dataset: Any,
    data: Data,
    collate: Callable[[list[Any]], Batch],
    *,
    batch_size: int | None = None,
    probabilities: np.ndarray | None = None,
    num_workers: int = 0,
) -> Source:
    if isinstance(dataset, TensorDataset) and collate is default_collate:
        tree: Batch = tuple(dataset.tensors)
        tree = tree[0] if len(tree) == 1 else tree
        if data.subset is not None:
            tree = tree_map(lambda leaf: leaf[data.subset], tree)
            probabilities = _restrict(probabilities, data.subset)
        return TensorSource(tree, batch_size=batch_size, probabilities=probabilities)
    if data.subset is not None:
        dataset = Subset(dataset, data.subset.tolist())
        probabilities = _restrict(probabilities, data.subset)
    if len(dataset) < 2:
        return DatasetSource(dataset, collate)
    tree = _in_memory(dataset, collate, num_workers)
    if tree is not None:
        return TensorSource(tree, batch_size=batch_size, probabilities=probabilities)
    return DatasetSource(
        dataset,
        collate,
        batch_size=batch_size,
        probabilities=probabilities,
        num_workers=num_workers,
    )


def _in_memory(
    dataset: Any, collate: Callable[[list[Any]], Batch], num_workers: int
) -> Batch | None:
    """The whole data set as one batch, or None if it is too large or its batches differ in shape."""
    first = collate([dataset[i] for i in range(min(len(dataset), 8))])
    size = sum(leaf.numel() * leaf.element_size() for leaf in leaves(first))
    if size / batch_length(first) * len(dataset) > _IN_MEMORY_BYTES:
        return None
    chunks = []
    loader = DataLoader(
        dataset,
        batch_size=_CHUNK,
        collate_fn=collate,
        num_workers=num_workers,
        generator=torch.Generator(),  # else the global one is asked for a seed
    )
    for chunk in loader:
        shapes = [leaf.shape[1:] for leaf in leaves(chunk)]
        if shapes != [leaf.shape[1:] for leaf in leaves(first)]:
            return None
        chunks.append(chunk)
    return _combine(chunks, torch.cat)


def _restrict(probabilities: np.ndarray | None, chosen: Tensor) -> np.ndarray | None:
    if probabilities is None:
        return None
    kept = probabilities[chosen.numpy()]
    return kept / kept.sum()


def _is_hugging_face(source: Any) -> bool:
    return hasattr(source, "with_format") and hasattr(source, "column_names")


def _read_hugging_face(source: Any, data: Data) -> Source:
    if not hasattr(source, "__len__"):
        return StreamSource(
            source.with_format("torch"), num_data=data.n, collate=data.collate or pad
        )
    columns = [name for name, feature in source.features.items() if _numeric(feature)]
    if not columns:
        raise ValueError(
            f"the data set has no numeric column; it has {source.column_names}. Tokenise it first."
        )
    table = source.with_format("torch", columns=columns)
    return _read_dataset(table, data, data.collate or pad)


def _numeric(feature: Any) -> bool:
    while hasattr(feature, "feature"):
        feature = feature.feature
    if isinstance(feature, list):
        feature = feature[0]
    kind = str(getattr(feature, "dtype", ""))
    return kind.startswith(("int", "uint", "float", "bool")) or hasattr(feature, "names")


def pad(rows: list[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Collate rows of unequal length: ids and masks are padded with 0, labels with −100."""
    batch: dict[str, Tensor] = {}
    for name in rows[0]:
        column = [row[name] for row in rows]
        if column[0].ndim == 1:
            fill = -100 if name == "labels" else 0
            batch[name] = pad_sequence(column, batch_first=True, padding_value=fill)
        else:
            batch[name] = torch.stack(column)
    if "input_ids" in batch and "attention_mask" not in batch:
        lengths = torch.tensor([row["input_ids"].shape[0] for row in rows])
        positions = torch.arange(batch["input_ids"].shape[1])
        batch["attention_mask"] = (positions < lengths[:, None]).long()
    return batch


def _is_tensor_tuple(source: Any) -> bool:
    """Whether these are the parts of one batch; a list of tuples or mappings is a list of data."""
    parts: Any = Tensor | np.ndarray
    if isinstance(source, tuple):
        return bool(source) and all(
            isinstance(part, parts | Mapping) or _is_tensor_tuple(part) for part in source
        )
    return isinstance(source, list) and bool(source) and all(isinstance(p, parts) for p in source)


def _as_tensors(source: Any) -> Batch:
    if isinstance(source, np.ndarray):
        return torch.from_numpy(source)
    if isinstance(source, tuple | list):
        return tuple(_as_tensors(part) for part in source)
    if isinstance(source, Mapping):
        return {key: _as_tensors(part) for key, part in source.items()}
    if not isinstance(source, Tensor):
        raise TypeError(f"data must consist of tensors, got {type(source).__name__}.")
    return source


class Feed:
    """Hands each chain its own minibatch at each step, with the indices it consists of.

    Args:
        source: where the data are.
        seed: the run's seed.
        batch_size: B; None for a stream that comes in batches.
        num_chains: chains of the run; a stream deals its batches to them in turn.
        purpose: random stream of the indices.
    """

    def __init__(
        self,
        source: Source,
        *,
        seed: int,
        batch_size: int | None,
        num_chains: int,
        purpose: Purpose = Purpose.BATCH,
    ) -> None:
        self.source, self.seed, self.num_chains, self.purpose = source, seed, num_chains, purpose
        self.batch_size = batch_size
        self._minibatches: Minibatches | None = None
        if not isinstance(source, StreamSource) and batch_size is not None:
            self._minibatches = Minibatches(
                seed,
                num_data=source.num_data,
                batch_size=batch_size,
                probabilities=source.probabilities,
                purpose=purpose,
            )
        self._ahead: Iterator[Batch] | None = None
        self._expected: tuple[int, int] | None = None

    def __call__(
        self, chains: Sequence[int], step: int
    ) -> tuple[Batch, Int[Tensor, "chain batch"] | None]:
        """The minibatches of some chains at a step; leaves are (chain, batch, …)."""
        if isinstance(self.source, StreamSource):
            return _combine([self._deal(chain, step) for chain in chains], torch.stack), None
        indices = self.indices(chains, step)
        if (
            isinstance(self.source, DatasetSource)
            and self.source.num_workers
            and self.purpose is Purpose.BATCH
        ):
            batches = [self._deal(chain, step) for chain in chains]
            return _combine(batches, torch.stack), indices
        return self.source.fetch(indices), indices

    def indices(self, chains: Sequence[int], step: int) -> Int[Tensor, "chain batch"]:
        """Which data make up the minibatches of some chains at a step; a stream has none."""
        assert self._minibatches is not None
        return self._minibatches.indices(chains, step)

    def _deal(self, chain: int, step: int) -> Batch:
        curious = isinstance(self.source, StreamSource) and self.purpose is not Purpose.BATCH
        if self._ahead is None or (self._expected != (step, chain) and not curious):
            self._ahead = self._start(0 if curious else chain, 0 if curious else step)
        batch = next(self._ahead)
        self._expected = (step, chain + 1) if chain + 1 < self.num_chains else (step + 1, 0)
        return batch

    def _start(self, chain: int, step: int) -> Iterator[Batch]:
        if isinstance(self.source, StreamSource):
            batches = self.source.batches(self.batch_size)
            for _ in range(step * self.num_chains + chain):
                next(batches)
            return batches
        assert isinstance(self.source, DatasetSource)
        assert self._minibatches is not None
        rows = _rows(self._minibatches, chain, step, self.num_chains)
        return self.source.fetch_ahead(rows)


def _rows(minibatches: Minibatches, chain: int, step: int, num_chains: int) -> Iterator[list[int]]:
    """The minibatches of all chains from a chain and step on; holds no feed, so that one ends with its last user."""
    while True:
        yield minibatches.indices([chain], step)[0].tolist()
        chain += 1
        if chain == num_chains:
            chain, step = 0, step + 1


def default_batch_size(source: Source) -> int | None:
    """The source's own batch size, or the smaller of 128 and n/2 (even)."""
    if source.batch_size is not None:
        if source.num_data is not None:
            return min(source.batch_size, source.num_data)
        return source.batch_size
    if source.num_data is None:
        return None
    if source.num_data <= 64:
        return source.num_data
    return min(128, 2 * math.floor(source.num_data / 4))
