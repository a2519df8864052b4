"""``singulab formula NAME …``: a learning coefficient that is known in closed form.

The arguments of each formula become the flags of its own little command.
"""

import inspect
from collections.abc import Sequence
from dataclasses import field, make_dataclass
from fractions import Fraction
from typing import Annotated, Any, NamedTuple, get_type_hints

import tyro
from rich.console import Console

from singulab.cli.command import Answered, CommandConfig, Outcome
from singulab.cli.screen import drawn
from singulab.report.table import Table

_OF_PARTS = ("product_rule", "sum_rule")  # take what other formulas return: for Python


class Formula(NamedTuple):
    """One formula as a command."""

    Config: type[CommandConfig]
    run: Any


def names() -> list[str]:
    """Formulas that take numbers."""
    from singulab.exact import formulas

    return [name for name in formulas.__all__ if name not in _OF_PARTS]


def subcommand(flags: Sequence[str]) -> tuple[Formula, str, list[str]]:
    """The formula that the first word names, as a command of its own."""
    from singulab.exact import formulas

    if flags and flags[0] in ("-h", "--help"):
        rows = tuple(
            (name.replace("_", "-"), _first_line(getattr(formulas, name))) for name in names()
        )
        raise Answered(
            "usage: singulab formula NAME …\n\n" + Table(("name", "what it is"), rows).text()
        )
    name = flags[0].replace("-", "_") if flags else ""
    if name not in names():
        known = ", ".join(name.replace("_", "-") for name in names())
        named = flags and not flags[0].startswith("-")
        wrong = f"There is no formula {flags[0]!r}" if named else "formula needs a name"
        raise ValueError(f"{wrong}; the formulas are {known}.")
    function = getattr(formulas, name)
    config = _config(function)

    def run(config: CommandConfig, console: Console) -> Outcome:
        found = function(
            **{name: _told(config, name) for name in inspect.signature(function).parameters}
        )
        bounds = ("λ", "m") if found.status == "proved" else ("λ at least", "λ at most")
        values = (
            (str(found.value), str(found.multiplicity))
            if found.status == "proved"
            else (str(found.lower.rlct), str(found.upper.rlct))
        )
        console.print(drawn(Table((*bounds, "how"), ((*values, found.how),))))
        return Outcome(data={"formula": name, **found.to_dict()})

    return Formula(config, run), f"formula {flags[0]}", list(flags[1:])


def _first_line(function: Any) -> str:
    return inspect.cleandoc(function.__doc__).splitlines()[0].rstrip(".")


def _config(function: Any) -> type[CommandConfig]:
    """Positional numbers up to the first list or default, then flags."""
    hints = get_type_hints(function)
    fields, positional = [], True
    for name, parameter in inspect.signature(function).parameters.items():
        kind = _kind(hints[name])
        has_default = parameter.default is not inspect.Parameter.empty
        positional = positional and not has_default and parameter.kind is not parameter.KEYWORD_ONLY
        default = field(default=parameter.default) if has_default else field()
        if kind is bool and not has_default:
            default = field(default=False)  # a flag that is there or not
        fields.append(
            (name, Annotated[kind, tyro.conf.Positional] if positional else kind, default)
        )
        positional = positional and kind not in (tuple[int, ...], tuple[str, ...])
    made = make_dataclass("Config", fields, bases=(CommandConfig,), frozen=True, kw_only=True)
    made.__doc__ = inspect.cleandoc(function.__doc__).partition("\n\nArgs:")[0]
    return made


def _kind(hint: Any) -> Any:
    """What a command line can say of a parameter."""
    if hint in (int, bool, str, int | None):
        return hint
    text = str(hint)
    if "Fraction" in text:
        return str | None
    return (
        tuple[int, ...] | None
        if "None" in text
        else tuple[int, ...]
        if "int" in text
        else tuple[str, ...]
    )


def _told(config: CommandConfig, name: str) -> Any:
    """Text to fractions and edges, the rest as it is."""
    value = getattr(config, name)
    if name == "phi" and value is not None:
        return Fraction(value)
    if name in ("model", "true"):
        for edge in value:
            if edge.count("-") != 1:
                raise ValueError(f"An edge is two nodes with - between them, got {edge!r}.")
        return [tuple(edge.split("-")) for edge in value]
    return value
