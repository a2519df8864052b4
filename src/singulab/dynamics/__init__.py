"""SGD as a Markov chain: its noise, its stationary law, where label noise carries it.

Usable alone: nothing here samples a posterior or needs a trace. Thousands of replicas run side by side, and every
measured number comes with the error that their spread gives.
"""

from singulab.dynamics.chain import (
    Chains,
    Moment,
    dissipation,
    fluctuation_dissipation,
    outer,
    simulate,
)
from singulab.dynamics.diffusion import Diffusion, total_variation
from singulab.dynamics.evidence import EVIDENCE
from singulab.dynamics.flow import balance, conservation_error, descent, flow
from singulab.dynamics.gibbs import (
    GibbsTest,
    agreement,
    gibbs_test,
    regional_temperatures,
    regional_thermometers,
    thermometers,
    thermometers_along,
)
from singulab.dynamics.label_noise import (
    Control,
    LabelNoise,
    Product,
    first_order,
    label_noise_drift,
    noiseless_drift,
)
from singulab.dynamics.law import (
    diffusion_covariance,
    excess_loss,
    stability_limit,
    stationary_covariance,
)
from singulab.dynamics.line import LineChain, Saturating, spread
from singulab.dynamics.mean import Limit, Mean, Means, limit, mean, means
from singulab.dynamics.network import Network
from singulab.dynamics.noise import GradientNoise, StreamingNoise, gradient_noise, streamed_noise
from singulab.dynamics.problem import (
    FullBatch,
    Langevin,
    LinearProblem,
    Noisy,
    Problem,
    completed,
    isotropic,
)
from singulab.dynamics.rate import divergence, post_numbers, rate_advice
from singulab.dynamics.regression import DataRegression, GaussianRegression
from singulab.dynamics.ring import RingChain, ring_run
from singulab.dynamics.stationary import (
    StationaryPoint,
    StationaryScan,
    covariance_slope,
    stationary,
)
from singulab.dynamics.wells import TwoWells
from singulab.dynamics.width import WidthScan, mean_squared_gradient

__all__ = [
    "EVIDENCE",
    "Chains",
    "Control",
    "DataRegression",
    "Diffusion",
    "FullBatch",
    "GaussianRegression",
    "GibbsTest",
    "GradientNoise",
    "LabelNoise",
    "Langevin",
    "Limit",
    "LineChain",
    "LinearProblem",
    "Mean",
    "Means",
    "Moment",
    "Network",
    "Noisy",
    "Problem",
    "Product",
    "RingChain",
    "Saturating",
    "StationaryPoint",
    "StationaryScan",
    "StreamingNoise",
    "TwoWells",
    "WidthScan",
    "agreement",
    "balance",
    "completed",
    "conservation_error",
    "covariance_slope",
    "descent",
    "diffusion_covariance",
    "dissipation",
    "divergence",
    "excess_loss",
    "first_order",
    "flow",
    "fluctuation_dissipation",
    "gibbs_test",
    "gradient_noise",
    "isotropic",
    "label_noise_drift",
    "limit",
    "mean",
    "mean_squared_gradient",
    "means",
    "noiseless_drift",
    "outer",
    "post_numbers",
    "rate_advice",
    "regional_temperatures",
    "regional_thermometers",
    "ring_run",
    "simulate",
    "spread",
    "stability_limit",
    "stationary",
    "stationary_covariance",
    "streamed_noise",
    "thermometers",
    "thermometers_along",
    "total_variation",
]
