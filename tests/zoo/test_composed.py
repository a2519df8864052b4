"""Networks whose truth follows from that of their parts: sums, duplicates, tanh units."""

import math
from dataclasses import replace

import pytest
import torch

import singulab as sl
from singulab.zoo import CASES, DirectSum, Duplicated, TanhUnit, TanhUnits, random_deep_linear
from singulab.zoo.fresh import DUPLICATED, JOINED, TANH_UNITS, TWIN_UNIT

UNIT = TanhUnit(name="unit", outer=(0.8,), inner=(1.2,), label_noise=1.0, num_data=3_200)
LINEAR = replace(CASES["reduced-rank-4"], num_data=3_200)
COMPOSED = [
    UNIT,
    replace(UNIT, outer=(0.3, 0.5), inner=(1.2, 1.2)),
    DirectSum(name="sum", parts=(UNIT, LINEAR, UNIT), num_data=3_200, batch_size=32),
    Duplicated(name="twice", base=UNIT, copies=2, num_data=3_200, batch_size=32),
    Duplicated(name="thrice", base=LINEAR, copies=3, num_data=3_200, batch_size=32),
    TANH_UNITS[3],
    TANH_UNITS[-1],
    JOINED[2],
]


@pytest.mark.parametrize("case", COMPOSED, ids=lambda case: case.name)
@pytest.mark.parametrize("labels", ["data", "model"])
def test_the_exact_loss_is_that_of_the_module_on_the_data(case, labels):
    function, center = case.exact_loss(labels)
    model = case.model(torch.float64)
    assert {name: weight.shape for name, weight in model.named_parameters()} == {
        name: weight.shape for name, weight in center.items()
    }
    assert case.num_weights == sum(weight.numel() for weight in center.values())
    inputs, targets = (part.double() for part in case.data())
    outputs = model(inputs).detach()
    targets = targets if labels == "data" else outputs
    generator = torch.Generator().manual_seed(0)
    moved = {
        name: weight + 0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        for name, weight in center.items()
    }
    there = torch.func.functional_call(model, moved, inputs)
    direct = 0.5 * ((there - targets).square() - (outputs - targets).square()).sum(1).mean()
    stacked = {name: weight[None] for name, weight in moved.items()}
    torch.testing.assert_close(function(stacked)[0], direct.detach(), rtol=1e-5, atol=1e-6)
    assert float(function({name: weight[None] for name, weight in center.items()})[0]) == 0.0


def test_a_sum_adds_truths_coefficients_and_multiplicities():
    units = TANH_UNITS[0]
    parts = [part.truth(10.0) for part in units.parts]
    assert units.truth(10.0).value == pytest.approx(sum(truth.value for truth in parts))
    assert units.rlct.value == sum(part.rlct.value for part in units.parts)
    twins = DirectSum(
        name="two", parts=(CASES["reduced-rank-4"],) * 2, num_data=10_000, batch_size=64
    )
    one = CASES["reduced-rank-4"].truth(10.0)
    assert twins.truth(10.0).value == 2 * one.value
    assert twins.truth(10.0).error == 2 * one.error  # the same record twice: not independent
    assert twins.truth(10.0).evidence["rhat"] == one.evidence["rhat"]
    mixed = DirectSum(
        name="mixed",
        parts=(CASES["reduced-rank-1-odd"], CASES["reduced-rank-4"]),
        num_data=10_000,
        batch_size=64,
    )
    other = CASES["reduced-rank-1-odd"].truth(10.0)
    assert mixed.truth(10.0).error == math.hypot(one.error, other.error)
    assert mixed.multiplicity == 2


def test_copies_of_a_weight_are_one_weight_under_a_weaker_tether():
    base = CASES["reduced-rank-4"]
    case = Duplicated(name="ten", base=base, copies=10, num_data=10_000, batch_size=64)
    assert case.truth(100.0) == base.truth(10.0)
    assert case.rlct == base.rlct
    assert case.num_weights == 10 * base.num_weights


def test_hmc_on_the_copies_returns_the_quadrature_of_one_at_the_weaker_tether():
    # |z| ≤ 4: one false alarm in 16 000 runs.
    case = Duplicated(name="four", base=UNIT, copies=4, num_data=3_200, batch_size=32)
    trace = sl.sample(
        case.exact_potential(40.0),
        sl.HMC(step_size=1e-3, num_leapfrog=6),
        num_chains=128,
        num_draws=60,
        seed=1,
    )
    found = sl.estimate.llc(trace, burn_in=20)
    truth = UNIT.truth(10.0)
    assert found.se < 0.03 * truth.value
    assert abs(truth.z(found.value, found.se)) <= 4
    assert abs(found.value - UNIT.truth(40.0).value) > 5 * found.se


@pytest.mark.parametrize("center", [(0.0, 0.0), (0.0, 1.0), (0.8, 1.2)])
def test_one_unit_approaches_its_coefficient_as_n_grows(center):
    unit = TanhUnit(name="unit", outer=center[:1], inner=center[1:])
    localization = (
        1.0 if unit.multiplicity == 2 else 100.0
    )  # a narrow tether stays clear of the origin
    values = [unit.truth(localization, nbeta=10.0**power).value for power in (3, 5, 7)]
    gaps = [abs(value - unit.rlct.value) for value in values]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < (0.06 if unit.multiplicity == 2 else 0.01)


def test_fresh_compositions_stand_where_they_say():
    assert {type(part) for case in JOINED for part in case.parts} == {
        type(random_deep_linear(0)),
        TanhUnits,
    }
    assert all(case.copies == 4 for case in DUPLICATED)
    assert TWIN_UNIT.truth(10.0, labels="model") == TWIN_UNIT.truth(10.0)
    assert TWIN_UNIT.rlct is None


@pytest.mark.parametrize(
    "build, told",
    [
        (lambda: replace(UNIT, inner=(1.0, 2.0)), "as many outer as inner"),
        (lambda: replace(UNIT, num_data=1_000), "multiple of 16"),
        (
            lambda: DirectSum(name="s", parts=(UNIT,), num_data=10_000, batch_size=8),
            "10000 data each, got unit gaussian 3200",
        ),
        (lambda: DirectSum(name="s", parts=(), num_data=10_000, batch_size=8), "got none"),
        (
            lambda: TanhUnits(
                name="t",
                parts=(UNIT, replace(UNIT, outer=(1.0, 1.0), inner=(1.0, 1.0))),
                num_data=3_200,
                batch_size=8,
            ),
            "equally many",
        ),
        (
            lambda: Duplicated(name="d", base=UNIT, copies=0, num_data=3_200, batch_size=8),
            "at least 1",
        ),
    ],
)
def test_impossible_compositions_are_refused(build, told):
    with pytest.raises(ValueError, match=told):
        build()
