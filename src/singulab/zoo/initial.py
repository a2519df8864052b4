"""Initial weights as a function of a seed, without touching the global random state."""

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)

_EMBEDDING_DEVIATION = 0.02


def initialised(build: Callable[[], Network], seed: int) -> Network:
    """A network with torch's usual initial laws, drawn from one generator in the order of its modules.

    Linear and convolutional layers: weights and biases uniform within ±1/√fan_in. Embeddings: N(0, 0.02²).
    Layer norms: 1 and 0.

    Args:
        build: makes the network, out of these layers and parameter-free ones.
        seed: any non-negative integer.
    """
    with torch.device("meta"):
        network = build()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            match module:
                case nn.Linear() | nn.Conv2d():
                    bound = 1 / math.sqrt(module.weight[0].numel())
                    module.weight.uniform_(-bound, bound, generator=generator)
                    if module.bias is not None:
                        module.bias.uniform_(-bound, bound, generator=generator)
                case nn.Embedding():
                    module.weight.normal_(0.0, _EMBEDDING_DEVIATION, generator=generator)
                case nn.LayerNorm():
                    module.reset_parameters()
                case _ if next(module.parameters(recurse=False), None) is not None:
                    raise TypeError(f"No initial law is known for {type(module).__name__}.")
    return network
