from fractions import Fraction

import numpy as np
import pytest
import torch

from singulab.zoo import CASES
from singulab.zoo.polynomial_network import (
    POLYNOMIAL_NETWORKS,
    learning_coefficient,
    squared_coefficients,
)

PRINTED = {
    2: ("3/4", "1/4", "3/28", "1/20", "3/124"),
    3: ("3/4", "3/16", "3/52", "3/160", "3/484"),
    4: ("3/4", "3/20", "1/28", "3/340", "3/1364"),
}


@pytest.mark.parametrize("power", PRINTED)
def test_the_closed_form_gives_every_printed_value(power):
    values = tuple(learning_coefficient(power, layers) for layers in range(1, 6))
    assert values == tuple(map(Fraction, PRINTED[power]))


def expanded(first, second, power, num_layers):
    """The sum of squared coefficients by multiplying polynomials in z = x₂/x₁ out."""
    matrix = [[first + second, first**2], [first**2, second**2]]
    outputs = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    for layer in range(num_layers):
        if layer > 0:
            raised = []
            for output in outputs:
                result = np.array([1.0])
                for _ in range(power):
                    result = np.convolve(result, output)
                raised.append(result)
            outputs = raised
        outputs = [row[0] * outputs[0] + row[1] * outputs[1] for row in matrix]
    return sum(float((output**2).sum()) for output in outputs)


@pytest.mark.parametrize("power", [2, 3, 4])
@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_the_network_on_roots_of_unity_gives_the_expanded_coefficients(power, num_layers):
    generator = np.random.default_rng(0)
    points = generator.normal(size=(5, 2)) * 0.7
    found = squared_coefficients(
        *torch.from_numpy(points.T.copy()), power=power, num_layers=num_layers
    )
    expected = [expanded(*point, power, num_layers) for point in points]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("name", [case.name for case in POLYNOMIAL_NETWORKS[:13]])
def test_the_gradient_carried_along_is_that_of_automatic_differentiation(name):
    case = CASES[name]
    points = torch.from_numpy(np.random.default_rng(1).normal(size=(7, 2)) * 0.6).requires_grad_()
    naive = squared_coefficients(
        points[:, 0], points[:, 1], power=case.power, num_layers=case.num_layers
    )
    found = case.value(points)
    torch.testing.assert_close(found, naive, rtol=1e-9, atol=0)
    (wanted,), (got,) = (torch.autograd.grad(k.sum(), points) for k in (naive, found))
    torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-300)
    at_center = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(case.value(at_center).sum(), at_center)[0].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", ["polynomial-2-1", "polynomial-2-2"])
def test_the_quadrature_tends_to_the_closed_form(name):
    case = CASES[name]
    values = [case.truth(1.0, nbeta=10.0**power).value for power in (6, 12, 18)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(case.rlct.value, rel=5e-3)


def test_the_quadrature_knows_that_ten_thousand_data_are_not_infinitely_many():
    case = CASES["polynomial-2-3"]
    truth = case.truth(1.0)
    assert 0.8 * case.rlct.value < truth.value < 0.9 * case.rlct.value
    assert truth.error < 1e-6


def test_the_quadrature_agrees_with_a_plain_sum_over_a_grid():
    case = CASES["polynomial-2-2"]
    axis = torch.linspace(-4.0, 4.0, 801, dtype=torch.float64)
    mass, energy = 0.0, 0.0
    nbeta = 10.0
    for block in axis.split(200):
        x, y = torch.meshgrid(block, axis, indexing="ij")
        loss = nbeta * case.value(torch.stack([x.ravel(), y.ravel()], dim=1))
        density = torch.exp(-loss - 2.0 * (x**2 + y**2).ravel())
        mass, energy = mass + density.sum(), energy + (density * loss.nan_to_num(0.0)).sum()
    assert case.truth(4.0, nbeta=nbeta).value == pytest.approx(float(energy / mass), rel=1e-7)


def test_the_gradient_at_the_center_is_finite_and_zero():
    for case in POLYNOMIAL_NETWORKS[:8]:
        function, center = case.exact_loss()
        w = center["w"][None].requires_grad_()
        (gradient,) = torch.autograd.grad(function({"w": w}).sum(), w)
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_beyond_the_largest_number_the_loss_is_no_finite_number_and_nothing_is_warned_of():
    # Warnings are errors here. A trajectory that flies off gets there.
    function, _ = CASES["polynomial-2-2"].exact_loss()
    w = torch.tensor([[1e200, -1e200]], dtype=torch.float64, requires_grad=True)
    value = function({"w": w})
    value.sum().backward()
    assert not torch.isfinite(value).any()
    assert not torch.isfinite(w.grad).any()


def test_impossible_networks_are_refused():
    with pytest.raises(ValueError, match="power"):
        type(POLYNOMIAL_NETWORKS[0])(name="linear", power=1, num_layers=2)
