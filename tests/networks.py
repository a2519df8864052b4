"""Small models, and data for them, that several tests share."""

import copy
import math

import torch
from torch import Tensor, nn


def filled(model: nn.Module, seed: int = 0, *, scale: float = 1.0) -> nn.Module:
    """The model with weights drawn from a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = (scale * drawn / math.sqrt(fan_in)).to(parameter.dtype)
    return model


def normal(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def integers(high: int, *shape: int, seed: int = 2) -> Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


def perceptron(
    inputs: int = 3,
    hidden: int = 4,
    outputs: int = 2,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    layers = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))
    return filled(layers.to(dtype), seed)


def regression(n: int = 24, *, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Inputs of width 3, targets of width 2."""
    return normal(n, 3, dtype=dtype), normal(n, 2, seed=5, dtype=dtype)


def classification(n: int = 24, classes: int = 2) -> tuple[Tensor, Tensor]:
    """Inputs of width 3, class indices."""
    return normal(n, 3), integers(classes, n)


class Bigram(nn.Module):
    """Logits of the next token from an embedding and an attention-free mixing of the past."""

    def __init__(self, vocabulary: int = 7, width: int = 4, *, tied: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.mix = nn.Linear(width, width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        signal = self.embed(input_ids)
        if attention_mask is not None:
            signal = signal * attention_mask.unsqueeze(-1)
        return self.head(torch.tanh(self.mix(signal.cumsum(1))))


def moved(model: nn.Module, flat: Tensor) -> nn.Module:
    """A copy of the model in evaluation mode that stands at a flat vector of all its weights."""
    twin = copy.deepcopy(model).eval()
    nn.utils.vector_to_parameters(flat, twin.parameters())
    return twin.requires_grad_(True)


def gradient(model: nn.Module, value: Tensor, *, retain: bool = False) -> Tensor:
    """∇value in all weights of the model, flat."""
    parts = torch.autograd.grad(value, list(model.parameters()), retain_graph=retain)
    return torch.cat([part.reshape(-1) for part in parts])


def displaced(center: Tensor, chains: int = 3, *, size: float = 0.3, seed: int = 9) -> Tensor:
    """One position per chain near the center."""
    return center + size * normal(chains, center.numel(), seed=seed).to(center)
