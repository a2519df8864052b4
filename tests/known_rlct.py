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
