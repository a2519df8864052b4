"""Every failure that singulab itself raises, as one tree.

    SingulabError
    ├── DivergedError        chains with non-finite losses        .chains
    ├── CorruptFileError     a file of ours is damaged            .path
    ├── UnwritableError      a file of ours cannot be written     .path    (also an OSError)
    ├── CheckpointError      a checkpoint does not fit or is unsafe .path
    ├── StaleRunError        a run folder belongs to other inputs .differences
    ├── InterruptedRunError  stopped on request, state saved      .run
    └── MissingExtraError    an optional dependency is absent     .extra   (also an ImportError)

Wrong arguments raise ``ValueError`` or ``TypeError`` instead. What the posterior does never raises in
``sl.measure``: it comes back as a failed check.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path


class SingulabError(Exception):
    """Base of all errors of this package; each child carries its evidence."""


class DivergedError(SingulabError):
    """Some chains have non-finite losses, so no honest average over them exists."""

    def __init__(self, message: str, *, chains: Sequence[int]) -> None:
        super().__init__(message)
        self.chains = tuple(chains)


class CorruptFileError(SingulabError):
    """A file is truncated, damaged or not what its name says."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}")
        self.path = Path(path)


class UnwritableError(SingulabError, OSError):
    """A file cannot be written: the disk is full, or the folder is read-only or no folder."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(
            f"{path} cannot be written ({reason}). What was saved before is whole: mend that and run the "
            f"same call again."
        )
        self.path = Path(path)


class CheckpointError(SingulabError):
    """A checkpoint does not fit the model, or cannot be loaded without running code."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path} cannot be loaded into the model: {reason}")
        self.path = Path(path)


class StaleRunError(SingulabError):
    """A run folder holds the state of a run with other weights, data, loss or settings."""

    def __init__(self, run: str | Path, differences: Mapping[str, tuple[object, object]]) -> None:
        told = "; ".join(
            f"{name} was {old!r}, is {new!r}" for name, (old, new) in differences.items()
        )
        super().__init__(
            f"{run} belongs to another measurement ({told}). Give this one a folder of its own."
        )
        self.run = Path(run)
        self.differences = dict(differences)


class InterruptedRunError(SingulabError):
    """The run was asked to stop; its state is saved and the same call continues it."""

    def __init__(self, run: str | Path) -> None:
        super().__init__(
            f"Stopped on request; the state is saved in {run}. Run the same call again to go on."
        )
        self.run = Path(run)


class MissingExtraError(SingulabError, ImportError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(f"{package} is needed for this: pip install 'singulab[{extra}]'")
        self.extra = extra
