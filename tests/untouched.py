"""What a caller must find exactly as it was: a model, and the state of the process."""

import random
from typing import Any

import numpy as np
import torch
from torch import nn


class Counting(nn.Module):
    """Counts its calls, in evaluation mode too, and has modules of either mode."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2)
        )
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("last", torch.zeros(2))
        self.layers.train()
        self.layers[2].eval()

    def forward(self, x):
        self.calls += 1
        out = self.layers(x)
        self.last = out.detach().mean(0)
        return out


def everything(model: nn.Module) -> dict[str, Any]:
    """All that a caller could see of a model, copied."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {
        "values": {name: tensor.detach().clone() for name, tensor in tensors.items()},
        "same tensors": {name: id(tensor) for name, tensor in tensors.items()},
        "dtypes": {name: (t.dtype, t.device, t.requires_grad) for name, t in tensors.items()},
        "grads": {
            n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()
        },
        "modes": {name: module.training for name, module in model.named_modules()},
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    for part in before:
        if part in ("values", "grads"):
            assert before[part].keys() == after[part].keys()
            for name, tensor in before[part].items():
                other = after[part][name]
                assert (tensor is None) == (other is None), name
                assert tensor is None or torch.equal(tensor, other), name
        else:
            assert before[part] == after[part], part


def of_the_process() -> dict[str, Any]:
    """Global generators and defaults."""
    return {
        "torch": torch.random.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002 - the global one is meant
        "random": random.getstate(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
    }
