import math
from fractions import Fraction
from itertools import pairwise, permutations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singulab.zoo import CASES, reduced_rank
from singulab.zoo.deep_linear import DEEP_LINEAR, DeepLinear, learning_coefficient

# λ and m as printed in tables of the literature.
PRINTED = [
    ((1, 1), 0, "1/2", 1),
    ((1, 1, 1, 1), 0, "1/2", 3),
    ((2, 1, 1, 2), 0, "1/2", 1),
    ((2, 2, 2), 0, "3/2", 1),
    ((2, 2, 2, 2), 0, "3/2", 3),
    ((3, 3, 3), 0, "7/2", 2),
    ((3, 3, 3), 3, "9/2", 1),
    ((3, 3, 3, 3), 1, "4", 3),
    ((5, 3, 5), 0, "13/2", 2),
    ((5, 4, 5), 0, "8", 1),
    ((4, 1, 4), 1, "7/2", 1),
    ((4, 1, 4), 0, "2", 2),
    ((10, 2, 10), 0, "19/2", 1),
    ((10, 2, 10), 1, "14", 2),
    ((10, 2, 10), 2, "18", 1),
    ((6, 4, 8, 3), 1, "7", 1),
    ((4, 2, 3, 5), 2, "7", 1),
    ((10, 10, 10), 5, "47", 2),
    ((10, 20, 20, 10), 0, "50", 1),
    ((5, 5, 5, 5, 5), 2, "11", 4),
    ((4,) * 6, 0, "5", 5),
    ((20, 30, 40, 30, 20), 7, "397/2", 1),
    ((100, 80, 60, 80, 100), 25, "2997", 2),
]

# Per instance: d, λ, m and ‖w*‖² as printed with the gold values.
INSTANCES = {
    "P1": (200, 50.0, 1, 21.0),
    "P2": (200, 44.0, 2, 6.3),
    "P3": (192, 32.0, 1, 16.8),
    "P4": (144, 12.5, 1, 6.1),
    "P5": (432, 72.0, 1, 36.9),
    "P6": (256, 78.0, 1, 8.4),
    "P7": (512, 128.0, 1, 269.9),
    "P8": (300, 50.0, 1, 24.7),
    "P9": (2400, 153.5, 10, 30.2),
    "P10": (2400, 200.0, 1, 121.0),
    "P11": (6000, 1222.0, 2, 52.5),
    "P12": (40000, 4531.5, 5, 203.2),
    "P13": (98304, 6272.0, 1, 193.7),
}
SMALL = {
    "name": "small",
    "widths": (5, 7, 6, 4),
    "rank": 2,
    "num_data": 300,
    "batch_size": 32,
    "seed": 7,
    "imbalance": 2.0,
}


@pytest.mark.parametrize("widths, rank, value, multiplicity", PRINTED)
def test_the_formula_gives_every_printed_value(widths, rank, value, multiplicity):
    assert learning_coefficient(widths, rank) == (Fraction(value), multiplicity)


def test_two_layers_agree_with_reduced_rank_regression_for_all_widths_up_to_8():
    count = 0
    for m, h, n in product(range(1, 9), repeat=3):
        for rank in range(min(m, h, n) + 1):
            expected = reduced_rank.learning_coefficient(m, h, n, rank)
            assert learning_coefficient((m, h, n), rank) == expected
            count += 1
    assert count == 1808


def test_the_order_of_widths_does_not_matter_at_rank_0():
    assert len({learning_coefficient(order, 0) for order in permutations((2, 3, 5, 4))}) == 1


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.data())
def test_the_coefficient_is_at_most_half_of_the_weights_and_never_falls_with_width(widths, data):
    rank = data.draw(st.integers(0, min(widths)))
    value, multiplicity = learning_coefficient(widths, rank)
    num_weights = sum(a * b for a, b in pairwise(widths))
    assert 0 <= value <= Fraction(num_weights, 2)
    assert 1 <= multiplicity <= min(num_weights, (len(widths) - 1) ** 2 // 4 + 1)
    wider = list(widths)
    wider[data.draw(st.integers(0, len(widths) - 1))] += 1
    assert learning_coefficient(wider, rank)[0] >= value


@pytest.mark.parametrize("widths, rank", [((3,), 0), ((3, 0, 2), 0), ((3, 3), 4), ((3, 3), -1)])
def test_impossible_networks_are_refused(widths, rank):
    with pytest.raises(ValueError, match=r"widths|rank"):
        learning_coefficient(widths, rank)


@pytest.mark.parametrize("name", INSTANCES)
def test_an_instance_is_the_one_whose_gold_value_was_measured(name):
    case = CASES[name]
    num_weights, value, multiplicity, square = INSTANCES[name]
    weights = case.weights()
    assert case.num_weights == num_weights == sum(weight.numel() for weight in weights)
    assert (case.rlct.value, case.multiplicity) == (value, multiplicity)
    assert sum(float(weight.square().sum()) for weight in weights) == pytest.approx(
        square, abs=0.051
    )


@pytest.mark.parametrize("name", ["P1", "P4", "P7", "P9"])
def test_every_layer_has_exactly_the_rank_and_the_product_the_announced_singular_values(name):
    case = CASES[name]
    weights = case.weights()
    for weight in weights:
        assert int(torch.linalg.matrix_rank(weight)) == case.rank
    found = torch.linalg.svdvals(torch.linalg.multi_dot(weights[::-1]))[: case.rank]
    expected = torch.linspace(1.5, 0.6, case.rank, dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def direct_loss(case, weights):
    inputs, targets = (part.double() for part in case.data())
    outputs = inputs
    for weight in weights:
        outputs = outputs @ weight.T
    return 0.5 * (outputs - targets).square().sum(1).mean()


@pytest.mark.parametrize("label_noise, rank", [(0.0, 2), (0.5, 2), (0.5, 4)])
def test_moments_give_the_loss_and_gradient_of_a_pass_over_the_data(label_noise, rank):
    case = DeepLinear(**SMALL | {"label_noise": label_noise, "rank": rank})
    function, center = case.exact_loss()
    generator = torch.Generator().manual_seed(0)
    moved = {
        name: weight + 0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        for name, weight in center.items()
    }
    free = [weight.requires_grad_() for weight in moved.values()]
    exact = function({name: weight[None] for name, weight in moved.items()})[0]
    direct = direct_loss(case, free) - direct_loss(case, list(center.values()))
    # Targets are rounded to float32, the moments are not.
    torch.testing.assert_close(exact, direct, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(
        torch.autograd.grad(exact, free), torch.autograd.grad(direct, free), rtol=1e-5, atol=1e-6
    )


def test_chains_are_evaluated_independently():
    function, center = DeepLinear(**SMALL).exact_loss()
    stacked = {name: torch.stack([weight, 2 * weight]) for name, weight in center.items()}
    values = function(stacked)
    assert float(values[0]) == 0.0
    twice = function({name: 2 * weight[None] for name, weight in center.items()})
    torch.testing.assert_close(values[1], twice[0])


def test_the_models_own_labels_leave_no_gradient_where_noisy_labels_do():
    case = DeepLinear(**SMALL | {"label_noise": 1.0})
    for labels, vanishes in (("model", True), ("data", False)):
        function, center = case.exact_loss(labels)
        free = {name: weight[None].requires_grad_() for name, weight in center.items()}
        gradients = torch.autograd.grad(function(free).sum(), list(free.values()))
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
        assert (norm < 1e-12) == vanishes


def test_a_noisy_case_of_full_rank_stands_at_its_least_squares_minimum():
    function, center = CASES["P3"].exact_loss()
    free = {name: weight[None].requires_grad_() for name, weight in center.items()}
    for gradient in torch.autograd.grad(function(free).sum(), list(free.values())):
        assert float(gradient.abs().max()) < 1e-12
    inputs, targets = (part.double() for part in CASES["P3"].data())
    expected = torch.linalg.lstsq(inputs, targets).solution.T
    found = torch.linalg.multi_dot(list(center.values())[::-1])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_the_module_stands_at_the_center_of_the_exact_loss():
    case = DeepLinear(**SMALL)
    _, center = case.exact_loss()
    model = case.model(torch.float64)
    assert {name: tuple(weight.shape) for name, weight in model.named_parameters()} == {
        name: tuple(weight.shape) for name, weight in center.items()
    }
    inputs, targets = case.data()
    torch.testing.assert_close(model(inputs.double()).float(), targets)
    assert all(weight.dtype == torch.float32 for weight in case.model().parameters())


def test_data_and_weights_are_the_same_at_every_call_and_leave_the_global_generator_alone():
    case = DeepLinear(**SMALL | {"label_noise": 0.5})
    before = torch.random.get_rng_state()
    first, second = case.data(), case.data()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(case.weights(), case.weights(), strict=True))
    case.model()
    assert torch.equal(before, torch.random.get_rng_state())


def test_inputs_have_the_announced_condition_and_unit_mean_variance():
    moments = CASES["P5"].moments()[1].inputs
    variances = moments.diagonal()
    assert float(variances.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(variances[0] / variances[-1]) == pytest.approx(100.0, rel=0.03)


def test_generic_upper_layers_must_reach_all_outputs():
    with pytest.raises(ValueError, match="Generic"):
        DeepLinear(**SMALL | {"widths": (5, 3, 4), "generic": True})


def test_every_instance_has_a_gold_value_at_localization_100():
    for case in DEEP_LINEAR:
        truth = case.truth(100.0)
        assert 0 < truth.error < 0.02 * truth.value
        assert truth.value < case.rlct.value
        assert truth.evidence["virial"] == pytest.approx(1.0, abs=0.02)
