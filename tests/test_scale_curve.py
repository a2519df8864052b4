"""Scale curves: independent points, the limit of those that passed, and where to stop."""

import math

import numpy as np
import pytest
import torch

import singulab as sl

OPTIONS = {"relative_error": 0.05, "num_chains": 128}


def regular(curvatures=(1.0, 3.0)):
    h = torch.tensor(curvatures, dtype=torch.float64)
    return sl.LocalPotential.from_function(
        lambda w: 0.5 * (w["w"].square() * h).sum(1),
        {"w": torch.zeros(len(curvatures), dtype=torch.float64)},
        nbeta=1.0,
    )


@pytest.fixture(scope="module")
def curve():
    nbeta = [3.0, 10.0, 100.0, 1e3, 1e4]
    return sl.scale_curve(regular(), nbeta=nbeta, localization=[1.0], **OPTIONS)


def test_every_point_is_within_its_error_of_the_exact_curve(curve):
    assert all(point.passed for point in curve.points)
    for point in curve.points:
        exact = sum(0.5 * point.nbeta * h / (point.nbeta * h + 1) for h in (1.0, 3.0))
        assert abs(point.llc.value - exact) < 4 * point.llc.se
        assert point.llc.se < 0.06 * exact


def test_the_limit_of_a_regular_model_is_half_its_number_of_weights(curve):
    limit = curve.limit(1.0)
    assert abs(limit.llc.value - 1) < 3 * limit.llc.se
    assert limit.llc.se < 0.1
    told = curve.to_dict()["limits"]["1.0"]
    assert told["llc"]["value"] == limit.llc.value


def test_points_have_random_numbers_of_their_own_and_do_not_depend_on_each_other(curve):
    alone = sl.scale_curve(regular(), nbeta=[100.0], localization=[1.0], **OPTIONS)
    (same,) = [point for point in curve.points if point.nbeta == 100.0]
    assert np.array_equal(alone.points[0].trace.energy, same.trace.energy)
    # With common random numbers energies at different nβ would go together.
    one, other = (point.trace.energy[:, :200].ravel() for point in curve.points[-2:])
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(one.size)


def test_a_curve_is_left_at_the_first_point_that_fails():
    options = {"nbeta": [10.0, 100.0, 1e3], "localization": [1.0, 2.0], "max_gradients": 100.0}
    whole = sl.scale_curve(regular(), **options)
    short = sl.scale_curve(regular(), **options, until_failure=True)
    assert len(whole.points) == 6
    assert not any(point.passed for point in whole.points)
    assert [(p.localization, p.nbeta) for p in short.points] == [(1.0, 10.0), (2.0, 10.0)]
    assert math.isnan(short.limit(1.0).llc.value)
