"""sha256 of what a measurement depends on, so that a saved result is never taken for another's."""

import hashlib
from typing import Any

import torch
from torch import Tensor


def fingerprint(*parts: Any) -> str:
    """Hex sha256 of tensors (dtype, shape and every byte) and of other values by their repr."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            tensor = part.detach().cpu().contiguous()
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            if tensor.numel():
                digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(repr(part).encode())
        digest.update(b"|")
    return digest.hexdigest()
