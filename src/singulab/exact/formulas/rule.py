"""Regular models, monomials, powers, and how λ behaves under sums and products in separate variables."""

from collections.abc import Sequence
from fractions import Fraction

from singulab.exact.formulas.hypothesis import whole
from singulab.exact.result import RLCT, Bound


def regular(num_parameters: int) -> RLCT:
    """λ = d/2, m = 1: the Fisher information is positive definite at the truth.

    Args:
        num_parameters: d.

    Source: Schwarz (1978); d/2 is the bound that no model exceeds at an interior point.

    Example:
        >>> regular(7).value
        Fraction(7, 2)
    """
    whole(num_parameters=num_parameters)
    return RLCT.proved(Fraction(num_parameters, 2), 1, how="regular model: λ = d/2 (Schwarz 1978)")


def monomial(exponents: Sequence[int], prior: Sequence[int] | None = None) -> RLCT:
    """K = Π w_j^{k_j} with prior Π |w_j|^{h_j} near 0: λ = min (h_j + 1)/k_j, m = how often it is attained.

    Args:
        exponents: k_j ≥ 0 of K itself (not of a factor that is squared), at least one above 0.
        prior: h_j ≥ 0; default all 0.

    Source: normal crossing; Watanabe (2009), Algebraic Geometry and Statistical Learning Theory.

    Example:
        >>> monomial([2, 2, 4]).value, monomial([2, 2]).multiplicity
        (Fraction(1, 4), 2)
    """
    heights = [0] * len(exponents) if prior is None else list(prior)
    if len(heights) != len(exponents):
        raise ValueError(f"{len(exponents)} exponents need as many in prior, got {len(heights)}.")
    for number in (*exponents, *heights):
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"Exponents are whole numbers, got {number!r}.")
    if not exponents or min(exponents) < 0 or max(exponents) == 0 or min(heights) < 0:
        raise ValueError(
            "A monomial needs exponents ≥ 0 with one above 0, and a prior of exponents ≥ 0, got "
            f"{tuple(exponents)} and {tuple(heights)}."
        )
    ratios = [Fraction(h + 1, k) for k, h in zip(exponents, heights, strict=True) if k]
    return RLCT.proved(
        min(ratios), ratios.count(min(ratios)), how="normal crossing: λ = min (h+1)/k"
    )


def powers(exponents: Sequence[int]) -> RLCT:
    """K = Σ |w_j|^{a_j}: λ = Σ 1/a_j, m = 1.

    Args:
        exponents: a_j ≥ 1.

    Source: the sum rule on monomials of one variable.

    Example:
        >>> powers([2, 4]).value
        Fraction(3, 4)
    """
    if not exponents:
        raise ValueError("powers needs at least one exponent.")
    whole(**{f"exponent {index + 1}": a for index, a in enumerate(exponents)})
    return RLCT.proved(
        sum((Fraction(1, a) for a in exponents), Fraction(0)),
        1,
        how="sum of powers in separate variables: λ = Σ 1/a",
    )


def quadratic_power(rank: int, power: int, *, definite: bool) -> RLCT:
    """K = |q|^p for a quadratic form q of a rank r: r/(2p) if definite, else min(1/p, r/(2p)).

    A definite form is comparable with |w|², so the volume of {q^p < ε} is that of a ball of radius ε^{1/2p}. An
    indefinite one vanishes along a cone, smooth apart from 0, where λ is 1/p; with r = 2 it is a product of two
    linear factors, which makes m = 2.

    Args:
        rank: r.
        power: p.
        definite: whether q vanishes at 0 of its r variables only.

    Source: polar coordinates.

    Example:
        >>> quadratic_power(4, 2, definite=False).value, quadratic_power(3, 2, definite=True).value
        (Fraction(1, 2), Fraction(3, 4))
    """
    whole(rank=rank, power=power)
    if definite:
        return RLCT.proved(Fraction(rank, 2 * power), 1, how="definite quadratic form: a ball")
    if rank < 2:
        raise ValueError("A quadratic form of rank 1 is definite: give definite=True.")
    value = min(Fraction(1, power), Fraction(rank, 2 * power))
    return RLCT.proved(value, 2 if rank == 2 else 1, how="indefinite quadratic form: a cone")


def sum_rule(*parts: RLCT) -> RLCT:
    """K = Σ K_i in separate variables: λ adds, m = Σ m_i − (number of parts − 1).

    Args:
        parts: what is known of each K_i; bounds give bounds.

    Source: ζ of a sum in separate variables, by convolution of the state densities; Watanabe (2009).

    Example:
        >>> two = sum_rule(monomial([2, 2]), monomial([2, 2]))
        >>> two.value, two.multiplicity
        (Fraction(1, 1), 3)
    """
    _some(parts, "sum_rule")
    lower = _summed([part.lower for part in parts])
    upper = _summed([part.upper for part in parts])
    return _joined(parts, lower, upper, "sum in separate variables: λ adds")


def product_rule(*parts: RLCT) -> RLCT:
    """K = Π K_i in separate variables: λ is the least, m the sum of those that attain it.

    Args:
        parts: what is known of each K_i; bounds give bounds.

    Source: ζ of a product in separate variables is the product of the ζ.

    Example:
        >>> product_rule(monomial([2]), monomial([2]), monomial([4])).value
        Fraction(1, 4)
    """
    _some(parts, "product_rule")
    lower = _least([part.lower for part in parts])
    upper = _least([part.upper for part in parts])
    return _joined(parts, lower, upper, "product in separate variables: the least λ")


def _some(parts: Sequence[RLCT], name: str) -> None:
    if not parts:
        raise ValueError(f"{name} needs at least one part.")
    for part in parts:
        if not isinstance(part, RLCT):
            raise TypeError(f"{name} takes what the formulas return, got {type(part).__name__}.")


def _joined(parts: Sequence[RLCT], lower: Bound, upper: Bound, how: str) -> RLCT:
    if all(part.status == "proved" for part in parts):
        return RLCT.proved(upper.rlct, upper.multiplicity, how=how)
    reasons = tuple(reason for part in parts for reason in part.reasons)
    return RLCT(status="bounds", lower=lower, upper=upper, how=how, reasons=reasons)


def _summed(bounds: Sequence[Bound]) -> Bound:
    orders = [bound.multiplicity for bound in bounds]
    known = [order for order in orders if order is not None]
    order = sum(known) - (len(bounds) - 1) if len(known) == len(bounds) else None
    return Bound(sum((bound.rlct for bound in bounds), Fraction(0)), order)


def _least(bounds: Sequence[Bound]) -> Bound:
    least = min(bound.rlct for bound in bounds)
    orders = [bound.multiplicity for bound in bounds if bound.rlct == least]
    known = [order for order in orders if order is not None]
    return Bound(least, sum(known) if len(known) == len(orders) else None)
