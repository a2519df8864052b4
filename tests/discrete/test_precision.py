import math

import numpy as np
import pytest
import torch

from singulab.discrete import (
    Reading,
    bit_cost,
    boolean_inputs,
    boolean_network,
    critical_bits,
    readings,
    rounded,
    vanishing_pairs,
)
from singulab.discrete.levels import FORMATS, patterns
from singulab.discrete.precision import bits


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_vanishing_pairs_are_those_of_all_products(name):
    values = torch.from_numpy(patterns(name))
    products = (values[:, None] * values[None]).to(FORMATS[name])
    found = vanishing_pairs(name)
    assert found.vanishing == int((products == 0).sum())
    assert found.with_zero == int((values[:, None] * values[None] == 0).sum())
    assert found.pairs == products.numel()
    assert found.complexity == pytest.approx(-math.log(found.share))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_vanishing_pairs_of_16_bits_agree_with_rows_of_the_products_of_torch(name):
    values = torch.from_numpy(patterns(name)).to(FORMATS[name])
    chosen = values[:: len(values) // 97]
    counted = (chosen[:, None] * values[None] == 0).double().mean().item()
    # 98 of 65 000 rows: their mean is known to a few percent only, but every row is exact.
    exact = vanishing_pairs(name)
    rows = (chosen[:, None] * values[None] == 0).double().mean(1)
    assert abs(counted - exact.share) < 5 * float(rows.std()) / len(rows) ** 0.5
    assert exact.pairs == len(values) ** 2


def test_every_sixteenth_row_of_float16_is_counted_exactly():
    values = torch.from_numpy(patterns("float16"))
    positive = values[values > 0].sort().values
    rows = positive[::997]
    by_torch = ((rows[:, None] * positive[None]).to(torch.float16) == 0).sum(1)
    half = positive[0] / 2
    expected = [int((positive <= half / x).sum()) for x in rows]
    assert (
        by_torch.tolist() == expected
    )  # the rule that the count is made of, ties to even included


def test_rounding_keeps_what_a_format_can_hold():
    weights = torch.tensor([0.5, -1.0, 0.1, 3.14159])
    assert torch.equal(rounded(weights, "float32"), weights)
    for name in ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"):
        held = rounded(weights, name)
        assert torch.equal(held, rounded(held, name))
        assert torch.equal(held[:2], weights[:2])
    assert rounded(torch.tensor([0.24, -1.0, 0.26]), 3).tolist() == pytest.approx(
        [1 / 3, -1, 1 / 3]
    )
    assert rounded(torch.tensor([0.1, -1.0, 0.9]), 2).tolist() == [0.0, -1.0, 1.0]
    assert torch.equal(rounded(torch.zeros(3), 4), torch.zeros(3))
    assert bits("float16") == 16
    assert bits(5) == 5


def test_a_grid_has_2_to_the_b_minus_1_values_and_an_error_below_half_a_mesh():
    weights = torch.linspace(-2, 2, 10_001, dtype=torch.float64)
    for b in (2, 3, 5, 8):
        held = rounded(weights, b)
        assert len(held.unique()) == 2**b - 1
        assert (held - weights).abs().max() <= 2 / (2 ** (b - 1) - 1) / 2 + 1e-12


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: rounded(torch.ones(2), "int8"), "format is one of"),
        (lambda: rounded(torch.ones(2), 1), "at least 2 bits, got 1"),
        (lambda: rounded(torch.full((2,), 1e6), "float16"), "float16 ends at 65504"),
        (lambda: critical_bits([], 0.0), "tolerance must be > 0"),
        (lambda: bit_cost(lambda w: w.sum(1), torch.zeros(1), [0.1]), "two or more tolerances"),
        (
            lambda: bit_cost(lambda w: w.sum(1), torch.zeros(1), [0.1, -1.0]),
            "two or more tolerances",
        ),
    ],
)
def test_bad_wishes_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_critical_bits_are_the_last_before_the_loss_rises():
    def reading(b, excess):
        return Reading(
            precision="grid", bits=b, loss=1 + excess, excess=excess, disagreement=None, error=None
        )

    found = [reading(b, e) for b, e in ((2, 1.0), (3, 0.001), (4, 0.5), (5, 0.01), (6, 0.0))]
    assert critical_bits(found, 0.1) == 5
    assert critical_bits(found, 0.6) == 3
    assert critical_bits(found, 2.0) == 2
    assert critical_bits([reading(4, 1.0)], 0.5) is None


def test_the_bits_of_a_power_are_its_learning_coefficient():
    # λ of Σ w_i^{2k} is d/(2k), and so is the slope of the bits of all weights together.
    for k, dim in ((1, 1), (1, 4), (2, 3), (3, 2)):
        found = bit_cost(
            lambda w, k=k: (w ** (2 * k)).sum(1),
            torch.zeros(dim, dtype=torch.float64),
            [1e-3, 1e-5, 1e-8],
        )
        assert found.slope == pytest.approx(dim / (2 * k), abs=1e-6)


def test_one_mesh_for_all_weights_overpays_where_directions_differ():
    # x²y² at (0, 1): λ = ½, order 2 in two weights: slope 1. At (0, 0): order 4, slope ½ = λ.
    def loss(w):
        return (w[:, 0] * w[:, 1]) ** 2

    at_axis = bit_cost(loss, torch.tensor([0.0, 1.0], dtype=torch.float64), [1e-4, 1e-6, 1e-8])
    at_origin = bit_cost(loss, torch.zeros(2, dtype=torch.float64), [1e-4, 1e-6, 1e-8])
    assert at_axis.slope == pytest.approx(1.0, abs=1e-3)
    assert at_origin.slope == pytest.approx(0.5, abs=1e-6)


def test_the_bits_of_a_square_are_those_of_its_variance():
    # E (ΔU)² = Δ²/12 = tolerance.
    found = bit_cost(
        lambda w: (w**2).sum(1),
        torch.zeros(1, dtype=torch.float64),
        [1e-4, 1e-6],
        num_offsets=200_000,
    )
    assert found.bits[0] == pytest.approx(-math.log2(math.sqrt(12e-4)), abs=5 / 200_000**0.5)


def test_readings_of_a_network_name_loss_function_and_error():
    machine = boolean_network((3, 1))
    weights = torch.tensor([1.0, 0.7, -0.9, 0.1])
    target = machine.symbols(machine.functions(weights[None]))[0]
    signs = torch.from_numpy(2 * target - 1).float()

    def loss(w):
        outputs = machine.network(w[None], boolean_inputs(3, dtype=torch.float32))[0, :, 0]
        return float(torch.nn.functional.softplus(-signs * outputs).mean())

    def symbols(w):
        return machine.symbols(machine.functions(w[None]))[0]

    found = readings(
        weights, loss, symbols=symbols, error=lambda w: float(np.mean(symbols(w) != target))
    )
    by_name = {(r.precision, r.bits): r for r in found}
    exact = by_name["float32", 32]
    assert (exact.excess, exact.disagreement, exact.error) == (0.0, 0.0, 0.0)
    assert abs(by_name["grid", 16].excess) < 1e-4
    assert by_name["grid", 2].disagreement == by_name["grid", 2].error > 0
    assert [r.bits for r in found if r.precision == "grid"] == list(range(2, 17))
