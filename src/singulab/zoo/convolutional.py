"""A small convolutional network for images of 8×8 or 16×16 pixels."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from singulab.zoo.initial import initialised


@dataclass(frozen=True, kw_only=True)
class ConvolutionalConfig:
    """Sizes of a convolutional network."""

    image_size: int = 8  # side in pixels, a multiple of 4
    num_channels: int = 1  # of the image
    width: int = 8  # channels after the first layer; twice as many after the second
    num_classes: int = 10

    def __post_init__(self) -> None:
        if self.image_size < 4 or self.image_size % 4:
            raise ValueError(f"image_size must be a multiple of 4, got {self.image_size}.")
        if min(self.num_channels, self.width, self.num_classes) < 1:
            raise ValueError("num_channels, width and num_classes must be positive.")


class ConvolutionalNetwork(nn.Module):
    """Twice (3×3 convolution, tanh, 2×2 mean pooling), then one linear layer; logits.

    Flat images [batch, channels·side²] are folded first, so the digits can be passed as they are.
    """

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Conv2d(config.num_channels, config.width, 3, padding=1)
        self.second = nn.Conv2d(config.width, 2 * config.width, 3, padding=1)
        self.head = nn.Linear(2 * config.width * (config.image_size // 4) ** 2, config.num_classes)

    def forward(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch class"]:
        side = self.config.image_size
        signal = images.reshape(len(images), self.config.num_channels, side, side)
        signal = F.avg_pool2d(torch.tanh(self.first(signal)), 2)
        signal = F.avg_pool2d(torch.tanh(self.second(signal)), 2)
        return self.head(signal.flatten(1))


def convolutional_network(
    config: ConvolutionalConfig | None = None, *, seed: int = 0
) -> ConvolutionalNetwork:
    """A convolutional network with initial weights drawn from ``seed``."""
    wanted = config or ConvolutionalConfig()
    return initialised(lambda: ConvolutionalNetwork(wanted), seed)
