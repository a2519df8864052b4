"""The type checker of the test run: beartype, to which an int is a float as it is to mypy.

The inner loops of the algebra call a thousand small functions on plain Python types for each of their steps; mypy
looks at those alone, for with beartype between them a proof takes thirty times as long.
"""

from typing import Any

from beartype import BeartypeConf, beartype

_LOOPS = {
    f"singulab.exact.{name}"
    for name in (
        "checker",
        "checker_chart",
        "cone",
        "coordinates",
        "deadline",
        "groups",
        "node",
        "polynomial",
        "search",
        "simplify",
        "zeros",
    )
}
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def typecheck(target: Any) -> Any:
    """The target, checked at every call unless it belongs to an inner loop."""
    return target if target.__module__ in _LOOPS else _check(target)
