"""Common zeros of polynomials at positive arguments: proofs that there are none, factors, roots.

Every proof has one form. For polynomials f₁, …, f_k and conditions c₁ ≠ 0, …, it is a list of multipliers q
and powers e with

    Σ q_i f_i = ± P · Π c_l^{e_l},     P with positive coefficients only,

for where all variables are positive and the conditions hold, the right side is not zero.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, product
from math import gcd
from typing import Any

from singulab.exact.deadline import Deadline, TimeUpError
from singulab.exact.node import Node, Root
from singulab.exact.polynomial import (
    Polynomial,
    TooLargeError,
    add,
    constant,
    derivative,
    determinant,
    divide,
    multiply,
    occurring,
    power,
    primitive,
    scale,
    shift,
    to_json,
)

_BASIS = 40  # polynomials in an attempt to find a proof
_PAIRS = 120
_VALUES = tuple(map(Fraction, ("1", "1/2", "2", "3/2", "1/3", "3", "1/7", "7")))


# ── factors ───────────────────────────────────────────────────────────────────────────────────────


def factors(p: Polynomial, deadline: Deadline) -> list[tuple[Polynomial, int]]:
    """Irreducible factors over the rationals with their powers; monomials and constants left out."""
    key = tuple(sorted(p.items()))
    with deadline.alarm():
        found = _factors(key)
    return [(dict(q), e) for q, e in found]


@lru_cache(maxsize=20_000)
def _factors(key: Any) -> tuple[Any, ...]:
    p = dict(key)
    used = sorted(occurring(p))
    length = len(next(iter(p)))
    if not used or len(p) == 1:
        return ()
    low = [min(a[i] for a in p) for i in used]
    small = {tuple(a[i] - m for i, m in zip(used, low, strict=True)): c for a, c in p.items()}
    used_after = [k for k in range(len(used)) if any(a[k] for a in small)]
    if len(used_after) == 1 and max(a[used_after[0]] for a in small) == 1:
        found: Any = [(small, 1)]
    else:
        found = _factor_list(small, len(used))
    result = []
    for q, e in found:
        if len(q) == 1:
            continue
        full = {}
        for a, c in q.items():
            exponents = [0] * length
            for i, e_i in zip(used, a, strict=True):
                exponents[i] = int(e_i)
            full[tuple(exponents)] = int(c)
        divisor = gcd(*full.values()) * (1 if full[max(full)] > 0 else -1)
        result.append((tuple(sorted((a, c // divisor) for a, c in full.items())), e))
    return tuple(result)


def factored_square(k: Polynomial) -> Polynomial | None:
    """G with k = c·g², c > 0, or None."""
    length = len(next(iter(k)))
    low = tuple(min(a[i] for a in k) for i in range(length))
    if k[max(k)] < 0 or any(e % 2 for e in low):
        return None
    found = _factors(tuple(sorted(k.items())))
    if any(e % 2 for _, e in found):
        return None
    g: Polynomial = {tuple(e // 2 for e in low): 1}
    for p, e in found:
        g = multiply(g, power(dict(p), e // 2, length))
    return primitive(g)


def _factor_list(p: dict[tuple[int, ...], int], length: int) -> list[tuple[Any, int]]:
    try:
        from flint import Ordering, fmpz_mpoly_ctx
    except ImportError:
        from sympy import ZZ, ring

        names = [f"t{i}" for i in range(length)]
        ring_of, *_ = ring(names, ZZ)
        _, found = ring_of.from_dict(p).factor_list()
        return [(dict(q.items()), e) for q, e in found]
    context = fmpz_mpoly_ctx.get([f"t{i}" for i in range(length)], Ordering.lex)
    _, factored = context.from_dict(p).factor()
    return [({tuple(a): int(c) for a, c in q.to_dict().items()}, int(e)) for q, e in factored]


def positive_roots(
    p: Polynomial, index: int, deadline: Deadline
) -> list[tuple[Fraction, Fraction]]:
    """Isolating intervals, with positive ends, of the positive roots of an irreducible univariate polynomial."""
    from sympy import QQ, Poly, Symbol

    t = Symbol("t")
    with deadline.alarm():
        poly = Poly({(a[index],): c for a, c in p.items()}, t, domain=QQ)
        found = []
        for (low, high), _ in poly.intervals():
            low, high = Fraction(int(low.p), int(low.q)), Fraction(int(high.p), int(high.q))
            while low < 0 < high or (high > 0 and low == 0):
                middle = (low + high) / 2
                if poly.count_roots(_rational(middle), _rational(high)):
                    low = middle
                else:
                    high = middle
            if low > 0:
                found.append((low, high))
    return found


def _rational(value: Fraction) -> Any:
    from sympy import Rational

    return Rational(value.numerator, value.denominator)


def monic_root(p: Polynomial, index: int, low: Fraction, high: Fraction) -> tuple[Root, int]:
    """The algebraic integer a·t for a root t of p, a its leading coefficient."""
    powers = {e[index]: c for e, c in p.items()}
    top = max(powers)
    lead = powers[top]
    if lead < 0:
        powers, lead = {e: -c for e, c in powers.items()}, -lead
    relation = [powers.get(e, 0) * lead ** (top - 1 - e) for e in range(top)] + [1]
    return Root(tuple(relation), low * lead, high * lead), lead


# ── proofs that there is no zero ──────────────────────────────────────────────────────────────────


def no_zero(
    node: Node, forms: Sequence[Polynomial], deadline: Deadline, *, effort: int = _BASIS
) -> dict[str, Any] | None:
    """Multipliers that prove the forms to have no common zero where the variables are positive, or None.

    Args:
        node: says what the variables are, and the conditions.
        forms: polynomials in u and c.
        deadline: when to stop looking.
        effort: how many polynomials an attempt may produce.
    """
    length = len(node.kinds)
    one = constant(1, length)
    zero: list[Polynomial] = [{} for _ in forms]
    basis: list[tuple[Polynomial, list[Polynomial], list[int]]] = []
    for i, f in enumerate(forms):
        if not f:
            continue
        multipliers = [one if k == i else {} for k in range(len(zero))]
        found = _strip(node, f, multipliers, [0] * len(node.factors))
        if node.nonzero(found[0]):
            return _proof(found)
        basis.append(found)
    for candidate in _stretched(node, basis):
        if node.nonzero(candidate[0]):
            return _proof(candidate)
    if len(basis) == 1:
        return None
    pairs = list(combinations(range(len(basis)), 2))
    tried = 0
    try:
        while pairs and len(basis) < effort and tried < _PAIRS:
            deadline.check()
            pairs.sort(key=lambda ij: -len(basis[ij[0]][0]) - len(basis[ij[1]][0]))
            i, j = pairs.pop()
            tried += 1
            made = _reduced(node, _pair(basis[i], basis[j]), basis)
            if made is None:
                continue
            if node.nonzero(made[0]):
                return _proof(made)
            pairs.extend((k, len(basis)) for k in range(len(basis)))
            basis.append(made)
    except (TooLargeError, TimeUpError):
        deadline.check()
    return None


_Element = tuple[Polynomial, list[Polynomial], list[int]]  # Σ q_i f_i = p · Π c^e, up to a monomial


def _strip(node: Node, p: Polynomial, q: list[Polynomial], e: list[int]) -> _Element:
    """Returns p without factors of conditions c; the identity Σ q f = p·Π c^e is kept."""
    for k, c in enumerate(node.factors):
        while len(c) > 1 and (quotient := divide(p, c)) is not None:
            p = quotient
            e = [*e[:k], e[k] + 1, *e[k + 1 :]]
    return p, q, e


def _proof(found: _Element) -> dict[str, Any]:
    _, multipliers, powers = found
    proof: dict[str, Any] = {"multipliers": [to_json(q) for q in multipliers]}
    if any(powers):
        proof["powers"] = powers
    return proof


def _stretched(node: Node, basis: Sequence[_Element]) -> Iterator[_Element]:
    """Products with small powers of 1 + Σu, which make a polynomial without positive zeros one-signed."""
    for p, q, e in basis:
        used = sorted(occurring(p) & set(node.units))
        if not used or len(p) > 30:
            continue
        length = len(node.kinds)
        for subset in [used, *([i] for i in used if len(used) > 1)]:
            sums = [
                constant(1, length),
                *({tuple(int(k == i) for k in range(length)): 1} for i in subset),
            ]
            for with_one in (True, False):
                total: Polynomial = {}
                for s in sums if with_one else sums[1:]:
                    total = add(total, s)
                if len(total) < 2:
                    continue
                current, multipliers = p, q
                for _ in range(6):
                    current = node.normal_constant(multiply(current, total))
                    multipliers = [multiply(m, total) for m in multipliers]
                    yield current, multipliers, e


def _pair(a: _Element, b: _Element) -> _Element | None:
    """The combination that cancels the leading terms."""
    p, q, e = a
    r, s, d = b
    if e != d and any(e + d):
        return None  # identities with other powers of the conditions do not add
    top, other = max(p), max(r)
    joint = tuple([max(i, j) for i, j in zip(top, other, strict=True)])
    up = tuple([i - j for i, j in zip(joint, top, strict=True)])
    across = tuple([i - j for i, j in zip(joint, other, strict=True)])
    divisor = gcd(p[top], r[other])
    left, right = r[other] // divisor, p[top] // divisor
    made = add(scale(shift(p, up), left), shift(r, across), -right)
    multipliers = [
        add(scale(shift(x, up), left), shift(y, across), -right) if x or y else {}
        for x, y in zip(q, s, strict=True)
    ]
    return made, multipliers, e


def _reduced(node: Node, element: _Element | None, basis: Sequence[_Element]) -> _Element | None:
    """The element with leading terms divided away; None if nothing is left."""
    if element is None:
        return None
    p, q, e = element
    p = node.normal_constant(p)
    changed = True
    while p and changed:
        if len(p) > 200 or sum(map(len, q)) > 2000:
            raise TooLargeError("a proof grows too long")
        changed = False
        top = max(p)
        for r, s, d in basis:
            lead = max(r)
            if d == e and all(i >= j for i, j in zip(top, lead, strict=True)):
                made = _pair((p, q, e), (r, s, d))
                assert made is not None
                p, q, e = made
                p = node.normal_constant(p)
                changed = True
                break
    if not p:
        return None
    divisor = gcd(*p.values(), *(c for m in q for c in m.values()))
    if divisor > 1:
        p = {a: c // divisor for a, c in p.items()}
        q = [{a: c // divisor for a, c in m.items()} for m in q]
    low = tuple(
        min(min(a[i] for a in p), *(a[i] for m in q for a in m)) if kind == "u" else 0
        for i, kind in enumerate(node.kinds)
    )
    if any(low):
        down = [-i for i in low]
        p, q = shift(p, down), [shift(m, down) for m in q]
    return _strip(node, p, q, e)


# ── points ────────────────────────────────────────────────────────────────────────────────────────


def points(dimension: int) -> Iterator[tuple[Fraction, ...]]:
    """Some positive rational points, simple ones first."""
    if dimension == 0:
        yield ()
        return
    size = {1: 8, 2: 8, 3: 6, 4: 4, 5: 3}.get(dimension, 2)
    values = _VALUES[:size]
    for count, point in enumerate(
        sorted(product(range(size), repeat=dimension), key=lambda p: (sum(p), p))
        if size**dimension <= 3000
        else product(range(size), repeat=dimension)
    ):
        if count > 600:
            return
        yield tuple(values[i] for i in point)


def witness(node: Node) -> tuple[Fraction, ...] | None:
    """Values of the u that satisfy the conditions, if some are found."""
    return next((p for p in points(len(node.units)) if node.satisfied(p)), None)


def changes_sign(
    node: Node, p: Polynomial
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]] | None:
    """Two points with positive coordinates where p has opposite signs."""
    seen: dict[int, tuple[Fraction, ...]] = {}
    for point in points(len(node.units)):
        if not node.satisfied(point):
            continue
        seen.setdefault(node.sign_at(p, point), point)
        if 1 in seen and -1 in seen:
            return seen[1], seen[-1]
    return None


def minors(forms: Sequence[Polynomial], variables: Sequence[int]) -> list[Polynomial]:
    """Maximal minors of the matrix of derivatives."""
    size = len(forms)
    table = [[derivative(f, i) for i in variables] for f in forms]
    return [
        determinant([[row[k] for k in chosen] for row in table])
        for chosen in combinations(range(len(variables)), size)
    ]
