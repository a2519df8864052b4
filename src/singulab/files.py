"""Files that are either whole or named as damaged."""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from singulab.errors import CorruptFileError, UnwritableError

_CHANGED = "its checksum does not match; it was changed or damaged"
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}(\.old)?")


def write_atomic(path: Path, content: bytes) -> None:
    """Write under a temporary name, flush to the disk, rename: a reader sees the old file or the new one.

    Raises:
        UnwritableError: the disk is full, the folder is read-only, or the path leads through a file.
    """
    with _named(path):
        temporary = _beside(path)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _flush(path.parent)


def write_folder_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary folder, flush it to the disk, then put it in the place of ``path``.

    Raises:
        UnwritableError: the disk is full, the folder is read-only, or the path leads through a file.
    """
    with _named(path):
        temporary = _beside(path)
        old = temporary.with_name(temporary.name + ".old")
        temporary.mkdir()
        try:
            write(temporary)
            for place, _, names in os.walk(temporary):
                for name in (*names, "."):
                    _flush(Path(place, name))
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
        except BaseException:
            if old.exists() and not path.exists():
                os.replace(old, path)
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _remove(old)
        _flush(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers of this folder left behind when they were killed."""
    for path in folder.glob(".*"):
        if _TEMPORARY.fullmatch(path.name):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the operating system say what could not be written."""
    try:
        yield
    except OSError as error:
        raise UnwritableError(path, error.strerror or str(error)) from error


def _beside(path: Path) -> Path:
    """A new hidden name in the same folder, which now exists."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{path.parent} is a file, not a folder") from error
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}")


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_json(path: Path, content: Any) -> None:
    """Raises ``ValueError`` for numbers that are not finite."""
    write_atomic(path, json.dumps(content, indent=2, allow_nan=False).encode())


def read_json(path: Path) -> Any:
    """Raises :class:`CorruptFileError` for a file that is not JSON, ``FileNotFoundError`` for none."""
    try:
        return json.loads(Path(path).read_bytes())
    except (
        ValueError,
        RecursionError,
    ) as error:  # not JSON, not text, endless digits, endless nesting
        raise CorruptFileError(path, f"it is not valid JSON ({error})") from error


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """A JSON object that carries the sha256 of its other entries."""
    write_json(path, {**content, "sha256": _digest(content)})


def read_sealed(path: Path) -> dict[str, Any]:
    """What :func:`write_sealed` wrote; raises :class:`CorruptFileError` if a single value differs."""
    content = read_json(path)
    if not isinstance(content, dict) or "sha256" not in content:
        raise CorruptFileError(path, "it has no checksum")
    digest = content.pop("sha256")
    try:
        same = digest == _digest(content)
    except RecursionError:  # nested as deep as can be read, and deeper than can be written
        same = False
    if not same:
        raise CorruptFileError(path, _CHANGED)
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Tensors and plain facts in one file, headed by the sha256 of what follows."""
    body = save_safetensors(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={"facts": json.dumps(facts)},
    )
    write_atomic(path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`write_state` wrote; raises :class:`CorruptFileError` if a single bit differs."""
    digest, _, body = path.read_bytes().partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CorruptFileError(path, _CHANGED)
    try:
        length = int.from_bytes(body[:8], "little")
        header = json.loads(body[8 : 8 + length])
        return load_safetensors(body), json.loads(header["__metadata__"]["facts"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(path, f"it is not a state of a run ({error!r})") from error


def finite(value: Any) -> Any:
    """JSON values of nested containers: numbers that are not finite become None."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
