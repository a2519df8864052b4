"""A case: a model, its data and what is known about its learning coefficient.

Two kinds of truth belong to a case and must not be confused. The *asymptotic* one is (λ, m), the pole of the
zeta function. The *finite* one is what a perfect sampler returns at given (nβ, γ): that is the number an
estimate has to be compared with. For x²y² at nβ = 72 382 on a box the first is 0.5 and the second 0.424.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from singulab.potential import LocalPotential

How = Literal["proved", "computed exactly", "numerical", "published estimate"]
Labels = Literal["data", "model"]
Loss = Callable[[dict[str, Tensor]], Float[Tensor, " chain"]]
Setting = tuple[float, float, Labels]  # (nβ, γ, labels)

HOWS: tuple[How, ...] = ("proved", "computed exactly", "numerical", "published estimate")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A known number, its error, and how it is known."""

    value: float
    error: float  # one standard error; 0 for closed forms
    how: How
    source: str  # paper and formula, or the computation that made it
    evidence: Mapping[str, float] = field(default_factory=dict)  # rhat, virial, virial_error, …

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise ValueError(f"how must be one of {', '.join(HOWS)}, got {self.how!r}.")
        if not (math.isfinite(self.value) and self.error >= 0):
            raise ValueError(
                f"A truth needs a finite value and an error ≥ 0, got {self.value} ± {self.error}."
            )

    def z(self, value: float, error: float = 0.0) -> float:
        """(value − truth) in units of both errors together; ±inf where both are 0 and they differ."""
        difference = value - self.value
        scale = math.hypot(error, self.error)
        if scale == 0.0:
            return 0.0 if difference == 0.0 else math.copysign(math.inf, difference)
        return difference / scale


class ExactLoss(NamedTuple):
    """The full-data loss as a function of stacked weights, and where it stands.

    ``function`` maps {name: [chain, *shape]} to L(w) − L(w*) per chain, nats per datum, in float64. The
    constant L(w*) is left out: with label noise it is hundreds of times the excess and would cost digits.
    """

    function: Loss
    center: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """Something whose learning coefficient is known."""

    name: str
    num_data: int

    @property
    def nbeta(self) -> float:
        """nβ = n/log n, the temperature that the truths refer to unless they say otherwise."""
        return self.num_data / math.log(self.num_data)

    @property
    @abstractmethod
    def num_weights(self) -> int:
        """d, the number of weights."""

    @property
    def rlct(self) -> Truth | None:
        """The asymptotic learning coefficient λ at w*; None where nobody knows it."""
        return None

    @property
    def multiplicity(self) -> int | None:
        """m, the order of the pole at −λ; None where nobody knows it."""
        return None

    @abstractmethod
    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """The full-data excess loss in float64.

        Args:
            labels: "data" for the labels of the case, "model" for the outputs at w* in their place.
        """

    def exact_potential(
        self,
        localization: float | None = None,
        *,
        nbeta: float | None = None,
        labels: Labels = "data",
    ) -> LocalPotential:
        """The local posterior with the full-data loss, for exact samplers.

        Args:
            localization: γ; default as in :meth:`singulab.LocalPotential.of`.
            nbeta: nβ; default n/log n.
            labels: which loss, as in :meth:`exact_loss`.
        """
        loss, center = self.exact_loss(labels)
        return LocalPotential.from_function(
            loss, center, num_data=self.num_data, nbeta=nbeta, localization=localization
        )

    @property
    def truths(self) -> dict[Setting, Truth]:
        """Finite truths by (nβ, γ, labels), all of them equilibrated."""
        return {
            (record.nbeta, record.localization, record.labels): record.truth
            for record in gold(self.name)
            if record.equilibrated
        }

    def truth(
        self, localization: float, *, nbeta: float | None = None, labels: Labels = "data"
    ) -> Truth:
        """λ̂ that a perfect sampler returns at (nβ, γ).

        Args:
            localization: γ.
            nbeta: nβ; default n/log n.
            labels: which loss.

        Raises:
            LookupError: there is no gold value for this setting.
        """
        wanted = self.nbeta if nbeta is None else nbeta
        for (known_nbeta, known_localization, known_labels), truth in self.truths.items():
            if (
                known_labels == labels
                and math.isclose(known_nbeta, wanted, rel_tol=1e-4)
                and math.isclose(known_localization, localization, rel_tol=1e-9)
            ):
                return truth
        known = "; ".join(
            f"nβ {setting[0]:.5g}, γ {setting[1]:g}, labels {setting[2]}" for setting in self.truths
        )
        raise LookupError(
            f"{self.name} has no gold value at nβ {wanted:.5g}, γ {localization:g}, labels {labels}. "
            f"Known: {known or 'none'}. benchmarks/gold.py makes one."
        )


@dataclass(frozen=True, kw_only=True)
class NetworkCase(Case):
    """A case that is a network with data."""

    batch_size: int
    loss: str = "gaussian"  # what ``measure(loss=…)`` is given

    @abstractmethod
    def model(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A fresh network standing at w*."""

    @abstractmethod
    def data(self) -> tuple[Tensor, Tensor]:
        """(inputs, targets), float32 or int64 class labels; the same ones at every call."""

    @property
    def num_weights(self) -> int:
        """d, counted on the model."""
        return sum(weight.numel() for weight in self.model().parameters())


@dataclass(frozen=True, kw_only=True)
class GoldRecord:
    """One row of gold.json: a finite truth with where it came from."""

    case: str
    nbeta: float
    localization: float
    labels: Labels
    truth: Truth
    equilibrated: bool  # False: the chains still drift; kept for comparison, never used as a truth


@cache
def _records() -> tuple[GoldRecord, ...]:
    rows = json.loads(files("singulab.zoo").joinpath("gold.json").read_text(encoding="utf-8"))
    return tuple(
        GoldRecord(
            case=row["case"],
            nbeta=row["nbeta"],
            localization=row["localization"],
            labels=row["labels"],
            truth=Truth(
                value=row["value"],
                error=row["error"],
                how=row["how"],
                source=row["source"],
                evidence=row["evidence"],
            ),
            equilibrated=row["equilibrated"],
        )
        for row in rows["records"]
    )


def gold(name: str | None = None) -> tuple[GoldRecord, ...]:
    """All gold records of a case (or of all cases), also those that did not equilibrate."""
    return tuple(record for record in _records() if name is None or record.case == name)
