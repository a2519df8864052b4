import math
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singulab.discrete import count, counts, crossing, exponents
from singulab.discrete.lattice import (
    _isqrt,
    _whole_sum,
    area_of_crossing,
    disk,
    pairs,
    plane,
    row,
    square,
)


def naive(eta: Fraction, mesh: Fraction, radius: Fraction) -> tuple[int, int]:
    half = int(radius / mesh)
    points = [(i, j) for i in range(-half, half + 1) for j in range(-half, half + 1)]
    total = sum(abs(i * j) * mesh**2 < eta / 2 for i, j in points)
    return total, sum((i * i + j * j) * mesh**2 <= eta for i, j in points)


decimals = st.fractions(min_value=Fraction(1, 50), max_value=3, max_denominator=60)


@settings(max_examples=60, deadline=None)
@given(decimals, decimals.filter(lambda mesh: mesh > Fraction(1, 25)), decimals)
def test_counts_are_those_of_a_naive_loop(eta, mesh, radius):
    found = crossing(eta, mesh, radius)
    assert (found.total, found.origin) == naive(eta, mesh, radius)
    assert count("x*y", eta, mesh, radius).total == found.total


def test_the_promised_count():
    found = crossing("0.01", "1e-3")
    assert (found.total, found.origin) == (126_121, 31_417)
    assert crossing(0.01, 0.001) == found


@pytest.mark.parametrize(
    "eta, share", [("1e-2", 0.249), ("1e-3", 0.183), ("1e-4", 0.144), ("1e-6", 0.101)]
)
def test_shares_in_the_limit_of_fine_lattices(eta, share):
    began = time.monotonic()
    found = crossing(eta, "1e-7")
    assert time.monotonic() - began < 5
    limit = math.pi / (2 * (1 + math.log(2 / float(eta))))
    assert limit == pytest.approx(share, abs=6e-4)
    assert found.limit.regime == "area"
    assert found.limit.share == pytest.approx(limit, rel=1e-12)
    assert found.share == pytest.approx(limit, rel=0.01)
    assert abs(crossing(eta, "1e-8").share / limit - 1) < abs(found.share / limit - 1)


def test_the_share_falls_to_0_where_only_the_axes_are_wide():
    shares = []
    for k in range(2, 7):
        mesh, eta = Fraction(1, 10**k), Fraction(1, 10**k) * Fraction(1, 10**k) ** Fraction(1, 2)
        found = crossing(Fraction(eta).limit_denominator(10**12), mesh)
        shares.append(found.share)
    assert shares == sorted(shares, reverse=True)
    found = crossing("1e-9", "1e-6")  # ε² ≪ η ≪ ε
    assert found.limit.regime == "axes"
    assert found.share == pytest.approx(math.pi * 1e-9 / 4e-6, rel=0.02)
    assert shares[-1] < 1e-3


def test_below_the_square_of_the_mesh_only_the_axes_are_left():
    found = crossing("1e-10", "1e-4")
    assert (found.total, found.origin, found.axes) == (40_001, 1, 40_001)
    assert found.share == found.limit.share == 1 / 40_001
    assert found.limit.regime == "axes only"


def test_one_closed_form_holds_in_every_regime():
    for eta in ("1e-2", "1e-4", "1e-5", "1e-6", "1e-8", "1e-9"):
        for mesh in ("1e-3", "1e-5", "1e-6"):
            found = crossing(eta, mesh)
            products = float(found.eta / found.mesh**2) / 2
            assert abs(found.uniform_total - found.total) <= 8 * math.sqrt(products) + 8, (
                eta,
                mesh,
            )


def test_the_limits_are_approached():
    exact = [crossing("1e-4", mesh) for mesh in ("1e-4", "1e-5", "1e-6", "1e-7")]
    off = [abs(c.total / c.limit.total - 1) for c in exact]
    assert off == sorted(off, reverse=True)
    assert off[-1] < 1e-4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.integers(1, 80))
def test_pairs_and_disks_are_counted_right(most, side):
    i = np.arange(1, side + 1)
    assert pairs(most, side) == int((i[:, None] * i[None] <= most).sum())
    k = np.arange(-side, side + 1)
    assert disk(most, side) == int((k[:, None] ** 2 + k[None] ** 2 <= most).sum())


def test_large_counts_stay_exact():
    # Sums of 41 bits per term over 10⁶ terms leave 2⁶³; roots near 2³¹ are off by one in floats.
    assert _whole_sum(np.full(10**6, 2**41 - 1)) == 10**6 * (2**41 - 1)
    roots = np.array([2**31 - 1, 2**30 + 12345, 94906267], dtype=np.int64)
    assert np.array_equal(_isqrt(roots * roots), roots)
    assert np.array_equal(_isqrt(roots * roots - 1), roots - 1)
    # Dirichlet's divisor sum Σ_{i ≤ 10⁶} ⌊10⁶/i⌋, in the tables as D(10⁶).
    assert pairs(10**6, 10**6) == 13_970_034
    # Gauss' circle of radius 10³.
    assert disk(10**6, 10**6) == 3_141_549


def test_rows_add_up_to_the_total():
    total = sum(row("0.01", "0.01", k) for k in range(-100, 101))
    assert total == crossing("0.01", "0.01").total
    assert square("0.01", "0.01", "0.3") == crossing("0.01", "0.01", "0.3").total
    assert square("0.01", "0.01", 1) == total


def test_the_plane_holds_shares():
    assert plane(["1e-2"], ["1e-3", "1e-2"])[0, 0] == crossing("1e-2", "1e-3").share


def brute(polynomial, eta, mesh, radius, dim, point):
    half = int(radius / mesh)
    axes = np.meshgrid(*[np.arange(-half, half + 1)] * dim, indexing="ij")
    points = zip(*(axis.ravel().tolist() for axis in axes), strict=True)
    total = near = 0
    for k in points:
        theta = [mesh * i for i in k]
        if abs(polynomial(*theta)) < eta / 2:
            total += 1
            near += sum((a - b) ** 2 for a, b in zip(theta, point, strict=True)) <= eta
    return total, near


@pytest.mark.parametrize(
    "text, function, dim, point",
    [
        ("y^2 - x^3", lambda x, y: y * y - x**3, 2, ("0", "0")),
        ("x^2 + y^2 - 1", lambda x, y: x * x + y * y - 1, 2, ("1", "0")),
        ("x*y*z + 1/3*x", lambda x, y, z: x * y * z + x / 3, 3, ("0.1", "-0.35", "1/3")),
        ("x^4", lambda x: x**4, 1, ("0",)),
    ],
)
def test_any_polynomial_is_counted_exactly(text, function, dim, point):
    eta, mesh, radius = Fraction(3, 25), Fraction(1, 9), Fraction(11, 10)
    found = count(text, eta, mesh, radius, point=point)
    assert (found.total, found.near) == brute(
        function, eta, mesh, radius, dim, tuple(map(Fraction, point))
    )
    assert found.points == 19**dim
    assert counts(text, [eta, 2 * eta], mesh, radius, point=point)[0] == found


def test_pieces_of_the_box_add_up(monkeypatch):
    import singulab.discrete.lattice as lattice

    whole = count("x^2 - y^2*z", "0.05", "0.1")
    seen: list[tuple[int, int]] = []
    for size in (7, 400):
        monkeypatch.setattr(lattice, "_AT_A_TIME", size)
        again = count("x^2 - y^2*z", "0.05", "0.1", on_progress=lambda *at: seen.append(at))
        assert again == whole
        assert seen[-1] == (21**3, 21**3)
        assert pairs(1000, 100) == sum(min(1000 // i, 100) for i in range(1, 101))
        assert disk(1000, 100) == sum(2 * math.isqrt(1000 - i * i) + 1 for i in range(-31, 32))


def test_exponents_follow_the_volume_and_end_with_the_lattice():
    def volume(eta):
        return area_of_crossing(eta, 1.0)

    fine = exponents(
        lambda eta: crossing(eta, "1e-7").total, ["1e-2", "1e-4", "1e-6"], volume=volume
    )
    for one in fine:
        # λ = ½ and m = 2: the continuum is ½(1 − 1/(1 + log(2/η))) to first order in the width of the step.
        assert one.value == pytest.approx(one.continuum, abs=2e-3)
        assert one.continuum == pytest.approx(0.5 * (1 - 1 / (1 + math.log(2 / one.eta))), abs=2e-3)
    (end,) = exponents(lambda eta: crossing(eta, "1e-5").total, ["1e-12"])
    assert end.value == 0.0
    assert end.continuum is None


def test_exponents_of_a_regular_point_are_half_the_dimension():
    for polynomial, power, rlct in (("x^2 + y^2", 1, 1.0), ("x", 2, 0.5), ("x^4", 1, 0.25)):
        (one,) = exponents(
            lambda eta, p=polynomial: count(p, eta, "1e-3").total, ["0.4"], power=power
        )
        assert one.value == pytest.approx(rlct, rel=0.02)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: crossing(0, "0.1"), "eta must be above 0"),
        (lambda: crossing("0.1", -1), "mesh must be above 0"),
        (lambda: crossing("0.1", "0.1", 0), "radius must be above 0"),
        (lambda: crossing("0.1", "1e-12"), "too fine"),
        (lambda: count("x*y*z", "0.1", "1e-4"), "at most 2\\^34"),
        (lambda: count("x*y", "0.1", "0.1", point=["0"]), "2 variables need a point"),
        (lambda: exponents(lambda eta: 1, [0]), "eta must be above 0"),
    ],
)
def test_bad_numbers_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
