import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from singulab.zoo.tanh_network import TANH_NETWORKS, WEIGHT_DECAY, learning_coefficient

TANH = "1/2* 2/3 5/6 1* 11/10 6/5 13/10 7/5 3/2* 11/7 23/14 12/7"
GENERIC = "1/2* 3/4 1* 7/6 4/3 3/2* 13/8 7/4 15/8 2*"
PERIOD_3 = "1/2* 5/8 3/4 7/8 1* 15/14 8/7 17/14 9/7 19/14"
TWO_OUTPUTS = "1/2 1* 7/6 4/3 3/2 5/3 11/6 2*"  # a star means m = 2


@pytest.mark.parametrize(
    "printed, period, num_outputs",
    [(TANH, 2, 1), (GENERIC, 1, 1), (PERIOD_3, 3, 1), (TWO_OUTPUTS, 2, 2)],
)
def test_the_closed_form_gives_every_printed_value(printed, period, num_outputs):
    for num_hidden, entry in enumerate(printed.split(), start=1):
        expected = Fraction(entry.rstrip("*")), 2 if entry.endswith("*") else 1
        found = learning_coefficient(num_hidden, num_outputs=num_outputs, period=period)
        assert found == expected


def effective(num_hidden, nbeta):
    """λ_eff of Σ a_j tanh(b_j x) against 0 at γ = 1: a is integrated in closed form, b on graded grids.

    K = ½ aᵀMa with M_ij = E tanh(b_i x) tanh(b_j x), so a given b is Gaussian:
    density of b ∝ det(tM + 1)^{-1/2} exp(−b²/2), and t E[K | b] = ½ tr tM(tM + 1)^{-1}.
    """
    x, share = np.polynomial.hermite_e.hermegauss(12)
    share = share / share.sum()
    s = np.arange(-25, math.log(9), 0.15)
    largest = np.exp(s)
    if num_hidden == 1:
        m = (np.tanh(largest[:, None] * x) ** 2 * share).sum(-1)
        weight = largest * np.exp(-(largest**2) / 2) / np.sqrt(nbeta * m + 1)
        return (weight * 0.5 * nbeta * m / (nbeta * m + 1)).sum() / weight.sum()
    # By symmetry 0 ≤ b₂ ≤ b₁; b₂ = b₁·q with q graded towards 0 and 1.
    z = np.arange(-25, 25, 0.2)
    q = 1 / (1 + np.exp(-z))
    b1, b2 = largest[:, None], largest[:, None] * q
    t1, t2 = np.tanh(b1[..., None] * x), np.tanh(b2[..., None] * x)
    m11, m22 = (t1 * t1 * share).sum(-1), (t2 * t2 * share).sum(-1)
    # det M as Σ_{i<j} of squared minors: no cancellation near b₁ = b₂.
    minors = sum(
        share[i] * share[j] * (t1[..., i] * t2[..., j] - t1[..., j] * t2[..., i]) ** 2
        for i in range(len(x))
        for j in range(i)
    )
    determinant = nbeta**2 * minors + nbeta * (m11 + m22) + 1
    energy = 0.5 * (2 * nbeta**2 * minors + nbeta * (m11 + m22)) / determinant
    area = b1 * b1 * q * (1 - q)
    weight = area * np.exp(-(b1**2 + b2**2) / 2) / np.sqrt(determinant)
    return (weight * energy).sum() / weight.sum()


def test_one_unit_has_the_coefficient_and_multiplicity_of_the_closed_form():
    value, multiplicity = learning_coefficient(1)
    gaps = [float(value) - effective(1, nbeta) for nbeta in (1e10, 1e14)]
    assert (multiplicity - 1) * (1 / gaps[1] - 1 / gaps[0]) == pytest.approx(
        math.log(1e4), rel=1e-3
    )


def test_two_units_have_the_coefficient_of_the_closed_form():
    value, multiplicity = learning_coefficient(2)
    assert multiplicity == 1
    low, high = effective(2, 1e10), effective(2, 1e14)
    assert abs(high - float(value)) < 0.3 * abs(low - float(value))
    assert high == pytest.approx(float(value), rel=2e-3)


@pytest.mark.parametrize("arguments", [(0, 1, 2), (1, 0, 2), (1, 1, 0)])
def test_impossible_networks_are_refused(arguments):
    num_hidden, num_outputs, period = arguments
    with pytest.raises(ValueError, match="at least 1"):
        learning_coefficient(num_hidden, num_outputs=num_outputs, period=period)


@pytest.mark.parametrize("case", TANH_NETWORKS, ids=lambda case: case.name)
def test_the_shipped_weights_minimise_the_regularised_loss_on_this_data(case):
    function, center = case.exact_loss()
    free = {name: weight[None].requires_grad_() for name, weight in center.items()}
    gradients = torch.autograd.grad(function(free).sum(), list(free.values()))
    for gradient, weight in zip(gradients, center.values(), strict=True):
        assert float((gradient[0] + WEIGHT_DECAY * weight).abs().max()) < 1e-7


@pytest.mark.parametrize("case", TANH_NETWORKS, ids=lambda case: case.name)
def test_training_went_below_the_loss_of_the_teacher(case):
    def loss(weights):
        return float(case.mean_loss({name: part[None] for name, part in weights.items()})[0])

    gain = loss(case.teacher()) - loss(case.weights())
    # A regular student with d weights gains about d/(2n).
    assert 0 < gain < 3 * case.num_weights / (2 * case.num_data)


@pytest.mark.parametrize("case", TANH_NETWORKS, ids=lambda case: case.name)
@pytest.mark.parametrize("labels", ["data", "model"])
def test_the_exact_loss_is_that_of_the_module_on_the_data(case, labels):
    inputs, targets = case.data()
    function, center = case.exact_loss(labels)
    at_center = case.model(torch.float64)(inputs.double()).detach()
    moved = {name: weight + 0.05 for name, weight in center.items()}
    model = case.model(torch.float64)
    model.load_state_dict(moved)
    outputs = model(inputs.double())
    if case.loss == "cross_entropy" and labels == "data":
        expected = F.cross_entropy(outputs, targets) - F.cross_entropy(at_center, targets)
    elif case.loss == "cross_entropy":
        teacher = at_center.log_softmax(1)
        expected = F.kl_div(outputs.log_softmax(1), teacher, log_target=True, reduction="batchmean")
    else:
        goal = targets.double() if labels == "data" else at_center
        expected = 0.5 * ((outputs - goal).square() - (at_center - goal).square()).sum(1).mean()
    found = function({name: weight[None] for name, weight in moved.items()})
    torch.testing.assert_close(found[0], expected.detach())


@pytest.mark.parametrize("case", TANH_NETWORKS, ids=lambda case: case.name)
def test_half_of_the_units_of_the_teacher_are_off(case):
    strength = case.teacher()["output.weight"].norm(dim=0)
    assert int((strength == 0).sum()) == case.num_hidden // 2
    assert case.num_weights == sum(p.numel() for p in case.model().parameters())
