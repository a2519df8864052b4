"""Products of matrices: reduced rank regression, deep linear networks, LDA, nonnegative factorisation."""

from collections.abc import Sequence
from fractions import Fraction

from singulab.exact.formulas.hypothesis import rank_of, whole
from singulab.exact.result import RLCT, Bound

_REDUCED = "Aoyagi & Watanabe (2005), Neural Networks 18, 924–933"
_DEEP = "Aoyagi (2024), Neural Networks 172, 106132"


def reduced_rank(num_inputs: int, num_hidden: int, num_outputs: int, rank: int) -> RLCT:
    """Reduced rank regression: a linear network M → H → N of true rank r, by the four cases of the theorem.

    | case | condition | λ | m |
    |---|---|---|---|
    | 1 | N+r ≤ M+H, M+r ≤ N+H, H+r ≤ M+N; sum M+N+H+r even | ⅛[2(H+r)(M+N) − (M−N)² − (H+r)²] | 1 |
    | 1 | the same, sum odd | ⅛[1 + 2(H+r)(M+N) − (M−N)² − (H+r)²] | 2 |
    | 2 | M+H < N+r | ½(HM − Hr + Nr) | 1 |
    | 3 | N+H < M+r | ½(HN − Hr + Mr) | 1 |
    | 4 | M+N < H+r | ½MN | 1 |

    Args:
        num_inputs: M.
        num_hidden: H.
        num_outputs: N.
        rank: r of the true map.

    Source: Aoyagi & Watanabe, "Stochastic complexities of reduced rank regression in Bayesian estimation",
        Neural Networks (2005).

    Example:
        >>> reduced_rank(5, 3, 5, 0).value, reduced_rank(5, 3, 5, 0).multiplicity
        (Fraction(13, 2), 2)
    """
    m, h, n, r = num_inputs, num_hidden, num_outputs, rank
    whole(num_inputs=m, num_hidden=h, num_outputs=n)
    rank_of(r, min(m, h, n), f"the least of M {m}, H {h} and N {n}")
    if m + h < n + r:
        case, pair = 2, (Fraction(h * m - h * r + n * r, 2), 1)
    elif n + h < m + r:
        case, pair = 3, (Fraction(h * n - h * r + m * r, 2), 1)
    elif m + n < h + r:
        case, pair = 4, (Fraction(m * n, 2), 1)
    else:
        odd = (m + n + h + r) % 2
        value = Fraction(odd + 2 * (h + r) * (m + n) - (m - n) ** 2 - (h + r) ** 2, 8)
        case, pair = 1, (value, 1 + odd)
    return RLCT.proved(*pair, how=f"reduced rank regression, case {case} ({_REDUCED})")


def deep_linear(widths: Sequence[int], rank: int = 0) -> RLCT:
    """A deep linear network W_L ⋯ W_1 of any widths and true rank.

    With M_s = H_s − r sorted ascending, ℓ the first number ≥ 1 with s ≥ ℓ·M_{ℓ+1} and (ℓ = L or s < ℓ·M_{ℓ+2}),
    s the sum of the ℓ+1 smallest, and a = s − (⌈s/ℓ⌉ − 1)ℓ:

        λ = [r(H₀+H_L) − r²]/2 + ¼[(s² + a(ℓ−a))/ℓ − Σ M_i²],   m = a(ℓ−a) + 1.

    With ties the paper's condition max Σ < min of the rest can fail; the rule above is the one that stays
    well defined, and it agrees with reduced rank regression for two layers.

    Args:
        widths: H_0 … H_L from the inputs to the outputs, at least two.
        rank: r of the true map, 0 ≤ r ≤ min(widths).

    Source: Aoyagi, "Consideration on the learning efficiency of multiple-layered neural networks with linear
        units", Neural Networks (2024).

    Example:
        >>> deep_linear([10, 10, 10], 3).value
        Fraction(44, 1)
    """
    if len(widths) < 2:
        raise ValueError(f"widths needs two or more positive numbers, got {tuple(widths)}.")
    for width in widths:
        if isinstance(width, bool) or not isinstance(width, int):
            raise TypeError(f"widths are whole numbers, got {width!r}.")
    if min(widths) < 1:
        raise ValueError(f"widths needs two or more positive numbers, got {tuple(widths)}.")
    rank_of(rank, min(widths), "the least width")
    spare = sorted(width - rank for width in widths)
    last = len(spare) - 1
    known = Fraction(rank * (widths[0] + widths[-1]) - rank * rank, 2)
    layers = next(
        ell
        for ell in range(1, last + 1)
        if sum(spare[: ell + 1]) >= ell * spare[ell]
        and (ell == last or sum(spare[: ell + 1]) < ell * spare[ell + 1])
    )
    how = f"deep linear network ({_DEEP})"
    total = sum(spare[: layers + 1])
    if total == 0:
        return RLCT.proved(known, 1, how=how)
    a = total - (-(-total // layers) - 1) * layers
    squares = sum(number * number for number in spare[: layers + 1])
    rest = Fraction(total * total + a * (layers - a), layers) - squares
    return RLCT.proved(known + rest / 4, a * (layers - a) + 1, how=how)


def latent_dirichlet_allocation(
    num_words: int, num_topics: int, num_documents: int, rank: int
) -> RLCT:
    """LDA, and stochastic matrix factorisation: (M−1)/2 and reduced rank regression one size smaller.

    The word probabilities of document j are A b_j with the columns of A (M × H) and of B (H × N) in simplices.
    Put the constraints in: a_H + A′b′_j with A′ the H−1 differences to the last topic and b′_j without its last
    entry. Document N fixes M−1 coordinates a_H + A′b′_N, a regular part; what is left of document j is
    A′(b′_j − b′_N), a product of an (M−1) × (H−1) and an (H−1) × (N−1) matrix. Hence
    λ = (M−1)/2 + λ_RR(M−1, H−1, N−1, r), which is Hayashi's ⅛[2(H+r+1)(M+N) − (M−N)² − (H+r+1)²] − N/2 in its
    first case.

    What a careful reader would get wrong: r is the rank of the true *differences* between documents, one less than
    that of the matrix of word probabilities if its columns are in general position.

    Args:
        num_words: M ≥ 2, the vocabulary.
        num_topics: H ≥ 1 of the model.
        num_documents: N ≥ 1.
        rank: r of the differences of the true word distributions, 0 ≤ r ≤ min(M−1, H−1, N−1).

    Source: Hayashi, "The exact asymptotic form of Bayesian generalization error in latent Dirichlet allocation",
        Neural Networks (2021), arXiv:2008.01304.

    Example:
        >>> latent_dirichlet_allocation(2, 2, 2, 0).value
        Fraction(1, 1)
    """
    m, h, n = num_words, num_topics, num_documents
    whole(num_words=m, num_topics=h, num_documents=n)
    if m < 2:
        raise ValueError(f"num_words is at least 2, got {m}: one word has no distribution.")
    rank_of(rank, min(m, h, n) - 1, "one less than the least of M, H and N")
    how = "LDA (Hayashi (2021), arXiv:2008.01304)"
    if min(h, n) == 1:
        return RLCT.proved(Fraction(m - 1, 2), 1, how=f"{how}; one topic or one document")
    rest = reduced_rank(m - 1, h - 1, n - 1, rank)
    assert rest.value is not None
    return RLCT.proved(Fraction(m - 1, 2) + rest.value, rest.multiplicity, how=how)


def nonnegative_matrix_factorization(
    num_rows: int, num_hidden: int, num_columns: int, rank: int, *, ordinary_rank: int | None = None
) -> RLCT:
    """Bounds for AB with nonnegative A (M × H) and B (H × N) at a truth of nonnegative rank H₀.

    Above: ½[(H − H₀) min(M, N) + H₀(M + N − 1)]. Below: λ of the same product without signs, for less domain is less
    volume.

    Args:
        num_rows: M.
        num_hidden: H of the model.
        num_columns: N.
        rank: H₀, the nonnegative rank of the truth.
        ordinary_rank: its rank; default H₀, which is right up to 2.

    Source: Hayashi & Watanabe, "Upper bound of Bayesian generalization error in non-negative matrix
        factorization", Neurocomputing 266 (2017), 21–28, arXiv:1612.04112.

    Example:
        >>> found = nonnegative_matrix_factorization(2, 2, 2, 0)
        >>> str(found.lower.rlct), str(found.upper.rlct)
        ('3/2', '2')
    """
    m, h, n = num_rows, num_hidden, num_columns
    whole(num_rows=m, num_hidden=h, num_columns=n)
    rank_of(rank, h, "the number of hidden units")
    if ordinary_rank is None:
        if rank > 2:
            raise ValueError(
                f"A matrix of nonnegative rank {rank} may have a lower rank: give ordinary_rank."
            )
        ordinary_rank = rank
    if ordinary_rank > rank:
        raise ValueError(f"The rank {ordinary_rank} cannot exceed the nonnegative rank {rank}.")
    upper = Fraction((h - rank) * min(m, n) + rank * (m + n - 1), 2)
    lower = reduced_rank(m, h, n, ordinary_rank).lower
    return RLCT(
        status="bounds",
        lower=lower,
        upper=Bound(upper),
        how="nonnegative factors: Hayashi & Watanabe (2017), arXiv:1612.04112, above; all factors below",
        reasons=("no value is published for nonnegative factors",),
    )
