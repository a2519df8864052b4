import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from singulab.dynamics.replicas import BLOCK, Draws


def test_a_replica_sees_the_same_numbers_beside_any_number_of_others():
    few, many = Draws(3, 5), Draws(3, 2 * BLOCK + 7)
    for step in (0, 1, 40, 500):
        torch.testing.assert_close(few.normal(step, 3), many.normal(step, 3)[:5], rtol=0, atol=0)
        chosen = {"num_data": 9, "batch_size": 2, "replacement": True}
        assert (few.indices(step, **chosen) == many.indices(step, **chosen)[:5]).all()


def test_steps_may_be_asked_for_in_any_order():
    draws = Draws(0, 4)
    later = draws.normal(700, 2).clone()
    draws.normal(0, 2)
    torch.testing.assert_close(draws.normal(700, 2), later, rtol=0, atol=0)


def test_replicas_steps_streams_and_seeds_share_nothing():
    size = 4
    rows = [
        Draws(seed, BLOCK + 1).normal(step, size, stream)[replica]
        for seed in (0, 1)
        for step in (0, 1, 200)
        for stream in (0, 1)
        for replica in (0, 1, BLOCK)
    ]
    values = torch.stack(rows).ravel().numpy()
    assert len(np.unique(values)) == values.size


def test_normal_numbers_are_normal_across_replicas_and_along_steps():
    draws = Draws(1, 1000)
    assert kstest(draws.normal(7, 2).ravel().numpy(), "norm").pvalue > 0.01
    along = [float(draws.normal(step, 2)[3, 1]) for step in range(1000)]
    assert kstest(along, "norm").pvalue > 0.01


@pytest.mark.parametrize("replacement", [True, False])
def test_every_index_is_as_likely(replacement):
    chosen = Draws(2, 4000).indices(0, num_data=6, batch_size=3, replacement=replacement).numpy()
    counts = np.bincount(chosen.ravel(), minlength=6)
    assert chisquare(counts).pvalue > 0.01
    distinct = [len(set(row)) == 3 for row in chosen.tolist()]
    assert all(distinct) is not replacement


def test_no_replica_is_told():
    with pytest.raises(ValueError, match="num_replicas must be at least 1, got 0"):
        Draws(0, 0)
