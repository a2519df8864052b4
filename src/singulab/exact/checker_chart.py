"""The charts of the checker: signs, steps and polyhedra, all made anew from inequalities.

Nothing here is shared with the search but polynomial arithmetic.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.polynomial import Polynomial

Vector = tuple[int, ...]
Pair = tuple[Fraction, int]  # λ of the ideal, −m
NEVER: Pair = (Fraction(10**9), -1)  # of an ideal that does not vanish


class RefutedError(ValueError):
    """A certificate that does not prove what it says."""


def demand(holds: Any, claim: str) -> None:
    """Refute the certificate unless the claim holds."""
    if not holds:
        raise RefutedError(f"The certificate is refuted: {claim}.")


@dataclass(frozen=True)
class Chart:
    """Variables y, x, u, f, c as in the search; the cone is {ω: ⟨c, ω⟩ ≥ 0 for all walls c}.

    It is real if a point of it is known.
    """

    kinds: str
    weights: tuple[Fraction, ...]
    walls: tuple[Vector, ...]
    gens: tuple[Polynomial, ...]
    tails: tuple[frozenset[Vector], ...]
    offset: Fraction = Fraction(0)
    conditions: tuple[Polynomial, ...] = ()
    factors: tuple[Polynomial, ...] = ()
    root: tuple[list[int], Fraction, Fraction] | None = None
    real: bool = True
    principal: bool = False  # K ≥ 0 itself, up to a factor of one sign
    tell: Callable[..., None] | None = (
        None  # is told of each chart before and after its steps, and its bounds
    )

    @property
    def n(self) -> int:
        return len(self.weights)

    @property
    def units(self) -> list[int]:
        return [i for i, kind in enumerate(self.kinds) if kind == "u"]

    def bounded(self, a: Sequence[int], *, small: bool = False) -> bool:
        """Whether the monomial is bounded, or small, where the chart lives."""
        values = [po.inner(r, a) for r in cone_rays(self.walls, self.n)]
        return min(values, default=0) >= 0 and (not small or any(values))

    def alone(self, v: int) -> bool:
        """Whether the cone is a product with the half-line of v."""
        return all(not w[v] or sum(map(bool, w)) == 1 for w in self.walls)


# ── signs ─────────────────────────────────────────────────────────────────────────────────────────


def reduced(c: Chart, p: Polynomial) -> Polynomial:
    """Returns p with the algebraic number reduced."""
    return p if c.root is None else po.reduce(p, len(c.kinds) - 1, c.root[0])


def normal(c: Chart, p: Polynomial) -> Polynomial:
    """Returns p up to a unit."""
    return po.primitive(reduced(c, p), c.units)


def univariate(coefficients: Sequence[Any]) -> Any:
    """A sympy polynomial with those coefficients, lowest first."""
    from sympy import QQ, Poly, Symbol

    return Poly(
        [QQ(x.numerator, x.denominator) for x in reversed(coefficients)], Symbol("t"), domain=QQ
    )


def sign(c: Chart, powers: dict[int, Fraction]) -> int:
    """The sign of Σ powers[e]·ρ^e at the root ρ of the chart."""
    from sympy import QQ

    values = [powers.get(e, Fraction(0)) for e in range(max(powers, default=0) + 1)]
    if len(values) == 1:
        return (values[0] > 0) - (values[0] < 0)
    assert c.root is not None
    relation, low, high = univariate([Fraction(r) for r in c.root[0]]), c.root[1], c.root[2]
    number = univariate(values).rem(relation)
    if number.is_zero:
        return 0
    while number.count_roots(
        QQ(low.numerator, low.denominator), QQ(high.numerator, high.denominator)
    ):
        middle = (low + high) / 2
        ends = [QQ(x.numerator, x.denominator) for x in (low, middle)]
        low, high = (low, middle) if relation.count_roots(*ends) else (middle, high)
    return 1 if number.eval(QQ(low.numerator, low.denominator)) > 0 else -1


def one_sign(c: Chart, p: Polynomial) -> int:
    """The sign that all coefficients of p have, or 0."""
    last = len(c.kinds) - (c.root is not None)
    if any(c.kinds[i] == "f" for i in po.occurring(p)):
        return 0
    parts: dict[Vector, dict[int, Fraction]] = {}
    for a, v in reduced(c, p).items():
        parts.setdefault(a[:last], {})[sum(a[last:])] = Fraction(v)
    signs = {sign(c, part) for part in parts.values()}
    return signs.pop() if len(signs) == 1 else 0


def nonzero(c: Chart, p: Polynomial) -> bool:
    """Whether p is one-signed up to factors of the conditions."""
    if not p or one_sign(c, p):
        return bool(p)
    for q in c.factors:
        while (quotient := po.divide(p, q)) is not None:
            p = quotient
    return one_sign(c, p) != 0


def sign_at(c: Chart, p: Polynomial, point: Sequence[Fraction]) -> int:
    """The sign of a polynomial in u and the algebraic number at values of the u."""
    powers: dict[int, Fraction] = {}
    for a, v in p.items():
        rest = a[c.n + len(point) :]
        value = po.evaluate({a[c.n : c.n + len(point)]: v}, point)
        powers[sum(rest)] = powers.get(sum(rest), Fraction(0)) + value
    return sign(c, powers)


def lead(c: Chart, i: int) -> Vector | None:
    """The monomial that generator i is up to a unit."""
    terms = {a[: c.n] for a in c.gens[i]}
    for m in terms:
        others = (terms | c.tails[i]) - {m}
        if m not in c.tails[i] and all(
            c.bounded([x - y for x, y in zip(a, m, strict=True)]) for a in others
        ):
            part = {a: v for a, v in c.gens[i].items() if a[: c.n] == m}
            return m if nonzero(c, part) else None
    return None


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────


def tidy(c: Chart) -> Chart:
    """Generators up to units, without zeros, repetitions and what their tails contain."""
    gens: list[Polynomial] = []
    tails = []
    for g, t in zip(c.gens, c.tails, strict=True):
        tail = _least(c, t)
        p = normal(c, {a: v for a, v in g.items() if not _above(c, a[: c.n], tail)})
        if tail or (p and p not in gens):
            gens.append(p)
            tails.append(tail)
    return replace(c, gens=tuple(gens), tails=tuple(tails))


def _least(c: Chart, t: frozenset[Vector]) -> frozenset[Vector]:
    return frozenset(a for a in t if not _above(c, a, t - {a}))


def _above(c: Chart, a: Vector, tail: frozenset[Vector]) -> bool:
    return any(c.bounded([x - y for x, y in zip(a, t, strict=True)]) for t in tail)


def mix(c: Chart, matrix: list[list[int]]) -> Chart:
    """New generators by an invertible matrix."""
    demand(len(matrix) == len(c.gens) == rank(matrix), "a matrix is not invertible")
    gens, tails = [], []
    for row in matrix:
        total: Polynomial = {}
        for factor, g in zip(row, c.gens, strict=True):
            total = po.add(total, g, factor)
        gens.append(total)
        tails.append(frozenset().union(*(t for f, t in zip(row, c.tails, strict=True) if f)))
    return replace(c, gens=tuple(gens), tails=tuple(tails))


def shear(c: Chart, v: int, told: Any) -> Chart:
    """V + q takes the place of v."""
    q, length = po.from_json(told), len(c.kinds)
    demand(all(not a[v] for a in q) and not any(c.tails), "a shear by its own variable")
    if c.kinds[v] == "f":
        demand(
            all(c.kinds[i] == "f" for i in po.occurring(q)),
            "a free variable is sheared by one that is not",
        )
    else:
        demand(c.kinds[v] == "y" and c.weights[v] == 1 and c.alone(v), "no free coordinate")
        demand(
            all(not any(a[c.n :]) and c.bounded(a[: c.n], small=True) for a in q),
            "a shear is not small",
        )
    image = po.add(po.variable(v, length), q)
    one = po.constant(1, length)
    return replace(c, gens=tuple(po.substitute(g, v, image, one) for g in c.gens))


def square(c: Chart, v: int) -> Chart:
    """K = A·v² + B·v + C ≥ 0: 4A·K = (2A·v + B)² + (4AC − B²), and v = −B/2A shows the last not negative."""
    parts = po.coefficients(c.gens[0], v)
    demand(
        c.principal and c.kinds[v] == "y" and c.weights[v] == 1 and c.alone(v),
        "no square to complete",
    )
    lead = {a: x for a, x in parts[2].items() if not any(a[: c.n])}
    linear = {a[: c.n] for a in parts.get(1, {})}
    demand(max(parts) == 2 and not any(c.tails) and nonzero(c, lead), "no square to complete")
    demand(
        all(c.bounded(a) for a in linear | {a[: c.n] for a in parts[2]}), "a square is not small"
    )
    demand(not any(not any(a) for a in linear), "a square is not small")
    rest = po.scale(po.multiply(parts[2], parts.get(0, {})), 4)
    rest = po.add(rest, po.multiply(parts.get(1, {}), parts.get(1, {})), -1)
    return replace(_without(replace(c, gens=(rest,)), v), offset=c.offset + Fraction(1, 2))


def drop(c: Chart, i: int, terms: list[list[int]]) -> Chart:
    """Terms that a monomial generator bounds are left out."""
    over = set(map(tuple, terms))
    leads = [m for j in range(len(c.gens)) if j != i and (m := lead(c, j)) is not None]
    demand(
        all(_above(c, a, frozenset(leads)) for a in over), "a term is dropped that nothing bounds"
    )
    rest = {a: v for a, v in c.gens[i].items() if a[: c.n] not in over}
    return _with(c, i, rest, c.tails[i] - over)


def unit(c: Chart, i: int) -> Chart:
    """A monomial times a unit becomes the monomial."""
    m = lead(c, i)
    demand(m is not None, "a generator is no monomial")
    return _with(c, i, {(*(m or ()), *(0,) * (len(c.kinds) - c.n)): 1}, frozenset())


def _with(c: Chart, i: int, g: Polynomial, tail: frozenset[Vector]) -> Chart:
    gens, tails = list(c.gens), list(c.tails)
    gens[i], tails[i] = g, tail
    return replace(c, gens=tuple(gens), tails=tuple(tails))


def free(c: Chart, v: int) -> Chart:
    """A variable that no generator contains is left out."""
    demand(c.alone(v) and not any(c.tails), "a variable is not free")
    demand(all(not a[v] for g in c.gens for a in g), "a variable is not free")
    return _without(c, v)


def _without(c: Chart, v: int) -> Chart:
    keep = [i for i in range(len(c.kinds)) if i != v]
    small = [i for i in keep if i < c.n]
    return replace(
        c,
        kinds="".join(c.kinds[i] for i in keep),
        weights=tuple(c.weights[i] for i in small),
        walls=tuple(tuple(w[i] for i in small) for w in c.walls if not w[v]),
        gens=tuple(po.take(g, keep) for g in c.gens),
        tails=tuple(frozenset(tuple(a[i] for i in small) for a in t) for t in c.tails),
        conditions=tuple(po.take(q, keep) for q in c.conditions),
        factors=tuple(po.take(q, keep) for q in c.factors),
    )


def _straight(c: Chart, i: int, v: int) -> tuple[Vector, Polynomial]:
    """M and h with f_i = M·h, where h is small and its derivative by v is a unit, the tail included."""
    demand(
        c.kinds[v] == "y" and c.weights[v] == 1 and c.alone(v), "a variable is no free coordinate"
    )
    g, n = c.gens[i], c.n
    axis = tuple(int(k == v) for k in range(n))
    slope = {(*a[:v], a[v] - 1, *a[v + 1 :]): x for a, x in g.items() if a[v]}
    rest = {a[:n] for a in g if not a[v]} | c.tails[i]
    for m in {a[:n] for a in slope if not a[v]}:
        off = {
            tuple(x - y for x, y in zip(a, m, strict=True)) for a in rest | {a[:n] for a in slope}
        }
        own = {a: x for a, x in slope.items() if a[:n] == m}
        if m in rest or tuple(x + y for x, y in zip(m, axis, strict=True)) in c.tails[i]:
            continue
        if all(c.bounded(a) for a in off) and nonzero(c, own):
            return m, po.shift(g, (*(-x for x in m), *(0,) * (len(c.kinds) - n)))
    raise RefutedError("The certificate is refuted: a generator is no coordinate.")


def solve(c: Chart, i: int, v: int, *series: Any) -> Chart:
    """H takes the place of v; v is then num/den up to what is in the tails.

    Where (h − v′)(num/den) = E, the true v differs from num/den by |E| and the tail of h, times a constant.
    """
    m, h = _straight(c, i, v)
    length, n, keeps = len(c.kinds), c.n, any(m)
    axis = po.variable(v, length)
    others = [g for k, g in enumerate(c.gens) if k != i]
    needed = any(a[v] for g in others for a in g) or any(a[v] for tail in c.tails for a in tail)
    if series:
        num, den = po.from_json(series[0]), po.constant(series[1], length)
        demand(
            series[1] and all(c.bounded(a[:n], small=True) for a in num), "a series is not small"
        )
        demand(keeps or not po.degree(num, v), "a series in a coordinate that is gone")
    elif needed:
        parts = po.coefficients(h, v)
        demand(set(parts) <= {0, 1} and not any(c.tails[i]), "v is no rational function")
        demand(not any(t[v] for t in (a for tail in c.tails for a in tail)), "v is in a tail")
        num, den = po.scale(parts.get(0, {}), -1), parts[1]
        num = po.add(num, axis) if keeps else num
    else:
        num, den = {}, po.constant(1, length)
    off: set[Vector] = set()
    if series:
        target = po.multiply(axis, po.power(den, po.degree(h, v), length)) if keeps else {}
        off = {a[:n] for a in reduced(c, po.add(po.substitute(h, v, num, den), target, -1))}
        phi = {a[:n] for a in num}
        down = {tuple(x - y for x, y in zip(t, m, strict=True)) for t in c.tails[i]}
        off |= {t for d in down for t in _bounding(d, v, phi)}
        phi, off = set(_least(c, frozenset(phi))), set(_least(c, frozenset(off)))
    gens, tails = [], []
    for k, g in enumerate(c.gens):
        if k == i:
            gens.append(po.shift(axis, (*m, *(0,) * (length - n))) if keeps else {})
            tails.append(frozenset[Vector]())
            continue
        tail = (
            set(c.tails[k])
            if not series
            else {t for a in c.tails[k] for t in _bounding(a, v, phi | off)}
        )
        for a in {a[:n] for a in g if a[v]} if series else ():
            inside = [(0,) * n] if a[v] != 2 else [*phi, *off]
            bare = (*a[:v], 0, *a[v + 1 :])
            tail |= {tuple(map(sum, zip(bare, p, o, strict=True))) for p in inside for o in off}
        gens.append(normal(c, po.substitute(g, v, num, den)) if po.degree(g, v) else g)
        tails.append(frozenset(tail))
    c = replace(c, gens=tuple(gens), tails=tuple(tails))
    return c if keeps else replace(_without(c, v), offset=c.offset + 1)


def _bounding(t: Vector, v: int, phi: set[Vector]) -> set[Vector]:
    base = (*t[:v], 0, *t[v + 1 :])
    return {tuple(map(sum, zip(base, p, strict=True))) for p in phi} if t[v] else {base}


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


# ── polyhedra ─────────────────────────────────────────────────────────────────────────────────────


def rank(rows: Sequence[Sequence[int]]) -> int:
    """Rank of integer rows."""
    from sympy import QQ
    from sympy.polys.matrices import DomainMatrix

    if not rows or not rows[0]:
        return 0
    return int(
        DomainMatrix([[QQ(x) for x in row] for row in rows], (len(rows), len(rows[0])), QQ).rank()
    )


_KNOWN: dict[Any, list[Vector]] = {}


def cone_rays(walls: Sequence[Vector], n: int) -> list[Vector]:
    """Rays of {ω: ⟨c, ω⟩ ≥ 0 for all walls c}, a pointed cone of full dimension."""
    key = (tuple(walls), n)
    if key not in _KNOWN:
        if len(_KNOWN) > 5000:
            _KNOWN.clear()
        _KNOWN[key] = _rays(list(walls), n)
    return _KNOWN[key]


def _rays(walls: list[Vector], n: int) -> list[Vector]:
    from sympy import QQ
    from sympy.polys.matrices import DomainMatrix

    if n == 0:
        return []
    rows = DomainMatrix([[QQ(x) for x in w] for w in walls], (len(walls), n), QQ)
    _, pivots = rows.transpose().rref()
    demand(len(pivots) == n, "a cone is not pointed")
    inverse = rows.extract(list(pivots), range(n)).inv().to_list()
    order = [*pivots, *(k for k in range(len(walls)) if k not in pivots)]
    found = []
    for j in range(n):
        column = [Fraction(int(row[j].numerator), int(row[j].denominator)) for row in inverse]
        common = lcm(*(x.denominator for x in column))
        found.append(
            (_primitive([int(x * common) for x in column]), {k for k in range(n) if k != j})
        )
    for k in range(n, len(walls)):
        values = [po.inner(r, walls[order[k]]) for r, _ in found]
        fresh = [
            (r, t | {k} if v == 0 else t) for (r, t), v in zip(found, values, strict=True) if v >= 0
        ]
        for (r, t), v in zip(found, values, strict=True):
            for (s, u), w in zip(found, values, strict=True):
                both = t & u
                if v > 0 > w and len(both) >= n - 2 and sum(both <= o for _, o in found) == 2:
                    edge = _primitive([v * y - w * x for x, y in zip(r, s, strict=True)])
                    fresh.append((edge, both | {k}))
        found = fresh
    return [r for r, _ in found]


def _primitive(v: Sequence[int]) -> Vector:
    divisor = gcd(*v) or 1
    return tuple(x // divisor for x in v)


def irredundant(walls: set[Vector], n: int) -> tuple[Vector, ...]:
    """Walls whose rays are not a part of those of another wall."""
    listed = sorted({_primitive(w) for w in walls})
    rays = cone_rays(listed, n)
    on = {w: frozenset(i for i, r in enumerate(rays) if po.inner(w, r) == 0) for w in listed}
    return tuple(
        w for k, w in enumerate(listed)
        if not any(on[w] < on[x] or (on[w] == on[x] and x in listed[:k]) for x in listed)
    )  # fmt: skip


def normals(c: Chart, points: Sequence[Vector]) -> list[tuple[Vector, int]]:
    """Facet normals ω of conv(points) + C^∨ with N(ω): rays of {(ω, t): ω ∈ C, t ≤ ⟨ω, a⟩}."""
    system = [(*w, 0) for w in c.walls] + [(*a, -1) for a in points]
    return [(r[:-1], r[-1]) for r in cone_rays(system, c.n + 1) if any(r[:-1])]


def best(ratios: Sequence[tuple[Fraction, Vector]], offset: Fraction) -> Pair:
    """The least of some ratios, plus an offset, and minus the rank of the rays that have it."""
    if not ratios:
        return NEVER
    value = min(r for r, _ in ratios)
    return value + offset, -rank([v for r, v in ratios if r == value])


def pair(c: Chart, around: Sequence[tuple[Vector, int]]) -> Pair:
    """The Newton pair."""
    ratios = [(Fraction(po.inner(r, c.weights)) / t, r) for r, t in around if t > 0]
    return best(ratios, c.offset)


def faces(
    c: Chart, points: Sequence[Vector], around: Sequence[tuple[Vector, int]]
) -> Iterator[tuple[tuple[Vector, ...], list[Vector]]]:
    """All compact faces, as their points, each with the normals of the facets around it."""
    if c.n == 0:
        yield ((),), []
        return
    sides = [
        frozenset(
            [("point", a) for a in points if po.inner(r, a) == t]
            + [("direction", w) for w in c.walls if po.inner(r, w) == 0]
        )
        for r, t in around
    ]
    known, fresh = set(sides), set(sides)
    while fresh:
        fresh = {s & side for s in fresh for side in sides} - known
        known |= fresh
    for s in known:
        if s and all(kind == "point" for kind, _ in s):
            yield (
                tuple(sorted(a for _, a in s)),
                [r for (r, _), side in zip(around, sides, strict=True) if s <= side],
            )
