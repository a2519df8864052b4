import math

import numpy as np
import pytest
import torch

from singulab.discrete import (
    Argmax,
    Layered,
    Machine,
    Optimiser,
    Rounding,
    binary,
    boolean_inputs,
    boolean_network,
    sign_network,
    trained,
    uniform,
)
from singulab.discrete import training as module
from singulab.discrete.training import datum_loss, nearest

MAJORITY = [0, 0, 0, 1, 0, 1, 1, 1]


def test_runs_learn_what_they_are_trained_on():
    machine = boolean_network((3, 8, 1))
    runs = trained(machine, MAJORITY, range(8), num_runs=60, optimiser=Optimiser(learning_rate=0.5))
    assert runs.fit.mean() > 0.9
    assert not runs.diverged.any()
    symbols = machine.symbols(runs.functions)
    assert (symbols[runs.fit] == MAJORITY).all()
    assert np.array_equal(machine.functions(runs.weights), runs.functions)


def test_a_run_is_the_same_beside_any_number_of_others():
    machine = boolean_network((3, 4, 1))
    optimiser = Optimiser(batch_size=2, num_steps=20, temperature=0.01)
    few = trained(machine, MAJORITY, [0, 3, 5], num_runs=3, optimiser=optimiser)
    more = trained(machine, MAJORITY, [0, 3, 5], num_runs=300, optimiser=optimiser)
    assert torch.equal(few.weights, more.weights[:3])
    assert not torch.equal(more.weights[0], more.weights[256])


def test_a_step_of_full_batch_is_gradient_descent():
    machine = boolean_network((2, 3, 1), dtype=torch.float64)
    start = torch.cat([machine.draws(0, 0)])[:5]
    optimiser = Optimiser(learning_rate=0.1, num_steps=1, until_fit=False)
    runs = trained(machine, [0, 1, 1, 0], range(4), num_runs=5, optimiser=optimiser)
    leaf = start.clone().requires_grad_()
    outputs = machine.network(leaf, boolean_inputs(2))[:, :, 0]
    signs = torch.tensor([-1.0, 1.0, 1.0, -1.0])
    torch.log1p(torch.exp(-signs * outputs)).mean(1).sum().backward()
    assert torch.allclose(runs.weights, start - 0.1 * leaf.grad, rtol=0, atol=1e-12)


def test_langevin_noise_has_the_temperature_that_was_asked_for():
    # L = (w/η₀ − 0)²/2 on one input: stationary variance of w ← w − ηw + √(2ηT)ξ is 2ηT/(1 − (1 − η)²).
    machine = Machine(
        network=Layered((1, 1), biases=False),
        num_weights=1,
        weights=uniform(3),
        inputs=torch.ones(1, 1, dtype=torch.float64),
        outputs=Rounding(1.0),
    )
    optimiser = Optimiser(learning_rate=0.2, num_steps=60, temperature=0.5, until_fit=False)
    runs = trained(machine, [0], [0], num_runs=2_048, optimiser=optimiser)
    expected = 2 * 0.2 * 0.5 / (1 - 0.8**2)
    found = float((runs.weights**2).mean())
    assert abs(found / expected - 1) < 4 * math.sqrt(2 / 2_048)


def test_minibatches_are_drawn_from_the_chosen_places():
    machine = boolean_network((3, 1), dtype=torch.float64)
    optimiser = Optimiser(batch_size=1, num_steps=1, until_fit=False, learning_rate=1.0)
    runs = trained(machine, MAJORITY, [2, 4], num_runs=200, optimiser=optimiser)
    start = machine.draws(0, 0)[:200]
    moved = (runs.weights - start)[:, :3] != 0
    # Input 2 is 010 and input 4 is 100: a step moves the weight of one of them, each about half of the runs.
    assert moved.sum(1).tolist() == [1] * 200
    assert not moved[:, 2].any()
    assert abs(int(moved[:, 0].sum()) - 100) < 5 * 50**0.5


def test_losses_are_those_of_torch():
    machine = Machine(
        network=Layered((1, 3), biases=False),
        num_weights=3,
        weights=binary(),
        inputs=torch.ones(2, 1),
        outputs=Argmax(3),
    )
    outputs = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    losses = datum_loss(machine, np.array([2, 0]))(outputs)
    expected = -outputs.log_softmax(2)[:, [0, 1], [2, 0]]
    assert torch.allclose(losses, expected)
    rounding = Machine(
        network=Layered((1, 1), biases=False),
        num_weights=1,
        weights=binary(),
        inputs=torch.ones(2, 1),
        outputs=Rounding(0.5),
    )
    assert datum_loss(rounding, np.array([3, 0]))(torch.ones(1, 2, 1)).tolist() == [[0.5, 2.0]]


def test_weights_go_to_the_nearest_level():
    weights = torch.tensor([[-3.0, -0.1, 0.0, 0.4, 0.6, 9.0]])
    assert nearest(weights, uniform(3)).tolist() == [[-1, 0, 0, 0, 1, 1]]
    assert nearest(weights, binary()).tolist() == [[-1, -1, -1, 1, 1, 1]]


def test_runs_that_leave_the_numbers_are_marked():
    machine = boolean_network((2, 3, 1), activation="linear")
    optimiser = Optimiser(learning_rate=1e30, num_steps=5, until_fit=False)
    runs = trained(machine, [0, 1, 1, 0], range(4), num_runs=4, optimiser=optimiser)
    assert runs.diverged.any()
    assert not (runs.fit & runs.diverged).any()


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: Optimiser(learning_rate=0.0), "learning_rate must be > 0"),
        (lambda: Optimiser(learning_rate=float("nan")), "learning_rate must be > 0"),
        (lambda: Optimiser(temperature=-1.0), "temperature must be ≥ 0"),
        (lambda: Optimiser(batch_size=-1), "batch_size must be ≥ 0"),
        (lambda: Optimiser(num_steps=0), "num_steps ≥ 1"),
        (
            lambda: trained(boolean_network((2, 1)), [0, 1], [0], num_runs=1),
            "needs 4 symbols, got 2",
        ),
        (lambda: trained(boolean_network((2, 1)), [0] * 4, [], num_runs=1), "one or more places"),
        (lambda: trained(boolean_network((2, 1)), [0] * 4, [4], num_runs=1), "places from 0 to 3"),
        (
            lambda: trained(boolean_network((2, 1)), [0] * 4, [0], num_runs=0),
            "num_runs must be at least 1",
        ),
        (lambda: trained(sign_network(2, 1), [0] * 4, [0], num_runs=1), "no gradient"),
    ],
)
def test_bad_wishes_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_progress_is_told(monkeypatch):
    monkeypatch.setattr(module, "_TOGETHER", 2)
    seen = []
    trained(
        boolean_network((2, 1)),
        [0, 0, 0, 1],
        [0],
        num_runs=5,
        optimiser=Optimiser(num_steps=1),
        on_progress=lambda *at: seen.append(at),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
