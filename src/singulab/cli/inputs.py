"""Flags that name a model, its data and its loss, and how they become objects."""

import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from singulab.cli.command import CommandConfig
from singulab.environment import devices

LOSSES = ("cross_entropy", "gaussian", "next_token")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(CommandConfig):
    """Flags of every command that looks at a model of the caller's, beside --model and --data."""

    checkpoint: Path | None = None  # the model's weights: .safetensors, or .pt with a state dict
    loss: str = "cross_entropy"  # cross_entropy, gaussian, next_token, or package.module:object
    weights: tuple[str, ...] = ()  # globs on parameter names: what moves; default all
    labels: Literal["data", "model"] = "data"  # model: the outputs at w* in place of the targets
    batch_size: int | None = None  # data per minibatch; default chosen from n
    device: str | None = None  # cpu, cuda, cuda:1, …; default where the model is
    seed: int = 0  # every random number follows from it


def load_model(address: str, path: Path | None = None) -> Any:
    """The module that a factory makes, standing at a checkpoint.

    Args:
        address: package.module:factory.
        path: checkpoint file, or None for the weights that the factory gives.
    """
    from torch import nn

    from singulab import checkpoint

    model = call(named(address, "--model"), address)
    if not isinstance(model, nn.Module):
        raise TypeError(f"{address}() must return a torch.nn.Module, got {_kind(model)}.")
    return model if path is None else checkpoint.load(model, path)


def load_data(address: str) -> Any:
    """What the data function returns."""
    data = call(named(address, "--data"), address)
    if data is None:
        raise TypeError(f"{address}() returned None; it must return the data.")
    return data


def load_loss(loss: str) -> Any:
    """A loss by its name, or the caller's object."""
    if ":" in loss:
        return named(loss, "--loss")
    if loss not in LOSSES:
        raise ValueError(
            f"--loss must be one of {', '.join(LOSSES)} or package.module:object, got {loss!r}."
        )
    return loss


def usable_device(name: str | None) -> str | None:
    """The name of a device, if this machine can compute there."""
    if name is None:
        return None
    import torch

    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"--device: nothing can be computed on {name!r} here; there is {', '.join(devices())}."
        ) from error
    return name


def named(address: str, flag: str) -> Any:
    """The object at ``package.module:name``; the current directory is searched first.

    Args:
        address: module and attribute, separated by a colon; the attribute may have dots.
        flag: the flag to name in a complaint.
    """
    module_name, colon, attribute = address.partition(":")
    if not (module_name and colon and attribute):
        raise ValueError(f"{flag} must be written package.module:name, got {address!r}.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            where = "neither installed nor in the current directory"
            raise ValueError(f"{flag}: there is no module {error.name!r}, {where}.") from error
        raise ValueError(f"{flag}: importing {module_name} failed: {_blame(error)}") from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"{flag}: importing {module_name} failed: {_blame(error)}") from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ValueError(f"{flag}: {module_name} has no attribute {attribute!r}.") from None
        except Exception as error:
            raise ValueError(f"{flag}: {attribute} of {module_name}: {_blame(error)}") from error
    return found


def call(function: Any, address: str) -> Any:
    """Call the caller's function; its exception becomes a sentence that says where it arose."""
    if not callable(function):
        raise TypeError(f"{address} must be a function, got {_kind(function)}.")
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{address}() failed: {_blame(error)}") from error


def _blame(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        where = f" ({Path(error.filename or '?').name}, line {error.lineno})"
    return f"{type(error).__name__}: {getattr(error, 'msg', None) or error}{where}"


def _kind(value: Any) -> str:
    return f"an object of type {type(value).__name__}"
