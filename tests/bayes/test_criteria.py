import math

import arviz_base
import numpy as np
import pytest
import xarray as xr

from singulab.bayes import singular_fluctuation, waic, wbic


def conjugate(num_data, beta, *, num_draws=40_000, seed=0):
    """Data from N(0, 1), draws of its mean at inverse temperature β under a N(0, 1) prior, exactly."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal(num_data)
    precision = 1 + beta * num_data
    means = beta * data.sum() / precision + rng.standard_normal((4, num_draws // 4)) / math.sqrt(
        precision
    )
    values = -0.5 * (data - means[..., None]) ** 2 - 0.5 * math.log(2 * math.pi)
    return data, values


def test_wbic_is_the_exact_mean_at_its_temperature():
    n = 50
    beta = 1 / math.log(n)
    data, values = conjugate(n, beta)
    precision = 1 + beta * n
    # E(x − w)² = (x − m)² + 1/precision.
    exact = (
        0.5
        * (
            (data - beta * data.sum() / precision) ** 2 + 1 / precision + math.log(2 * math.pi)
        ).sum()
    )
    found = wbic(values, beta)
    assert abs(found.value - exact) < 4 * found.mcse
    assert found.mcse < 0.05


def test_wbic_is_near_the_free_energy():
    n = 1000
    data, values = conjugate(n, 1 / math.log(n), num_draws=4000)
    evidence = -0.5 * math.log1p(n) + data.sum() ** 2 / (2 * (1 + n))
    free_energy = 0.5 * (data**2).sum() + n / 2 * math.log(2 * math.pi) - evidence
    assert wbic(values, 1 / math.log(n)).value == pytest.approx(free_energy, abs=1.0)


def test_waic_is_its_exact_value():
    n = 40
    data, values = conjugate(n, 1.0)
    spread = 1 / (1 + n)
    center = data.sum() * spread
    predictive = -0.5 * (data - center) ** 2 / (1 + spread) - 0.5 * np.log(
        2 * math.pi * (1 + spread)
    )
    # Var ½(x − w)² for Gaussian w: (x − m)²s + s²/2.
    variances = (data - center) ** 2 * spread + spread**2 / 2
    found = waic(values)
    assert found.training_loss == pytest.approx(-predictive.mean(), abs=2e-4)
    assert found.functional_variance == pytest.approx(variances.sum(), rel=0.03)
    assert found.total == pytest.approx((variances - predictive).sum(), abs=0.05)
    assert singular_fluctuation(values) == pytest.approx(variances.sum() / 2, rel=0.03)


def test_the_singular_fluctuation_of_a_regular_model_is_half_its_dimension():
    found = [
        singular_fluctuation(conjugate(400, 1.0, num_draws=2000, seed=s)[1]) for s in range(20)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found, ddof=1) / math.sqrt(20))


def test_arrays_xarray_and_arviz_are_one():
    _, values = conjugate(30, 1.0, num_draws=400)
    expected = waic(values).value
    array = xr.DataArray(values, dims=("chain", "draw", "obs"))
    tree = xr.DataTree.from_dict({"log_likelihood": xr.Dataset({"y": array})})
    for given in (
        values.reshape(-1, 30),
        array,
        array.transpose("obs", "draw", "chain"),
        xr.Dataset({"y": array}),
        tree,
        {"y": values},
    ):
        assert waic(given).value == pytest.approx(expected, rel=1e-12)


class InferenceDataLike:
    """The older object of ArviZ: groups are attributes."""

    def __init__(self, **groups):
        self._groups = groups
        vars(self).update(groups)

    def groups(self):
        return list(self._groups)


def tree(**groups):
    return xr.DataTree.from_dict(
        {name: xr.Dataset(variables) for name, variables in groups.items()}
    )


def test_an_arviz_object_is_read_through_its_group():
    _, values = conjugate(30, 1.0, num_draws=400)
    expected = waic(values).value
    array = xr.DataArray(values, dims=("chain", "draw", "y_dim_0"))
    mu = xr.DataArray(values[..., 0], dims=("chain", "draw"))
    whole = tree(posterior={"mu": mu}, log_likelihood={"y": array})
    for given in (
        whole,
        whole["log_likelihood"],
        InferenceDataLike(posterior=mu, log_likelihood=xr.Dataset({"y": array})),
        {"log_likelihood": {"y": values}, "posterior": None},
    ):
        assert waic(given).value == pytest.approx(expected, rel=1e-12)
    wide = array.values.reshape(*array.shape[:2], 5, 6)
    matrix = tree(log_likelihood={"y": xr.DataArray(wide, dims=("chain", "draw", "row", "column"))})
    assert waic(matrix).value == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="no group log_likelihood among posterior"):
        waic(tree(posterior={"mu": mu}))
    with pytest.raises(ValueError, match="no group log_likelihood among posterior"):
        waic(whole["posterior"])
    with pytest.raises(ValueError, match="no group log_likelihood among posterior"):
        waic(InferenceDataLike(posterior=mu))
    with pytest.raises(ValueError, match="2 variables of log-likelihoods, y, z"):
        waic(tree(log_likelihood={"y": array, "z": array}))


def test_what_arviz_itself_makes_is_read():
    _, values = conjugate(30, 1.0, num_draws=400)
    made = arviz_base.from_dict(
        {"posterior": {"mu": values[..., 0]}, "log_likelihood": {"y": values}}
    )
    assert waic(made).value == pytest.approx(waic(values).value, rel=1e-12)
    beta = 1 / math.log(30)
    assert wbic(made, beta).value == pytest.approx(wbic(values, beta).value, rel=1e-12)


@pytest.mark.parametrize("given", [None, "draws", [[1.0, 2.0], [3.0]]])
def test_what_is_no_array_is_refused(given):
    with pytest.raises((TypeError, ValueError), match="Pointwise log-likelihoods"):
        waic(given)


def test_a_wrong_temperature_is_refused():
    _, values = conjugate(30, 1.0, num_draws=100)
    with pytest.raises(ValueError, match="β = 1/log n = 0.294"):
        wbic(values, 1.0)
    with pytest.raises(ValueError, match="WAIC needs draws of the posterior itself"):
        waic(values, 1 / math.log(30))
    with pytest.raises(ValueError, match="above 0"):
        singular_fluctuation(values, 0.0)


@pytest.mark.parametrize(
    "values, sentence",
    [
        (np.zeros(5), "draw × datum"),
        (np.zeros((1, 5)), "two draws"),
        (np.full((4, 5), np.nan), "not finite"),
        ({"a": np.zeros((3, 3)), "b": np.zeros((3, 3))}, "2 variables"),
    ],
)
def test_numbers_that_are_no_log_likelihoods_are_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        waic(values)


def test_wbic_needs_three_data():
    with pytest.raises(ValueError, match="at least 3"):
        wbic(np.zeros((4, 2)), 1.0)


@pytest.mark.parametrize(
    "values, kind",
    [
        (np.zeros((4, 5)) * 1j, "complex128"),
        (np.zeros((4, 5), dtype=bool), "bool"),
        (np.full((4, 5), "1"), "<U1"),
    ],
)
def test_an_array_of_no_real_numbers_is_refused(values, kind):
    with pytest.raises(TypeError, match=f"Pointwise log-likelihoods are real numbers.*{kind}"):
        waic(values)


@pytest.mark.parametrize("beta", ["1", None, True, 1j, math.nan])
@pytest.mark.parametrize("criterion", [waic, wbic, singular_fluctuation])
def test_a_temperature_that_is_no_number_is_refused(criterion, beta, unchecked):
    with pytest.raises(ValueError, match="β is a finite number above 0, got"):
        criterion(np.zeros((4, 5)), beta)


def test_whole_numbers_are_log_likelihoods():
    values = np.arange(20).reshape(4, 5)
    assert waic(values).value == waic(values.astype(float)).value
