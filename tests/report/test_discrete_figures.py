import json
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from singulab.discrete import (
    Optimiser,
    Reading,
    boolean_network,
    comparison,
    crossing,
    exponents,
    fibres,
    interpolants,
    lempel_ziv,
    sign_network,
    text,
    trained,
)
from singulab.discrete.lattice import area_of_crossing
from singulab.report import discrete_figure, discrete_series


@pytest.fixture(scope="module")
def counted():
    return [crossing(eta, mesh) for mesh in ("1e-2", "1e-4") for eta in ("1e-4", "1e-2", "1e-6")]


@pytest.fixture(scope="module")
def sampled():
    return fibres(boolean_network((4, 6, 1)), num_draws=20_000)


def complexity(found):
    return np.array([lempel_ziv(t) for t in text(found.symbols)])


def test_series_are_json_and_in_order(counted, sampled):
    share = discrete_series.lattice_share(counted)
    assert [line["label"] for line in share["lines"]] == ["ε = 0.01", "ε = 0.0001"]
    assert share["lines"][0]["eta"] == [1e-6, 1e-4, 1e-2]
    assert share["limit"]["share"][-1] == pytest.approx(math.pi / (2 * (1 + math.log(200))))
    ranks = discrete_series.ranks(sampled)
    assert ranks["probability"] == sorted(ranks["probability"], reverse=True)
    bias = discrete_series.simplicity(sampled, complexity(sampled))
    line = bias["bound"]
    slope = np.diff(np.log2(line["probability"])) / np.diff(line["complexity"])
    at = np.log2(line["probability"][0]) + slope * (
        np.array(bias["complexity"]) - line["complexity"][0]
    )
    assert (np.log2(bias["probability"]) <= at + 1e-9).all()
    for drawn in (share, ranks, bias):
        json.dumps(drawn, allow_nan=False)


def test_few_marks_stand_for_many_functions(monkeypatch, sampled):
    monkeypatch.setattr(discrete_series, "MOST_MARKS", 20)
    rank = discrete_series.ranks(sampled)["rank"]
    assert rank[:10] == list(range(1, 11))
    assert rank[-1] == len(sampled)
    assert len(rank) <= 20


def test_every_figure_is_drawn(counted, sampled, tmp_path):
    machine = boolean_network((4, 6, 1))
    target, chosen = [0] * 8 + [1] * 8, [0, 2, 5, 9, 11, 14]
    fits = interpolants(sampled, target, chosen)
    runs = trained(machine, target, chosen, num_runs=64, optimiser=Optimiser(num_steps=300))
    seen = comparison(runs, sampled, fits)
    readings = [
        Reading(precision=p, bits=b, loss=1.0, excess=e, disagreement=None, error=None)
        for p, b, e in (
            ("grid", 2, 1.0),
            ("grid", 4, 0.01),
            ("grid", 8, -1e-9),
            ("float16", 16, 0.0),
        )
    ]
    lattice = exponents(
        lambda eta: crossing(eta, "1e-4").total,
        ["1e-6", "1e-4", "1e-2"],
        volume=lambda eta: area_of_crossing(eta, 1),
    )
    axes = [
        discrete_figure.lattice_share(counted),
        discrete_figure.lattice_exponents([("ε = 1e-4", lattice)], rlct=0.5),
        discrete_figure.ranks(sampled),
        discrete_figure.ranks(fibres(sign_network(2, 3))),
        discrete_figure.simplicity(sampled, complexity(sampled)),
        discrete_figure.generalisation(fits, seen),
        discrete_figure.generalisation(fits),
        discrete_figure.precision(readings),
    ]
    for index, ax in enumerate(axes):
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        path = tmp_path / f"{index}.png"
        ax.figure.savefig(path)
        assert path.stat().st_size > 5000
    both = discrete_figure.machine(sampled, complexity(sampled))
    assert isinstance(both, Figure)
    assert len(both.axes) == 2
    assert len(discrete_figure.machine(sampled, None).axes) == 1


def test_generalisation_adds_up(sampled):
    fits = interpolants(sampled, [0] * 8 + [1] * 8, [0, 2, 5, 9, 11, 14])
    drawn = discrete_series.generalisation(fits)
    assert sum(drawn["posterior"]) == pytest.approx(1)
    assert sum(drawn["uniform"]) == pytest.approx(1)
    assert drawn["sgd"] is None
