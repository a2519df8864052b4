"""Learning coefficients that are known otherwise: by hand, from the literature, or by two routes.

Each row: K or its generators (apart by commas), λ, m.
"""

LOSSES = [
    ("x^2", "1/2", 1),
    ("x^4", "1/4", 1),
    ("x^2 + y^2 + z^2", "3/2", 1),
    ("x^4 + y^4", "1/2", 1),
    ("x^2 + y^4", "3/4", 1),
    ("x^2*y^2", "1/2", 2),
    ("x^2*y^2*z^2", "1/2", 3),
    ("x^2*y^4", "1/4", 1),
    ("x^2*y^2 + x^6 + y^6", "1/2", 2),
    ("(x*y)^2 + (z*w)^2", "1", 3),
    ("(x*y + z*w)^2", "1/2", 1),
    ("x^2*y^2*(x + y)^2", "1/3", 1),
    ("x^4 + x^2*y + y^2", "3/4", 1),
    ("(y^2 - x^3)^2", "5/12", 1),
    ("(y^2 - x^3)^4", "5/24", 1),
    ("(x^3 + y^4 + z^5)^2", "47/120", 1),
    ("(x^2*y + y^3)^2", "1/3", 1),
    ("(x^2 + y^2)^3", "1/3", 1),
    ("(x^2 + y^2 + z^2)^2", "3/4", 1),
    ("(x^2 + y^2 - z^2)^4", "1/4", 1),
    ("((y^2 - x^3)^2 - x^5*y)^2", "5/24", 1),
    ("((y^2 - x^3)^2 - 4*x^5*y - x^7)^2", "5/24", 1),
    ("(x^2 - y^2*z)^2", "1/2", 2),
    ("(x^2 + y^2 - z^2)^2 + x^6", "2/3", 2),
    ("x^2*y^2 + y^2*z^2 + z^2*x^2", "3/4", 1),
    ("x^2*y^2 + x^4 + y^6", "1/2", 2),
]

# Where the Newton rule, or a reading of the lowest terms, goes wrong.
TRAPS = [
    ("(y - x^2)^2", "1/2", 1),
    ("y^2 - 2*x^2*y + x^4", "1/2", 1),
    ("(x^2 - y^2)^2", "1/2", 2),
    ("(x + y^2)^2 + z^2", "1", 1),
    ("(y^2 - x^3)^2", "5/12", 1),
    ("(x^2 + y^2 + z^2 - w^3)^2", "1/2", 1),
]

# Linear networks, Vandermonde types, mixtures: the numbers of the rows are those of the literature's table.
MODELS = [
    ("a*b", "1/2", 2),  # 1-1-1, rank 0
    ("a*c, b*c", "1/2", 1),  # 2-1-1
    ("a*b + c*d", "1/2", 1),  # 1-2-1
    ("a*b + c*d + e*f", "1/2", 1),  # 1-3-1
    ("a*c, a*d, b*c, b*d", "1", 2),  # 2-1-2
    ("a*c + b*e, a*d + b*f", "1", 2),  # 1-2-2
    ("a*d, a*e, a*f, b*d, b*e, b*f, c*d, c*e, c*f", "3/2", 2),  # 3-1-3
    ("a*b*c", "1/2", 3),  # 1-1-1-1
    ("a*c*d, b*c*d, a*c*e, b*c*e", "1/2", 1),  # 2-1-1-2
    ("a*b + c*d, a*b^2 + c*d^2", "3/4", 1),  # Vandermonde H = 2, Q = 1
    ("a*b + c*d, a*b^3 + c*d^3", "2/3", 1),  # tanh, H = 2
    ("a*b + c*d, a*b^3 + c*d^3, e*b + f*d, e*b^3 + f*d^3", "1", 2),  # tanh, H = 2, two outputs
    ("a*b + c*d, a*b^2 + c*d^2, e*b + f*d, e*b^2 + f*d^2", "1", 2),
    ("a*b, a*c", "1/2", 1),
    ("a*b, c*d", "1", 3),
    ("a^2 + b*c, b*(a + d), c*(a + d), d^2 + b*c", "1", 2),  # W² = 0, 2×2
    ("a*d - b*c", "1/2", 1),
    ("a*c - b^2, b*d - c^2, a*d - b*c", "1", 2),  # cone over the twisted cubic
    ("p*r*u, p*r*v, p*s*u, p*s*v, q*r*u, q*r*v, q*s*u, q*s*v", "1", 3),  # rank-one tensor
]


def matrix(name, rows, columns, ones=0):
    """Entries as texts, with 1 added to the first few of the diagonal."""
    return [
        [f"({name}{i}{j} + 1)" if i == j and i < ones else f"{name}{i}{j}" for j in range(columns)]
        for i in range(rows)
    ]


def product(left, right):
    return [
        ["(" + "+".join(f"{row[k]}*{right[k][j]}" for k in range(len(right))) + ")" for j in range(len(right[0]))]
        for row in left
    ]  # fmt: skip


def linear(*widths, rank=0):
    """A linear network of these widths at the factors [I 0; 0 0]: entries of the product minus the truth."""
    whole = None
    for name, fan_in, fan_out in zip("abcdefgh", widths, widths[1:], strict=False):
        weights = matrix(name, fan_out, fan_in, rank)
        whole = weights if whole is None else product(weights, whole)
    return [
        entry + (" - 1" if i == j and i < rank else "")
        for i, row in enumerate(whole)
        for j, entry in enumerate(row)
    ]


def gram(rows, columns, rank):
    """Entries of W·Wᵀ minus a truth of that rank."""
    w = matrix("w", rows, columns, rank)
    whole = product(w, [list(column) for column in zip(*w, strict=True)])
    return [
        whole[i][j] + (" - 1" if i == j and i < rank else "")
        for i in range(rows)
        for j in range(i, rows)
    ]


def latent_class():
    """Probabilities of three binary features under two classes, minus those of fair and independent ones."""
    cells = []
    for cell in range(8):
        bits = [cell >> i & 1 for i in range(3)]
        first, second = (
            "*".join(f"{n}{i}" if bit else f"(1-{n}{i})" for i, bit in enumerate(bits))
            for n in "pq"
        )
        cells.append(f"a*{first}+(1-a)*{second} - 1/8")
    return cells


def mixture(weights, means, moments):
    """Moments of a mixture whose weights add up to 1."""
    whole = [*weights, "(1-" + "-".join(weights) + ")"]
    return [
        "+".join(f"{w}*{m}^{k}" for w, m in zip(whole, means, strict=True))
        for k in range(1, moments + 1)
    ]


HALF = {f"{n}{i}": "1/2" for n in "pq" for i in range(3)}
OTHER = {**HALF, "q0": "1/3", "q1": "1/5", "q2": "2/7"}

# name, generators, point, λ, m
AT_POINTS = [
    ("linear 1-1-1, rank 1", linear(1, 1, 1, rank=1), {}, "1/2", 1),
    ("linear 2-1-2, rank 1", linear(2, 1, 2, rank=1), {}, "3/2", 1),
    ("linear 2-2-1, rank 1", linear(2, 2, 1, rank=1), {}, "1", 1),
    ("linear 2-2-2, rank 1", linear(2, 2, 2, rank=1), {}, "2", 2),
    ("linear 2-2-2, rank 2", linear(2, 2, 2, rank=2), {}, "2", 1),
    ("linear 3-2-3, rank 1", linear(3, 2, 3, rank=1), {}, "7/2", 2),
    ("linear 3-3-3, rank 1", linear(3, 3, 3, rank=1), {}, "4", 1),
    ("linear 3-3-3, rank 3", linear(3, 3, 3, rank=3), {}, "9/2", 1),
    ("linear 4-1-4, rank 1", linear(4, 1, 4, rank=1), {}, "7/2", 1),
    ("linear 4-1-4, rank 0", linear(4, 1, 4), {}, "2", 2),
    ("linear 1-2-1-2, rank 0", linear(1, 2, 1, 2), {}, "1/2", 1),
    ("linear 1-2-2-1, rank 0", linear(1, 2, 2, 1), {}, "1/2", 1),
    ("linear 2-2-2-1, rank 0", linear(2, 2, 2, 1), {}, "1", 3),
    ("linear 2-2-2-2, rank 0", linear(2, 2, 2, 2), {}, "3/2", 3),
    ("linear 2-2-2-2, rank 1", linear(2, 2, 2, 2, rank=1), {}, "2", 3),
    ("linear 5-3-5, rank 0", linear(5, 3, 5), {}, "13/2", 2),
    ("linear 4-3-8, rank 0", linear(4, 3, 8), {}, "6", 1),
    ("W·Wᵀ 2×2, rank 0", gram(2, 2, 0), {}, "1", 1),
    ("W·Wᵀ 2×2, rank 1", gram(2, 2, 1), {}, "5/4", 1),
    ("W·Wᵀ 3×2, rank 0", gram(3, 2, 0), {}, "3/2", 1),
    ("W·Wᵀ 3×2, rank 1", gram(3, 2, 1), {}, "2", 1),
    ("W·Wᵀ 3×3, rank 1", gram(3, 3, 1), {}, "5/2", 1),
    ("latent class, equal classes", latent_class(), {**HALF, "a": "1/2"}, "9/4", 1),
    ("latent class, one class without weight", latent_class(), {**OTHER, "a": 1}, "2", 1),
    ("latent class, both", latent_class(), {**HALF, "a": 1}, "2", 1),
    ("mixture of 2, equal means", mixture(["a"], "pq", 3), {"a": "1/2"}, "3/4", 1),
    ("mixture of 2, a = p = 0", mixture(["a"], "pq", 3), {}, "3/4", 1),
    ("mixture of 2, a = 0, p = 1", mixture(["a"], "pq", 3), {"p": 1}, "1", 1),
    ("mixture of 3, equal means", mixture(["a", "b"], "pqr", 5), {"a": "1/3", "b": "1/3"}, "1", 1),
    ("determinant of 3×3", ["a*(e*i-f*h)-b*(d*i-f*g)+c*(d*h-e*g)"], {}, "1/2", 1),
    # V = Σ_s s²log²(1/s)·s²log²(1/s)·(ε/s)⁴ over sizes s = 2^{-k} of either rank-one tensor: ε⁴ log⁵(1/ε)
    (
        "rank-two tensor 2×2×2",
        [f"a{i}*b{j}*c{k}+d{i}*e{j}*f{k}" for i in (0, 1) for j in (0, 1) for k in (0, 1)],
        {},
        "2",
        6,
    ),
    ("products of 3 and 4 variables", ["a*b*c*d"], {}, "1/2", 4),
    ("x(x² + y²) as a function, squared", ["x*(x^2+y^2)"], {}, "1/3", 1),
]

# On the orthant.
CORNERS = [
    ("nonnegative 1-2-1", linear(1, 2, 1), "1", 3),
    ("nonnegative 2-2-2", linear(2, 2, 2), "2", 3),
]

# Proved are bounds alone.
BOUNDED = [
    ("Motzkin's form", "x^4*y^2 + x^2*y^4 + z^6 - 3*x^2*y^2*z^2", "1/2", 1),
    ("linear 3-3-3-3, rank 1", linear(3, 3, 3, 3, rank=1), "4", 3),
]


def polynomial_network(power, layers):
    """Outputs of W·(W·(…)^power)^power with W = [[s + t, s²], [s², t²]]."""
    found = ["x", "y"]
    for layer in range(layers):
        p, q = (f"({h})^{power}" for h in found) if layer else found
        found = [f"(s+t)*{p} + s^2*{q}", f"s^2*{p} + t^2*{q}"]
    return {"f": found, "parameters": ["s", "t"], "inputs": ["x", "y"], "truth": ["0", "0"]}


def tanh(f, parameters, truth="0", at=None, inputs="x"):
    return {
        "f": f,
        "parameters": list(parameters),
        "inputs": list(inputs),
        "truth": truth,
        "at": at or {},
    }


TWO = "a*tanh(b*x) + c*tanh(d*x)"
BIASED = "a*tanh(b*x + c) + d*tanh(e*x + f) + g"

# name, arguments of from_model, λ, m
REGRESSIONS = [
    ("a·tanh(b·x + c)", tanh("a*tanh(b*x + c)", "abc"), "1/2", 1),
    ("a·tanh(b·x + c) + d", tanh("a*tanh(b*x + c) + d", "abcd"), "1", 2),
    ("tanh, H = 2, all biases", tanh(BIASED, "abcdefg"), "5/4", 1),
    ("tanh, H = 2, truth of one unit, both on it",
     tanh(TWO, "abcd", "tanh(x)", {"a": "1/2", "b": 1, "c": "1/2", "d": 1}), "5/4", 1),
    ("tanh, H = 2, truth of one unit, the other at 0",
     tanh(TWO, "abcd", "tanh(x)", {"a": 1, "b": 1}), "3/2", 2),
    ("tanh, H = 2, truth of one unit, the other without weight",
     tanh(TWO, "abcd", "tanh(x)", {"a": 1, "b": 1, "d": 2}), "3/2", 1),
    ("polynomial network, r = 2, L = 1", polynomial_network(2, 1), "3/4", 1),
    ("polynomial network, r = 2, L = 2", polynomial_network(2, 2), "1/4", 1),
    ("polynomial network, r = 2, L = 3", polynomial_network(2, 3), "3/28", 1),
    ("polynomial network, r = 3, L = 2", polynomial_network(3, 2), "3/16", 1),
    ("polynomial network, r = 4, L = 2", polynomial_network(4, 2), "3/20", 1),
]  # fmt: skip


def starred(text):
    """Numbers as printed: a star means m = 2."""
    return [(word.rstrip("*"), 1 + word.endswith("*")) for word in text.split()]


VANDERMONDE = [
    ("tanh", 2, 1, "1/2* 2/3 5/6 1* 11/10 6/5 13/10 7/5 3/2* 11/7 23/14 12/7"),
    ("Q = 1", 1, 1, "1/2* 3/4 1* 7/6 4/3 3/2* 13/8 7/4 15/8 2*"),
    ("Q = 3", 3, 1, "1/2* 5/8 3/4 7/8 1* 15/14 8/7 17/14 9/7 19/14"),
    ("tanh, two outputs", 2, 2, "1/2 1* 7/6 4/3 3/2 5/3 11/6 2*"),
]
DEEP = [
    ([1, 1], 0, "1/2", 1), ([1, 1, 1, 1], 0, "1/2", 3), ([2, 1, 1, 2], 0, "1/2", 1),
    ([2, 2, 2], 0, "3/2", 1), ([2, 2, 2, 2], 0, "3/2", 3), ([3, 3, 3], 0, "7/2", 2),
    ([3, 3, 3], 3, "9/2", 1), ([3, 3, 3, 3], 1, "4", 3), ([5, 3, 5], 0, "13/2", 2),
    ([5, 4, 5], 0, "8", 1), ([4, 3, 8], 0, "6", 1), ([4, 1, 4], 1, "7/2", 1), ([4, 1, 4], 0, "2", 2),
    ([10, 2, 10], 0, "19/2", 1), ([10, 2, 10], 1, "14", 2), ([10, 2, 10], 2, "18", 1),
    ([6, 4, 8, 3], 1, "7", 1), ([4, 2, 3, 5], 2, "7", 1), ([10, 10, 10], 5, "47", 2),
    ([10, 20, 20, 10], 0, "50", 1), ([5, 5, 5, 5, 5], 2, "11", 4), ([4] * 6, 0, "5", 5),
    ([20, 30, 40, 30, 20], 7, "397/2", 1), ([100, 80, 60, 80, 100], 25, "2997", 2),
]  # fmt: skip

# name, call with the module of formulas, λ, m where the source states it
FORMULAS = [
    *(
        (f"deep linear {w}, rank {r}", lambda f, w=w, r=r: f.deep_linear(w, r), value, m)
        for w, r, value, m in DEEP
    ),
    *(
        (
            f"Vandermonde {name}, H = {h}",
            lambda f, h=h, q=period, n=outputs: f.vandermonde(h, num_outputs=n, period=q),
            value,
            m,
        )
        for name, period, outputs, row in VANDERMONDE
        for h, (value, m) in enumerate(starred(row), 1)
    ),
    *(
        (
            f"polynomial network, r = {r}, L = {layers}, by formula",
            lambda f, r=r, layers=layers: f.polynomial_network(r, layers),
            value,
            None,
        )
        for r, row in (
            (2, "3/4 1/4 3/28 1/20 3/124"),
            (3, "3/4 3/16 3/52 3/160 3/484"),
            (4, "3/4 3/20 1/28 3/340 3/1364"),
        )
        for layers, value in enumerate(row.split(), 1)
    ),
    ("Gaussian mixture, 2 for 1", lambda f: f.gaussian_mixture(2, 1), "3/4", 1),
    *(
        (
            f"naive Bayes, {n} features, {truth}",
            lambda f, n=n, t=truth: f.naive_bayes(n, t),
            value,
            None,
        )
        for n, truth, value in (
            (1, "independent", "1/2"),
            (2, "independent", "3/2"),
            (3, "independent", "2"),
            (5, "independent", "3"),
            (4, "regular", "9/2"),
            (4, "pair", "7/2"),
        )
    ),
]

# Complex thresholds: name, K or generators, whether λ is equal to the complex bound
OPINIONS = [
    ("1-2-1 twice", ["a*b + c*d", "a*b^2 + c*d^2"], True),
    ("tanh, H = 2", ["a*b + c*d", "a*b^3 + c*d^3"], True),
    ("linear 1-2-2", ["a*c + b*e", "a*d + b*f"], True),
    ("linear 2-2-2", linear(2, 2, 2), True),
    ("linear 2-2-2-1", linear(2, 2, 2, 1), True),
    ("cusp", ["x^2 - y^3"], True),
    ("x³ + y⁴ + z⁵", ["x^3 + y^4 + z^5"], True),
    ("monomials", ["x*y", "z^2"], True),
    ("(x² + y² − z²)² + x⁶", ["x^2 + y^2 - z^2", "x^3"], True),
    ("x² + y² as K: equal λ, real m = 1, complex m = 2", "(x + y)^2 - 2*x*y", True),
    ("x² + y² + z² as K", "(x + y)^2 - 2*x*y + z^2", False),
    ("x² + y² + z² as a generator", ["x^2 + y^2 + z^2"], False),
]

# Losses beside those that only their volumes were compared with: (name, K, λ, m).
VOLUMES = [
    ("odd cubic", "abs(x*(x^2 + y^2))", "2/3", 1),
    ("product of four", "(a*b*c*d)^2", "1/2", 4),
    ("cone", "(x^2 + y^2 - z^2)^2", "1/2", 1),
    ("Motzkin", "x^4*y^2 + x^2*y^4 + z^6 - 3*x^2*y^2*z^2", "1/2", 1),
    ("Gaussian mixture 2 at 1",
     "(a*b + (1 - a)*c)^2 + (a*b^2 + (1 - a)*c^2)^2 + (a*b^3 + (1 - a)*c^3)^2", "3/4", 1),
    ("tanh H = 3",
     "(a*b + c*d + e*f)^2 + (a*b^3 + c*d^3 + e*f^3)^2 + (a*b^5 + c*d^5 + e*f^5)^2", "5/6", 1),
    ("polynomial type H = 3",
     "(a*b + c*d + e*f)^2 + (a*b^2 + c*d^2 + e*f^2)^2 + (a*b^3 + c*d^3 + e*f^3)^2", "1", 2),
    ("rank-1 tensor", "(a^2 + b^2)*(c^2 + d^2)*(e^2 + f^2)", "1", 3),
    ("linear 2-2-2", "(a*e + b*g)^2 + (a*f + b*h)^2 + (c*e + d*g)^2 + (c*f + d*h)^2", "3/2", 1),
    ("linear 1-2-2-1", "(a*(c*g + d*h) + b*(e*g + f*h))^2", "1/2", 1),
]  # fmt: skip
