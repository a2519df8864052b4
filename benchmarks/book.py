"""Runs of a benchmark that are kept as soon as they are done, so that a call goes on where another was stopped."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import singulab as sl
from singulab.files import finite, write_atomic

# Parts of the package that no measurement depends on.
APART = ("bayes", "cli", "development", "discrete", "dynamics", "exact", "report", "zoo")


class Book:
    """Finished runs, one JSON line each; a line that was cut off by a kill is done again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, dict[str, Any]] = {}
        if not path.exists():
            return
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
        if whole:
            entries = [json.loads(line) for line in whole.split("\n")]
            self._found = {_name(entry["key"]): entry["found"] for entry in entries}
        write_atomic(path, (whole + "\n" if whole else "").encode())

    def get(self, key: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was found under a key, or is made now."""
        name = _name(key)
        if name not in self._found:
            start = time.perf_counter()
            found = make()
            entry = {"key": key, "found": found, "seconds": round(time.perf_counter() - start, 3)}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite(entry)) + "\n")
            self._found[name] = finite(found)
        return self._found[name]


def _name(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def digest(files: Iterable[Path]) -> str:
    """By which runs of other code are told apart."""
    hashed = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    return hashed.hexdigest()[:16]


def sampler(*others: str) -> str:
    """The digest of all code that a measurement depends on, and of further modules of the package."""
    package = Path(sl.__file__).parent
    files = [file for file in package.rglob("*.py") if _part(file, package) not in APART]
    return digest(sorted({*files, *(package / other for other in others)}))


def _part(file: Path, package: Path) -> str:
    return file.relative_to(package).parts[0]
