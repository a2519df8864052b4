import itertools
from fractions import Fraction

import pytest

from singulab.exact import rlct_of_ideal
from singulab.exact.formulas import (
    deep_linear,
    latent_dirichlet_allocation,
    nonnegative_matrix_factorization,
    reduced_rank,
)


def pair(found):
    return found.value, found.multiplicity


DEEP = [
    ([1, 1], 0, "1/2", 1),
    ([1, 1, 1, 1], 0, "1/2", 3),
    ([2, 1, 1, 2], 0, "1/2", 1),
    ([2, 2, 2], 0, "3/2", 1),
    ([2, 2, 2, 2], 0, "3/2", 3),
    ([3, 3, 3], 0, "7/2", 2),
    ([3, 3, 3], 3, "9/2", 1),
    ([3, 3, 3, 3], 1, "4", 3),
    ([5, 3, 5], 0, "13/2", 2),
    ([5, 4, 5], 0, "8", 1),
    ([4, 3, 8], 0, "6", 1),
    ([4, 1, 4], 1, "7/2", 1),
    ([4, 1, 4], 0, "2", 2),
    ([10, 2, 10], 0, "19/2", 1),
    ([10, 2, 10], 1, "14", 2),
    ([10, 2, 10], 2, "18", 1),
    ([6, 4, 8, 3], 1, "7", 1),
    ([4, 2, 3, 5], 2, "7", 1),
    ([10, 10, 10], 5, "47", 2),
    ([10, 20, 20, 10], 0, "50", 1),
    ([5, 5, 5, 5, 5], 2, "11", 4),
    ([4] * 6, 0, "5", 5),
    ([20, 30, 40, 30, 20], 7, "397/2", 1),
    ([100, 80, 60, 80, 100], 25, "2997", 2),
]


@pytest.mark.parametrize("widths, rank, value, multiplicity", DEEP)
def test_the_published_table_of_deep_linear_networks(widths, rank, value, multiplicity):
    assert pair(deep_linear(widths, rank)) == (Fraction(value), multiplicity)


def test_two_layers_are_reduced_rank_regression_in_every_case_up_to_width_8():
    cases = 0
    for m, h, n in itertools.product(range(1, 9), repeat=3):
        for rank in range(min(m, h, n) + 1):
            assert pair(deep_linear([m, h, n], rank)) == pair(reduced_rank(m, h, n, rank))
            cases += 1
    assert cases == 1808


def test_widths_may_be_permuted_at_rank_0_and_lambda_never_falls_with_a_width():
    for widths in itertools.product(range(1, 5), repeat=3):
        value = deep_linear(widths).value
        assert pair(deep_linear(sorted(widths))) == pair(deep_linear(widths))
        assert value <= Fraction(widths[0] * widths[1] + widths[1] * widths[2], 2)
        for index in range(3):
            wider = [w + (i == index) for i, w in enumerate(widths)]
            assert deep_linear(wider).value >= value


def product_ideal(rows, inner, columns):
    return [
        " + ".join(f"a{i}{k}*b{k}{j}" for k in range(inner))
        for i in range(rows)
        for j in range(columns)
    ]


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1, 2), (1, 2, 1), (2, 1, 1), (1, 2, 2)])
def test_reduced_rank_agrees_with_algebra_at_rank_0(sizes, unchecked):
    other = rlct_of_ideal(product_ideal(*sizes))
    assert other.status == "proved"
    rows, inner, columns = sizes
    assert pair(reduced_rank(columns, inner, rows, 0)) == pair(other)


def hayashi(words, topics, documents, rank):
    """The first case as it is printed, for sizes that satisfy its conditions."""
    s = topics + rank + 1
    total = 2 * s * (words + documents) - (words - documents) ** 2 - s * s
    odd = (words + topics + documents + rank) % 2 == 0
    return Fraction(total + odd, 8) - Fraction(documents, 2)


def test_lda_is_the_published_formula():
    compared = 0
    for m, h, n in itertools.product(range(2, 8), repeat=3):
        for rank in range(min(m, h, n)):
            if n + rank <= m + h - 1 and m + rank <= n + h - 1 and h + rank <= m + n - 1:
                found = latent_dirichlet_allocation(m, h, n, rank)
                assert found.value == hayashi(m, h, n, rank)
                compared += 1
    assert compared > 200


def test_lda_agrees_with_algebra(unchecked):
    # Two words, two topics, two documents at equal distributions: one regular direction and a product.
    other = rlct_of_ideal(["a + c*b", "a + c*d"])
    assert pair(latent_dirichlet_allocation(2, 2, 2, 0)) == pair(other)
    # Three words, two topics, two documents.
    other = rlct_of_ideal(["a + c*b", "e + f*b", "a + c*d", "e + f*d"])
    assert pair(latent_dirichlet_allocation(3, 2, 2, 0)) == pair(other)


def test_one_topic_is_a_regular_model():
    assert latent_dirichlet_allocation(5, 1, 3, 0).value == 2
    assert latent_dirichlet_allocation(5, 3, 1, 0).value == 2


@pytest.mark.parametrize("rows, hidden, columns", [(1, 2, 1), (2, 1, 2), (2, 2, 2), (3, 2, 2)])
def test_nonnegative_bounds_hold_the_exact_value_on_the_orthant(rows, hidden, columns):
    found = nonnegative_matrix_factorization(rows, hidden, columns, 0)
    # At truth 0 the sum of nonnegative products is comparable with their largest: H rank-1 problems side by side.
    exact = hidden * Fraction(min(rows, columns), 2)
    assert found.lower.rlct <= exact <= found.upper.rlct
    assert found.status == "bounds"


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: reduced_rank(2, 2, 2, 3), "rank must lie between 0 and the least"),
        (lambda: reduced_rank(0, 2, 2, 0), "at least 1"),
        (lambda: deep_linear([3]), "two or more"),
        (lambda: deep_linear([3, 0, 3]), "two or more"),
        (lambda: deep_linear([3, 3], 4), "the least width"),
        (lambda: latent_dirichlet_allocation(1, 2, 2, 0), "at least 2"),
        (lambda: latent_dirichlet_allocation(3, 3, 3, 3), "one less than the least"),
        (lambda: nonnegative_matrix_factorization(5, 4, 5, 3), "give ordinary_rank"),
        (lambda: nonnegative_matrix_factorization(2, 2, 2, 1, ordinary_rank=2), "cannot exceed"),
    ],
)
def test_a_hypothesis_that_fails_is_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize(
    "call", [lambda: deep_linear([2, 2.5, 2]), lambda: reduced_rank(2, 2, 2, 1.0)]
)
def test_numbers_are_whole(call, unchecked):
    with pytest.raises(TypeError, match="whole number"):
        call()
