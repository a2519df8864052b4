import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from singulab.dynamics import (
    DataRegression,
    Network,
    StreamingNoise,
    gradient_noise,
    mean_squared_gradient,
    streamed_noise,
)


def gradients(n=40, d=6, seed=0):
    random = np.random.default_rng(seed)
    scales = 2.0 ** -np.arange(d)
    return torch.from_numpy(random.normal(size=(n, d)) * scales + random.normal(size=d))


def linear_network():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(12, generator=generator, dtype=torch.float64)
    network = Network(
        nn.Linear(3, 1, bias=False),
        x,
        y[:, None],
        lambda f, y: (f - y).square().sum(1) / 2,
        batch_size=2,
    )
    return network, DataRegression(x, y, batch_size=2)


def test_noise_at_the_minimum_of_a_regression_is_that_of_its_law():
    network, problem = linear_network()
    noise = gradient_noise(network.datum_gradients(problem.center))
    np.testing.assert_allclose(noise.mean, 0, atol=1e-14)
    np.testing.assert_allclose(noise.batch(2), problem.noise, atol=1e-14)
    assert noise.temperature(0.1, 2).value == pytest.approx(0.1 / 2 * np.trace(problem.noise) / 3)


@pytest.mark.parametrize("replacement", [True, False])
def test_minibatch_noise_is_that_of_all_minibatches(replacement):
    g = gradients(5, 2)
    if replacement:
        batches = list(itertools.product(range(5), repeat=3))
    else:
        batches = list(itertools.combinations(range(5), 3))
    means = np.array([g[list(batch)].mean(0).numpy() for batch in batches])
    wanted = np.cov(means.T, bias=True)
    np.testing.assert_allclose(gradient_noise(g).batch(3, replacement=replacement), wanted)


def test_trace_and_mean_square_carry_the_error_of_their_sample():
    found = [gradient_noise(gradients(200, 3, seed)) for seed in range(300)]
    scales = 4.0 ** -np.arange(3)
    scores = [one.trace.z((1 - 1 / 200) * scales.sum()) for one in found]
    assert abs(np.mean(scores)) < 0.3
    assert abs(np.std(scores) - 1) < 0.2
    one = found[0]
    assert one.trace.value == pytest.approx(np.trace(one.covariance))
    assert one.mean_square.value == pytest.approx(
        (np.trace(one.covariance) + one.mean @ one.mean) / 3
    )


def test_anisotropy_is_1_for_noise_alike_and_d_for_one_direction():
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)))
    assert gradient_noise(corners).anisotropy() == pytest.approx(1.0)
    line = torch.outer(torch.arange(5.0), torch.ones(3))
    assert gradient_noise(line).anisotropy() == pytest.approx(3.0)


@given(
    st.integers(1, 6),
    st.lists(st.integers(1, 15), min_size=2, max_size=8),
    st.integers(0, 100),
)
@settings(max_examples=40, deadline=None)
def test_a_stream_is_exact_up_to_its_certain_bound(rank, sizes, seed):
    g = gradients(sum(sizes), 6, seed)
    stream = StreamingNoise(6, rank=rank)
    for part in g.split(sizes):
        stream.update(part)
    exact = gradient_noise(g)
    np.testing.assert_allclose(stream.mean, exact.mean, atol=1e-12)
    assert stream.trace == pytest.approx(exact.trace.value)
    assert stream.mean_square == pytest.approx(exact.mean_square.value)
    factor = stream.factor()
    assert factor.shape[0] <= rank
    lost = np.linalg.eigvalsh(exact.covariance - factor.T @ factor)
    assert lost[0] > -1e-10
    assert lost[-1] <= stream.error_bound + 1e-10
    assert stream.error_bound <= exact.trace.value / rank + 1e-12
    true = np.linalg.eigvalsh(exact.covariance)[::-1][: len(stream.eigenvalues())]
    assert (true - stream.eigenvalues() > -1e-10).all()
    assert (true - stream.eigenvalues() < stream.error_bound + 1e-10).all()
    if rank == 6:
        assert stream.error_bound == 0
        np.testing.assert_allclose(factor.T @ factor, exact.covariance, atol=1e-10)


def test_a_network_is_streamed_in_chunks():
    network, problem = linear_network()
    w = problem.center + 0.3
    stream = streamed_noise(network, w, rank=3, chunk=5)
    exact = gradient_noise(network.datum_gradients(w))
    assert stream.num_data == 12
    np.testing.assert_allclose(stream.factor().T @ stream.factor(), exact.covariance, atol=1e-12)


def test_the_squared_gradient_of_scaled_networks_falls_like_1_over_n_and_of_plain_ones_slower():
    """The post's O(1/N) is that of the tangent-kernel scaling; plain weights give about N^{−1/2}."""
    widths = (16, 32, 64, 128)
    scaled = mean_squared_gradient(widths, scaling="ntk", num_data=48).exponent()
    plain = mean_squared_gradient(widths, num_data=48).exponent()
    assert abs(scaled.z(-1.0)) < 3
    assert abs(plain.z(-0.5)) < 3
    assert max(scaled.se, plain.se) < 0.12


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: gradient_noise(torch.ones(1, 3)), "at least 2 data, got 1"),
        (lambda: StreamingNoise(0, rank=1), "at least 1, got 0 and 1"),
        (lambda: StreamingNoise(3, rank=2).update(torch.ones(4, 2)), r"shape \(datum, 3\)"),
        (lambda: StreamingNoise(3, rank=2).trace, "at least 2 data, got 0"),
        (lambda: gradient_noise(torch.eye(3)).batch(4, replacement=False), "between 1 and 3"),
        (lambda: mean_squared_gradient((8,)), "at least 2 widths"),
        (lambda: mean_squared_gradient((8, 0)), "must be at least 1"),
        (lambda: mean_squared_gradient((8, 9), scaling="other"), "'standard' or 'ntk'"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        call()
