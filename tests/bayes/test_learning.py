import math
from fractions import Fraction

import numpy as np
import pytest

from singulab.bayes import (
    Tempering,
    gaussian_mixture,
    learning,
    reduced_rank,
    regression,
    sbic,
    select,
    tanh_network,
)
from singulab.exact import formulas

PLAN = Tempering(num_particles=500, num_populations=4)


def line():
    """y = w + noise: conjugate with its prior."""
    return regression(
        "mean",
        lambda draws, x: np.repeat(draws[:, None, :], len(x), axis=1),
        np.zeros((1, 1)),
        np.zeros((1, 1)),
        [(-8.0, 8.0)],
    )


def test_every_number_of_a_conjugate_model_is_exact():
    n, model = 100, line()
    (found,) = learning(model, [n], num_data_sets=30, tempering=PLAN, seed=3)
    rng = np.random.default_rng([3, 1])
    sums = np.array([model.simulate(rng, n)[:, 1].sum() for _ in range(30)])
    center, spread = sums / (1 + n), 1 / (1 + n)
    free_energy = 0.5 * math.log1p(n) - sums**2 / (2 * (1 + n))
    # KL(N(0, 1) ‖ N(m, 1 + s)).
    generalisation = 0.5 * n * (np.log1p(spread) + (1 + center**2) / (1 + spread) - 1)
    beta = 1 / math.log(n)
    hot = 1 / (1 + beta * n)
    heated = n * 0.5 * ((beta * sums * hot) ** 2 + hot) - beta * sums**2 * hot
    # 2000 weighted particles: about 2 % of each.
    assert found.free_energy == pytest.approx(free_energy, abs=0.12)
    assert found.generalisation == pytest.approx(generalisation, abs=0.15, rel=0.1)
    assert found.wbic == pytest.approx(heated, abs=0.25)
    assert found.population == pytest.approx(0.5 * math.log1p(n), abs=0.12)


def test_errors_of_the_particles_are_told_with_the_means():
    n, plan = 100, Tempering(num_particles=250, num_populations=8)
    sums = np.array([data[:, 1].sum() for data in _data(line(), n, num_data_sets=20, seed=3)])
    free_energy = (0.5 * math.log1p(n) - sums**2 / (2 * (1 + n))).mean()
    beta = 1 / math.log(n)
    hot = 1 / (1 + beta * n)
    heated = (n * 0.5 * ((beta * sums * hot) ** 2 + hot) - beta * sums**2 * hot).mean()
    (found,) = learning(line(), [n], num_data_sets=20, tempering=plan, seed=3)
    for name, value, exact in (
        ("free_energy", found.free_energy.mean(), free_energy),
        ("wbic", found.wbic.mean(), heated),
        ("population", found.population, 0.5 * math.log1p(n)),
    ):
        # Eight populations: Student's t with seven degrees, beyond 5.4 one time in a thousand.
        assert abs(value - exact) < 5.4 * found.mcse[name]
        assert found.mcse[name] < 0.1
    assert 0 < found.mcse["generalisation"] < 0.1


def _data(model, n, *, num_data_sets, seed):
    rng = np.random.default_rng([seed, 1])
    return [model.simulate(rng, n) for _ in range(num_data_sets)]


@pytest.mark.parametrize(
    "model", [gaussian_mixture(1), gaussian_mixture(2), reduced_rank(2, 1, 2), tanh_network(1)]
)
def test_the_quadrature_of_a_model_is_that_of_its_data(model):
    rng = np.random.default_rng(0)
    draws = 0.3 * rng.standard_normal((3, model.dim))
    if model.name.startswith("mixture of 2"):
        draws[:, 0] = 0.4
    data = model.simulate(rng, 40_000)
    assert model.weights.sum() == pytest.approx(1.0)
    assert model.total(draws, data) == pytest.approx(model.log_likelihood(draws, data).sum(axis=1))
    excess = model.log_truth(data) - model.log_likelihood(draws, data)
    error = excess.std(axis=1) / 200
    assert (np.abs(model.excess(draws) - excess.mean(axis=1)) < 4.5 * error).all()
    assert (model.excess(draws) >= -1e-10).all()


@pytest.mark.slow
def test_waic_estimates_the_generalisation_error_on_average():
    plan = Tempering(num_particles=2000)
    (found,) = learning(reduced_rank(2, 1, 2), [300], num_data_sets=60, tempering=plan, seed=1)
    difference = found.generalisation - found.waic
    assert abs(difference.mean()) < 4 * difference.std(ddof=1) / math.sqrt(60)


def test_a_data_set_far_from_the_others_gets_a_run_of_its_own():
    plan = Tempering(num_particles=30, num_populations=2)  # never 100 effective draws
    (found,) = learning(line(), [200], num_data_sets=20, tempering=plan, seed=3)
    assert found.effective.min() > 100
    rng = np.random.default_rng([3, 1])
    sums = np.array([line().simulate(rng, 200)[:, 1].sum() for _ in range(20)])
    exact = 0.5 * math.log1p(200) - sums**2 / (2 * 201)
    assert found.free_energy == pytest.approx(exact, abs=0.35)


def test_regions_are_followed_along_n():
    regions = {"small": lambda w: np.abs(w[:, 0]) < 0.3, "large": lambda w: np.abs(w[:, 0]) >= 0.3}
    few, many = learning(
        line(), [5, 500], num_data_sets=10, regions=regions, tempering=PLAN, seed=0
    )
    assert few.masses["small"] + few.masses["large"] == pytest.approx(np.ones(10))
    assert few.masses["small"].mean() < 0.8
    assert many.masses["small"].mean() > 0.99


@pytest.mark.slow
def test_selection_prefers_what_the_data_were_made_of():
    rng = np.random.default_rng(5)
    plain = rng.standard_normal((200, 1))
    split = plain + 4.0 * (rng.random((200, 1)) < 0.5)
    models = {"H=1": gaussian_mixture(1), "H=2": gaussian_mixture(2)}

    def coefficients(model, true):
        return formulas.gaussian_mixture(int(model[-1]), int(true[-1]))

    for data, best in ((plain, "H=1"), (split, "H=2")):
        table = select(models, data, coefficients=coefficients, tempering=PLAN)
        assert {table.best(name) for name in ("free_energy", "wbic", "sbic")} == {best}
        assert str(table).count("\n") == 2
        score = table[best]
        assert score.sbic == pytest.approx(score.free_energy, abs=8.0)
        assert score.log_likelihood > -score.free_energy


def test_draws_of_another_program_are_scored():
    rng = np.random.default_rng(0)
    cold, hot = rng.normal(-1.4, 0.1, (2, 500, 50)), rng.normal(-1.5, 0.1, (2, 500, 50))
    table = select({"mine": {"log_likelihood": cold, "tempered": hot}})
    assert table["mine"].wbic == pytest.approx(75.0, abs=0.1)
    assert table["mine"].free_energy is None
    with pytest.raises(ValueError, match="No model has a free_energy"):
        table.best()


def test_sbic_lies_between_the_smallest_and_its_own_penalty():
    def coefficients(model, true):
        return formulas.regular(2 if model == true == "b" else 1)

    n = 1000
    values = sbic([-1000.0, -1000.0], ["a", "b"], n, coefficients)
    assert values[0] == pytest.approx(1000 + 0.5 * math.log(n))
    # The submodel explains as much: with L_ba = L_a = 1 and L_bb = n^{−1/2}, L² + (1 − n^{−1/2})L − 1 = 0.
    b = 1 - n**-0.5
    assert values[1] - values[0] == pytest.approx(-math.log((math.sqrt(b * b + 4) - b) / 2))
    values = sbic([-1000.0, -900.0], ["a", "b"], n, coefficients)
    assert values[1] == pytest.approx(900 + math.log(n), abs=3.6)


def test_models_know_their_theorem():
    assert reduced_rank(2, 1, 2).rlct == (Fraction(1), 2)
    assert gaussian_mixture(2).rlct == (Fraction(3, 4), 1)
    assert tanh_network(2).dim == 7


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: learning(line(), []), "increases"),
        (lambda: learning(line(), [2, 5]), "at least 3"),
        (lambda: learning(line(), [5], num_data_sets=0), "at least 1"),
        (lambda: gaussian_mixture(3), "one or two"),
        (lambda: tanh_network(2, [1.0, 2.0]), "three weights per unit"),
        (lambda: select({}), "at least one candidate"),
        (lambda: select({"a": line()}), "give the data"),
        (lambda: select({"a": {"draws": 1}}), "needs log_likelihood"),
        (lambda: Tempering(num_particles=3), "at least 20"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def draws(num_data):
    return {"log_likelihood": np.random.default_rng(0).normal(-1.4, 0.1, (2, 50, num_data))}


def mixed(num_draws):
    data = np.random.default_rng(0).standard_normal((50, 1))
    return select({"a": gaussian_mixture(1), "b": draws(num_draws)}, data, tempering=PLAN)


def of_data(data):
    return select({"a": gaussian_mixture(1)}, data, tempering=PLAN)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: select({"a": draws(50), "b": draws(20)}), "the same data, got a: 50, b: 20"),
        (lambda: mixed(20), "the same data, got a: 50, b: 20"),
        (lambda: of_data(np.zeros((10, 3))), r"1 column\(s\) per datum, got shape \(10, 3\)"),
        (lambda: of_data(np.zeros(10)), r"1 column\(s\) per datum, got shape \(10,\)"),
        (lambda: of_data(np.zeros((0, 1))), "at least 3 data, got 0"),
        (lambda: of_data(np.full((10, 1), math.nan)), "not finite"),
        (lambda: of_data("data"), "array of numbers"),
        (lambda: select({"a": 3}), "a is neither a Model nor a mapping with draws, got int"),
        (lambda: select([gaussian_mixture(1)]), "maps names to candidates, got list"),
    ],
)
def test_candidates_that_cannot_be_ranked_are_refused(call, sentence, unchecked):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()
