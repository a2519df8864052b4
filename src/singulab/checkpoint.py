"""Weights from a file into a model, without ever running code that the file holds.

Read are ``.safetensors`` and what ``torch.save(model.state_dict(), …)`` writes, also nested under
``"state_dict"``, ``"model_state_dict"`` or ``"model"`` beside other things. A pickle is read with torch's
``weights_only`` unpickler, which makes tensors and plain containers and nothing else.
"""

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from singulab.errors import CheckpointError, CorruptFileError

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
NESTS = ("state_dict", "model_state_dict", "model")
WRAPPERS = ("module.", "_orig_mod.")  # put before every name by DataParallel and by torch.compile
_NUM_LISTED = 20


def read(path: str | Path) -> dict[str, Tensor]:
    """Read the named tensors of a checkpoint file, on the CPU.

    Args:
        path: a file that ends in ``.safetensors``, ``.pt``, ``.pth``, ``.bin`` or ``.ckpt``.

    Returns:
        Name → tensor, in the order of the file.

    Raises:
        CheckpointError: no such file, a file of another kind, one that would run code when loaded, or one
            that holds something other than named tensors.
        CorruptFileError: a truncated or damaged file.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            path, "it is a folder." if path.is_dir() else "there is no such file."
        )
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _read_safetensors(path)
    if suffix in PICKLED:
        return _named_tensors(path, _read_pickle(path))
    wanted = ", ".join((".safetensors", *PICKLED))
    raise CheckpointError(path, f"its name must end in one of {wanted}.")


def load(model: nn.Module, path: str | Path) -> nn.Module:
    """Load a checkpoint file into a model; every name must match.

    Names that a wrapper put ``module.`` or ``_orig_mod.`` before are read without it, and one name suffices
    for tied weights. After an error the model may hold a part of the checkpoint.

    Args:
        model: any module; it keeps its device and dtypes.
        path: see :func:`read`.

    Returns:
        The same model.

    Raises:
        CheckpointError: keys are missing or unexpected, or shapes differ; the message lists them.
        CorruptFileError: a truncated or damaged file.
    """
    path = Path(path)
    state = _unwrapped(read(path), model)
    own = model.state_dict(keep_vars=True)
    shapes = {
        f"{name} is {tuple(tensor.shape)} in the file, {tuple(own[name].shape)} in the model"
        for name, tensor in state.items()
        if name in own and isinstance(own[name], Tensor) and own[name].shape != tensor.shape
    }
    if shapes:
        raise CheckpointError(path, f"shapes differ: {_listed(sorted(shapes))}.")
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(path, f"{_cause(error)}.") from error
    loaded = {id(own[name]) for name in state if name in own}
    missing = [name for name in result.missing_keys if id(own.get(name)) not in loaded]
    faults = []
    if missing:
        faults.append(f"missing in the file: {_listed(missing)}")
    if result.unexpected_keys:
        faults.append(f"not in the model: {_listed(result.unexpected_keys)}")
    if faults:
        raise CheckpointError(path, "; ".join(faults) + ".")
    return model


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path, device="cpu")
    except (safetensors.SafetensorError, OSError) as error:
        reason = f"it is no complete safetensors file ({_cause(error)})."
        raise CorruptFileError(path, reason) from error


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # what torch warns of here is said better by our own errors
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # To the unpickler damaged bytes are instructions, so they can fail in any way whatever.
        text = str(error)
        if name := re.search(r"GLOBAL ([\w.]+)", text):
            danger = f"it is a pickle that calls {name[1]} when loaded"
        elif "Unsupported" in text:
            danger = "it is a pickle of another kind than torch.save writes"
        elif "TorchScript" in text:
            danger = "it is a TorchScript archive"
        else:
            raise CorruptFileError(
                path, f"it is no complete torch file ({_cause(error)})."
            ) from error
        reason = f"{danger}, which could run any code; only tensors are read. Save model.state_dict() instead."
        raise CheckpointError(path, reason) from error


def _named_tensors(path: Path, content: Any) -> dict[str, Tensor]:
    for nest in NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
            break
    if not isinstance(content, Mapping):
        raise CheckpointError(
            path, f"it holds a {type(content).__name__}, not a state dict of named tensors."
        )
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not content:
        what = f"these are not tensors: {_listed(others)}" if others else "it is empty"
        raise CheckpointError(path, f"it holds no state dict of named tensors; {what}.")
    return {str(name): tensor for name, tensor in content.items()}


def _unwrapped(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    own = model.state_dict(keep_vars=True)
    while state and not any(name in own for name in state):
        wrapper = next((w for w in WRAPPERS if all(name.startswith(w) for name in state)), None)
        if wrapper is None:
            break
        state = {name.removeprefix(wrapper): tensor for name, tensor in state.items()}
    return state


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NUM_LISTED} more" if len(names) > _NUM_LISTED else ""
    return ", ".join(names[:_NUM_LISTED]) + more


def _cause(error: BaseException) -> str:
    """The first sentence of a message, without what torch wraps around it."""
    text = str(error).rpartition("WeightsUnpickler error:")[2]
    sentence = " ".join(text.split()).partition(". ")[0].rstrip(". ")
    return f"{type(error).__name__}: {sentence}" if sentence else type(error).__name__
