"""The numbers that decide what a post on singular learning theory and its thread claim about SGD.

Claims are numbered as in the ledger of the project. Every function returns numbers with their errors, beside what they
would be if the claim were right and what theory says they are. Deciding is left to whoever keeps the ledger;
``EVIDENCE`` is what it calls.
"""

import math

import numpy as np
import torch
from torch import Tensor

from singulab.dynamics.diffusion import total_variation
from singulab.dynamics.flow import conservation_error, flow
from singulab.dynamics.label_noise import (
    Control,
    Product,
    label_noise_drift,
    noiseless_drift,
)
from singulab.dynamics.line import Saturating, spread
from singulab.dynamics.mean import Mean
from singulab.dynamics.problem import isotropic
from singulab.dynamics.rate import post_numbers, rate_advice
from singulab.dynamics.regression import GaussianRegression
from singulab.dynamics.ring import RingChain, ring_run
from singulab.dynamics.stationary import stationary
from singulab.dynamics.wells import TwoWells
from singulab.dynamics.width import mean_squared_gradient
from singulab.evidence import Evidence, Experiment

HESSIAN = (1.0, 0.5, 0.25, 0.1)
BATCH_SIZE = 4


def stationary_law(*, num_replicas: int = 2048, seed: int = 0) -> tuple[Evidence, ...]:
    """Claim 1, SGD's stationary law is ∝ e^{−βL}: how Σ depends on the curvature, at η → 0."""
    problem = GaussianRegression(np.array(HESSIAN), batch_size=BATCH_SIZE)
    rates = (0.025, 0.05, 0.1)
    own = stationary(problem, rates, num_replicas=num_replicas, seed=seed)
    same = stationary(isotropic(problem), rates, num_replicas=num_replicas, seed=seed + 1)
    quantity = "slope of log Σ against log h at η → 0"
    found = []
    for scan, what, theory in (
        (own, "minibatch noise", 0.0),
        (same, "noise alike in all directions", -1.0),
    ):
        at_zero = scan.slope_limit()
        found.append(
            Evidence(
                claim=1,
                quantity=f"{quantity}, {what}",
                value=at_zero.value,
                se=at_zero.se,
                claimed=-1.0,
                theory=theory,
                how=f"linear regression, H = {HESSIAN}, B = {BATCH_SIZE}, rates {rates}, "
                f"{num_replicas} replicas",
            )
        )
    return tuple(found)


def attraction_to_zero(*, num_replicas: int = 10_000, seed: int = 0) -> tuple[Evidence, ...]:
    """Claim 9, gradient descent will more likely pick θ = 0 for θ₁θ₂: flow, SGD, SGD with noisy labels."""
    layers = [torch.tensor([[1.0]]).double(), torch.tensor([[0.3]]).double()]

    def loss(w: list[Tensor]) -> Tensor:
        return (w[1] @ w[0]).square().sum() / 2

    coarse, lost = (
        conservation_error(layers, flow(loss, layers, 50.0, tolerance=tolerance))
        for tolerance in (1e-8, 1e-11)
    )
    still = noiseless_drift(num_replicas=num_replicas, seed=seed)
    drift = label_noise_drift(Product(), num_replicas=num_replicas, seed=seed)
    how = f"η = {drift.rate:g}, {drift.num_steps} steps, {num_replicas} replicas"
    return (
        Evidence(
            claim=9,
            quantity="relative change of θ₁² − θ₂² under gradient flow",
            value=lost,
            se=abs(coarse - lost),
            claimed=1.0,
            theory=0.0,
            how="Runge–Kutta of order 8 over 50 units of time from (1, .3); se: change with the tolerance",
        ),
        Evidence(
            claim=9,
            quantity="share of θ₁² − θ₂² left by SGD without label noise",
            value=still.value,
            se=still.se,
            claimed=0.0,
            theory=None,
            how=f"from (1, .3), x ~ N(0, 1), {how}",
        ),
        Evidence(
            claim=9,
            quantity="√E[θ₁² − θ₂²] after SGD with label noise",
            value=drift.root_balance.value,
            se=drift.root_balance.se,
            claimed=None,
            theory=drift.second_order,
            how=f"from (1, 0), σ = 1, {how}; theory is second order in η, first order {drift.first_order:.4f}",
        ),
    )


def mechanism(*, num_replicas: int = 10_000, seed: int = 0) -> tuple[Evidence, ...]:
    """Claim 10, nothing draws SGD to singular points rather than to broad basins: a valley without one."""
    control = label_noise_drift(Control(), num_replicas=num_replicas, seed=seed)
    product = label_noise_drift(Product(), num_replicas=num_replicas, seed=seed + 1)
    ratio = math.log(control.coordinate.value) / math.log(product.root_balance.value)
    relative = math.hypot(
        control.coordinate.se / control.coordinate.value / math.log(control.coordinate.value),
        product.root_balance.se / product.root_balance.value / math.log(product.root_balance.value),
    )
    how = f"η = {control.rate:g}, σ = 1, {control.num_steps} steps, {num_replicas} replicas"
    return (
        Evidence(
            claim=10,
            quantity="E y of x√(1+y²) after label noise, from 1",
            value=control.coordinate.value,
            se=control.coordinate.se,
            claimed=None,
            theory=control.second_order,
            how=f"{how}; theory is second order in η, first order {control.first_order:.4f}",
        ),
        Evidence(
            claim=10,
            quantity="speed along the smooth valley over that along θ₁θ₂",
            value=ratio,
            se=abs(ratio) * relative,
            claimed=None,
            theory=math.log(control.second_order) / math.log(product.second_order),
            how=f"ratio of log E y and log √E[θ₁² − θ₂²]; {how}; theory is second order in η, first order 1",
        ),
    )


def learning_rate(*, num_replicas: int = 2048, seed: int = 0) -> tuple[Evidence, ...]:
    """Claim 17, η = O(2N·n_b/D) reproduces Bayes: the rule against the stability limit, and where it works."""
    numbers = post_numbers()
    problem = GaussianRegression(np.array(HESSIAN), batch_size=BATCH_SIZE)
    few, many = rate_advice(problem, 10), rate_advice(problem, 1000)
    scan = stationary(problem, [many.formula], num_replicas=num_replicas, seed=seed)
    excess = scan.points[0].excess_loss
    factor = 2 / problem.num_weights * many.num_data
    width = mean_squared_gradient((8, 16, 32, 64, 128), seed=seed).exponent()
    how = f"linear regression, H = {HESSIAN}, B = {BATCH_SIZE}"
    return (
        Evidence(
            claim=17,
            quantity="the post's rate over the limit of a network trained at the edge of stability",
            value=numbers.rate / numbers.limit,
            se=0.0,
            claimed=None,
            theory=None,
            how="N = 10⁹, n_b = 10⁶, D = 20N, limit 10⁻³: arithmetic",
        ),
        Evidence(
            claim=17,
            quantity="temperature of real runs over that of Bayes in the post's own model",
            value=numbers.temperature / numbers.posterior_temperature,
            se=0.0,
            claimed=1.0,
            theory=None,
            how="ησ²/(2n_b) over 1/D: arithmetic",
        ),
        Evidence(
            claim=17,
            quantity="the rule's rate over the stability limit, n = 10",
            value=few.formula / few.stability_limit,
            se=0.0,
            claimed=None,
            theory=None,
            how=f"{how}: exact law",
        ),
        Evidence(
            claim=17,
            quantity="n·T at the rule's rate, n = 1000",
            value=factor * excess.value,
            se=factor * excess.se,
            claimed=1.0,
            theory=factor * scan.points[0].exact_excess_loss,
            how=f"{how}: 2·excess loss/d of {num_replicas} replicas",
        ),
        Evidence(
            claim=17,
            quantity="divergence from the posterior at the best rate, nats, n = 1000",
            value=many.divergence,
            se=0.0,
            claimed=0.0,
            theory=None,
            how=f"{how}: exact law; what anisotropic noise leaves",
        ),
        Evidence(
            claim=17,
            quantity="exponent of the mean squared gradient in the number of weights",
            value=width.value,
            se=width.se,
            claimed=-1.0,
            theory=-0.5,
            how="ReLU networks of two hidden layers at initialisation, weights N(0, 2/fan_in)",
        ),
    )


def torus(*, num_replicas: int = 4096, seed: int = 0) -> tuple[Evidence, ...]:
    """Claim 18, on a torus homoskedastic noise converges, so the cited explanation fails."""
    wells, line = TwoWells(), Saturating()
    same, own = wells.homoskedastic(), wells.state_dependent()
    coarse_same = wells.homoskedastic(num_cells=200)
    coarse_own = wells.state_dependent(num_cells=200)
    apart = total_variation(same.stationary(), own.stationary())
    speed = own.relaxation_time() / same.relaxation_time()
    found = [
        Evidence(
            claim=18,
            quantity="total variation between the two equilibria on a ring",
            value=apart,
            se=abs(apart - total_variation(coarse_same.stationary(), coarse_own.stationary())),
            claimed=0.0,
            theory=None,
            how="Fokker–Planck by quadrature; se: change from cells twice as wide",
        ),
        Evidence(
            claim=18,
            quantity="relaxation time with state-dependent over that with homoskedastic noise",
            value=speed,
            se=abs(speed - coarse_own.relaxation_time() / coarse_same.relaxation_time()),
            claimed=None,
            theory=None,
            how="gap of the Fokker–Planck operator, the same mean temperature; se: change from cells twice as wide",
        ),
    ]
    shares, exact = _shares_of_the_flat_well(wells, num_replicas, seed)
    found.append(
        Evidence(
            claim=18,
            quantity="share of the flat well, state-dependent minus homoskedastic",
            value=shares[1].value - shares[0].value,
            se=math.hypot(shares[0].se, shares[1].se),
            claimed=0.0,
            theory=exact[1] - exact[0],
            how=f"η = .04, {num_replicas} replicas each",
        )
    )
    for fading, what in ((False, "homoskedastic"), (True, "fading")):
        slope = spread(line, fading=fading, num_replicas=num_replicas, seed=seed).exponent()
        found.append(
            Evidence(
                claim=18,
                quantity=f"d log P(|x| < 5)/d log t on the line, {what} noise",
                value=slope.value,
                se=slope.se,
                claimed=None,
                theory=0.0 if fading else (1 / line.temperature - 1) / 2,
                how=f"L = ½log(1+x²), T = {line.temperature:g}, t = 400 to 1600, {num_replicas} replicas",
            )
        )
    return tuple(found)


def flatness(*, num_replicas: int = 4096, seed: int = 0) -> tuple[Evidence, ...]:
    """Claim 19, the noise of SGD favours flatter points."""
    wells = TwoWells()
    shares, exact = _shares_of_the_flat_well(wells, num_replicas, seed)
    odds = [Mean(math.log(p.value / (1 - p.value)), p.se / p.value / (1 - p.value)) for p in shares]
    drift = label_noise_drift(Product(), num_replicas=num_replicas, seed=seed)
    trace = drift.root_balance.value**2
    return (
        Evidence(
            claim=19,
            quantity="log odds of the flat well, state-dependent minus homoskedastic",
            value=odds[1].value - odds[0].value,
            se=math.hypot(odds[0].se, odds[1].se),
            claimed=None,
            theory=math.log(exact[1] / (1 - exact[1])) - math.log(exact[0] / (1 - exact[0])),
            how=f"two wells of equal depth on a ring, {num_replicas} replicas each",
        ),
        Evidence(
            claim=19,
            quantity="E[θ₁² − θ₂²], tr H on the valley, after label noise, from 1",
            value=trace,
            se=2 * drift.root_balance.value * drift.root_balance.se,
            claimed=None,
            theory=drift.second_order**2,
            how=f"θ₁θ₂, η = {drift.rate:g}, σ = 1, {drift.num_steps} steps, {num_replicas} replicas",
        ),
    )


def _shares_of_the_flat_well(
    wells: TwoWells, num_replicas: int, seed: int
) -> tuple[list[Mean], list[float]]:
    """Replicas in the flat well under homoskedastic and state-dependent noise, and the exact shares."""
    shares, exact = [], []
    for place, diffusion in enumerate((wells.homoskedastic(), wells.state_dependent())):
        run = ring_run(
            RingChain(diffusion, 0.04),
            region=wells.flat,
            num_replicas=num_replicas,
            seed=seed + place,
        )
        shares.append(run.inside)
        exact.append(float(diffusion.stationary() @ wells.flat(diffusion.centers)))
    return shares, exact


EVIDENCE: dict[int, tuple[Experiment, ...]] = {
    1: (stationary_law,),
    9: (attraction_to_zero,),
    10: (mechanism,),
    17: (learning_rate,),
    18: (torus,),
    19: (flatness,),
}
