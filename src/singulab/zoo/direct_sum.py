"""Networks side by side: independent inputs, weights and outputs, one loss.

The loss and the tether are sums over the parts, so the posterior is a product and every λ̂ adds up,

    λ̂(nβ, γ) = Σ λ̂_part(nβ, γ),   λ = Σ λ_part,   m = Σ m_part − (parts − 1).

A part may be degenerate where its neighbour is regular, and no sampler is told which weights belong together.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from singulab.zoo.case import ExactLoss, Labels, NetworkCase, Setting, Truth


class SideBySide(nn.Module):
    """Each part sees its own columns of the inputs and makes its own columns of the outputs."""

    def __init__(self, parts: Sequence[nn.Module], num_inputs: Sequence[int]) -> None:
        super().__init__()
        self.parts, self.num_inputs = nn.ModuleList(parts), list(num_inputs)

    def forward(self, inputs: Float[Tensor, "datum in"]) -> Float[Tensor, "datum out"]:
        """All outputs next to each other."""
        columns = inputs.split(self.num_inputs, dim=-1)
        return torch.cat([part(own) for part, own in zip(self.parts, columns, strict=True)], dim=-1)


@dataclass(frozen=True, kw_only=True)
class DirectSum(NetworkCase):
    """Cases with gaussian loss and equal n, as one network."""

    parts: tuple[NetworkCase, ...]

    def __post_init__(self) -> None:
        if not self.parts or any(
            part.num_data != self.num_data or part.loss != "gaussian" for part in self.parts
        ):
            found = ", ".join(f"{part.name} {part.loss} {part.num_data}" for part in self.parts)
            raise ValueError(
                f"the parts of {self.name} need the loss 'gaussian' and {self.num_data} data each, got "
                f"{found or 'none'}."
            )

    @property
    def num_weights(self) -> int:
        return sum(part.num_weights for part in self.parts)

    @property
    def rlct(self) -> Truth | None:
        """Σ λ, where every part's is known."""
        known = [truth for part in self.parts if (truth := part.rlct)]
        if len(known) < len(self.parts):
            return None
        value = sum(truth.value for truth in known)
        return Truth(value=value, error=0.0, how="proved", source="sum over independent parts")

    @property
    def multiplicity(self) -> int | None:
        """Σ m − (parts − 1)."""
        known = [part.multiplicity for part in self.parts]
        return None if None in known else sum(m or 0 for m in known) - (len(known) - 1)

    @property
    def truths(self) -> dict[Setting, Truth]:
        """Settings that are known of every part."""
        settings = [set(part.truths) for part in self.parts]
        return {
            setting: self.truth(setting[1], nbeta=setting[0], labels=setting[2])
            for setting in set.intersection(*settings)
        }

    def truth(
        self, localization: float, *, nbeta: float | None = None, labels: Labels = "data"
    ) -> Truth:
        """Σ λ̂ of the parts; a case that occurs k times has k times its error."""
        times = Counter(self.parts)
        found = {part: part.truth(localization, nbeta=nbeta, labels=labels) for part in times}
        return Truth(
            value=sum(times[part] * truth.value for part, truth in found.items()),
            error=math.hypot(*(times[part] * truth.error for part, truth in found.items())),
            how="numerical",
            source="sum over independent parts",
            evidence=_evidence(list(found.values())),
        )

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """The parts' networks in one module."""
        return SideBySide(
            [part.model(dtype) for part in self.parts],
            [part.data()[0].shape[1] for part in self.parts],
        )

    def data(self) -> tuple[Tensor, Tensor]:
        """The parts' inputs and targets, column by column."""
        inputs, targets = zip(*(part.data() for part in self.parts), strict=True)
        return torch.cat(inputs, dim=1), torch.cat(targets, dim=1)

    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """The sum of the parts' excess losses."""
        losses = [part.exact_loss(labels) for part in self.parts]

        def prefix(index: int) -> str:
            return f"parts.{index}."

        def excess_loss(stacked: dict[str, Tensor]) -> Float[Tensor, " chain"]:
            return torch.stack(
                [
                    loss.function({name: stacked[prefix(i) + name] for name in loss.center})
                    for i, loss in enumerate(losses)
                ]
            ).sum(dim=0)

        center = {
            prefix(i) + name: weight
            for i, loss in enumerate(losses)
            for name, weight in loss.center.items()
        }
        return ExactLoss(excess_loss, center)


def _evidence(truths: Sequence[Truth]) -> dict[str, float]:
    """The worst R-hat and virial of the parts: none is better equilibrated than its worst part."""
    sampled = [truth.evidence for truth in truths if "rhat" in truth.evidence]
    if not sampled:
        return {"radius_squared": sum(truth.evidence["radius_squared"] for truth in truths)}
    return {
        "rhat": max(evidence["rhat"] for evidence in sampled),
        "virial": max(
            (evidence["virial"] for evidence in sampled), key=lambda virial: abs(virial - 1)
        ),
    }
