"""Mixtures, naive Bayes, and the coefficients that the singular BIC is computed with."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain

from singulab.exact.formulas.hypothesis import rank_of, whole
from singulab.exact.result import RLCT, Bound

_SBIC = "Drton & Plummer (2017), J. R. Statist. Soc. B 79"


def gaussian_mixture(num_components: int, true_components: int = 1, *, dim: int = 1) -> RLCT:
    """Σ a_j N(b_j, 1) in R^M with H components, at a truth with H₀ different ones.

    Let weights and means of the H − H₀ spare components be a_j ≥ 0 and b_j, each beside one true component. The weights
    and means of the whole near each true one are regular coordinates: (MH₀ + H₀ − 1)/2. What is left begins with
    second moments Σ a_j b_j b_jᵀ, a sum without cancellation, which dominates all higher ones: K is comparable with
    Σ a_j²|b_j|⁴ on top, in separate variables. Each spare one adds the λ of a²|b|⁴, min(½, M/4), with m = 2 where the
    two agree, M = 2; one that lies elsewhere with a = 0 adds ½.

    Args:
        num_components: H of the model, all weights and means free, the variance known.
        true_components: H₀ ≤ H with weights above 0 and different means.
        dim: M.

    Source: the argument above; ¾ for two components in one dimension is in Yamazaki & Watanabe, "Singularities in
        mixture models and upper bounds of stochastic complexity", Neural Networks (2003).

    Example:
        >>> gaussian_mixture(2).value, gaussian_mixture(3).value
        (Fraction(3, 4), Fraction(1, 1))
    """
    h, truth = num_components, true_components
    whole(num_components=h, true_components=truth, dim=dim)
    if truth > h:
        raise ValueError(f"A truth of {truth} components is not realised by {h}.")
    value = Fraction(dim * truth + truth - 1, 2) + (h - truth) * min(
        Fraction(1, 2), Fraction(dim, 4)
    )
    order = 1 + (h - truth) if dim == 2 else 1
    return RLCT.proved(value, order, how="mixture with nonnegative weights: second moments rule")


def naive_bayes(num_features: int, truth: str = "independent") -> RLCT:
    """Binary naive Bayes with two hidden classes, at three kinds of truth.

    | truth | λ | m |
    |---|---|---|
    | regular: three features or more depend on the class | (2n+1)/2 | 1 |
    | pair: exactly one pair of features is dependent | (2n−1)/2 | 1 |
    | independent, n ≥ 3 | (n+1)/2 | 1 |
    | one feature | 1/2 | 1 |
    | two features, dependent | 3/2 | 1 |
    | two features, independent | 3/2 | 3 |

    The true probabilities lie inside (0, 1).

    Args:
        num_features: n.
        truth: "regular", "pair" or "independent".

    Source: Rusakov & Geiger, "Asymptotic model selection for naive Bayesian networks", J. Machine Learning Research
        6 (2005), Theorem 4.

    Example:
        >>> naive_bayes(3).value, naive_bayes(2).multiplicity
        (Fraction(2, 1), 3)
    """
    n = num_features
    whole(num_features=n)
    if truth not in ("regular", "pair", "independent"):
        raise ValueError(f"truth is 'regular', 'pair' or 'independent', got {truth!r}.")
    least = {"regular": 3, "pair": 2, "independent": 1}[truth]
    if n < least:
        raise ValueError(f"A {truth} truth needs at least {least} features, got {n}.")
    how = "naive Bayes (Rusakov & Geiger 2005, Theorem 4)"
    if n == 1:
        return RLCT.proved(Fraction(1, 2), 1, how=how)
    if n == 2:
        return RLCT.proved(Fraction(3, 2), 1 if truth == "pair" else 3, how=how)
    doubled = {"regular": 2 * n + 1, "pair": 2 * n - 1, "independent": n + 1}[truth]
    return RLCT.proved(Fraction(doubled, 2), 1, how=how)


def sbic_mixture(
    num_components: int, true_components: int, *, dim: int, phi: Fraction | None = None
) -> RLCT:
    """The bound that sBIC takes for mixtures: ½ min(rj + j − 1 + φ(i − j), ri + j − 1).

    It holds for any identifiable mixture (Gaussian with its variances, binomial, latent classes) and is an upper bound,
    not the value: for Gaussians of known variance in one dimension i = 2, j = 1 gives 1, the value is ¾.
    Below stands the rank of the Fisher information of the true components, (rj + j − 1)/2.

    Args:
        num_components: i of the model.
        true_components: j ≤ i.
        dim: r, parameters of one component.
        phi: φ, the exponent + 1 of a Dirichlet-like prior on the weights; default (r + 1)/2, as the R package has it.

    Source: Drton & Plummer, "A Bayesian information criterion for singular models", J. R. Statist. Soc. B 79 (2017);
        Rousseau & Mengersen (2011) for the two terms.

    Example:
        >>> str(sbic_mixture(2, 1, dim=2).upper.rlct)
        '7/4'
    """
    i, j, r = num_components, true_components, dim
    whole(num_components=i, true_components=j, dim=r)
    if j > i:
        raise ValueError(f"A truth of {j} components is not realised by {i}.")
    phi = Fraction(r + 1, 2) if phi is None else Fraction(phi)
    if phi <= 0:
        raise ValueError(f"phi is above 0, got {phi}.")
    exact = Fraction(r * j + j - 1, 2)
    if i == j:
        return RLCT.proved(exact, 1, how=f"regular mixture ({_SBIC})")
    upper = min(exact + phi * (i - j) / 2, Fraction(r * i + j - 1, 2))
    return RLCT(
        status="bounds",
        lower=Bound(exact),
        upper=Bound(upper),
        how=f"mixture ({_SBIC})",
        reasons=("sBIC uses an upper bound where a mixture has spare components",),
    )


def sbic_factor_analysis(num_variables: int, num_factors: int, true_factors: int) -> RLCT:
    """Factor analysis: ¼[(k+2)p + l(p − k + 1)], the value if l = k or k = 1, else an upper bound.

    l = k gives half the dimension (k+1)p − k(k−1)/2 of a regular model, k = 1 and l = 0 give 3p/4.

    Args:
        num_variables: p, observed.
        num_factors: k of the model.
        true_factors: l ≤ k of the truth, at a generic covariance matrix with l factors.

    Source: Drton & Plummer (2017); Drton et al., "Singular learning theory for factor analysis", arXiv:2511.15419.

    Example:
        >>> sbic_factor_analysis(5, 1, 0).value
        Fraction(15, 4)
    """
    p, k, l = num_variables, num_factors, true_factors  # noqa: E741 - the names of the source
    whole(num_variables=p)
    rank_of(k, p, "the number of variables")
    rank_of(l, k, "the number of factors")
    if (p - k) ** 2 < p + k:
        raise ValueError(
            f"{k} factors of {p} variables are not identified: (p − k)² ≥ p + k is needed."
        )
    upper = Fraction((k + 2) * p + l * (p - k + 1), 4)
    if l == k or k == 1:
        return RLCT.proved(upper, 1, how=f"factor analysis ({_SBIC})")
    return RLCT(
        status="bounds",
        # The p unique variances have derivatives of rank p everywhere.
        lower=Bound(Fraction(p, 2)),
        upper=Bound(upper),
        how=f"factor analysis ({_SBIC}; arXiv:2511.15419)",
        reasons=("for two factors and more only an upper bound is known in general",),
    )


Edge = tuple[str, str]


def sbic_latent_forest(model: Sequence[Edge], true: Sequence[Edge], leaves: Iterable[str]) -> RLCT:
    """Gaussian latent forests: λ of a tree with correlations on its edges, at a truth in which some edges are 0.

    With q the forest of the truth, λ = dim(q)/2 + ¼ Σ over the missing edges of how many of their ends lie in q, and
    m = 1 as long as each latent node of the model has three edges or more. dim counts leaves and, after latent nodes
    with two edges are contracted, edges.

    Args:
        model: edges of the forest; inner nodes are latent.
        true: those of its edges that are not 0 in the truth, each latent node among them with two edges or more.
        leaves: observed nodes.

    Source: Drton, Lin, Weihs & Zwiernik, "Marginal likelihood and model selection for Gaussian latent tree and forest
        models", Bernoulli 23 (2017), Theorem 4.3 as the R package sBIC has it.

    Example:
        >>> star = [("h", "a"), ("h", "b"), ("h", "c")]
        >>> sbic_latent_forest(star, [], "abc").value
        Fraction(9, 4)
    """
    observed = set(leaves)
    edges, kept = [frozenset(edge) for edge in model], {frozenset(edge) for edge in true}
    if not observed or any(len(edge) != 2 for edge in edges) or len(set(edges)) < len(edges):
        raise ValueError("A latent forest needs leaves, and edges between two nodes, each once.")
    if not kept <= set(edges):
        raise ValueError("Every true edge is one of the model.")
    if _has_cycle(edges):
        raise ValueError("A forest has no cycle.")
    degrees, true_degrees = _degrees(edges), _degrees(kept)
    if any(degrees.get(node, 0) > 1 for node in observed):
        raise ValueError("Observed nodes are leaves: each has one edge at most.")
    latent = set(degrees) - observed
    if any(degrees[node] < 3 for node in latent):
        raise ValueError("Each latent node of the model has three edges or more.")
    if any(true_degrees.get(node, 2) < 2 for node in latent):
        raise ValueError("Each latent node of the truth has two edges or more, or none.")
    inside = observed | set(true_degrees)
    twofold = sum(true_degrees.get(node, 0) == 2 for node in latent)
    dimension = len(observed) + len(kept) - twofold
    ends = sum(len(edge & inside) for edge in edges if edge not in kept)
    return RLCT.proved(
        Fraction(dimension, 2) + Fraction(ends, 4),
        1,
        how="Gaussian latent forest (Drton, Lin, Weihs & Zwiernik 2017)",
    )


def _degrees(edges: Iterable[frozenset[str]]) -> dict[str, int]:
    degrees: dict[str, int] = {}
    for node in chain.from_iterable(edges):
        degrees[node] = degrees.get(node, 0) + 1
    return degrees


def _has_cycle(edges: Iterable[frozenset[str]]) -> bool:
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for one, other in (tuple(edge) for edge in edges):
        if root(one) == root(other):
            return True
        parent[root(one)] = root(other)
    return False
