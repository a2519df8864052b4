import math

import numpy as np
import pytest
import torch
from torch import nn

from singulab.dynamics import (
    DataRegression,
    GaussianRegression,
    Network,
    Noisy,
    dissipation,
    fluctuation_dissipation,
    outer,
    simulate,
    stationary_covariance,
)
from singulab.errors import DivergedError


def run(problem, rate, **given):
    given = {
        "num_steps": 400,
        "burn_in": 100,
        "num_replicas": 512,
        "start": problem.center,
        "observables": {
            "outer": outer(problem.center),
            "dissipation": dissipation(problem, problem.center),
        },
        **given,
    }
    return simulate(problem, rate=rate, **given)


def data_regression(replacement):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(20, generator=generator, dtype=torch.float64)
    return DataRegression(x, y, batch_size=5, replacement=replacement)


CORRELATED = np.array([[1.0, 0.3], [0.3, 0.5]])
PROBLEMS = {
    "fresh data": GaussianRegression(np.array([1.0, 0.5, 0.3]), batch_size=2),
    "correlated inputs": GaussianRegression(CORRELATED, batch_size=2, label_noise=0.5),
    "a data set": data_regression(replacement=True),
    "without replacement": data_regression(replacement=False),
    "added noise": Noisy(GaussianRegression(CORRELATED, batch_size=4), CORRELATED / 3),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_replicas_follow_the_exact_law(name):
    """A sound run fails by chance 1 time in 1 000 in either assertion."""
    problem = PROBLEMS[name]
    chains = run(problem, 0.2)
    exact = stationary_covariance(problem, 0.2)
    found = chains.means("outer")
    assert found.p_value(exact[np.triu_indices(len(exact))]) > 1e-3
    assert (found.se < 0.05 * np.diag(exact).max()).all()
    pull, noise, difference = fluctuation_dissipation(chains)
    assert abs(difference.z(0.0)) < 3.3
    assert difference.se < 0.1 * pull.value
    assert noise.value > 0


def test_the_law_of_the_diffusion_is_told_apart():
    problem = PROBLEMS["fresh data"]
    chains = run(problem, 0.4, num_steps=1500, num_replicas=1024)
    first_order = 0.4 / 4 * np.eye(3)[np.triu_indices(3)]
    assert chains.means("outer").p_value(first_order) < 1e-6


def test_a_replica_runs_the_same_beside_any_number_of_others():
    problem = PROBLEMS["a data set"]
    few, many = (run(problem, 0.2, num_steps=120, num_replicas=count).w for count in (16, 300))
    torch.testing.assert_close(few, many[:16], rtol=1e-12, atol=1e-12)


def test_the_square_of_the_weights_grows_by_what_the_identity_leaves_open():
    """E|w'|² = E|w|² − 2ηE[w·∇L] + η²E|g|², step by step, for a network far from equilibrium."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x = torch.randn(30, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(30, 1, generator=generator, dtype=torch.float64)
    network = Network(model, x, y, lambda f, y: (f - y).square().sum(1) / 2, batch_size=2)
    origin, rate, steps = torch.zeros_like(network.weights), 0.1, 60
    chains = simulate(
        network,
        rate=rate,
        num_steps=steps,
        num_replicas=400,
        start=network.weights,
        observables={"dissipation": dissipation(network, origin)},
    )
    pull, noise = chains.averages["dissipation"].T
    gained = chains.w.square().sum(1).numpy() - float(network.weights.square().sum())
    left = gained - steps * (-2 * rate * pull + rate**2 * noise)
    se = left.std(ddof=1) / math.sqrt(len(left))
    assert abs(left.mean()) < 3.5 * se
    assert se < 0.1 * steps * rate**2 * noise.mean()


def test_averages_skip_burn_in_and_thin():
    problem = PROBLEMS["fresh data"]
    seen = []

    def observe(moment):
        seen.append(moment.w.clone())
        return moment.w[:, 0]

    chains = run(
        problem, 0.1, num_steps=20, burn_in=5, every=4, num_replicas=3,
        observables={"first": observe},
    )  # fmt: skip
    assert chains.num_kept == len(seen) == 4
    np.testing.assert_allclose(
        chains.averages["first"][:, 0], torch.stack(seen)[:, :, 0].mean(0).numpy()
    )


def test_replicas_that_diverge_are_named():
    with pytest.raises(DivergedError, match="lower the rate") as caught:
        run(PROBLEMS["fresh data"], 50.0, num_steps=2000, num_replicas=64)
    assert caught.value.chains


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"rate": 0.0}, "must be positive and finite"),
        ({"num_steps": 0}, "num_steps ≥ 1"),
        ({"burn_in": 400}, "0 ≤ burn_in < num_steps"),
        ({"every": 0}, "every ≥ 1"),
        ({"start": torch.zeros(5)}, r"start must have shape \(3,\) or \(512, 3\)"),
        ({"num_replicas": 0}, "num_replicas must be at least 1"),
        ({"seed": -1}, "seed must be a non-negative integer"),
    ],
)
def test_bad_input_is_one_sentence(given, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        run(PROBLEMS["fresh data"], **{"rate": 0.1, **given})


def test_the_identity_asks_for_its_observable():
    chains = run(PROBLEMS["fresh data"], 0.1, num_steps=2, burn_in=0, observables={})
    with pytest.raises(ValueError, match="needs chains with the observable 'dissipation'"):
        fluctuation_dissipation(chains)
