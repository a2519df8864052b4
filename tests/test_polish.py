"""Polishing ends at the minimum, says how far it was, and leaves the caller's model alone."""

import math

import pytest
import torch

import singulab as sl
from untouched import Counting, assert_same, everything, of_the_process


def regression(offset: float = 0.3):
    """Linear regression with label noise; the model stands beside the least-squares minimum."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    y = x.sum(1, keepdim=True) + torch.randn(500, 1, generator=generator, dtype=torch.float64)
    best = torch.linalg.lstsq(x, y).solution.T
    model = torch.nn.Linear(4, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(best + offset)
    return model, (x, y), best


def mean_loss(model, data):
    x, y = data
    return (0.5 * (model(x) - y).square().sum(1).mean()).item()


def test_polish_reaches_the_least_squares_solution_and_says_how_far_it_was():
    model, data, best = regression()
    found = sl.polish(model, data, sl.gaussian(), batch_size=100)
    assert found.converged
    torch.testing.assert_close(found.model.weight.detach(), best, atol=2e-3, rtol=0)
    drop = mean_loss(model, data) - mean_loss(found.model, data)
    assert found.loss_drop == pytest.approx(drop, rel=1e-9)
    assert found.energy_drop == pytest.approx(500 / math.log(500) * drop, rel=1e-9)
    moved = (found.model.weight - model.weight).norm().item()
    assert found.distance == pytest.approx(moved, rel=1e-9)
    assert found.relative_distance == pytest.approx(moved / model.weight.norm().item(), rel=1e-9)
    # What is left to gain is below the tolerance of 0.01 nats.
    nbeta = 500 / math.log(500)
    exact = regression(0.0)[0]
    assert nbeta * (mean_loss(found.model, data) - mean_loss(exact, data)) < 0.01


def test_a_polished_model_is_a_critical_point_and_measures_as_regular():
    model, data, _ = regression()
    away = sl.measure(model, data, sl.gaussian(), localization=1.0, batch_size=500)
    polished = sl.polish(model, data, sl.gaussian()).model
    there = sl.measure(polished, data, sl.gaussian(), localization=1.0, batch_size=500)
    failed = {check.name for check in away.checks if not check.passed}
    assert {"criticality", "sign"} <= failed
    assert there.passed
    # λ = ½ Σ nβh/(nβh + γ) with h close to 1: 1.97. A sound run fails 1 time in 15 000.
    h = torch.linalg.eigvalsh(data[0].T @ data[0] / 500)
    nbeta = 500 / math.log(500)
    exact = float((nbeta * h / (nbeta * h + 1)).sum() / 2)
    assert abs(there.llc.value - exact) < 4 * there.llc.se
    assert there.llc.se < 0.1


def test_nothing_is_gained_at_a_minimum():
    model, data, _ = regression(0.0)
    found = sl.polish(model, data, sl.gaussian())
    assert found.converged
    assert 0 <= found.energy_drop < 1e-6
    assert found.distance < 1e-4
    assert "converged" in str(found)


def test_flat_directions_are_left_where_they_are():
    def loss(w):
        return (w["x"] * w["y"]).square().sum(1) + 0.0 * w["z"].sum(1)

    start = {
        "x": torch.tensor([0.1, -0.05], dtype=torch.float64),
        "y": torch.tensor([2.0, 3.0], dtype=torch.float64),
        "z": torch.tensor([5.0], dtype=torch.float64),
    }
    potential = sl.LocalPotential.from_function(loss, start, nbeta=1000.0)
    found = sl.polish(potential)
    assert found.model is None
    assert found.converged
    assert 1000.0 * float(loss({k: v[None] for k, v in found.weights.items()})) < 0.01
    assert torch.equal(found.weights["z"], start["z"])
    # The nearest minimum is x = 0; y hardly moves on the way.
    assert float((found.weights["y"] - start["y"]).abs().max()) < 0.02
    assert found.distance < 1.1 * float(start["x"].norm())


def test_an_ill_conditioned_valley_is_walked_to_its_end():
    def loss(w):  # Rosenbrock's
        x, y = w["w"].unbind(1)
        return (1 - x).square() + 100 * (y - x.square()).square()

    start = {"w": torch.tensor([-1.2, 1.0], dtype=torch.float64)}
    found = sl.polish(sl.LocalPotential.from_function(loss, start, nbeta=1000.0))
    assert found.converged
    torch.testing.assert_close(
        found.weights["w"], torch.ones(2, dtype=torch.float64), atol=5e-3, rtol=0
    )


def test_only_selected_weights_move():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    data = torch.randn(64, 3), torch.randn(64, 2)
    found = sl.polish(model, data, "gaussian", weights="2.*")
    assert torch.equal(found.model[0].weight, model[0].weight)
    assert not torch.equal(found.model[2].weight, model[2].weight)
    assert found.loss_drop > 0


def test_the_callers_model_and_process_are_as_they_were():
    model, data = Counting(), (torch.randn(40, 3), torch.randn(40, 2))
    before, process = everything(model), of_the_process()
    found = sl.polish(model, data, "gaussian")
    assert_same(before, everything(model))
    assert process == of_the_process()
    assert found.model is not model
    assert found.loss_drop > 0


def test_a_budget_is_kept_and_an_unfinished_descent_says_so():
    model, data, _ = regression(3.0)
    nothing = sl.polish(model, data, sl.gaussian(), batch_size=100, max_gradients=12)
    assert not nothing.converged
    assert "NOT converged" in str(nothing)
    # A pass over 500 data in batches of 100 costs 5 units; one more may be under way.
    assert nothing.gradients["total"] <= 12 + 2 * 5
    assert nothing.gradients["total"] == nothing.gradients["center"] + nothing.gradients["polish"]


def test_wrong_arguments_are_told_in_one_sentence():
    model, data, _ = regression()
    potential = sl.LocalPotential.of(model, data, "gaussian")
    with pytest.raises(ValueError, match="fixes data, nbeta itself"):
        sl.polish(potential, data, nbeta=3.0)
    with pytest.raises(ValueError, match="tolerance must be positive"):
        sl.polish(model, data, "gaussian", tolerance=0.0)
    with pytest.raises(ValueError, match="max_gradients must be positive"):
        sl.polish(model, data, "gaussian", max_gradients=-1)
    stream = sl.Data((pair for pair in zip(*data, strict=True)), n=500)
    with pytest.raises((ValueError, TypeError)):
        sl.polish(model, stream, "gaussian")
