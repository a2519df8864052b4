from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singulab.zoo import random_deep_linear

SEEDS = range(400)


@given(st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_network_within_its_bounds(seed):
    case = random_deep_linear(seed, fewest=200, most=5_000)
    assert case == random_deep_linear(seed, fewest=200, most=5_000)
    assert 200 <= case.num_weights == sum(a * b for a, b in pairwise(case.widths)) <= 5_000
    assert 2 <= case.num_layers <= 8
    assert 1 <= case.rank <= min(case.widths)
    assert 1 <= case.input_condition <= 100
    assert 1 <= case.imbalance <= 4
    assert 0 <= case.label_noise <= 2
    assert 5_000 <= case.num_data <= 50_000
    assert 0 < case.rlct.value <= case.num_weights / 2


@settings(max_examples=5)
@given(st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_data_and_weights(seed):
    first, second = (random_deep_linear(seed, most=500) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.data(), second.data(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first.weights(), second.weights(), strict=True))


def test_the_seeds_cover_sizes_depths_ranks_and_noise_as_announced():
    cases = [random_deep_linear(seed) for seed in SEEDS]
    sizes = torch.tensor([float(case.num_weights) for case in cases]).log10()
    # Shares of 400 seeds: false alarm below 1e-4 each at 4 standard errors of 2.5 %.
    assert float(((sizes - 2) / 3).mean()) == pytest.approx(0.5, abs=0.06)
    for share, holds in (
        (1 / 3, lambda case: case.num_weights < 1_000),
        (1 / 7, lambda case: case.num_layers == 8),
        (1 / 2, lambda case: case.label_noise > 0),
    ):
        assert sum(map(holds, cases)) / len(cases) == pytest.approx(share, abs=0.1)
    full = sum(case.rank == min(case.widths) for case in cases) / len(cases)
    assert 0.4 < full < 0.65


def test_orthogonal_noise_leaves_the_true_weights_at_the_minimum_of_the_empirical_loss():
    case = next(
        case
        for case in map(random_deep_linear, SEEDS)
        if case.label_noise > 1 and case.num_weights < 2_000 and case.rank < min(case.widths)
    )
    inputs, targets = (part.double() for part in case.data())
    assert float((targets - case.model(torch.float64)(inputs).detach()).square().mean()) > 0.9
    _, moments = case.moments()
    assert float(moments.gradient.abs().max()) < 1e-7
    function, center = case.exact_loss("data")
    behavioural, _ = case.exact_loss("model")
    moved = {name: 1.1 * weight[None] for name, weight in center.items()}
    torch.testing.assert_close(function(moved), behavioural(moved), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "seed, bounds", [(-1, {}), (0, {"fewest": 50}), (0, {"fewest": 900, "most": 1_000})]
)
def test_impossible_requests_are_refused(seed, bounds):
    with pytest.raises(ValueError, match=r"seed|bounds"):
        random_deep_linear(seed, **bounds)
