"""The numbers that decide what the discrete post and its thread claim, each with its error.

Claims are numbered as in the ledger of the project: 1 to 22 belong to the post. Those about SGD as a Markov chain
(1, 9, 10, 17, 18, 19) are decided elsewhere.
"""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch

from singulab.discrete.boltzmann import agreement, law, metropolis, mismatches, vanishing_beta
from singulab.discrete.complexity import lempel_ziv
from singulab.discrete.fibres import fibres
from singulab.discrete.lattice import Number, counts, crossing, row, square
from singulab.discrete.levels import decimal, multiples
from singulab.discrete.machine import Machine, boolean_inputs, boolean_network, sign_network
from singulab.discrete.outputs import Rounding, text
from singulab.discrete.precision import rounded, vanishing_pairs
from singulab.discrete.simplicity import spearman
from singulab.discrete.training import Optimiser, trained
from singulab.evidence import Evidence, Experiment


def boltzmann_law(*, beta: float = 0.7, num_chains: int = 20_000, seed: int = 0) -> Evidence:
    """Claim 2: a Gibbs sampler on a finite set visits f in proportion to e^{−βL(f)}·|A⁻¹(f)|.

    The total variation between chains and law, less what as many exact draws show; its spread is the error.
    """
    machine = sign_network(3, 3)
    found, loss = fibres(machine), mismatches([0, 0, 0, 1, 0, 1, 1, 1])
    exact = law(found, loss(found.symbols), beta)
    ended = metropolis(machine, loss, beta, num_chains=num_chains, num_steps=200, seed=seed)
    seen = agreement(ended, found, exact)
    return Evidence(
        claim=2,
        quantity="total variation of Metropolis from the law, beyond that of exact draws",
        value=seen.total_variation - seen.expected_total_variation,
        se=seen.total_variation_se,
        theory=0.0,
        claimed=0.0,
    )


def complexity_correlation(*, num_draws: int = 100_000, least: int = 2, seed: int = 0) -> Evidence:
    """Claim 3: A-complexity is close to a complexity of the function itself.

    Spearman's correlation of c(f) with C_LZ in the 7-40-40-1 system, over functions met ``least`` times or more.
    A correlation of 1 would be a perfect ordering; it says nothing about Kolmogorov's own complexity.
    """
    found = fibres(boolean_network((7, 40, 40, 1)), num_draws=num_draws, seed=seed)
    often = found.counts >= least
    complexity = np.array([lempel_ziv(table) for table in text(found.symbols[often])])
    seen = spearman(found.complexity[often], complexity, seed=seed)
    return Evidence(
        claim=3,
        quantity="Spearman correlation of A-complexity and C_LZ, 7-40-40-1",
        value=seen.value,
        se=seen.se,
        claimed=1.0,
    )


def parameters_of_one_function(
    eta: Number = "0.01", mesh: Number = "0.001", reach: Number = "0.1"
) -> Evidence:
    """Claim 4: the simplest function is all that there is to see.

    (0, 0) and (0, 1) of θ₁θ₂ are settings of one function, of one loss and one A-complexity. Yet the settings
    of that function within ``reach`` in both coordinates are more around (0, 0): this is their ratio.
    """
    step = decimal(mesh, "mesh")
    side = int(decimal(reach, "reach") / step)
    at_crossing = square(eta, mesh, reach)
    top = int(
        1 / step
    )  # the square around (0, 1): half of it lies outside [−1, 1]², and is counted here
    at_axis = sum(
        2 * min(_floor_below(decimal(eta, "eta") / (2 * step**2)) // k, side) + 1
        for k in range(top - side, top + side + 1)
    )
    return Evidence(
        claim=4,
        quantity="settings of the function 0 near (0, 0), per setting of it near (0, 1)",
        value=at_crossing / at_axis,
        se=0.0,
        claimed=1.0,
    )


def one_macrostate(eta: float = 0.01, mesh: str = "0.1") -> Evidence:
    """Claim 4 again: the difference of A-complexity between (0, 0) and (0, 1), which the map itself gives."""
    machine = Machine(
        network=lambda weights, inputs: (weights.prod(1, keepdim=True) * inputs.T)[:, :, None],
        num_weights=2,
        weights=multiples(mesh),
        inputs=torch.ones(1, 1, dtype=torch.float64),
        outputs=Rounding(eta),
    )
    found = fibres(machine)
    functions = machine.functions(torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
    first, second = (found.count(row) for row in machine.symbols(functions))
    return Evidence(
        claim=4,
        quantity="c(f) at (0, 0) less c(f) at (0, 1), nats",
        value=math.log(second / first),
        se=0.0,
        theory=0.0,
        claimed=0.0,
    )


def disk_weight(eta: Number = "0.01", mesh: Number = "1e-5") -> Evidence:
    """Claim 5: the disk at the origin holds πη/ε² points. The count over that."""
    found = crossing(eta, mesh)
    expected = math.pi * float(found.eta) / float(found.mesh) ** 2
    return Evidence(
        claim=5, quantity="points of the disk over πη/ε²", value=found.origin / expected, se=0.0,
        theory=1.0, claimed=1.0,
    )  # fmt: skip


def row_weight(eta: Number = "0.01", mesh: Number = "1e-5", place: int = 30_000) -> Evidence:
    """Claim 6, first half: at (kε, 0) there are η/(kε²) points. The count over that."""
    step = float(decimal(mesh, "mesh"))
    expected = float(decimal(eta, "eta")) / (place * step**2)
    return Evidence(
        claim=6, quantity="points of the row at kε over η/(kε²)",
        value=row(eta, mesh, place) / expected, se=0.0, theory=1.0, claimed=1.0,
    )  # fmt: skip


def rest_weight(eta: Number = "0.01", meshes: tuple[Number, Number] = ("1e-4", "1e-6")) -> Evidence:
    """Claim 6, second half: all points but the disk sum to √η/ε.

    The power of 1/ε with which they grow: 1 if the claim holds, 2 if the harmonic sum (4η/ε²)·log(R/√η) does.
    """
    coarse, fine = (crossing(eta, mesh) for mesh in meshes)
    rest = (fine.total - fine.origin) / (coarse.total - coarse.origin)
    return Evidence(
        claim=6,
        quantity="power of 1/ε in the number of points outside the disk",
        value=math.log(rest) / math.log(float(coarse.mesh / fine.mesh)),
        se=0.0,
        theory=2.0,
        claimed=1.0,
    )


def share_of_origin(eta: Number = "1e-10", mesh: Number = "1e-4") -> Evidence:
    """Claim 7: as η/ε² → 0 the origin takes everything. Its share there; theory 1/(4R/ε + 1)."""
    found = crossing(eta, mesh)
    return Evidence(
        claim=7,
        quantity=f"share of the origin at η/ε² = {float(found.eta / found.mesh**2):g}",
        value=found.share,
        se=0.0,
        theory=found.limit.share,
        claimed=1.0,
    )


def share_in_fine_lattice(eta: Number = "1e-4", mesh: Number = "1e-7") -> Evidence:
    """Claim 7, read charitably: as η/ε² → ∞ the origin takes everything. Theory π/(2(1 + ln(2R²/η)))."""
    found = crossing(eta, mesh)
    return Evidence(
        claim=7,
        quantity=f"share of the origin at η/ε² = {float(found.eta / found.mesh**2):g}",
        value=found.share,
        se=0.0,
        theory=found.limit.share,
        claimed=1.0,
    )


def square_mass(sizes: Sequence[float] = (1e6, 1e12), side: float = 0.1) -> tuple[Evidence, ...]:
    """Claim 8: the origin is privileged. The mass of |x|, |y| ≤ side under e^{−nx²y²} on [−1, 1]², for several n.

    ∫ over y is an error function, and that over log x is done by Gauss–Legendre; the error is the difference
    to half as many nodes. It tends to 1 with n, like 1 − 4 log(1/side)/(log n + γ_E + log 4).
    """

    def mass(num_data: float, reach: float, num_nodes: int) -> float:
        node, weight = np.polynomial.legendre.leggauss(num_nodes)
        low, high = math.log(reach) - 40, math.log(reach)
        x = np.exp((high - low) / 2 * node + (high + low) / 2)
        inner = torch.erf(torch.from_numpy(x * reach * math.sqrt(num_data))).numpy()
        return float((high - low) / 2 * weight @ inner)

    found = []
    for n in sizes:
        value, rough = (mass(n, side, k) / mass(n, 1.0, k) for k in (400, 200))
        theory = 1 - 4 * math.log(1 / side) / (math.log(n) + np.euler_gamma + math.log(4))
        found.append(
            Evidence(claim=8, quantity=f"mass of the square of side {side:g} at n = {n:g}",
                     value=value, se=abs(value - rough), theory=theory)
        )  # fmt: skip
    return tuple(found)


def square_share(eta: Number = "1e-6", mesh: Number = "1e-8", side: Number = "0.1") -> Evidence:
    """Claim 8 on the lattice: the share of a fixed square in the points that round to 0.

    Theory (1 + log(2a²/η))/(1 + log(2/η)), which tends to 1 with η → 0 as slowly as logarithms do.
    """
    a, height = float(decimal(side, "side")), float(decimal(eta, "eta"))
    return Evidence(
        claim=8,
        quantity=f"share of the square of side {a:g} at η = {height:g}",
        value=square(eta, mesh, side) / square(eta, mesh, 1),
        se=0.0,
        theory=(1 + math.log(2 * a * a / height)) / (1 + math.log(2 / height)),
    )


def volume_exponent(
    polynomial: str,
    etas: Sequence[Number],
    mesh: Number,
    *,
    claim: int,
    theory: float,
    claimed: float | None = None,
) -> Evidence:
    """λ of a loss K that is given as a polynomial: the slope of log count over several η.

    The error is that of the slope from the scatter around the line, which the lattice causes.
    """
    totals = [found.total for found in counts(polynomial, etas, mesh)]
    x, y = (np.log([float(n) for n in side]) for side in (etas, totals))
    x -= x.mean()
    slope = float(x @ y / (x @ x))
    scatter = y - y.mean() - slope * x
    se = math.sqrt(float(scatter @ scatter) / max(len(x) - 2, 1) / float(x @ x))
    return Evidence(
        claim=claim,
        quantity=f"volume exponent of {polynomial}",
        value=slope,
        se=se,
        theory=theory,
        claimed=claimed,
    )


def exponent_at_rank() -> tuple[Evidence, ...]:
    """Claim 11: a minimum of rank r has volume ε^{r/2+(d−r)/3}. Rank 0 in one weight, rank 1 in two."""
    fine = [1e-8 * 2**k for k in range(6)]
    coarse = [1e-3 * 2**k for k in range(6)]
    return (
        volume_exponent("x^4", fine, "1e-6", claim=11, theory=1 / 4, claimed=1 / 3),
        volume_exponent("x^2 + y^4", coarse, "5e-4", claim=11, theory=3 / 4, claimed=5 / 6),
    )


def exponent_against_rank() -> tuple[Evidence, ...]:
    """Claim 12: lower rank means more volume. Rank 0 with λ = 1 beside rank 1 with λ = ½, in four weights."""
    etas = [0.05 * 1.5**k for k in range(7)]
    return (
        volume_exponent("a^4 + b^4 + c^4 + d^4", etas, "0.04", claim=12, theory=1.0),
        volume_exponent("a^2 + 0*b + 0*c + 0*d", etas, "0.04", claim=12, theory=0.5),
    )


def multiplicity_at_equal_rank(mesh: Number = "1/2000") -> tuple[Evidence, ...]:
    """Claim 12: x²y² and (x² + y²)² share rank 0 and λ = ½ and differ in m, so that rank cannot tell their volumes.

    V(η)/η^λ grows by log(η₁/η₂)·(its coefficient) between two η if m = 2, and stays if m = 1. For K = x²y² the area is
    4√η(1 + ½log(1/η)), for (x² + y²)² it is π√η.
    """
    high, low = 1e-2, 1e-4
    found = []
    for polynomial, area in (
        ("x*y", lambda eta: 1 + math.log(1 / eta) / 2),
        ("x^2 + y^2", lambda eta: 1.0),
    ):
        # |p| < η/2 is K = p² below (η/2)².
        coarse, fine = counts(polynomial, [2 * math.sqrt(high), 2 * math.sqrt(low)], mesh)
        growth = fine.total / coarse.total * math.sqrt(high / low)
        found.append(
            Evidence(claim=12, quantity=f"growth of V(η)/√η of ({polynomial})² from η = 1e-2 to 1e-4",
                     value=growth, se=0.0, theory=area(low) / area(high))
        )  # fmt: skip
    return tuple(found)


def hessian_at_crossing(mesh: Number = "0.001") -> Evidence:
    """Claim 13: at a self-intersection the Hessian is not defined. Its largest entry at (0, 0) for K = x²y², exactly.

    Central second differences on the lattice, in rational numbers; K is a polynomial, and they are 0 at every mesh.
    """
    step = decimal(mesh, "mesh")

    def loss(x: int, y: int) -> Fraction:
        return (x * step) ** 2 * (y * step) ** 2

    along = [(loss(i, j) - 2 * loss(0, 0) + loss(-i, -j)) / step**2 for i, j in ((1, 0), (0, 1))]
    mixed = (loss(1, 1) - loss(1, -1) - loss(-1, 1) + loss(-1, -1)) / (4 * step**2)
    largest = max(abs(entry) for entry in (*along, mixed))
    return Evidence(
        claim=13,
        quantity="largest entry of the Hessian of x²y² at its self-intersection",
        value=float(largest),
        se=0.0,
        theory=0.0,
    )


def exponent_at_singular_point(polynomial: str, theory: float) -> Evidence:
    """Claim 14: the exponent of K = p² that belongs to the singular point of {p = 0} alone.

    Smooth parts of the curve add a volume that is linear in η. V(2η) − 2V(η) is free of it, and grows like the
    volume of the singular point: η^{2λ}. The error is the change from η to 2η.
    """
    totals = [c.total for c in counts(polynomial, [0.0025 * 2**k for k in range(4)], "1/4000")]
    steps = [b - 2 * a for a, b in itertools.pairwise(totals)]
    value, rough = (math.log2(b / a) / 2 for a, b in itertools.pairwise(steps))
    return Evidence(
        claim=14,
        quantity=f"exponent of the singular point of ({polynomial})²",
        value=value,
        se=abs(value - rough),
        theory=theory,
    )


def exponents_at_singular_points() -> tuple[Evidence, ...]:
    """Claim 14: singular points are where more directions open.

    At the cusp λ = 5/12 is below the ½ of the curve; at the node, where the tangent space jumps too, λ is ½ as
    anywhere, and only the multiplicity is 2.
    """
    return (
        exponent_at_singular_point("y^2 - x^3", 5 / 12),
        exponent_at_singular_point("x^2 - y^2", 1 / 2),
    )


def enumerable_at_float_precision(
    names: Sequence[str] = ("float16", "bfloat16"),
) -> tuple[Evidence, ...]:
    """Claim 15: the discrete picture is harder to compute with. c(0) of x·y in float formats, in nats, exactly.

    Beside each stands c(0) of θ₁θ₂ on a uniform lattice with as many levels, its outputs rounded to the same mesh:
    levels that crowd around 0 make the function 0 far more probable than levels at equal distances.
    """
    found = []
    for name in names:
        pairs = vanishing_pairs(name)
        side = (math.isqrt(pairs.pairs) - 1) // 2
        even = crossing(f"1/{side}", f"1/{side}")
        found += [
            Evidence(claim=15, quantity=f"A-complexity of the function 0 of x·y in {name}, nats",
                     value=pairs.complexity, se=0.0),
            Evidence(claim=15, quantity=f"the same on a uniform lattice of {2 * side + 1} levels, nats",
                     value=math.log((2 * side + 1) ** 2 / even.total), se=0.0),
        ]  # fmt: skip
    return tuple(found)


def precision_and_generalisation(
    *, num_runs: int = 512, few: int = 5, many: int = 16, seed: int = 0
) -> tuple[Evidence, ...]:
    """Claim 16: if smoothness mattered, lower precision would hurt generalisation.

    5-20-1 networks trained on half of the inputs of the majority function, then rounded to uniform grids: the
    error off the training set at ``few`` bits less that at ``many``, run by run, and the fewest bits at which 99 %
    of the networks still fit what they were trained on.
    """
    machine = boolean_network((5, 20, 1))
    targets = (boolean_inputs(5).sum(1) > 2.5).long().numpy()
    trained_on = np.arange(0, 32, 2) + np.arange(16) // 4 % 2
    rest = np.setdiff1d(np.arange(32), trained_on)
    optimiser = Optimiser(learning_rate=0.5, num_steps=2_000, until_fit=False)
    runs = trained(machine, targets, trained_on, num_runs=num_runs, optimiser=optimiser, seed=seed)
    weights = runs.weights[torch.from_numpy(runs.fit)]

    def symbols(precision: int) -> np.ndarray:
        held = torch.stack([rounded(one, precision) for one in weights])
        return machine.symbols(machine.functions(held))

    def errors(precision: int) -> np.ndarray:
        return (symbols(precision)[:, rest] != targets[rest]).mean(axis=1)

    change = errors(few) - errors(many)
    threshold = many
    for precision in range(many, 1, -1):
        fit = (symbols(precision)[:, trained_on] == targets[trained_on]).all(axis=1)
        if fit.mean() < 0.99:
            break
        threshold = precision
    return (
        Evidence(
            claim=16,
            quantity=f"error off the training set at {few} bits less that at {many}",
            value=float(change.mean()),
            se=float(change.std(ddof=1) / math.sqrt(len(change))),
            theory=0.0,
            claimed=0.0,
        ),
        Evidence(
            claim=16,
            quantity="bits of a weight below which fits are lost",
            value=float(threshold),
            se=0.5,
        ),
    )


def second_best_fits(mesh: Number = "0.01") -> Evidence:
    """Claim 22 and the thread's last exchange: on a finite set the second-best fits vanish at a definite n.

    K = θ₁²θ₂² on a lattice has a gap ε⁴ between 0 and its next value. The least n at which all settings with
    K > 0 have less than 1 % together, in units of 1/gap; in the continuum there is no such n.
    """
    step = decimal(mesh, "mesh")
    machine = Machine(
        network=lambda weights, inputs: (weights.prod(1, keepdim=True) * inputs.T)[:, :, None],
        num_weights=2,
        weights=multiples(step),
        inputs=torch.ones(1, 1, dtype=torch.float64),
        outputs=Rounding(float(step**2)),
    )
    found = fibres(machine)
    losses = (found.symbols[:, 0] * float(step**2)) ** 2.0
    return Evidence(
        claim=22,
        quantity="n × gap at which second-best fits have less than 1 %",
        value=vanishing_beta(found, losses) * float(step**4),
        se=0.0,
    )


def exponent_of_flat_minimum(mesh: Number = "1e-6") -> Evidence:
    """Claim 20: analyticity matters. λ_eff of e^{−1/x²} on a lattice at a loss of η = 10⁻²⁰⁰.

    The count is 2/(ε√log(2/η)), so λ_eff = 1/(2 log(2/η)), which tends to 0 and never settles.
    """
    step = decimal(mesh, "mesh")

    def points(log_eta: float) -> int:
        return 2 * int(1 / (math.sqrt(math.log(2) - log_eta) * float(step))) + 1

    log_eta, width = -200 * math.log(10), 20.0
    value = math.log(points(log_eta + width) / points(log_eta - width)) / (2 * width)
    return Evidence(
        claim=20, quantity="λ_eff of exp(−1/x²) at a loss of 1e-200", value=value,
        se=2 / points(log_eta) / width, theory=1 / (2 * (math.log(2) - log_eta)),
    )  # fmt: skip


def perturbed_loss(distance: float = 0.1) -> tuple[Evidence, ...]:
    """Claim 21: a net near (0, 0) is better than one equally near (0, 1). Largest K = x²y² on circles around both."""
    angle = np.linspace(0, 2 * math.pi, 100_001)
    x, y = distance * np.cos(angle), distance * np.sin(angle)
    return (
        Evidence(claim=21, quantity=f"largest loss at distance {distance:g} from (0, 0)",
                value=float(((x * y) ** 2).max()), se=0.0, theory=distance**4 / 4),
        Evidence(claim=21, quantity=f"mean loss at distance {distance:g} from (0, 1) over that from (0, 0)",
                value=float(((x * (1 + y)) ** 2)[1:].mean() / ((x * y) ** 2)[1:].mean()), se=0.0,
                theory=4 / distance**2 + 1),
    )  # fmt: skip


def worst_singularity(num_data: float = 1e8, mesh: float = 1e-6) -> Evidence:
    """Claim 22: the singularity of least λ takes all. Mass near 1 (λ = ½) per mass near 0 (λ = ¼), K = x⁴(x − 1)².

    The power of n with which it falls, on a lattice of [−1, 2]: theory −(½ − ¼).
    """

    def odds(n: float) -> float:
        x = np.arange(-1, 2, mesh)
        weight = np.exp(-n * x**4 * (x - 1) ** 2)
        return float(weight[x > 0.5].sum() / weight[x <= 0.5].sum())

    ends = num_data, num_data / 16
    value = math.log(odds(ends[0]) / odds(ends[1])) / math.log(16)
    rough = math.log(odds(ends[1]) / odds(ends[1] / 16)) / math.log(16)
    return Evidence(
        claim=22, quantity="power of n in the odds of the lesser singularity", value=value,
        se=abs(value - rough), theory=-0.25, claimed=-0.25,
    )  # fmt: skip


EVIDENCE: dict[int, tuple[Experiment, ...]] = {
    2: (boltzmann_law,),
    3: (complexity_correlation,),
    4: (parameters_of_one_function, one_macrostate),
    5: (disk_weight,),
    6: (row_weight, rest_weight),
    7: (share_of_origin, share_in_fine_lattice),
    8: (square_mass, square_share),
    11: (exponent_at_rank,),
    12: (exponent_against_rank, multiplicity_at_equal_rank),
    13: (hessian_at_crossing,),
    14: (exponents_at_singular_points,),
    15: (enumerable_at_float_precision,),
    16: (precision_and_generalisation,),
    20: (exponent_of_flat_minimum,),
    21: (perturbed_loss,),
    22: (second_best_fits, worst_singularity),
}


def _floor_below(limit: Fraction) -> int:
    return -(-limit.numerator // limit.denominator) - 1
