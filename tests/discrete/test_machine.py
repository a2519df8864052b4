import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from singulab.discrete import (
    Argmax,
    Gaussian,
    Layered,
    Machine,
    Rounding,
    Sign,
    binary,
    boolean_inputs,
    boolean_network,
    sign_network,
    ternary,
    text,
    uniform,
)
from singulab.discrete.outputs import packed, unpacked


def test_boolean_inputs_count_upwards():
    assert boolean_inputs(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert boolean_inputs(1, signed=True).tolist() == [[-1], [1]]
    with pytest.raises(ValueError, match="from 1 to 20, got 0"):
        boolean_inputs(0)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_layered_network_is_that_of_torch(activation):
    network = Layered((3, 5, 4, 2), activation)
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(6, network.num_weights, generator=random, dtype=torch.float64)
    inputs = torch.randn(7, 3, generator=random, dtype=torch.float64)
    outputs = network(weights, inputs)
    between = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    for row, out in zip(weights, outputs, strict=True):
        model = nn.Sequential(
            nn.Linear(3, 5), between(), nn.Linear(5, 4), between(), nn.Linear(4, 2)
        )
        model.double()
        start = 0
        for layer in (model[0], model[2], model[4]):
            units, fan_in = layer.weight.shape
            block = row[start : start + units * (fan_in + 1)].view(units, fan_in + 1)
            start += block.numel()
            layer.weight.data, layer.bias.data = block[:, :fan_in], block[:, fan_in]
        assert torch.allclose(out, model(inputs), rtol=0, atol=1e-12)
    assert start == network.num_weights


def test_gradients_flow_through_a_layered_network_and_change_nothing():
    network = Layered((2, 4, 1))
    weights = torch.randn(3, network.num_weights, generator=torch.Generator().manual_seed(1))
    leaf = weights.clone().requires_grad_()
    outputs = network(leaf, boolean_inputs(2, dtype=torch.float32))
    (gradient,) = torch.autograd.grad(outputs.sum(), leaf)
    assert gradient.abs().sum() > 0
    assert torch.equal(leaf.detach(), weights)
    assert torch.equal(network(weights, boolean_inputs(2, dtype=torch.float32)), outputs.detach())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 150), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_packing_is_undone(num_bits, rows, seed):
    bits = np.random.default_rng(seed).random((rows, num_bits)) < 0.5
    words = packed(bits)
    assert words.shape == (rows, -(-num_bits // 64))
    assert np.array_equal(unpacked(words, num_bits), bits)
    if num_bits <= 63:
        values = [int("".join("01"[int(b)] for b in row), 2) for row in bits]
        assert words[:, 0].tolist() == values


def test_outputs_become_symbols():
    values = torch.tensor([[[0.2], [-0.1], [0.0]], [[-1.0], [3.0], [0.01]]])
    sign = Sign()
    assert sign.symbols(sign.words(values), 3).tolist() == [[1, 0, 0], [0, 1, 1]]
    rounding = Rounding(0.1)
    # Halves go away from 0: |y| < η/2 is what rounds to 0.
    half = torch.tensor([[[0.05], [-0.05], [0.0499]]], dtype=torch.float64)
    assert rounding.symbols(rounding.words(half), 3).tolist() == [[1, -1, 0]]
    argmax = Argmax(3)
    logits = torch.tensor([[[0.0, 2.0, 1.0], [5.0, 5.0, 1.0], [0.0, 0.0, 9.0]]])
    assert argmax.symbols(argmax.words(logits), 3).tolist() == [[1, 0, 2]]
    assert text(argmax.symbols(argmax.words(logits), 3)) == ["102"]


def test_settings_are_the_digits_of_their_number():
    machine = boolean_network((1, 1), weights=ternary(), biases=False)
    assert machine.settings(0, 3).tolist() == [[-1], [0], [1]]
    two = boolean_network((1, 1), weights=ternary())
    assert two.settings(3, 6).tolist() == [[0, -1], [0, 0], [0, 1]]
    assert two.num_settings == 9


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.booleans(), st.data())
def test_bit_operations_compute_what_the_network_computes(num_inputs, num_hidden, bias, data):
    machine = sign_network(num_inputs, num_hidden, bias=bias)
    total = machine.num_settings
    start = data.draw(st.integers(0, max(0, total - 300)))
    stop = min(total, start + 300)
    assert np.array_equal(
        machine.functions_of_range(start, stop),
        machine.as_machine().functions_of_range(start, stop),
    )


def test_draws_depend_on_their_number_alone():
    machine = boolean_network((3, 4, 1))
    block = machine.block
    whole = machine.functions_of_draws(7, 0, 2 * block + 5)
    second = machine.functions_of_draws(7, block, 2 * block + 5)
    assert np.array_equal(whole[block:], second)
    assert not np.array_equal(machine.draws(7, 0), machine.draws(8, 0))


def test_gaussian_draws_have_the_wanted_variance():
    machine = boolean_network((4, 25, 1), weights=Gaussian(scale=2.0, bias_scale=0.5))
    drawn = torch.cat([machine.draws(0, block) for block in range(8)])
    first, second = (w.flatten(1) for w, _ in machine.network.parts(drawn))
    bias = next(iter(machine.network.parts(drawn)))[1]
    for sample, deviation in ((first, 1.0), (second, 0.4), (bias, 0.5)):
        # The standard error of a standard deviation of n normal numbers is σ/√(2n).
        assert abs(sample.std() / deviation - 1) < 5 / (2 * sample.numel()) ** 0.5


def test_drawn_levels_are_uniform():
    machine = boolean_network((4, 25, 1), weights=ternary())
    drawn = torch.cat([machine.draws(0, block) for block in range(4)])
    for level in (-1, 0, 1):
        share = (drawn == level).double().mean()
        assert abs(share - 1 / 3) < 5 * (2 / 9 / drawn.numel()) ** 0.5


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: Layered((3,)), "two or more positive numbers"),
        (lambda: Layered((3, 0, 1)), "two or more positive numbers"),
        (lambda: Layered((3, 1), biases=(True, True)), "1 layers need as many biases, got 2"),
        (lambda: boolean_network((2, 1), activation="step"), "relu, tanh, sign or linear"),
        (lambda: Rounding(0.0), "must be > 0, got 0"),
        (lambda: Rounding(float("nan")), "must be > 0"),
        (lambda: Argmax(1), "at least 2 classes"),
        (lambda: Gaussian(scale=0.0), "scale must be > 0"),
        (lambda: sign_network(7, 3), "1 to 6 inputs, got 7"),
        (lambda: sign_network(3, 0), "positive numbers"),
        (lambda: machine(inputs=torch.zeros(0, 1)), "at least 1 input, got an empty set"),
        (lambda: machine(num_weights=0), "at least 1 weight"),
        (lambda: machine(weights=Gaussian()), "need a Layered network"),
        (
            lambda: machine(network=lambda w, x: w).num_symbols,
            "must return \\[setting, input, output\\]",
        ),
        (lambda: machine(outputs=Argmax(3)).num_symbols, "needs as many outputs, got 1"),
        (lambda: text(np.array([[12]])), "from 0 to 9"),
    ],
)
def test_bad_machines_are_refused(make, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        make()


def machine(**changed) -> Machine:
    given = {
        "network": lambda w, x: (w @ x.T)[:, :, None],
        "num_weights": 1,
        "weights": binary(),
        "inputs": torch.ones(2, 1),
    }
    return Machine(**{**given, **changed})


def test_outputs_that_are_no_number_cannot_be_rounded():
    broken = machine(network=lambda w, x: (w @ x.T)[:, :, None] / 0, outputs=Rounding(0.1))
    with pytest.raises(ValueError, match="must be finite"):
        broken.functions(broken.settings(0, 2))


def test_a_machine_of_classes_and_one_of_meshes_count_right():
    classes = Machine(
        network=Layered((1, 3), biases=False),
        num_weights=3,
        weights=uniform(3),
        inputs=torch.ones(1, 1),
        outputs=Argmax(3),
    )
    words = classes.functions_of_range(0, 27)
    winners = classes.symbols(words)[:, 0]
    expected = [
        max(range(3), key=lambda k: (row[k], -k)) for row in classes.settings(0, 27).tolist()
    ]
    assert winners.tolist() == expected
