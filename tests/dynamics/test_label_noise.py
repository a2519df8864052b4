import math

import pytest
import torch

from singulab.dynamics import (
    Control,
    LabelNoise,
    Product,
    first_order,
    label_noise_drift,
    noiseless_drift,
    simulate,
)
from singulab.dynamics.replicas import Draws

VALLEYS = [Product(), Control()]


@pytest.mark.parametrize("valley", VALLEYS, ids=lambda valley: valley.name)
def test_the_slope_is_that_of_autograd_and_the_start_lies_on_the_valley(valley):
    w = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    (wanted,) = torch.autograd.grad(valley.value(w).sum(), w)
    torch.testing.assert_close(valley.slope(w.detach()), wanted)
    start = torch.tensor([valley.start], dtype=torch.float64)
    assert float(valley.value(start)[0]) == 0
    assert float(valley.coordinate(start)[0]) == 1


@pytest.mark.parametrize("valley", VALLEYS, ids=lambda valley: valley.name)
def test_along_the_valley_the_flatness_is_the_square_of_the_coordinate(valley):
    """tr H = |∇f|² on f = 0: θ₁² for the product, 1 + y² for the control."""
    along = torch.linspace(-2, 2, 7, dtype=torch.float64)
    w = torch.zeros(7, 2, dtype=torch.float64)
    w[:, 0 if valley.start[0] else 1] = along
    least = 0.0 if valley.start[0] else 1.0
    trace = valley.slope(w).square().sum(1)
    torch.testing.assert_close(trace - least, valley.coordinate(w) ** 2)


def test_the_balance_of_a_product_obeys_its_law_at_every_step():
    """Δ' = Δ(1 − η²(f − e)²), whatever the labels are."""
    problem, rate = LabelNoise(Product(), label_noise=1.0), 0.3
    w = torch.randn(50, 2, dtype=torch.float64)
    draws = Draws(4, 50)
    residual = problem.valley.value(w) - draws.normal(9, 2)[:, 0]
    after = w - rate * problem.gradient(w, draws, 9)
    before = w[:, 0] ** 2 - w[:, 1] ** 2
    torch.testing.assert_close(
        after[:, 0] ** 2 - after[:, 1] ** 2, before * (1 - rate**2 * residual**2)
    )


def test_label_noise_carries_both_functions_alike_though_one_has_no_singular_point():
    """η = .05, σ = 1, 1000 steps: the numbers found with 40 000 replicas, and the first-order law e^{−1.25}."""
    product = label_noise_drift(Product(), num_replicas=4000, seed=1)
    control = label_noise_drift(Control(), num_replicas=4000, seed=2)
    assert abs(product.root_balance.value - 0.2825) < 0.002
    assert abs(product.coordinate.z(0.3110, 0.0002)) < 3.5
    assert abs(product.distance.z(0.335, 0.0005)) < 3.5
    assert abs(control.coordinate.value - 0.272) < 0.001
    assert control.deviation == pytest.approx(0.017, abs=0.001)
    assert product.root_balance.se < 5e-4
    assert control.coordinate.se < 4e-4
    assert product.first_order == pytest.approx(0.2865, abs=5e-5)


def test_the_second_order_law_is_ten_times_closer_than_the_first_order_one():
    """At η = .1 and .05, with the same first-order law e^{−1.25}."""
    for valley in VALLEYS:
        for rate in (0.1, 0.05):
            found = label_noise_drift(
                valley, rate=rate, num_steps=round(2.5 / rate**2), num_replicas=4000
            )
            own = found.root_balance if valley.name == "θ₁θ₂" else found.coordinate
            first = abs(own.value - found.first_order)
            second = abs(own.value - found.second_order)
            assert second < 0.1 * first + 3.5 * own.se
            assert own.se < 0.15 * first


def test_the_drift_tends_to_its_first_order_law():
    """The same e^{−1.25} by other ways to it: the distance to it shrinks about like η."""
    gaps = []
    for rate in (0.1, 0.05):
        steps = round(2.5 / rate**2)
        found = label_noise_drift(Control(), rate=rate, num_steps=steps, num_replicas=4000)
        gaps.append(found.first_order - found.coordinate.value)
        assert found.coordinate.se < 0.05 * gaps[-1]
    assert 1.7 < gaps[0] / gaps[1] < 2.4


def test_across_the_valley_noise_is_that_of_an_autoregression():
    """θ₂' = (1 − ηθ₁²)θ₂ + ηeθ₁ near θ₂ = 0: variance η²σ²θ₁²/(1 − (1 − ηθ₁²)²), while θ₁ has hardly moved."""
    rate, steps = 0.01, 800
    chains = simulate(
        LabelNoise(Product(), label_noise=1.0),
        rate=rate,
        num_steps=steps,
        num_replicas=4000,
        start=torch.tensor([1.0, 0.0], dtype=torch.float64),
    )
    square = chains.w[:, 1].square()
    wanted = rate**2 / (1 - (1 - rate) ** 2)
    assert float(square.mean()) == pytest.approx(wanted, rel=0.07)


def test_without_noisy_labels_nothing_moves_once_the_valley_is_reached():
    near, far = (noiseless_drift(num_steps=steps, num_replicas=1000) for steps in (500, 2000))
    assert abs(near.value - far.value) < 1e-9
    assert abs(near.value - 0.9036 / 0.91) < 0.001
    assert 0 < near.se < 3e-4


def test_no_label_noise_leaves_the_start():
    found = label_noise_drift(Product(), label_noise=0.0, num_steps=50, num_replicas=4)
    assert found.coordinate.value == 1.0
    assert first_order(0.1, 0.0, 10) == 1.0


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: label_noise_drift(Control(), rate=1.0), "Rate 1 is unstable at the start"),
        (lambda: LabelNoise(Product(), label_noise=-1.0), "label_noise must be 0 or more"),
        (lambda: noiseless_drift((1.0, 1.0)), "is 0 at the start and stays 0"),
        (lambda: label_noise_drift(Product(), num_replicas=1, num_steps=2), "at least 2 replicas"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_drift_that_cannot_have_a_root_says_so():
    found = label_noise_drift(Control(), rate=0.05, num_steps=20_0, num_replicas=16)
    assert math.isfinite(found.root_balance.value)
