"""The argument of a certificate, from the pair of each chart up to the value.

All that it is told is a polynomial identity, a sign, or a list of real roots, which is counted. Pairs are (λ of
the ideal, −m), so that their order is that of volume.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker import blow_up, box, split
from singulab.exact.checker.chart import NEVER, Bounds, Chart, Known, Pair
from singulab.exact.checker.claim import Branch, RefutedError, demand
from singulab.exact.checker.cone import orthant
from singulab.exact.checker.coordinate import solve
from singulab.exact.checker.face import undecided
from singulab.exact.checker.generator import leads, tidy
from singulab.exact.checker.locus import goals
from singulab.exact.checker.polyhedron import faces, normals, pair
from singulab.exact.checker.step import drop, free, mix, shear, square, unit
from singulab.exact.result import Bound

STEPS: dict[str, Callable[..., Chart]] = {
    "shear": shear,
    "square": square,
    "mix": mix,
    "drop": drop,
    "unit": unit,
    "free": free,
    "solve": solve,
    "series": solve,
}
_UNKNOWN = -(10**6)  # in the place of −m: below every pair of the same λ


def check(certificate: Branch, tell: Callable[..., None] | None = None) -> tuple[Bound, Bound]:
    """Lower and upper bound that a certificate proves; they are equal where it proves a value.

    Args:
        certificate: as in ``RLCT.certificate``, also after a way through JSON.
        tell: called with ``("chart", chart, branch)``, ``("ready", chart, branch)`` after its steps, and
            ``("done", chart, pairs)`` for each chart in turn.

    Raises:
        RefutedError: a step does not hold, or the certificate states a value that it does not prove.
    """
    try:
        demand(whole(certificate), "a number is no integer; fractions are texts")
        scale = 1 if certificate["problem"]["principal"] else 2
        pairs = [
            bounds(c, branch) if inside else (bounds(c, branch)[0], NEVER)
            for c, branch, inside in charts(certificate, tell)
        ]
        low, high = (Bound(min(p)[0] / scale, -min(p)[1]) for p in zip(*pairs, strict=True))
        said = None
        if "rlct" in certificate:
            said = Bound(Fraction(certificate["rlct"]), certificate["multiplicity"])
    except RefutedError:
        raise
    except (
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        ValueError,
        ArithmeticError,
        RecursionError,
        po.TooLargeError,
    ) as error:
        raise RefutedError(f"The certificate is refuted: {error!r:.200}.") from error
    demand(said is None or low == high == said, f"it proves {low} to {high}, not {said}")
    return low, high


def whole(part: Any) -> bool:
    """Whether no number in a part of a certificate is a float."""
    if isinstance(part, dict | list | tuple):
        return all(map(whole, part.values() if isinstance(part, dict) else part))
    return part is None or isinstance(part, int | str)


def charts(certificate: Branch, tell: Any) -> Iterator[tuple[Chart, Branch, bool]]:
    """The first chart of what was asked, or those of a box, each with its tree and whether its zeros count."""
    told = certificate["problem"]
    gens, n = tuple(po.from_json(g) for g in told["generators"]), len(told["variables"])
    given = gens and all(g and all(len(a) == n and min(a) >= 0 for a in g) for g in gens)
    demand(given, "no polynomials are given")
    demand(not told["principal"] or len(gens) == 1, "K is one polynomial")
    root = Chart(
        kinds="".join("x" if o else "y" for o in told.get("onesided", (0,) * n)),
        weights=tuple(Fraction(h + 1) for h in told["powers"]),
        walls=orthant(n),
        gens=gens,
        tails=(frozenset(),) * len(gens),
        principal=told["principal"],
        tell=tell,
    )
    demand(len(root.kinds) == root.n == n and min(root.weights) > 0, "no prior is given")
    if "box" in told:
        yield from box.parts(told, root, certificate["parts"])
        return
    vanish = all(any(a) for g in gens for a in g)
    demand(vanish, "the generators do not vanish at the point")
    yield root, certificate["tree"], True


def bounds(c: Chart, branch: Branch) -> Bounds:
    """Pairs below and above the value of a chart."""
    c = tidy(c)
    tell = c.tell or (lambda *_: None)
    tell("chart", c, branch)
    c = after(c, branch.get("steps", []))
    tell("ready", c, branch)
    found = resolved(c, branch)
    tell("done", c, found)
    return found


def after(c: Chart, steps: Iterable[Any]) -> Chart:
    """The chart after some steps."""
    for name, *step in steps:
        c = tidy(STEPS[name](c, *step))
    return c


def resolved(c: Chart, branch: Branch) -> Bounds:
    """The bounds of a chart whose steps are done.

    The Newton rule is an upper bound where the chart has a real point. It is a lower one but for the compact faces
    whose forms may have a common zero; for each of these a goal is told, or the chart stays open there and
    only its monomial generators bound it.
    """
    if not c.gens:
        return (c.offset, -1), (c.offset, -1) if c.real else NEVER
    if "split" in branch:
        return split.together(c, [bounds(*part) for part in split.parts(c, branch["split"])])
    if "group" in branch:
        return least([bounds(*part) for part in blow_up.blown_up(c, branch, after)])
    monomials = leads(c)
    floor = pair(c, normals(c, monomials)) if monomials else (c.offset, _UNKNOWN)
    monomial = len(monomials) == len(c.gens)
    if branch.get("end") == "above" or monomial:
        return floor, floor if c.real and monomial else NEVER
    if "open" in branch and "faces" not in branch:
        return floor, NEVER
    points = sorted({a[: c.n] for g in c.gens for a in g}.union(*c.tails))
    around = normals(c, points)
    newton = pair(c, around)
    found = [(newton, newton if c.real else NEVER)]
    if "open" in branch:
        found.append((floor, NEVER))
        if not branch["faces"]:
            return least(found)
    said = {(tuple(map(tuple, f["face"])), tuple(f["signs"])): f for f in branch.get("faces", [])}
    for points_of, rays in faces(c, points, around):
        for patterns in undecided(c, points_of, rays):
            signs = next((s for s in patterns if (points_of, s) in said), None)
            if signs is None or "open" in said[points_of, signs]:
                told = signs is not None or "open" in branch
                demand(told, f"nothing is said of the face {points_of}")
                found.append((floor, NEVER))
                continue
            for goal in goals(patterns[signs], said[points_of, signs]):
                found.append(goal if isinstance(goal, Known) else bounds(*goal))
    return least(found)


def least(found: Iterable[Bounds]) -> Bounds:
    """Bounds of a chart that is covered by others."""
    low: Pair
    high: Pair
    low, high = (min(pairs) for pairs in zip(*found, strict=True))
    return low, high
