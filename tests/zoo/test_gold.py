"""Gold values: made anew by the project's own HMC, and kept only when they are better than what is there."""

import importlib.util
import json
import sys
from functools import partial
from pathlib import Path

import pytest

import singulab as sl
from singulab.zoo import CASES, GOLD_CELLS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def gold():
    spec = importlib.util.spec_from_file_location("benchmarks_gold", BENCHMARKS / "gold.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


# Step sizes are those at which about 80 % of the trajectories are accepted.
@pytest.mark.parametrize(
    "name, localization, step_size, num_draws",
    [
        ("P3", 100.0, 1.2e-4, 120),
        pytest.param("P1", 100.0, 1.0e-4, 600, marks=pytest.mark.slow),
        pytest.param("P2", 100.0, 2.8e-5, 600, marks=pytest.mark.slow),
        pytest.param("P4", 100.0, 3.0e-5, 600, marks=pytest.mark.slow),
        pytest.param("P5", 100.0, 5e-6, 600, marks=pytest.mark.slow),
        pytest.param("P8", 100.0, 1e-5, 600, marks=pytest.mark.slow),
    ],
)
def test_hmc_on_the_exact_loss_returns_the_gold_value(name, localization, step_size, num_draws):
    # |z| ≤ 4: one false alarm in 16 000 runs.
    case = CASES[name]
    kernel = sl.HMC(step_size=step_size, num_leapfrog=20)
    trace = sl.sample(
        case.exact_potential(localization), kernel, num_chains=6, num_draws=num_draws, seed=1
    )
    found = sl.estimate.llc(trace, burn_in=num_draws // 4)
    truth = case.truth(localization)
    assert found.se < 0.03 * truth.value
    assert abs(truth.z(found.value, found.se)) <= 4
    assert 0.5 < float(trace["acceptance"].mean()) < 0.99


@pytest.mark.parametrize(
    "name, step_size, num_draws",
    [
        pytest.param("x^2y^2 at (0,1)", 0.01, 2000, marks=pytest.mark.slow),
        pytest.param("x^2+y^4", 0.006, 4000, marks=pytest.mark.slow),
        pytest.param("polynomial-2-2", 0.006, 2500, marks=pytest.mark.slow),
    ],
)
def test_hmc_on_a_plane_potential_returns_its_quadrature(name, step_size, num_draws):
    case = CASES[name].at(1_000)
    kernel = sl.HMC(step_size=step_size, num_leapfrog=20)
    trace = sl.sample(case.exact_potential(1.0), kernel, num_chains=16, num_draws=num_draws, seed=1)
    found = sl.estimate.llc(trace, burn_in=num_draws // 8)
    truth = case.truth(1.0)
    assert found.se < 0.1 * truth.value
    assert abs(truth.z(found.value, found.se)) <= 4


def test_a_record_that_did_not_equilibrate_never_replaces_one_that_did(gold, tmp_path):
    path = tmp_path / "gold.json"
    path.write_text('{"records": []}')
    record = {"case": "T1", "labels": "data", "nbeta": 263.1, "localization": 1.0}
    good = record | {"value": 18.0, "equilibrated": True}
    better = record | {"value": 18.1, "equilibrated": True}
    drifting = record | {"value": 9.0, "equilibrated": False}
    for offered, expected in ((drifting, 9.0), (good, 18.0), (drifting, 18.0), (better, 18.1)):
        gold.keep(offered, path)
        (kept,) = json.loads(path.read_text())["records"]
        assert kept["value"] == expected


def test_the_tuning_finds_a_step_that_is_mostly_accepted(gold):
    case = CASES["reduced-rank-2"]
    config = gold.Config(relative_error=0.05, virial_error=0.1, rhat=1.1)
    heard = []
    record = gold.gold(case, 100.0, "data", config, lambda *told: heard.append(told))
    assert record["equilibrated"]
    assert 0.6 < record["evidence"]["acceptance"] < 0.97
    truth = case.truth(100.0)
    assert abs(truth.z(record["value"], record["error"])) <= 4
    assert str(record["value"]) in heard[-1][0]
    assert 0 < heard[-1][1] <= 1


def test_a_value_out_of_reach_is_given_up_early_and_marked(gold):
    config = gold.Config(relative_error=1e-4, max_evaluations=4_000, num_chains=4)
    record = gold.gold(CASES["reduced-rank-4"], 100.0, "data", config, lambda *told: None)
    assert not record["equilibrated"]
    assert record["made_by"]["num_cycles"] == gold.CYCLES_AT_LEAST


def test_without_names_the_cells_that_have_no_record_yet_are_made(gold, tmp_path, monkeypatch):
    path = tmp_path / "gold.json"
    path.write_text('{"records": []}')
    monkeypatch.setattr(gold, "GOLD", path)
    missing = list(gold.cells(gold.Config()))
    assert missing == list(GOLD_CELLS)
    first = missing[0]
    row = {"case": first.case.name, "localization": first.localization, "labels": first.labels}
    path.write_text(json.dumps({"records": [row | {"equilibrated": False}]}))
    assert list(gold.cells(gold.Config())) == missing[1:]
    named = gold.Config(cases=("P1",), localizations=(1.0,), labels=("data",))
    assert list(gold.cells(named)) == [(CASES["P1"], 1.0, "data")]


def test_two_processes_share_the_work_and_a_call_goes_on_where_the_last_one_stood(
    gold, tmp_path, monkeypatch
):
    path = tmp_path / "gold.json"
    path.write_text('{"records": []}')
    first, second, third = GOLD_CELLS[:3]
    made = []

    def record(cell):
        return {
            "case": cell.case.name,
            "nbeta": cell.case.nbeta,
            "localization": cell.localization,
            "labels": cell.labels,
            "equilibrated": True,
        }

    def fake(case, localization, labels, config, on_progress):
        made.append((case, localization, labels))
        if len(made) == 1:
            gold.keep(record(second))  # by another process
        return record(gold.Cell(case, localization, labels))

    monkeypatch.setattr(gold, "GOLD", path)
    monkeypatch.setattr(gold, "GOLD_CELLS", (first, second, third))
    monkeypatch.setattr(gold, "gold", fake)
    monkeypatch.setattr(gold, "keep", partial(gold.keep, path=path))
    monkeypatch.setattr(gold, "_row", lambda row: row)
    assert gold.run(gold.Config(minutes=-1), lambda *told: None)["summary"]["not_begun"] == 3
    found = gold.run(gold.Config(), lambda *told: None)
    assert made == [first, third]
    assert found["passed"]
    assert found["summary"] == {"values": 2, "left_out": 0, "not_begun": 0}


@pytest.mark.parametrize("name", ["T1", "T2"])
@pytest.mark.parametrize("localization", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("labels", ["data", "model"])
def test_the_tanh_networks_have_gold_values_of_their_own(name, localization, labels):
    truth = CASES[name].truth(localization, labels=labels)
    assert truth.error <= 0.01 * truth.value
    assert abs(truth.evidence["virial"] - 1) <= 0.02
    assert truth.evidence["rhat"] <= 1.02
