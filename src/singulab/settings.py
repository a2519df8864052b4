"""Everything that a measurement was told or chose, in one frozen record."""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from singulab.errors import CorruptFileError
from singulab.files import write_atomic

KERNEL_NAMES = (
    "auto",
    "leimkuhler_matthews",
    "baoab",
    "sgld",
    "rmsprop_sgld",
    "sgnht",
    "mala",
    "hmc",
    "elliptical_slice",
)
MOST_CHAINS = 2**16
PRECONDITIONERS = ("auto", "ekfac", "diagonal", "none")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured (nβ, γ, labels, unit) and how (kernel, chains, budget).

    The first group changes the number itself: along a series of checkpoints it must stay fixed, so these
    are absolute here and are never re-tuned. The second group is numerical. With ``step_size=None`` the
    step and the preconditioner are found in a warm-up of each measurement, because the stable step can
    differ a hundredfold between checkpoints while the posterior that is sampled is the same.
    """

    nbeta: float | None = None  # inverse temperature n·β; None = n/log n
    localization: float | None = (
        None  # γ, 1/(squared weight units); None = from the relative radius
    )
    labels: str = "data"  # "data" or "model"
    unit: str | None = None  # what a datum is; checked against the loss
    num_data: int | None = None  # n of the data that these were chosen on

    kernel: str = "auto"  # see KERNEL_NAMES
    step_size: float | None = None  # ε; None = found in warm-up
    memory: float | None = None  # a of baoab; None = from the measured gradient noise
    num_leapfrog: int | None = None  # mean length of an hmc trajectory; None = from γ and the step
    preconditioner: str = "auto"  # see PRECONDITIONERS
    num_chains: int | None = None  # None = 4 with data, more for a loss given as a function
    batch_size: int | None = None  # B; None = the loader's, or 128
    relative_error: float = 0.02  # wanted standard error of λ̂, relative to λ̂
    max_gradients: float | None = None  # budget in gradient units
    burn_in: float = 0.2  # share of the production draws that is dropped
    compiled: bool = False  # stacked chains move by native code; numbers change by rounding
    num_draws: int | None = None  # fixed number of steps, for settings that are not adaptive
    note: str = ""  # where these come from, or what is wrong with them
    found: Mapping[str, float | str] = field(
        default_factory=dict
    )  # what warm-up found; information only

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, np.generic):  # values of numpy are neither JSON nor TOML
                object.__setattr__(self, name, value.item())
            _refuse_other_kind(name, getattr(self, name), kind)
        for name in ("nbeta", "step_size", "relative_error", "max_gradients"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}.")
        if self.localization is not None and not (
            math.isfinite(self.localization) and self.localization >= 0
        ):
            raise ValueError(
                f"localization must be finite and not negative, got {self.localization}."
            )
        if self.labels not in ("data", "model"):
            raise ValueError(f"labels must be 'data' or 'model', got {self.labels!r}.")
        if self.kernel not in KERNEL_NAMES:
            raise ValueError(
                f"kernel must be one of {', '.join(KERNEL_NAMES)}, got {self.kernel!r}."
            )
        if self.preconditioner not in PRECONDITIONERS:
            raise ValueError(
                f"preconditioner must be one of {', '.join(PRECONDITIONERS)}, got {self.preconditioner!r}."
            )
        if self.num_chains is not None and self.num_chains < 2:
            raise ValueError(
                f"num_chains must be at least 2, got {self.num_chains}: the error is taken between chains."
            )
        if self.num_chains is not None and self.num_chains > MOST_CHAINS:
            raise ValueError(f"num_chains must be at most {MOST_CHAINS}, got {self.num_chains}.")
        for name in ("num_leapfrog", "batch_size", "num_draws"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}.")
        if self.memory is not None and not 0 <= self.memory < 1:
            raise ValueError(f"memory must lie in [0, 1), got {self.memory}.")
        if not 0 <= self.burn_in < 1:
            raise ValueError(f"burn_in is a share in [0, 1), got {self.burn_in}.")
        if self.kernel == "auto" and (self.step_size is not None or self.num_draws is not None):
            raise ValueError(
                "kernel='auto' finds its own step_size and num_draws; name a kernel to fix them."
            )
        if self.kernel in ("rmsprop_sgld", "sgnht", "mala") and self.step_size is None:
            raise ValueError(f"kernel {self.kernel!r} is not tuned here; give step_size.")

    @classmethod
    def published(cls, name: str) -> "Settings":
        """Plain-SGLD settings of published work, so that its numbers can be re-run; biased.

        Args:
            name: one of :func:`published_names`.
        """
        if name not in _PUBLISHED:
            raise ValueError(
                f"unknown published settings {name!r}; choose from {', '.join(_PUBLISHED)}."
            )
        return cls(**_PUBLISHED[name])

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "found": dict(self.found)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Settings":
        unknown = set(content) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(
                f"unknown settings {sorted(unknown)}; known are {[f.name for f in fields(cls)]}."
            )
        return cls(**content)

    def to_toml(self) -> str:
        """TOML text; fields that are None are left out."""
        lines = []
        for name, value in self.to_dict().items():
            if value is not None and name != "found":
                lines.append(f"{name} = {_toml(value)}")
        if self.found:
            lines += [
                "",
                "[found]",
                *(f"{name} = {_toml(value)}" for name, value in self.found.items()),
            ]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> "Settings":
        return cls.from_dict(tomllib.loads(text))

    def save(self, path: str | Path) -> None:
        write_atomic(Path(path), self.to_toml().encode())

    @classmethod
    def load(cls, path: str | Path) -> "Settings":
        """Raises ``FileNotFoundError``, :class:`CorruptFileError` or ``ValueError`` for unknown fields."""
        try:
            content = tomllib.loads(Path(path).read_bytes().decode())
        except (
            ValueError,
            RecursionError,
        ) as error:  # not TOML, not text, endless digits or nesting
            raise CorruptFileError(path, f"it is not valid TOML ({error})") from error
        return cls.from_dict(content)


def _refuse_other_kind(name: str, value: Any, kind: Any) -> None:
    """Raise a readable ``TypeError`` for what a file can hold and a field cannot."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (get_origin(kind) or kind,)
    if float in kinds and type(value) is int and abs(value) < 2**1023:
        return
    if isinstance(value, bool) != (bool in kinds) or not isinstance(value, kinds):
        words = {
            float: "a number",
            int: "a whole number",
            str: "text",
            bool: "true or false",
            Mapping: "a table",
        }
        raise TypeError(f"{name} must be {words[kinds[0]]}, got {value!r:.80}.")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(float(value))  # inf and nan are spelled alike
    if isinstance(value, int):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


_BIASED = (
    "plain SGLD: a finite step and gradient noise both push λ̂ up, a short chain pushes it down"
)


def _lau(step_size: float, num_draws: int, batch_size: int, model: str) -> dict[str, Any]:
    return {
        "kernel": "sgld",
        "preconditioner": "none",
        "localization": 1.0,
        "step_size": step_size,
        "batch_size": batch_size,
        "num_draws": num_draws,
        "num_chains": 2,  # the papers ran one chain; a second one gives an error bar
        "burn_in": 0.0,
        "note": f"Lau et al. (2023), arXiv:2308.12108, {model}; {_BIASED}",
    }


_PUBLISHED: dict[str, dict[str, Any]] = {
    "lau2023_dln_1k": _lau(5e-7, 10_000, 500, "deep linear networks of about 1 000 weights"),
    "lau2023_dln_10k": _lau(5e-7, 10_000, 500, "deep linear networks of about 10 000 weights"),
    "lau2023_dln_100k": _lau(1e-7, 50_000, 500, "deep linear networks of about 100 000 weights"),
    "lau2023_dln_1m": _lau(5e-8, 50_000, 500, "deep linear networks of about a million weights"),
    "lau2023_mala_table": _lau(1e-5, 10_000, 32, "SGLD against MALA on a ReLU network"),
    "lau2023_resnet18": _lau(2e-7, 3_000, 2048, "ResNet18 on CIFAR-10"),
}


def published_names() -> tuple[str, ...]:
    """Names that :meth:`Settings.published` knows."""
    return tuple(_PUBLISHED)
