"""Resolution by recursion over the faces of Newton polyhedra, over the reals.

At a chart the Newton rule gives an upper bound, which is exact apart from directions in whose face the face
forms have a common zero. There new coordinates are chosen: monomials x′ along the normal cone of the face,
torus coordinates u transverse to it, and one u replaced by y, which is small where a factor of a face form is
small. The new chart is searched in its turn, and the value of a chart is the least of its own Newton pair
and those of its children.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import gcd
from typing import Any

from singulab.exact.cone import (
    Cone,
    Face,
    NewtonPolyhedron,
    TooManyFacesError,
    Vector,
    unimodular,
)
from singulab.exact.deadline import Deadline, TimeUpError
from singulab.exact.groups import blown_up, groups, orbits, settled, straightened
from singulab.exact.node import NOTHING, Node, Pair, newton_pair
from singulab.exact.polynomial import (
    Polynomial,
    TooLargeError,
    coefficients,
    constant,
    inner,
    multiply,
    occurring,
    scale,
    substitute,
    to_json,
)
from singulab.exact.simplify import (
    NEGATIVE,
    NegativeError,
    product_direction,
    refuse_sign_change,
    simplified,
)
from singulab.exact.zeros import (
    changes_sign,
    factors,
    minors,
    monic_root,
    no_zero,
    positive_roots,
    witness,
)

_DEEPEST = 14
_MANY = 6  # variables from which on groups of them are blown up together
_LONGEST = 1500  # terms of all generators of a chart
TIME_UP = "the time was up"
UNKNOWN: Pair = (Fraction(0), -(10**6))  # a lower bound that says nothing


@dataclass
class Found:
    """What a search says of a chart: bounds of its pair and the branch of the certificate."""

    lower: Pair
    upper: Pair
    branch: dict[str, Any]


class UnresolvedError(Exception):
    """A branch that cannot be followed; the message is the reason."""


@dataclass(frozen=True)
class Chart:
    """A face of a chart in its own coordinates.

    Every exponent a of the small variables becomes (kept, beta, gamma): powers of the y that stay, of the
    new small x and of the torus coordinates.
    """

    kept: tuple[int, ...]
    beta: tuple[Vector, ...]
    gamma: tuple[Vector, ...]
    roots: tuple[
        int, ...
    ]  # powers by which the torus coordinates are divided: all generators have only these
    cone: Cone  # of (kept, x)

    def across(self, exponents: Sequence[Vector]) -> list[list[int]]:
        """Powers of the torus coordinates in the terms of a polynomial, the least of each being 0."""
        columns = []
        for g, root in zip(self.gamma, self.roots, strict=True):
            powers = [inner(a, g) for a in exponents]
            low = min(powers)
            columns.append([(p - low) // root for p in powers])
        return (
            [list(row) for row in zip(*columns, strict=True)]
            if columns
            else [[] for _ in exponents]
        )


class Search:
    """The recursion, with its deadline and what it could not resolve."""

    def __init__(self, deadline: Deadline, *, order: int = 8) -> None:
        self.deadline = deadline
        self.order = order  # of power series
        self.reasons: list[str] = []
        self.charts = 0

    def explore(self, node: Node, bound: Pair, depth: int = 0) -> Found:
        """Bounds for a chart; what lies above ``bound`` need not be resolved."""
        lower = UNKNOWN
        branch: dict[str, Any] = {}
        try:
            self.deadline.check()
            node, steps = simplified(node, self.deadline, self.order)
            self.charts += 1
            branch = {"steps": steps} if steps else {}
            lower = (node.offset, -(10**6))
            if node.principal and node.witness is not None:
                if any(step[0] in ("solve", "series") for step in steps):
                    raise NegativeError(
                        NEGATIVE
                    )  # K is a monomial times a coordinate of both signs
                if node.generators:
                    refuse_sign_change(node, node.monomials())
            if not node.generators:
                pair = (node.offset, -1)
                return Found(pair, pair if node.witness is not None else NOTHING, branch)
            if monomials := node.monomials():
                least = newton_pair(NewtonPolyhedron(monomials, node.cone), node.weights)
                lower = _moved(least, node.offset)
                if lower >= bound:
                    return Found(lower, NOTHING, {**branch, "end": "above"})
                if len(monomials) == len(node.generators):
                    upper = lower if node.witness is not None else NOTHING
                    return Found(lower, upper, {**branch, "end": "monomials"})
            if parts := components(node):
                return self._split(node, parts, branch, depth)
            if node.small >= _MANY and depth < _DEEPEST:
                found = self._blow_up(node, bound, branch, depth)
                if found is not None:
                    return found
            return self._faces(node, bound, lower, branch, depth)
        except (TimeUpError, TooManyFacesError, TooLargeError, UnresolvedError) as error:
            reason = str(error) or TIME_UP
            self.reasons.append(reason)
            return Found(lower, NOTHING, {**branch, "open": reason})

    def _split(
        self, node: Node, parts: Sequence[Sequence[int]], branch: dict[str, Any], depth: int
    ) -> Found:
        """Ideals in separate variables: λ adds, and so does m − 1."""
        found = [self.explore(restricted(node, part), NOTHING, depth + 1) for part in parts]
        lower, upper = (
            (
                node.offset + sum((p[0] for p in pairs), Fraction(0)),
                sum(p[1] for p in pairs) + len(pairs) - 1,
            )
            for pairs in ([f.lower for f in found], [f.upper for f in found])
        )
        if any(f.upper == NOTHING for f in found):
            upper = NOTHING
        return Found(lower, upper, {**branch, "split": [f.branch for f in found]})

    def _blow_up(self, node: Node, bound: Pair, branch: dict[str, Any], depth: int) -> Found | None:
        """The charts of a group of variables, if they can be resolved."""
        for group in groups(node)[:2]:
            lower, upper, limit = NOTHING, NOTHING, bound
            told: list[dict[str, Any]] = []
            same: list[list[Any]] = []
            for i, others in orbits(node, group, self.deadline):
                chart, steps = simplified(blown_up(node, group, i), self.deadline, 0)
                chart, shears = straightened(chart)
                made = settled(chart)
                if made is None or chart.tails:
                    break
                found = self.explore(replace(made[0], witness=node.witness), limit, depth + 1)
                lower, upper = min(lower, found.lower), min(upper, found.upper)
                limit = min(limit, upper)
                told.append(
                    {
                        "index": i,
                        "steps": [*steps, *shears],
                        "weights": made[1],
                        "child": found.branch,
                    }
                )
                same.extend([j, i, list(p)] for j, p in others.items())
            else:
                if lower >= min(bound, upper):
                    return Found(
                        lower, upper, {**branch, "group": group, "charts": told, "same": same}
                    )
        return None

    def _faces(
        self, node: Node, bound: Pair, floor: Pair, branch: dict[str, Any], depth: int
    ) -> Found:
        """The Newton rule, and all faces on which it may fail; ``floor`` is a lower bound for all of them."""
        if sum(map(len, node.generators)) > _LONGEST:
            raise UnresolvedError("generators grow too long")
        polyhedron = NewtonPolyhedron(node.exponents(), node.cone)
        pair = _moved(newton_pair(polyhedron, node.weights), node.offset)
        lower = pair
        upper = pair if node.witness is not None else NOTHING
        bound = min(bound, upper)
        closed: list[dict[str, Any]] = []
        try:
            faces = polyhedron.bounded_faces()
        except TooManyFacesError as error:
            self.reasons.append(str(error))
            return Found(floor, upper, {**branch, "open": str(error), "faces": []})
        if node.principal and node.witness is not None:
            refuse_sign_change(node, [f.points[0] for f in faces if not f.dimension])
        try:
            for face in faces:
                self.deadline.check()
                for signs, forms, torus, chart in self._open(node, face):
                    try:
                        found = self._close(node, face, signs, forms, torus, chart, bound, depth)
                    except (UnresolvedError, TooLargeError, TooManyFacesError) as error:
                        self.reasons.append(str(error))
                        found = Found(floor, NOTHING, {"open": str(error)})
                    lower, upper = min(lower, found.lower), min(upper, found.upper)
                    bound = min(bound, upper)
                    closed.append(
                        {
                            "face": sorted(map(list, face.points)),
                            "signs": list(signs),
                            "along": [list(b) for b in chart.beta],
                            "across": [list(g) for g in chart.gamma],
                            "powers": list(chart.roots),
                            **found.branch,
                        }
                    )
        except TimeUpError:
            self.reasons.append(TIME_UP)
            lower = min(lower, floor)
            branch = {**branch, "open": TIME_UP}
        return Found(lower, upper, {**branch, "faces": closed})

    def _open(
        self, node: Node, face: Face
    ) -> Iterator[tuple[tuple[int, ...], list[Polynomial], Node, Chart]]:
        """Signs for which it is not plain that the face forms have no common zero, one of each kind."""
        n = node.small
        on = set(face.points)
        known = [not node.tail(i) & on for i in range(len(node.generators))]
        parts = [
            {a: c for a, c in g.items() if a[:n] in on} if sure else {}
            for g, sure in zip(node.generators, known, strict=True)
        ]
        if any(len({a[:n] for a in p}) == 1 and node.nonzero(p) for p in parts if p):
            return
        chart = coordinates(node, face)
        seen = []
        for signs in sign_patterns(node, chart):
            signed = [change_signs(g, signs) for g in node.generators]
            shape = [node.normal(g) for g in signed]
            if shape in seen:
                continue
            seen.append(shape)
            torus = torus_of(node, chart)
            forms = [
                torus.normal(
                    in_torus(
                        node, chart, {a: c for a, c in g.items() if a[:n] in on} if sure else {}
                    )
                )
                for g, sure in zip(signed, known, strict=True)
            ]
            if any(torus.nonzero(f) for f in forms if f):
                continue
            yield signs, forms, torus, chart

    # ── one face with one pattern of signs ────────────────────────────────────────────────────────

    def _close(
        self,
        node: Node,
        face: Face,
        signs: tuple[int, ...],
        forms: list[Polynomial],
        torus: Node,
        chart: Chart,
        bound: Pair,
        depth: int,
    ) -> Found:
        proof = no_zero(torus, forms, self.deadline)
        if proof is not None:
            return Found(NOTHING, NOTHING, {"none": proof})
        smooth = self._smooth(node, face, forms, torus, chart, bound)
        if smooth is not None:
            return smooth
        if depth >= _DEEPEST:
            raise UnresolvedError(f"{_DEEPEST} charts one above the other")
        try:
            return self._recentre(node, signs, forms, torus, chart, bound, depth)
        except UnresolvedError as error:
            smooth = self._smooth(node, face, forms, torus, chart, bound, any_value=True)
            if smooth is None:
                raise
            self.reasons.append(str(error))
            return smooth

    def _smooth(
        self,
        node: Node,
        face: Face,
        forms: list[Polynomial],
        torus: Node,
        chart: Chart,
        bound: Pair,
        *,
        any_value: bool = False,
    ) -> Found | None:
        """Face forms with independent differentials at their zeros become coordinates themselves."""
        live = [i for i, f in enumerate(forms) if f]
        if len(live) > len(torus.units) or len(live) > 3 or sum(len(f) for f in forms) > 60:
            live = live[:1] if len(live) > 3 or len(live) > len(torus.units) else live
        for size in range(len(live), 0, -1):
            if size > len(torus.units):
                continue
            chosen = live[:size]
            least = _moved(smooth_pair(node, face, chart, size), node.offset)
            whole = size == len(node.generators)
            enough = any_value or bound <= least < NOTHING
            if not enough and not (whole and size == 1):
                continue
            try:
                found = minors([forms[i] for i in chosen], torus.units)
            except TooLargeError:
                continue
            proof = no_zero(torus, [*forms, *found], self.deadline)
            if proof is None:
                continue
            upper, between = NOTHING, None
            if whole and size == 1 and node.witness is not None and convex(torus):
                between = changes_sign(torus, forms[chosen[0]])
                upper = NOTHING if between is None else least
            if not enough and upper == NOTHING:
                continue
            branch = {"smooth": chosen, "proof": proof}
            if between is not None:
                branch["between"] = [[str(x) for x in point] for point in between]
            return Found(least, upper, branch)
        return None

    def _recentre(
        self,
        node: Node,
        signs: tuple[int, ...],
        forms: list[Polynomial],
        torus: Node,
        chart: Chart,
        bound: Pair,
        depth: int,
    ) -> Found:
        """Children at the zeros of the factors of one face form."""
        best: tuple[Any, ...] | None = None
        for i, f in enumerate(forms):
            if not f:
                continue
            split = factors(f, self.deadline)
            open_factors = [p for p, _ in split if not torus.nonzero(p)]
            grades = [self._grade(torus, p) for p in open_factors]
            key = (max(grades, default=0), len(open_factors), sum(grades))
            if best is None or key < best[0]:
                best = (key, i, split)
        if best is None:
            raise UnresolvedError("the tail of a power series")
        if best[0][0] >= 9:
            raise UnresolvedError("a face form that is linear in none of its variables")
        _, index, split = best
        lower, upper = NOTHING, NOTHING
        told = []
        signed = [change_signs(g, signs) for g in node.generators]
        for p, e in split:
            if torus.nonzero(p):
                found = Found(NOTHING, NOTHING, {})
            else:
                found = self._locus(node, signed, [*forms, p], p, torus, chart, bound, depth)
            lower, upper = min(lower, found.lower), min(upper, found.upper)
            bound = min(bound, upper)
            told.append({"factor": to_json(p), "power": e, **found.branch})
        return Found(lower, upper, {"form": index, "factors": told})

    def _grade(self, torus: Node, p: Polynomial) -> int:
        """How hard it is to make p a coordinate: 0 and 1 linear, 2 a root, 9 impossible."""
        grades = [9]
        for j in occurring(p) & set(torus.units):
            parts = coefficients(p, j)
            if set(parts) == {0, 1}:
                grades.append(0 if torus.nonzero(parts[1]) else 1)
        if len(occurring(p)) == 1 and torus.root is None:
            grades.append(2)
        return min(grades)

    def _locus(
        self,
        node: Node,
        signed: list[Polynomial],
        forms: list[Polynomial],
        p: Polynomial,
        torus: Node,
        chart: Chart,
        bound: Pair,
        depth: int,
    ) -> Found:
        """Charts that cover a neighbourhood of the zeros of p among those of the forms."""
        proof = no_zero(torus, forms, self.deadline, effort=20)
        if proof is not None:
            return Found(NOTHING, NOTHING, {"none": proof})
        linear = []
        for j in sorted(occurring(p) & set(torus.units)):
            parts = coefficients(p, j)
            if set(parts) == {0, 1}:
                linear.append(
                    (
                        not torus.nonzero(parts[1]),
                        len(parts[1]),
                        j >= len(chart.gamma),
                        len(parts[0]),
                        j,
                    )
                )
        if not linear:
            used = occurring(p)
            if len(used) == 1 and torus.root is None:
                return self._roots(node, signed, p, next(iter(used)), torus, chart, bound, depth)
            raise UnresolvedError("a face form that is linear in none of its variables")
        indefinite, _, _, _, j = min(linear)
        parts = coefficients(p, j)
        child = recentred(node, signed, torus, chart, j, scale(parts[0], -1), parts[1], None)
        found = self._child(child, bound, depth)
        branch: dict[str, Any] = {"solve": j, **_told_child(child, found)}
        lower, upper = found.lower, found.upper
        if indefinite:
            rest = self._also(
                node,
                signed,
                [*forms, parts[1], parts[0]],
                parts[1],
                torus,
                chart,
                min(bound, upper),
                depth,
            )
            lower, upper = min(lower, rest.lower), min(upper, rest.upper)
            branch["rest"] = rest.branch
        return Found(lower, upper, branch)

    def _child(self, child: Node, bound: Pair, depth: int) -> Found:
        if any(not q or child.one_sign(q) < 0 for q in child.conditions):
            return Found(NOTHING, NOTHING, {"end": "empty"})
        return self.explore(child, bound, depth + 1)

    def _also(
        self,
        node: Node,
        signed: list[Polynomial],
        forms: list[Polynomial],
        p: Polynomial,
        torus: Node,
        chart: Chart,
        bound: Pair,
        depth: int,
    ) -> Found:
        """Where the coefficient by which was divided vanishes too."""
        proof = no_zero(torus, forms, self.deadline, effort=20)
        if proof is not None:
            return Found(NOTHING, NOTHING, {"none": proof})
        lower, upper = NOTHING, NOTHING
        told = []
        for q, e in factors(p, self.deadline):
            if torus.nonzero(q):
                found = Found(NOTHING, NOTHING, {})
            else:
                found = self._locus(node, signed, [*forms, q], q, torus, chart, bound, depth)
            lower, upper = min(lower, found.lower), min(upper, found.upper)
            bound = min(bound, upper)
            told.append({"factor": to_json(q), "power": e, **found.branch})
        return Found(lower, upper, {"factors": told})

    def _roots(
        self,
        node: Node,
        signed: list[Polynomial],
        p: Polynomial,
        j: int,
        torus: Node,
        chart: Chart,
        bound: Pair,
        depth: int,
    ) -> Found:
        lower, upper = NOTHING, NOTHING
        told = []
        for low, high in positive_roots(p, j, self.deadline):
            root, lead = monic_root(p, j, low, high)
            child = recentred(
                node, signed, torus, chart, j, {}, constant(lead, len(torus.kinds)), root
            )
            found = self._child(child, bound, depth)
            branch = {"low": str(low), "high": str(high), **_told_child(child, found)}
            lower, upper = min(lower, found.lower), min(upper, found.upper)
            bound = min(bound, upper)
            told.append(branch)
        return Found(lower, upper, {"variable": j, "roots": told})


def _moved(pair: Pair, offset: Fraction) -> Pair:
    return pair if pair == NOTHING else (pair[0] + offset, pair[1])


def _told_child(child: Node, found: Found) -> dict[str, Any]:
    """A child in the certificate: what is known of its conditions, its own branch."""
    branch: dict[str, Any] = {}
    if child.factors:
        branch["nonzero"] = [to_json(q) for q in child.factors]
    if child.witness is not None:
        branch["witness"] = [str(x) for x in child.witness]
    return {**branch, "child": found.branch}


# ── coordinates of a face ─────────────────────────────────────────────────────────────────────────


def coordinates(node: Node, face: Face) -> Chart:
    """Coordinates along and across the normal cone of a face."""
    n = node.small
    kept = tuple(
        v
        for v in range(n)
        if node.kinds[v] == "y"
        and any(r[v] for r in face.normals)
        and all(not r[v] or not any(e for i, e in enumerate(r) if i != v) for r in face.normals)
    )
    free = [i for i in range(n) if i not in kept]
    first = face.points[0]
    differences = [tuple(a[i] - first[i] for i in free) for a in face.points[1:]]
    columns, across = unimodular(differences, len(free))

    def full(column: Sequence[int]) -> Vector:
        vector = [0] * n
        for i, value in zip(free, column, strict=True):
            vector[i] = value
        return tuple(vector)

    gamma = tuple(full(c) for c in columns[:across])
    roots = tuple(common_power(node, g) for g in gamma)
    rays = [r for r in face.normals if not any(r[v] for v in kept)]
    along = len(free) - across
    units = [tuple(int(i == j) for j in range(len(kept) + along)) for i in range(len(kept))]
    if len(rays) == along:
        return Chart(kept, tuple(rays), gamma, roots, Cone.orthant(len(kept) + along))
    basis = [columns[across + k] for k in range(along)]
    inside = [_in_basis([r[i] for i in free], basis) for r in rays]
    part = Cone.of_rays(inside)
    wide = (0,) * len(kept)
    cone = Cone(
        (*units, *((*wide, *r) for r in part.rays)), (*units, *((*wide, *c) for c in part.facets))
    )
    return Chart(kept, tuple(full(c) for c in basis), gamma, roots, cone)


def common_power(node: Node, direction: Vector) -> int:
    """The greatest k of which all powers of a torus coordinate are multiples, in each generator up to a factor."""
    found = 0
    for g in node.generators:
        if g:
            first = inner(next(iter(g))[: node.small], direction)
            found = gcd(found, *(inner(a[: node.small], direction) - first for a in g))
    return found or 1


def _in_basis(vector: Sequence[int], basis: Sequence[Sequence[int]]) -> Vector:
    """Integer coordinates in a basis of a saturated lattice."""
    size = len(basis)
    rows = [[Fraction(b[i]) for b in basis] + [Fraction(vector[i])] for i in range(len(vector))]
    for column in range(size):
        pivot = next(i for i in range(column, len(rows)) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        p = rows[column][column]
        rows[column] = [x / p for x in rows[column]]
        for i in range(len(rows)):
            if i != column and (q := rows[i][column]):
                rows[i] = [x - q * y for x, y in zip(rows[i], rows[column], strict=True)]
    return tuple(int(rows[i][size]) for i in range(size))


def sign_patterns(node: Node, chart: Chart) -> Iterator[tuple[int, ...]]:
    """Signs of the y that do not stay; those with even powers only need one."""
    n = node.small
    choices = []
    for v in range(n):
        odd = any(a[v] % 2 for g in node.generators for a in g)
        choices.append((1, -1) if node.kinds[v] == "y" and v not in chart.kept and odd else (1,))
    return product(*choices)


def change_signs(p: Polynomial, signs: Sequence[int]) -> Polynomial:
    flipped = [i for i, s in enumerate(signs) if s < 0]
    if not flipped:
        return p
    return {a: -c if sum(a[i] for i in flipped) % 2 else c for a, c in p.items()}


def torus_of(node: Node, chart: Chart) -> Node:
    """The torus of a face: its coordinates, then the u and c of the chart; conditions carried over."""
    across, units = len(chart.gamma), node.kinds[node.small :]
    n = node.small
    conditions = tuple({(0,) * across + a[n:]: c for a, c in q.items()} for q in node.conditions)
    return Node(
        kinds="u" * across + units,
        weights=(),
        cone=Cone((), ()),
        generators=(),
        conditions=conditions,
        factors=tuple({(0,) * across + a[n:]: c for a, c in q.items()} for q in node.factors),
        root=node.root,
        witness=None,
    )


def in_torus(node: Node, chart: Chart, p: Polynomial) -> Polynomial:
    """A face form in torus coordinates, times a monomial so that its powers are not negative."""
    n = node.small
    powers = chart.across([a[:n] for a in p]) if p else []
    return {(*t, *a[n:]): c for t, (a, c) in zip(powers, p.items(), strict=True)}


def recentred(
    node: Node,
    signed: Sequence[Polynomial],
    torus: Node,
    chart: Chart,
    j: int,
    numerator: Polynomial,
    denominator: Polynomial,
    root: Any,
) -> Node:
    """The chart near denominator·u_j = numerator, whose new small y is the difference of the two.

    With a root, the numerator is that algebraic number.
    """
    n = node.small
    kept, along = len(chart.kept), len(chart.beta)
    small = 1 + kept + along
    units = len(torus.kinds) - 1 - (torus.root is not None)
    length = small + units + (torus.root is not None or root is not None)
    had_root = torus.root is not None

    def lifted(p: Polynomial) -> Polynomial:
        """A polynomial in torus variables without u_j, in the variables of the child."""
        wide = (0,) * small
        pad = (0,) * (length - small - units - had_root)
        return {(*wide, *a[:j], *a[j + 1 :], *pad): c for a, c in p.items()}

    top = {(1,) + (0,) * (length - 1): 1}
    for a, c in lifted(numerator).items():
        top[a] = c
    bottom = lifted(denominator)
    if root is not None:
        top[(0,) * (length - 1) + (1,)] = 1
    generators = []
    for g in signed:
        wide_g: Polynomial = {}
        for t, (a, c) in zip(chart.across([a[:n] for a in g]), g.items(), strict=True):
            all_units = [*t, *a[n:]]
            power = all_units.pop(j)
            pad = [0] * (length - small - units - had_root)
            along_powers = (inner(a[:n], b) for b in chart.beta)
            wide_g[(power, 0, *(a[v] for v in chart.kept), *along_powers, *all_units, *pad)] = c
        # the first place holds u_j while it is replaced
        top_wide = {(0, *a): c for a, c in top.items()}
        bottom_wide = {(0, *a): c for a, c in bottom.items()}
        replaced = substitute(wide_g, 0, top_wide, bottom_wide)
        generators.append({a[1:]: c for a, c in replaced.items()})
    conditions = []
    new_root = root or torus.root
    cone_part = chart.cone
    units_small = tuple(tuple(int(i == k) for i in range(small)) for k in range(1))
    cone = Cone(
        (*units_small, *((0, *r) for r in cone_part.rays)),
        (*units_small, *((0, *c) for c in cone_part.facets)),
    )
    shell = Node(
        principal=node.principal,
        kinds="y" + "y" * kept + "x" * along + "u" * units + ("c" if new_root else ""),
        weights=(
            Fraction(1),
            *(node.weights[v] for v in chart.kept),
            *(Fraction(inner(b, node.weights)) for b in chart.beta),
        ),
        cone=cone,
        generators=tuple(generators),
        offset=node.offset,
        root=new_root,
        tails=tuple(
            frozenset(
                (0, *(a[v] for v in chart.kept), *(inner(a, b) for b in chart.beta)) for a in t
            )
            for t in node.tails
        ),
    )
    zero_top = {a: c for a, c in top.items() if not a[0]}
    for old in torus.conditions:
        wide_c: Polynomial = {}
        for a, value in old.items():
            pad = [0] * (length - small - units - had_root)
            wide_c[(a[j], *(0,) * small, *a[:j], *a[j + 1 :], *pad)] = value
        power = max(a[0] for a in wide_c)
        replaced = substitute(
            wide_c,
            0,
            {(0, *a): v for a, v in zero_top.items()},
            {(0, *a): v for a, v in bottom.items()},
        )
        q = {a[1:]: v for a, v in replaced.items()}
        if power % 2:
            q = multiply(q, bottom)
        conditions.append(q)
    if root is None:
        conditions.append(multiply(zero_top, bottom))
    kept_conditions = []
    for q in conditions:
        q = shell.normal_constant(q)
        if shell.one_sign(q) <= 0 and q not in kept_conditions:
            kept_conditions.append(q)
    pieces: list[Polynomial] = []
    for q in kept_conditions:
        for piece, _ in factors(q, Deadline(1.0)) if q else ():
            piece = shell.normal(piece)
            if len(piece) > 1 and piece not in pieces:
                pieces.append(piece)
    shell = replace(shell, conditions=tuple(kept_conditions), factors=tuple(pieces))
    point = witness(shell) if all(kept_conditions) else None
    return replace(shell, witness=point)


def convex(torus: Node) -> bool:
    """Whether the conditions are linear, so that a polynomial of two signs has a zero between the points."""
    return torus.root is None and all(sum(a) <= 1 for q in torus.conditions for a in q)


def smooth_pair(node: Node, face: Face, chart: Chart, count: int) -> Pair:
    """The pair of x^κ·(y₁, …, y_count), x^κ the monomial of the face."""
    first = face.points[0]
    kappa = (*(first[v] for v in chart.kept), *(inner(first, b) for b in chart.beta))
    size = len(kappa)
    units = Cone.orthant(count).rays
    cone = Cone(
        (*((*r, *(0,) * count) for r in chart.cone.rays), *((0,) * size + u for u in units)),
        (*((*c, *(0,) * count) for c in chart.cone.facets), *((0,) * size + u for u in units)),
    )
    points = [(*kappa, *u) for u in units]
    weights = (
        *(node.weights[v] for v in chart.kept),
        *(Fraction(inner(b, node.weights)) for b in chart.beta),
        *(Fraction(1),) * count,
    )
    return newton_pair(NewtonPolyhedron(points, cone), weights)


# ── ideals in separate variables ──────────────────────────────────────────────────────────────────


def components(node: Node) -> list[list[int]]:
    """Groups of small variables that share no generator, if there are at least two and no u."""
    if node.units or node.tails:
        return []
    n = node.small
    group = list(range(n))

    def find(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    coupled = [v for v in range(n) if not product_direction(node, v)]
    for v in coupled[1:]:
        group[find(v)] = find(coupled[0])
    for g in node.generators:
        used = sorted(i for i in occurring(g) if i < n)
        if not used:
            return []
        for v in used[1:]:
            group[find(v)] = find(used[0])
    parts: dict[int, list[int]] = {}
    for v in range(n):
        parts.setdefault(find(v), []).append(v)
    return sorted(parts.values()) if len(parts) > 1 else []


def restricted(node: Node, part: Sequence[int]) -> Node:
    """The chart with the small variables of one group and the generators in them."""
    n, keep = node.small, [*part, *range(node.small, len(node.kinds))]
    inside = set(part)

    def cut(vectors: Sequence[Vector]) -> tuple[Vector, ...]:
        return tuple(tuple(v[i] for i in part) for v in vectors if any(v[i] for i in part))

    generators = []
    for g in node.generators:
        used = {i for i in occurring(g) if i < n}
        if used <= inside:
            generators.append({tuple(a[i] for i in keep): c for a, c in g.items()})
    return replace(
        node,
        kinds="".join(node.kinds[i] for i in keep),
        weights=tuple(node.weights[i] for i in part),
        cone=Cone(cut(node.cone.rays), cut(node.cone.facets)),
        generators=tuple(generators),
        offset=Fraction(0),
    )


__all__ = ["UNKNOWN", "Found", "NegativeError", "Search", "refuse_sign_change"]
