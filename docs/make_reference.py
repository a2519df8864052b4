"""Writes docs/reference.md from the docstrings of everything that ``singulab.__all__`` names.

Signatures, fields and their comments are taken from the source as it is written.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import singulab

PAGE = Path(__file__).with_name("reference.md")
SECTIONS = ("Args", "Returns", "Raises", "Source", "Example", "Attributes", "Yields")


def page() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Made by `make docs` from the docstrings; do not edit. `sl` is `import singulab as sl`.",
    ]
    for name in singulab.__all__:
        parts.extend(entry(f"sl.{name}", getattr(singulab, name), depth=2))
    return "\n\n".join(parts) + "\n"


def entry(name: str, value: Any, depth: int) -> Iterator[str]:
    """Heading, signature, docstring and members of one public object."""
    yield f"{'#' * depth} `{name}`"
    if isinstance(value, ModuleType):
        yield prose(value.__doc__)
        for member in getattr(value, "__all__", ()):
            yield from entry(f"{name}.{member}", getattr(value, member), depth + 1)
    elif inspect.isclass(value):
        told = "" if made_by_dataclass(value) else inspect.cleandoc(value.__doc__ or "")
        if " above" in told:  # the formula stands at the head of the file
            told += f"\n\n{inspect.getmodule(value).__doc__}"
        yield prose(told)
        yield from fields(value)
        yield from methods(value, depth)
    elif callable(value):
        value = inspect.unwrap(value)
        yield f"```python\n{signature(value)}\n```"
        yield prose(value.__doc__)
    elif isinstance(value, dict) and all(isinstance(made, tuple) for made in value.values()):
        yield ", ".join(
            f"{key}: {' and '.join(f'`{one.__name__}`' for one in made)}"
            for key, made in value.items()
        )
    else:
        yield f"`{value!r}`"


def made_by_dataclass(kind: type) -> bool:
    """Whether the docstring is the one that ``dataclass`` writes of itself."""
    return (kind.__doc__ or "").startswith(f"{kind.__name__}(")


def signature(function: Any) -> str:
    """Name, parameters and result, as the source has them."""
    source = textwrap.dedent(inspect.getsource(function))
    parsed = ast.parse(source).body[0]
    assert isinstance(parsed, ast.FunctionDef)
    head = source.splitlines()[parsed.lineno - 1 : parsed.body[0].lineno - 1]
    return "\n".join(head).strip().removeprefix("def ").removesuffix(":")


def fields(kind: type) -> Iterator[str]:
    """A table of the fields of a dataclass with the comment that stands behind each."""
    if not hasattr(kind, "__dataclass_fields__"):
        return
    source = textwrap.dedent(inspect.getsource(kind))
    lines, rows = source.splitlines(), []
    for statement in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        line = lines[statement.end_lineno - 1][statement.end_col_offset :]
        default = "" if statement.value is None else f"`{ast.unparse(statement.value)}`"
        comment = line.strip().removeprefix("#").strip()
        cells = (
            f"`{statement.target.id}`",
            f"`{ast.unparse(statement.annotation)}`",
            default,
            comment,
        )
        rows.append(" | ".join(cell.replace("|", "\\|") for cell in cells))
    if rows:
        yield "| field | type | default | |\n|---|---|---|---|\n" + "\n".join(
            f"| {row} |" for row in rows
        )


def methods(kind: type, depth: int) -> Iterator[str]:
    """Public methods and properties that have a docstring."""
    for name, member in vars(kind).items():
        function = getattr(member, "__func__", member)
        if name.startswith("_") or not getattr(function, "__doc__", None):
            continue
        heading = f"{'#' * (depth + 1)} `{kind.__name__}.{name}`"
        if isinstance(member, property):
            yield heading
            yield prose(member.__doc__)
        elif inspect.isfunction(inspect.unwrap(function)):
            yield heading
            yield f"```python\n{signature(inspect.unwrap(function))}\n```"
            yield prose(function.__doc__)


def prose(docstring: str | None) -> str:
    """A Google-style docstring as Markdown."""
    text = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", inspect.cleandoc(docstring or ""))
    parts = re.split(
        rf"^(?=(?:{'|'.join(SECTIONS)}):)", text.replace("``", "`"), flags=re.MULTILINE
    )
    return "\n\n".join(section(part.strip()) for part in parts if part.strip())


def section(block: str) -> str:
    """One section: items become a list, an example stays code, the rest stays text."""
    head, _, body = block.partition(":")
    if head not in SECTIONS:
        return block
    body = textwrap.dedent(body.strip("\n"))
    if head == "Example":
        return f"**Example**\n\n```python\n{body.strip()}\n```"
    if head in ("Args", "Raises", "Attributes"):
        items = re.split(r"\n(?=\S)", body.strip())
        told = (re.sub(r"^([*\w., ]+): ", r"- `\1`: ", " ".join(item.split())) for item in items)
        return f"**{head}**\n\n" + "\n".join(told)
    return f"**{head}** {' '.join(body.split())}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
