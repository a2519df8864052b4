import math

import pytest
import torch

from singulab.dynamics import balance, conservation_error, descent, flow


def layers(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) / 2 for shape in shapes]


def fit(target):
    def loss(w):
        product = w[0]
        for layer in w[1:]:
            product = layer @ product
        return (product - target).square().sum() / 2

    return loss


def test_flow_keeps_the_balance_of_every_pair_of_layers():
    start = layers((3, 2), (4, 3), (2, 4))
    loss = fit(torch.eye(2, dtype=torch.float64))
    end = flow(loss, start, 20.0)
    assert float(loss(end)) < 0.1 * float(loss(start))
    assert conservation_error(start, end) < 1e-8
    assert [tuple(part.shape) for part in balance(end)] == [(3, 3), (4, 4)]


def test_descent_loses_it_in_proportion_to_the_rate():
    start = layers((3, 2), (2, 3))
    loss = fit(torch.eye(2, dtype=torch.float64))
    lost = [
        conservation_error(start, descent(loss, start, rate=rate, num_steps=round(4 / rate)))
        for rate in (0.02, 0.01)
    ]
    assert lost[0] > 1e-4
    assert lost[0] / lost[1] == pytest.approx(2, rel=0.05)


def test_a_product_of_two_numbers_follows_its_logistic_curve():
    """a = b = δ, ½(s − ab)²: ab(t) = s/(1 + (s/δ² − 1)e^{−2st})."""
    s, delta, time = 1.5, 0.1, 2.0
    start = [torch.full((1, 1), delta, dtype=torch.float64)] * 2
    end = flow(fit(torch.tensor([[s]], dtype=torch.float64)), start, time)
    wanted = s / (1 + (s / delta**2 - 1) * math.exp(-2 * s * time))
    assert float((end[1] @ end[0])[0, 0]) == pytest.approx(wanted, rel=1e-8)
    assert float(start[0][0, 0]) == delta


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: balance(layers((2, 2))), "at least 2 layers, got 1"),
        (lambda: balance(layers((3, 2), (2, 4))), "cannot be multiplied"),
        (lambda: flow(fit(1.0), layers((1, 1), (1, 1)), 0.0), "time must be positive"),
        (
            lambda: descent(fit(1.0), layers((1, 1), (1, 1)), rate=0.0, num_steps=1),
            "rate > 0 and num_steps",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
