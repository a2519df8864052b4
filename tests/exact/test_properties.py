"""What holds for every ideal, whatever its value."""

import random
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from singulab.exact import check, rlct, rlct_of_ideal

NAMES = "xyz"
SOME = settings(max_examples=12, deadline=None, derandomize=True)


@st.composite
def ideals(draw, dim=3, most=2):
    """Generators as maps from exponents to coefficients, none with a constant term."""
    exponent = st.tuples(*[st.integers(0, 2)] * dim).filter(lambda a: 1 <= sum(a) <= 3)
    terms = st.dictionaries(exponent, st.sampled_from([-2, -1, 1, 2]), min_size=1, max_size=3)
    return draw(st.lists(terms, min_size=1, max_size=most))


def text(terms):
    return "+".join(
        f"({c})" + "".join(f"*{n}^{e}" for n, e in zip(NAMES, a, strict=False) if e)
        for a, c in terms.items()
    )


def ask(generators, limit=1.0):
    return rlct_of_ideal(generators, time_limit=limit)


def agree(one, other):
    """Two results for one value."""
    assert one.lower <= other.upper
    assert other.lower <= one.upper


@SOME
@given(ideals(), st.integers(0, 10**6))
def test_generators_may_be_shuffled_and_mixed(ideal, seed):
    dice = random.Random(seed)
    generators = [text(g) for g in ideal]
    if len(generators) > 1:
        a, b, c = (dice.randint(-2, 2) for _ in range(3))
        first, second = generators
        mixed = [f"{a}*({first}) + ({second})", f"(1 + {b}*x + {c}*z)*({first})"]
    else:
        mixed = [f"(3 + {dice.randint(-2, 2)}*y)*({generators[0]})"]
    agree(ask(generators), ask(mixed))


@SOME
@given(
    ideals(),
    st.lists(
        st.tuples(st.permutations(range(3)), st.sampled_from([-1, 1, 2])), min_size=1, max_size=3
    ),
)
def test_a_unimodular_change_of_coordinates_keeps_the_value(ideal, factors):
    images = {n: n for n in NAMES}
    for (i, j, _), c in factors:
        by = f"({NAMES[i]}+{c}*{NAMES[j]})".replace("+-", "-")
        images = {n: t.replace(NAMES[i], by) for n, t in images.items()}
    generators = [text(g) for g in ideal]
    there = ["".join(f"({images[s]})" if s in images else s for s in g) for g in generators]
    agree(ask(generators), ask(there))


@SOME
@given(ideals(most=3))
def test_fewer_generators_leave_more_volume(ideal):
    assume(len(ideal) > 1)
    whole, part = ask([text(g) for g in ideal]), ask([text(g) for g in ideal[:-1]])
    assert part.lower <= whole.upper


@SOME
@given(ideals())
def test_the_value_lies_between_the_bounds_of_the_rank(ideal):
    from singulab.exact.cone import rank

    units = [tuple(int(i == j) for j in range(3)) for i in range(3)]
    r = rank([[g.get(u, 0) for u in units] for g in ideal])
    found = ask([text(g) for g in ideal])
    assert found.upper.rlct >= Fraction(r, 2)
    assert found.lower.rlct <= Fraction(r, 2) + Fraction(3 - r, 4)
    if found.status == "proved":
        assert Fraction(r, 2) <= found.value <= Fraction(r, 2) + Fraction(3 - r, 4)
        low, high = check(found.certificate)
        assert low == high == found.upper


def test_a_square_of_a_new_variable_adds_one_half():
    proved = []

    @SOME
    @given(ideals(most=2))
    def adds(ideal):
        generators = [text(g) for g in ideal]
        alone, more = ask(generators), ask([*generators, "w"])
        proved.append(alone.status == more.status == "proved")
        if proved[-1]:
            assert more.value == alone.value + Fraction(1, 2)
            assert more.multiplicity == alone.multiplicity

    adds()
    assert sum(proved) > len(proved) / 2


@SOME
@given(ideals(most=2))
def test_the_square_multiplied_out_has_the_same_value(ideal):
    generators = [text(g) for g in ideal]
    as_ideal = ask(generators)
    as_loss = rlct("0 + " + " + ".join(f"({g})*({g})" for g in generators), time_limit=1)
    agree(as_ideal, as_loss)


@pytest.mark.parametrize("k", range(1, 6))
def test_powers_divide(k):
    assert rlct(f"x^{2 * k}").value == Fraction(1, 2 * k)
    assert rlct(f"(y^2 - x^3)^{2 * k}").value == Fraction(5, 12 * k)


def test_a_quartic_has_a_quarter():
    assert rlct("x^4").value == Fraction(1, 4)
