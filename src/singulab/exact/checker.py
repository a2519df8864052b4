"""Replays a certificate. Shares polynomial arithmetic with the search, and searches for nothing itself.

Polyhedra, faces, signs and children are made anew from the generators of the certificate. All that it is told is
a polynomial identity, a sign, or a list of real roots, which is counted. Pairs are (λ of the ideal, −m).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, pairwise, product
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker_chart import (
    NEVER,
    STEPS,
    Chart,
    Pair,
    RefutedError,
    best,
    demand,
    faces,
    irredundant,
    lead,
    nonzero,
    normal,
    normals,
    one_sign,
    pair,
    rank,
    reduced,
    sign_at,
    tidy,
    univariate,
)
from singulab.exact.polynomial import Polynomial
from singulab.exact.result import Bound

Branch = Mapping[str, Any]


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
        told = certificate["problem"]
        scale = 1 if told["principal"] else 2
        gens, n = tuple(po.from_json(g) for g in told["generators"]), len(told["variables"])
        demand(
            gens and all(len(a) == n and min(a) >= 0 for g in gens for a in g),
            "no polynomials are given",
        )
        demand(not told["principal"] or len(gens) == 1, "K is one polynomial")
        weights = tuple(Fraction(h + 1) for h in told["powers"])
        if "box" in told:
            pairs = list(over_box(told, gens, weights, certificate["parts"], tell))
        else:
            demand(
                all(any(a) for g in gens for a in g), "the generators do not vanish at the point"
            )
            kinds = "".join("x" if o else "y" for o in told["onesided"])
            walls = tuple(_unit(i, n) for i in range(n))
            root = Chart(
                kinds,
                weights,
                walls,
                gens,
                (frozenset(),) * len(gens),
                principal=told["principal"],
                tell=tell,
            )
            pairs = [bounds(root, certificate["tree"])]
        low, high = (Bound(min(p)[0] / scale, -min(p)[1]) for p in zip(*pairs, strict=True))
        said = None
        if "rlct" in certificate:
            said = Bound(Fraction(certificate["rlct"]), certificate["multiplicity"])
    except RefutedError:
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise RefutedError(f"The certificate is refuted: {error!r:.200}.") from error
    demand(said is None or low == high == said, f"it proves {low} to {high}, not {said}")
    return low, high


def bounds(c: Chart, branch: Branch) -> tuple[Pair, Pair]:
    """Pairs below and above the value of a chart."""
    c = tidy(c)
    tell = c.tell or (lambda *_: None)
    tell("chart", c, branch)
    for name, *step in branch.get("steps", []):
        c = tidy(STEPS[name](c, *step))
    tell("ready", c, branch)
    found = resolved(c, branch)
    tell("done", c, found)
    return found


def resolved(c: Chart, branch: Branch) -> tuple[Pair, Pair]:
    """The same after the steps."""
    if not c.gens:
        return (c.offset, -1), (c.offset, -1) if c.real else NEVER
    if "split" in branch:
        return split(c, branch["split"])
    if "group" in branch:
        return blow_up(c, branch)
    leads = [m for i in range(len(c.gens)) if (m := lead(c, i)) is not None]
    unknown = pair(c, normals(c, leads)) if leads else (c.offset, -(10**6))
    if branch.get("end") == "above" or len(leads) == len(c.gens):
        return unknown, unknown if c.real and len(leads) == len(c.gens) else NEVER
    points = sorted({a[: c.n] for g in c.gens for a in g}.union(*c.tails))
    around = normals(c, points)
    low = pair(c, around)
    high = low if c.real else NEVER
    if "open" in branch:
        low = min(low, unknown)
    said = {(tuple(map(tuple, f["face"])), tuple(f["signs"])): f for f in branch.get("faces", [])}
    for face, cone in faces(c, points, around):
        for place, patterns in open_patterns(c, face, cone):
            signs = next((s for s in patterns if (face, s) in said), None)
            if signs is None or "open" in said[face, signs]:
                demand(signs or "open" in branch, f"nothing is said of the face {face}")
                low = min(low, unknown)
                continue
            below, above = place(patterns[signs]).close(said[face, signs])
            low, high = min(low, below), min(high, above)
    return low, high


def over_box(
    told: Branch, gens: Any, weights: Any, parts: Any, tell: Any
) -> Iterator[tuple[Pair, Pair]]:
    """Bounds for each part of a box: the variables near their origin, above or below it."""
    n, said = len(gens[0] and next(iter(gens[0]))), {tuple(p["signs"]): p for p in parts}
    box = [[None if e is None else Fraction(e) for e in ends] for ends in told["box"]]
    origin = [Fraction(o) for o in told["origin"]]
    sides = [
        [0] + [1] * (high is None or high > o) + [-1] * (low is None or low < o)
        for (low, high), o in zip(box, origin, strict=True)
    ]
    for signs in product(*sides):
        near, far = ([i for i in range(n) if bool(signs[i]) == f] for f in (False, True))
        order = [*near, *far]
        flip = [
            {a: x * (-1) ** sum(a[i] for i in far if signs[i] < 0) for a, x in g.items()}
            for g in gens
        ]
        chart = Chart(
            kinds="".join("x" if origin[i] in box[i] else "y" for i in near) + "u" * len(far),
            weights=tuple(weights[i] for i in near),
            walls=tuple(_unit(i, len(near)) for i in range(len(near))),
            gens=tuple(po.take(g, order) for g in flip),
            tails=(frozenset(),) * len(gens),
            conditions=tuple(
                {(0,) * n: reach.numerator, _unit(order.index(i), n): -reach.denominator}
                for i in far
                if (end := box[i][signs[i] > 0]) is not None and (reach := abs(end - origin[i]))
            ),
            principal=told["principal"],
            tell=tell,
        )
        point = [Fraction(x) for x in said[signs].get("witness", ())]
        real = len(point) == len(far) and all(x > 0 for x in point)
        real = real and all(sign_at(chart, q, point) > 0 for q in chart.conditions)
        yield bounds(replace(chart, real=real), said[signs]["tree"])


def open_patterns(c: Chart, face: Any, cone: Any) -> Iterator[Any]:
    """Patterns of signs under which no face form has one sign, those with the same generators together."""
    on = [
        [a for a in g if a[: c.n] in face and not t & set(face)]
        for g, t in zip(c.gens, c.tails, strict=True)
    ]
    kept = [
        v
        for v in range(c.n)
        if c.kinds[v] == "y"
        and {tuple(map(bool, r)) for r in cone if r[v]} == {tuple(map(bool, _unit(v, c.n)))}
    ]
    odd = [
        v
        for v in range(c.n)
        if c.kinds[v] == "y" and v not in kept and any(a[v] % 2 for g in c.gens for a in g)
    ]
    alike: dict[Any, dict[tuple[int, ...], list[Polynomial]]] = {}
    for signs in product(*((1, -1) if v in odd else (1,) for v in range(c.n))):
        minus = [v for v in odd if signs[v] < 0]
        flip = [{a: x * (-1) ** sum(a[v] for v in minus) for a, x in g.items()} for g in c.gens]
        alike.setdefault(tuple(frozenset(normal(c, g).items()) for g in flip), {})[signs] = flip
    for patterns in alike.values():
        gens = next(iter(patterns.values()))
        if not any(
            part and nonzero(c, {a: g[a] for a in part}) for g, part in zip(gens, on, strict=True)
        ):
            yield lambda signed: Place(c, face, cone, kept, on, signed), patterns


def blow_up(c: Chart, branch: Branch) -> tuple[Pair, Pair]:
    """Charts w_i = t, w_j = t·w_j′ of a group; all but those that a symmetry carries into one that is told."""
    group, charts = branch["group"], {chart["index"]: chart for chart in branch["charts"]}
    demand(
        set(c.kinds) == {"y"} and not any(c.tails),
        "only small variables of both signs are blown up",
    )
    demand(all(c.weights[v] == 1 and c.alone(v) for v in group), "a prior on a group")
    old = {frozenset(normal(c, g).items()) for g in c.gens}
    for j, i, images in branch["same"]:
        demand(
            sorted(images) == list(range(c.n)) and images[i] == j and i in charts,
            "no permutation to a chart",
        )
        demand({images[v] for v in group} == set(group), "a permutation leaves the group")
        demand(
            all(c.weights[v] == c.weights[w] for v, w in enumerate(images)),
            "a permutation changes the prior",
        )
        inverse = sorted(range(c.n), key=lambda v: images[v])
        new = {frozenset(normal(c, po.take(g, inverse)).items()) for g in c.gens}
        demand(new == old, "a permutation changes the ideal")
    told = {*charts, *(j for j, _, _ in branch["same"])}
    demand(set(group) <= told and set(charts) <= set(group), "a chart of a blow-up is missing")
    found = []
    for i, chart in charts.items():
        others = [v for v in group if v != i]
        stay = [v for v in range(c.n) if v not in others]
        gens = tuple(
            {
                (
                    *(sum(a[v] for v in group) if s == i else a[s] for s in stay),
                    *(a[v] for v in others),
                ): x
                for a, x in g.items()
            }
            for g in c.gens
        )
        at = replace(
            c,
            kinds="y" * len(stay) + "f" * len(others),
            weights=tuple(Fraction(len(group)) if s == i else c.weights[s] for s in stay),
            walls=tuple(_unit(k, len(stay)) for k in range(len(stay))),
            gens=gens,
        )
        at = tidy(at)
        for name, *step in chart["steps"]:
            at = tidy(STEPS[name](at, *step))
        scaling, size = chart["weights"], len(at.kinds)
        demand(
            all(len({po.inner(scaling, a) for a in g}) == 1 for g in at.gens),
            "generators do not scale",
        )
        demand(
            all(w > 0 for w, kind in zip(scaling, at.kinds, strict=True) if kind == "f"),
            "scaling leads away",
        )
        walls = tuple(_unit(k, size) for k in range(size))
        weights = (*at.weights, *(Fraction(1),) * (size - at.n))
        demand(not any(at.tails) and set(at.kinds) <= {"y", "f"}, "a chart of a blow-up has tails")
        found.append(
            bounds(replace(at, kinds="y" * size, weights=weights, walls=walls), chart["child"])
        )
    return min(f[0] for f in found), min(f[1] for f in found)


def split(c: Chart, branches: Sequence[Branch]) -> tuple[Pair, Pair]:
    """Ideals in separate variables, in the order of their first variables."""
    demand(not c.units and not any(c.tails), "a chart with u or tails does not split")
    groups: list[set[int]] = [{v} for v in range(c.n)]
    links = [{i for i in po.occurring(g) if i < c.n} for g in c.gens]
    for link in [*links, *({i for i, e in enumerate(w) if e} for w in c.walls)]:
        demand(link, "a generator without variables")
        groups = [g for g in groups if not g & link] + [
            link.union(*(g for g in groups if g & link))
        ]
    demand(len(groups) == len(branches), "the variables fall into other groups")
    found = []
    for group, branch in zip(sorted(map(sorted, groups)), branches, strict=True):
        keep = [*group, *range(c.n, len(c.kinds))]
        gens = tuple(
            po.take(g, keep) for g, link in zip(c.gens, links, strict=True) if link <= set(group)
        )
        part = replace(
            c,
            kinds="".join(c.kinds[i] for i in keep),
            weights=tuple(c.weights[i] for i in group),
            walls=tuple(tuple(w[i] for i in group) for w in c.walls if any(w[i] for i in group)),
            gens=gens,
            tails=(frozenset(),) * len(gens),
            offset=Fraction(0),
        )
        found.append(bounds(part, branch))
    low, high = (
        (c.offset + sum(p[0] for p in pairs), sum(p[1] for p in pairs) + len(pairs) - 1)
        for pairs in zip(*found, strict=True)
    )
    return low, NEVER if any(f[1] == NEVER for f in found) else high


@dataclass(frozen=True)
class Place:
    """A face with signs: where its forms vanish the Newton rule says nothing."""

    c: Chart
    face: Any
    cone: Any
    kept: Any
    on: Any  # exponents of the known terms of each generator on the face
    gens: Any  # with signs

    def close(self, said: Branch) -> tuple[Pair, Pair]:
        """Bounds for the neighbourhood of the common zeros of the forms."""
        c, face = self.c, self.face
        across = [tuple(g) for g in said["across"]]
        along = [*(_unit(v, c.n) for v in self.kept), *(tuple(b) for b in said["along"])]
        demand(
            all(po.inner(b, a) == po.inner(b, face[0]) for b in along for a in face),
            "coordinates leave the face",
        )
        demand(
            rank([*along, *across]) == len(along) + len(across) == c.n,
            "coordinates depend on each other",
        )
        torus = replace(
            c,
            kinds="u" * len(across) + c.kinds[c.n :],
            weights=(),
            factors=tuple(
                {(*(0,) * len(across), *a[c.n :]): x for a, x in q.items()} for q in c.factors
            ),
            conditions=tuple(
                {(*(0,) * len(across), *a[c.n :]): x for a, x in q.items()} for q in c.conditions
            ),
        )
        chart = (torus, along, across, said["powers"])
        forms = []
        for g, part in zip(self.gens, self.on, strict=True):
            forms.append(normal(torus, {t: g[a] for a, t in self.turned(chart, part)}))
        if "none" in said:
            return none(torus, forms, said["none"])
        if "smooth" in said:
            return self.smooth(torus, forms, said)
        return self.locus(chart, forms, forms[said["form"]], said["factors"])

    def turned(self, chart: Any, exponents: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Exponents with their powers of the torus coordinates, least power 0, of which roots were taken."""
        n, (_, _, across, roots) = self.c.n, chart
        low = [min((po.inner(a[:n], v) for a in exponents), default=0) for v in across]
        for a in exponents:
            t = [po.inner(a[:n], v) - x for v, x in zip(across, low, strict=True)]
            demand(
                all(r > 0 and x % r == 0 for x, r in zip(t, roots, strict=True)),
                "a root cannot be taken",
            )
            yield a, (*(x // r for x, r in zip(t, roots, strict=True)), *a[n:])

    def smooth(self, torus: Chart, forms: Sequence[Polynomial], said: Branch) -> tuple[Pair, Pair]:
        """Forms with independent differentials are coordinates v, and the ideal contains x^κ·v."""
        c, chosen = self.c, [forms[i] for i in said["smooth"]]
        table = [[po.derivative(f, j) for j in torus.units] for f in chosen]
        minors = [
            po.determinant([[row[j] for j in js] for row in table])
            for js in combinations(range(len(torus.units)), len(chosen))
        ]
        none(torus, [*forms, *minors], said["proof"])
        ratios = [
            (Fraction(po.inner(r, c.weights)) / t, (*r, 0))
            for r in self.cone
            if (t := po.inner(r, self.face[0]))
        ]
        value = best([*ratios, (Fraction(len(chosen)), _unit(c.n, c.n + 1))], c.offset)
        signs = set()
        for told in said.get("between", ()):
            point = [Fraction(x) for x in told]
            if min(point) > 0 and all(sign_at(torus, q, point) > 0 for q in torus.conditions):
                signs.add(sign_at(torus, chosen[0], point))
        convex = torus.root is None and all(sum(a) <= 1 for q in torus.conditions for a in q)
        exact = len(chosen) == len(forms) == 1 and signs >= {1, -1} and c.real and convex
        return value, value if exact else NEVER

    def locus(
        self, chart: Any, forms: Sequence[Polynomial], form: Polynomial, said: Any
    ) -> tuple[Pair, Pair]:
        """Bounds for where a form and others vanish, factor by factor of the form."""
        torus = chart[0]
        whole, low, high = po.constant(1, len(torus.kinds)), NEVER, NEVER
        for f in said:
            p = po.from_json(f["factor"])
            whole = po.multiply(whole, po.power(p, f["power"], len(torus.kinds)))
            found = []
            if "none" in f:
                none(torus, [*forms, p], f["none"])
            elif "solve" in f:
                parts = po.coefficients(p, f["solve"])
                demand(
                    set(parts) == {0, 1} and torus.kinds[f["solve"]] == "u",
                    "a factor is not linear",
                )
                found.append(
                    self.child(chart, f["solve"], po.scale(parts[0], -1), parts[1], None, f)
                )
                both = [*forms, p, parts[1], parts[0]]
                if "none" in f.get("rest", ()):
                    none(torus, both, f["rest"]["none"])
                elif "rest" in f:
                    found.append(self.locus(chart, both, parts[1], f["rest"]["factors"]))
                else:
                    demand(nonzero(torus, parts[1]), "a divisor may vanish")
            elif "roots" in f:
                found.extend(self.roots(chart, p, f["variable"], f["roots"]))
            else:
                demand(nonzero(torus, p), "a factor is left out")
            for below, above in found:
                low, high = min(low, below), min(high, above)
        number = po.variable(len(torus.kinds) - 1, len(torus.kinds)) if torus.root else {}
        powers = range(1 + po.degree(form, len(torus.kinds) - 1) if torus.root else 1)
        same = (po.multiply(whole, po.power(number, k, len(torus.kinds))) for k in powers)
        demand(
            any(normal(torus, p) == normal(torus, form) for p in same),
            "the factors are not those of the form",
        )
        return low, high

    def roots(self, chart: Any, p: Polynomial, j: int, said: Any) -> Iterator[tuple[Pair, Pair]]:
        """Bounds at each positive root of an irreducible polynomial in u_j alone."""
        torus = chart[0]
        demand(
            po.occurring(p) == {j} and torus.root is None and torus.kinds[j] == "u",
            "no polynomial in one u",
        )
        powers = {a[j]: x for a, x in p.items()}
        top = max(powers)
        a = abs(powers[top])  # the algebraic integer is a·u_j
        relation = [
            powers.get(e, 0) * (1 if powers[top] > 0 else -1) * a ** (top - 1 - e)
            for e in range(top)
        ] + [1]
        poly = univariate([Fraction(r) for r in relation])
        ends = [(Fraction(r["low"]) * a, Fraction(r["high"]) * a) for r in said]
        demand(poly.is_irreducible and poly.count_roots(0) == len(ends), "not all roots are listed")
        demand(
            all(0 < x < y and poly.count_roots(x, y) == 1 for x, y in ends),
            "an interval does not isolate a root",
        )
        demand(all(x[1] < y[0] for x, y in pairwise(ends)), "intervals meet")
        for end, r in zip(ends, said, strict=True):
            yield self.child(chart, j, {}, po.constant(a, len(torus.kinds)), (relation, *end), r)

    def child(
        self, chart: Any, j: int, top: Any, bottom: Any, root: Any, said: Branch
    ) -> tuple[Pair, Pair]:
        """Bounds of the chart where y = bottom·u_j − top is small; with a root, top is that number."""
        c, (torus, along, _, _) = self.c, chart
        size, old, pad = 1 + len(along), len(torus.kinds), (0,) * (root is not None)
        length = size + old + len(pad)  # u_j comes first until it is replaced

        def lift(p: Polynomial) -> Polynomial:
            return {(a[j], *(0,) * size, *a[:j], *a[j + 1 :], *pad): x for a, x in p.items()}

        limit, below = lift(top) if root is None else po.variable(length - 1, length), lift(bottom)
        number = po.add(po.variable(1, length), limit)
        gens = []
        for g in self.gens:
            flat: Polynomial = {}
            for a, t in self.turned(chart, list(g)):
                flat[
                    (t[j], 0, *(po.inner(a[: c.n], b) for b in along), *t[:j], *t[j + 1 :], *pad)
                ] = g[a]
            gens.append({a[1:]: x for a, x in po.substitute(flat, 0, number, below).items()})
        points = {a[: c.n] for g in c.gens for a in g}.union(*c.tails)
        tight = [tuple(x - y for x, y in zip(a, self.face[0], strict=True)) for a in points]
        walls = {(0, *(po.inner(w, b) for b in along)) for w in (*c.walls, *tight)} - {
            (0,) * size
        } | {_unit(0, size)}
        new = Chart(
            kinds="y" * (1 + len(self.kept))
            + "x" * (len(along) - len(self.kept))
            + torus.kinds[:j]
            + torus.kinds[j + 1 :]
            + "c" * len(pad),
            weights=(Fraction(1), *(Fraction(po.inner(b, c.weights)) for b in along)),
            walls=irredundant(walls, size),
            gens=tuple(gens),
            tails=tuple(
                frozenset((0, *(po.inner(a, b) for b in along)) for a in t) for t in c.tails
            ),
            offset=c.offset,
            root=root or c.root,
            principal=c.principal,
            tell=c.tell,
        )
        conditions = [] if root else [po.multiply(limit, below)]
        for q in torus.conditions:
            at = po.substitute(lift(q), 0, limit, below)
            conditions.append(po.multiply(at, below) if po.degree(q, j) % 2 else at)
        bare = tuple(reduced(new, {a[1:]: x for a, x in q.items()}) for q in conditions)
        factors = tuple(po.from_json(q) for q in said.get("nonzero", ()))
        demand(
            all(any(po.divide(q, f) is not None for q in bare) for f in factors),
            "a factor of no condition",
        )
        if said["child"] == {"end": "empty"}:
            demand(any(not q or one_sign(new, q) < 0 for q in bare), "a chart is not empty")
            return NEVER, NEVER
        real = "witness" in said
        point = [Fraction(x) for x in said.get("witness", ())]
        if real:
            demand(
                all(x > 0 for x in point) and len(point) == len(new.units),
                "a witness that is not positive",
            )
            demand(all(sign_at(new, q, point) > 0 for q in bare), "a witness against a condition")
        return bounds(replace(new, conditions=bare, factors=factors, real=real), said["child"])


def none(torus: Chart, forms: Sequence[Polynomial], said: Branch) -> tuple[Pair, Pair]:
    """Σ q f is one-signed up to factors of conditions, so the f have no common zero."""
    total: Polynomial = {}
    for q, f in zip(said["multipliers"], forms, strict=True):
        total = po.add(total, po.multiply(po.from_json(q), f))
    demand(nonzero(torus, reduced(torus, total)), "an identity does not hold")
    return NEVER, NEVER


def _unit(i: int, n: int) -> tuple[int, ...]:
    return tuple(int(i == j) for j in range(n))


__all__ = ["RefutedError", "check", "one_sign"]
