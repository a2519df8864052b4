import json

import numpy as np
import pytest

from singulab.dynamics import (
    GaussianRegression,
    RingChain,
    TwoWells,
    isotropic,
    ring_run,
    stationary,
)
from singulab.report import dynamics_figure


@pytest.fixture(scope="module")
def scans():
    problem = GaussianRegression(np.array([1.0, 0.5]), batch_size=4)
    given = {"num_replicas": 64, "relaxations": 4.0}
    return {
        "minibatch": stationary(problem, (0.2, 0.3, 0.4), **given),
        "isotropic": stationary(isotropic(problem), (0.4,), **given),
    }


@pytest.fixture(scope="module")
def runs():
    wells = TwoWells(mean_temperature=0.6)
    return {
        "alike": ring_run(
            RingChain(wells.homoskedastic(num_cells=200), 0.1), region=wells.flat, num_replicas=500
        )
    }


def test_series_are_json_and_carry_errors_and_the_exact_law(scans, runs):
    drawn = [
        dynamics_figure.covariance_series(scans),
        dynamics_figure.excess_series(scans),
        dynamics_figure.ring_series(runs),
    ]
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn
    for one in drawn:
        for curve in one["curves"]:
            assert len(curve["x"]) == len(curve["y"]) == len(curve["se"]) == len(curve["exact"])
            assert min(curve["se"]) > 0
    variance, loss, _ = drawn
    point = scans["minibatch"].points[0]
    np.testing.assert_allclose(variance["curves"][0]["y"], np.diag(point.measured())[::-1] / 0.2)
    np.testing.assert_allclose(
        variance["curves"][0]["exact"], np.diag(point.exact_covariance)[::-1] / 0.2
    )
    assert loss["curves"][0]["limit"]["value"] == scans["minibatch"].excess_limit().value
    assert loss["curves"][1]["limit"] is None


def test_every_point_has_its_error_bar_and_axes_are_named(scans, runs):
    for ax, count in (
        (dynamics_figure.covariance(scans), 2),
        (dynamics_figure.excess(scans), 3),  # the limit is a container of its own
        (dynamics_figure.ring(runs), 1),
    ):
        assert len(ax.containers) == count
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert "exact law" in " ".join(t.get_text() for t in ax.get_legend().get_texts())
        ax.figure.canvas.draw()


def test_both_panels_stand_side_by_side(scans):
    assert len(dynamics_figure.stationary(scans).axes) == 2
