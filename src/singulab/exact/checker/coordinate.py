"""A generator as a coordinate: f = M·h with a unit ∂h/∂v, so that h takes the place of v."""

from dataclasses import dataclass, replace
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker.chart import Chart
from singulab.exact.checker.claim import RefutedError, demand
from singulab.exact.checker.cone import Vector, axis, less
from singulab.exact.checker.generator import least, without
from singulab.exact.checker.sign import nonzero, normal, reduced
from singulab.exact.polynomial import Polynomial


@dataclass(frozen=True)
class Image:
    """What v is in the new coordinate: numerator/denominator, up to the monomials ``off`` of an error."""

    numerator: Polynomial
    denominator: Polynomial
    off: frozenset[Vector] = frozenset()
    size: frozenset[Vector] = frozenset()  # monomials that bound v, the error left out


def solve(c: Chart, i: int, v: int, *series: Any) -> Chart:
    """H takes the place of v, which becomes a rational function, or a series that is cut off, in the others.

    Where M = 1 the generator is a coordinate in nothing else, and λ of the ideal grows by 1.
    """
    monomial, h = straight(c, i, v)
    length, keeps = len(c.kinds), any(monomial)
    image = cut_off(c, i, v, h, monomial, *series) if series else fraction(c, i, v, h, keeps)
    gens: list[Polynomial] = []
    tails: list[frozenset[Vector]] = []
    for k, g in enumerate(c.gens):
        if k == i:
            own = po.shift(po.variable(v, length), (*monomial, *(0,) * (length - c.n)))
            gens.append(own if keeps else {})
            tails.append(frozenset())
            continue
        inside = po.substitute(g, v, image.numerator, image.denominator)
        gens.append(normal(c, inside) if po.degree(g, v) else g)
        tails.append(tail(c, k, v, image) if series else c.tails[k])
    c = replace(c, gens=tuple(gens), tails=tuple(tails))
    return c if keeps else replace(without(c, v), offset=c.offset + 1)


def straight(c: Chart, i: int, v: int) -> tuple[Vector, Polynomial]:
    """M and h with f_i = M·h, where h is small and its derivative by v is a unit, the tail included."""
    demand(c.coordinate(v), "a variable is no free coordinate")
    g, n = c.gens[i], c.n
    slope = {(*a[:v], a[v] - 1, *a[v + 1 :]): x for a, x in g.items() if a[v]}
    rest = {a[:n] for a in g if not a[v]} | c.tails[i]
    for m in {a[:n] for a in slope if not a[v]}:
        own = {a: x for a, x in slope.items() if a[:n] == m}
        if m in rest or tuple(map(sum, zip(m, axis(v, n), strict=True))) in c.tails[i]:
            continue
        if all(c.bounded(less(a, m)) for a in rest | {a[:n] for a in slope}) and nonzero(c, own):
            return m, po.shift(g, (*(-x for x in m), *(0,) * (len(c.kinds) - n)))
    raise RefutedError("The certificate is refuted: a generator is no coordinate.")


def fraction(c: Chart, i: int, v: int, h: Polynomial, keeps: bool) -> Image:
    """H = A·v + B gives v = (v′ − B)/A, or −B/A where v′ is gone."""
    length = len(c.kinds)
    others = [g for k, g in enumerate(c.gens) if k != i]
    tails = [a for t in c.tails for a in t]
    if not any(a[v] for g in others for a in g) and not any(a[v] for a in tails):
        return Image({}, po.constant(1, length))
    parts = po.coefficients(h, v)
    demand(set(parts) <= {0, 1} and not c.tails[i], "v is no rational function")
    demand(not any(a[v] for a in tails), "v is in a tail")
    top = po.scale(parts.get(0, {}), -1)
    return Image(po.add(top, po.variable(v, length)) if keeps else top, parts[1])


def cut_off(
    c: Chart, i: int, v: int, h: Polynomial, monomial: Vector, told: Any, denominator: int
) -> Image:
    """A series φ with h(φ) − v′ = E: the true v differs from φ by |E| and the tail of h, times a constant."""
    length, n, keeps = len(c.kinds), c.n, any(monomial)
    phi, whole = po.from_json(told), po.constant(denominator, length)
    demand(denominator and all(c.bounded(a[:n], small=True) for a in phi), "a series is not small")
    demand(keeps or not po.degree(phi, v), "a series in a coordinate that is gone")
    error = po.substitute(h, v, phi, whole)
    if keeps:
        scale = denominator ** po.degree(h, v)
        error = po.add(error, po.variable(v, length), -scale)
    size = frozenset(a[:n] for a in phi)
    off = {a[:n] for a in reduced(c, error)}
    off |= {t for a in c.tails[i] for t in instead(less(a, monomial), v, size)}
    return Image(phi, whole, least(c, frozenset(off)), least(c, size))


def tail(c: Chart, k: int, v: int, image: Image) -> frozenset[Vector]:
    """The tail of generator k with the image in the place of v: f(v) − f(φ) is |v − φ| times a bound of ∂f."""
    found = {t for a in c.tails[k] for t in instead(a, v, image.size | image.off)}
    for a in {a[: c.n] for a in c.gens[k] if a[v]}:
        bare = (*a[:v], 0, *a[v + 1 :])
        slopes = {(0,) * c.n} if a[v] != 2 else image.size | image.off
        found |= {tuple(map(sum, zip(bare, p, o, strict=True))) for p in slopes for o in image.off}
    return frozenset(found)


def instead(a: Vector, v: int, size: frozenset[Vector]) -> set[Vector]:
    """Monomials that bound w^a where v is bounded by those of ``size``."""
    bare = (*a[:v], 0, *a[v + 1 :])
    return {tuple(map(sum, zip(bare, p, strict=True))) for p in size} if a[v] else {bare}
