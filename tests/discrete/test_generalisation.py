import math

import numpy as np
import pytest
import torch

from singulab.discrete import (
    Machine,
    Optimiser,
    Rounding,
    Trained,
    boolean_network,
    comparison,
    fibres,
    interpolants,
    multiples,
    sign_network,
    text,
    trained,
)

SYMMETRIC = [0, 0, 0, 1, 0, 1, 1, 1]


def test_interpolants_are_all_functions_that_fit():
    found = fibres(sign_network(3, 3))
    fits = interpolants(found, SYMMETRIC, [0, 3, 5, 7])
    tables = text(found.symbols)
    expected = {t for t in tables if all(int(t[k]) == SYMMETRIC[k] for k in (0, 3, 5, 7))}
    assert {tables[k] for k in fits.place} == expected
    assert fits.mass.sum() == pytest.approx(1)
    counts = found.counts[fits.place]
    assert fits.log_evidence == pytest.approx(math.log(counts.sum() / found.total))
    for place, error in zip(fits.place, fits.error, strict=True):
        wrong = sum(int(tables[place][k]) != SYMMETRIC[k] for k in (1, 2, 4, 6))
        assert error == wrong / 4
    assert fits.bayes_error == pytest.approx(float((counts * fits.error).sum() / counts.sum()))
    assert fits.uniform_error == pytest.approx(fits.error.mean())
    assert len(fits) == len(expected)


def test_low_complexity_generalises_worse_where_the_target_says_so():
    # The training set says 0 everywhere. Of all functions that agree, the constant one is the simplest; a target that
    # is 1 on the rest makes it the worst, and its negation on the rest makes it the best.
    found = fibres(boolean_network((4, 8, 1)), num_draws=200_000)
    chosen = [0, 3, 5, 9, 10, 15]
    kind, unkind = np.zeros(16, int), np.ones(16, int)
    unkind[chosen] = 0
    good, bad = (interpolants(found, target, chosen) for target in (kind, unkind))
    assert good.simplest_error == 0.0
    assert bad.simplest_error == 1.0
    assert good.bayes_error < good.uniform_error
    assert bad.bayes_error > bad.uniform_error
    assert good.bayes_error + bad.bayes_error == pytest.approx(1)


def test_products_of_weights_that_fit_disagree_elsewhere():
    # f(x) = θ₁θ₂x₁ + θ₃x₂ on one training input (1, 1) with target 0: θ₁θ₂ + θ₃ = 0. What f does on (1, 0) is θ₁θ₂,
    # and the fibre of θ₁θ₂ = 0 is the heaviest.
    levels = multiples("0.5")
    machine = Machine(
        network=lambda w, x: ((w[:, :1] * w[:, 1:2]) @ x.T[:1] + w[:, 2:] @ x.T[1:])[:, :, None],
        num_weights=3,
        weights=levels,
        inputs=torch.tensor([[1.0, 1.0], [1.0, 0.0]], dtype=torch.float64),
        outputs=Rounding(0.25),
    )
    fits = interpolants(fibres(machine), [0, 0], [0])
    values = np.array(levels.values)
    product = values[:, None] * values[None]
    counts = {}
    for p in product.ravel():
        if -p in values:
            counts[p] = counts.get(p, 0) + 1
    assert fits.mass[0] == pytest.approx(counts[0.0] / sum(counts.values()))
    assert fits.error[0] == 0.0
    assert len(fits) == len(counts)
    assert fits.bayes_error == pytest.approx(1 - fits.mass[0])


def test_underdetermined_reduced_rank_regression_prefers_small_products():
    # y = b·a₁x₁ + b·a₂x₂ seen at x = (1, 0) alone: b·a₁ = 1 is known, b·a₂ is not.
    machine = Machine(
        network=lambda w, x: (w[:, 2:] * (w[:, :2] @ x.T))[:, :, None],
        num_weights=3,
        weights=multiples("0.5"),
        inputs=torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64),
        outputs=Rounding(0.25),
    )
    fits = interpolants(fibres(machine), [4, 0], [0])
    # b·a₁ = 1 on the multiples of ½ in [−1, 1] needs a₁ = b = ±1; a₂ is free: 5 functions of 2 settings.
    assert len(fits) == 5
    assert np.allclose(fits.mass, 0.2)


def test_training_is_compared_with_the_posterior():
    machine = boolean_network((3, 12, 1))
    found = fibres(machine, num_draws=100_000)
    chosen = [0, 1, 6, 7]
    fits = interpolants(found, SYMMETRIC, chosen)
    runs = trained(machine, SYMMETRIC, chosen, num_runs=512, optimiser=Optimiser(learning_rate=0.2))
    seen = comparison(runs, found, fits)
    assert seen.num_fit == runs.fit.sum() > 450
    assert seen.correlation.value > 0.4
    assert not seen.verdict.passed  # close to the posterior, and yet not a sample of it
    assert seen.total_variation < 0.5
    assert seen.frequency.sum() + seen.num_strangers / seen.num_fit == pytest.approx(1)
    assert abs(seen.error - float(seen.frequency @ fits.error)) < 0.02
    assert set(seen.to_dict()) >= {"correlation", "total_variation", "error", "error_se"}


def test_draws_of_the_posterior_itself_agree_with_it():
    machine = boolean_network((3, 12, 1))
    found = fibres(machine, num_draws=100_000)
    chosen = [0, 1, 6, 7]
    fits = interpolants(found, SYMMETRIC, chosen)
    weights = torch.cat([machine.draws(99, block) for block in range(4)])
    functions = machine.functions(weights)
    fit = (machine.symbols(functions)[:, chosen] == np.array(SYMMETRIC)[chosen]).all(axis=1)
    seen = comparison(
        Trained(weights=weights, functions=functions, fit=fit, diverged=~np.ones(len(fit), bool)),
        found,
        fits,
    )
    assert seen.correlation.value > 0.5
    assert seen.verdict.passed
    # Half of Σ|share − mass| over some ten heavy functions among n draws is about √(functions/(2πn)).
    assert seen.total_variation < 2 * math.sqrt(len(fits) / (2 * math.pi * seen.num_fit))
    assert abs(seen.error - fits.bayes_error) < 4 * seen.error_se


@pytest.mark.parametrize(
    "targets, chosen, sentence",
    [
        ([0] * 3, [0], "needs 8 symbols, got 3"),
        ([0] * 8, [8], "places from 0 to 7"),
        ([0] * 8, range(8), "inputs that were not trained on"),
        ([0, 1, 1, 0, 1, 0, 0, 1], range(7), "no function of this machine fits"),
    ],
)
def test_bad_wishes_are_refused(targets, chosen, sentence):
    with pytest.raises(ValueError, match=sentence):
        interpolants(fibres(sign_network(3, 1)), targets, chosen)


def test_a_comparison_needs_runs_that_fit():
    machine = boolean_network((2, 2, 1))
    found = fibres(machine, num_draws=1_000)
    fits = interpolants(found, [0, 0, 0, 1], [0])
    runs = trained(machine, [0, 0, 0, 1], [0], num_runs=1)
    with pytest.raises(ValueError, match="needs 2 runs that fit"):
        comparison(runs, found, fits)
