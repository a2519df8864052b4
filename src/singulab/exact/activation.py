"""Taylor coefficients of activations, and how many of them generate the others.

Without biases, units a_i·σ(b_i·x) with an odd σ have p_k(x) = Σ_i a_i (b_i·x)^{2k+1}, and Newton's identities write
p_k for k ≥ H by those before it.

With biases, tanh(b·x + c) has the Taylor polynomials (b·x)^k P_k(t)/k! at x = 0, with t = tanh(c) and P_0 = t,
P_{k+1} = P_k′·(1 − t²): t is a coordinate as good as c. Let b stand for b·x along one direction, and
D = Σ_i b_i(1 − t_i²) ∂/∂t_i. The k-th coefficient, times k!, is p_k = D^k Σ_i a_i t_i. With A = a·b·(1 − t²), h = b·t
and q = b² one has DA = −2hA and Dh = q − h², so

    p_{k+1} = Σ_i A_i Q_k(h_i, q_i),    Q_0 = 1,    Q_{k+1} = −2h Q_k + (q − h²) ∂Q_k/∂h,

where Q_k is homogeneous of degree k if h has the weight 1 and q the weight 2. If there are polynomials c_k of all h_i
and q_i with

    Q_N(h_i, q_i) = Σ_{k<N} c_k Q_k(h_i, q_i)    for every i = 1, …, H,

then p_{N+1} lies in the ideal of p_1, …, p_N, and applying D to that, so do all that come after. Whether the c_k
exist is a finite linear system over ℚ, for they may be taken homogeneous of degree N − k. ``BIASED`` holds the least N;
a test solves the systems.
"""

from fractions import Fraction
from math import factorial

ODD = ("tanh", "sin", "sinh", "atan", "erf")  # odd, with no odd Taylor coefficient 0
BIASED = {1: 1, 2: 3, 3: 7}  # units: N


def odd_coefficient(name: str, order: int) -> Fraction:
    """The Taylor coefficient of an odd activation, up to a common factor of all of them."""
    k = order // 2
    if name == "sin":
        return Fraction((-1) ** k, factorial(order))
    if name == "sinh":
        return Fraction(1, factorial(order))
    if name == "atan":
        return Fraction((-1) ** k, order)
    if name == "erf":
        return Fraction((-1) ** k, factorial(k) * order)
    return tanh_polynomials(order)[order].get(0, Fraction(0)) / factorial(order)


def tanh_polynomials(order: int) -> list[dict[int, Fraction]]:
    """P_0, …, P_order by powers of t."""
    found = [{1: Fraction(1)}]
    for _ in range(order):
        fresh: dict[int, Fraction] = {}
        for e, c in found[-1].items():
            if e:
                fresh[e - 1] = fresh.get(e - 1, Fraction(0)) + e * c
                fresh[e + 1] = fresh.get(e + 1, Fraction(0)) - e * c
        found.append({e: c for e, c in fresh.items() if c})
    return found


def biased_forms(order: int) -> list[dict[tuple[int, int], int]]:
    """Q_0, …, Q_order by powers of h and q."""
    found: list[dict[tuple[int, int], int]] = [{(0, 0): 1}]
    for _ in range(order):
        fresh: dict[tuple[int, int], int] = {}
        for (i, j), c in found[-1].items():
            fresh[i + 1, j] = fresh.get((i + 1, j), 0) - (2 + i) * c
            if i:
                fresh[i - 1, j + 1] = fresh.get((i - 1, j + 1), 0) + i * c
        found.append({powers: c for powers, c in fresh.items() if c})
    return found
