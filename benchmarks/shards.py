"""Rows of a long benchmark that several processes fill together: each is written as soon as it is there.

A folder holds one file per process, one line per row. A call that was cut off goes on where it stood; rows of other
code are passed over.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Told = Callable[[str, float], None]
WIDE = 60  # characters of a name on the progress line


class Shards:
    """Every k-th question from the i-th on is this process's; the rows of all are read."""

    def __init__(self, folder: Path, shard: str, code: str) -> None:
        """``shard`` is i/k; ``code`` is what rows must have been made with.

        Raises:
            ValueError: a shard that is not i/k with 0 ≤ i < k.
        """
        index, _, of = shard.partition("/")
        if not (index.isdecimal() and of.isdecimal() and int(index) < int(of)):
            raise ValueError(f"shard must be i/k with 0 ≤ i < k, such as 0/2, got {shard!r}.")
        self.index, self.of = int(index), int(of)
        self._folder, self._code = folder, code

    def fill(self, asked: Sequence[tuple[str, Callable[[], Row]]], told: Told) -> None:
        """Answer this process's questions, each a name and a way to answer it, that have no row yet."""
        mine, done = asked[self.index :: self.of], self.rows()
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"rows-{self.index}-of-{self.of}.jsonl").open(
            "a", encoding="utf-8"
        ) as file:
            file.write("\n")  # a line that a kill cut off ends here
            for count, (name, answer) in enumerate(mine):
                told(name[:WIDE], count / len(mine))
                if name not in done:
                    line = {"asked": name, "code": self._code, "row": answer()}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                    file.flush()
                    os.fsync(file.fileno())

    def rows(self) -> dict[str, Row]:
        """All rows of this code by the name of their question; a line that was cut off is no row."""
        found = {}
        for file in sorted(self._folder.glob("rows-*.jsonl")):
            for line in file.read_text(encoding="utf-8").splitlines():
                with suppress(json.JSONDecodeError):
                    entry = json.loads(line)
                    if entry["code"] == self._code:
                        found[entry["asked"]] = entry["row"]
        return found
