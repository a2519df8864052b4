"""``singulab rlct "…"``: λ and m of a polynomial, proved or bounded."""

from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.console import Console

from singulab.cli.command import CommandConfig, Outcome


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """The learning coefficient λ and its multiplicity m of a polynomial K ≥ 0 at a point of its zero set.

    Polynomials apart by commas are the generators of an ideal, K = Σ fᵢ². The exit code is 0 whether the value
    is proved or bounded.
    """

    expression: Annotated[
        str, tyro.conf.Positional
    ]  # K such as "(y^2 - x^3)^2", or an ideal such as "x*y, z*w"
    at: tuple[str, ...] = ()  # the point, such as x=1 y=1/2; others are 0
    domain: tuple[str, ...] = ()  # one-sided or bounded variables, such as x=0: or y=-1:1
    box: tuple[
        str, ...
    ] = ()  # as domain; the least value over the zero set in this box, not at a point
    prior: str | None = None  # a monomial that the prior behaves like
    time_limit: float = 10.0  # seconds
    explain: bool = False  # print the derivation
    certificate: bool = False  # have the certificate in the JSON too


def run(config: Config, console: Console) -> Outcome:
    """Ask, print, hand over."""
    from singulab.exact.threshold import rlct, rlct_of_ideal

    parts = [part.strip() for part in config.expression.split(",")]
    several = len(parts) > 1
    expression: Any = parts if several else config.expression
    domain = {name: ends(value) for name, value in assignments(config.domain, "--domain")}
    if config.box:
        from singulab.exact.strata import rlct_over

        if config.at or config.domain:
            raise ValueError("--box looks at every point of the box; leave out --at and --domain.")
        box = {name: ends(value) for name, value in assignments(config.box, "--box")}
        found = rlct_over(expression, box, prior=config.prior, time_limit=config.time_limit)
    else:
        at = dict(assignments(config.at, "--at"))
        ask = rlct_of_ideal if several else rlct
        found = ask(expression, at, domain=domain, prior=config.prior, time_limit=config.time_limit)
    console.print(found.explain() if config.explain else str(found))
    for reason in () if config.explain else found.reasons:
        console.print(f"  open: {reason}")
    data = found.to_dict()
    if not config.certificate:
        del data["certificate"]
    return Outcome(data=data)


def assignments(words: tuple[str, ...], flag: str) -> list[tuple[str, str]]:
    """``x=1`` as a pair."""
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"{flag} wants words such as x=1, got {word!r}.")
        pairs.append((name, value))
    return pairs


def ends(text: str) -> tuple[str | None, str | None]:
    """``low:high``, where an end that is left out is no bound."""
    low, colon, high = text.partition(":")
    if not colon:
        raise ValueError(f"An interval is low:high, such as 0: or -1:1, got {text!r}.")
    return low or None, high or None
