"""Decisions of the automatic plan for minibatches: what warm-up reaches, and when production begins anew."""

import numpy as np
import pytest

import singulab as sl
from networks import perceptron, regression
from singulab.sample import spread
from singulab.sample.langevin_plan import LangevinPlan
from singulab.sample.plan import Judge, Outcome, Verdict
from singulab.sample.saver import Saver
from singulab.settings import Settings
from singulab.zoo import FRESH


def run(potential: sl.LocalPotential, judge: Judge, *, budget: float) -> Outcome:
    settings = Settings(num_chains=4)
    saver = Saver(None, {})
    return LangevinPlan(
        potential, settings, seed=0, budget=budget, judge=judge, saver=saver, on_progress=None
    ).run()


def small() -> sl.LocalPotential:
    return sl.LocalPotential.of(
        perceptron(), regression(64), "gaussian", labels="model", batch_size=16
    )


@pytest.mark.parametrize("largest, least, most", [(1.5, 0.7, 1.3), (1.0, 0.3, 0.65)])
def test_flat_directions_are_full_when_production_begins(monkeypatch, largest, least, most):
    """Diffusion alone leaves them half empty: a network of which most directions are held by the tether alone."""
    monkeypatch.setattr(spread, "LARGEST", largest)
    case = next(cell.case for cell in FRESH if cell.case.name == "deep-linear-54")
    potential = sl.LocalPotential.of(
        case.model(),
        case.data(),
        case.loss,
        localization=10.0,
        labels="model",
        batch_size=case.batch_size,
    )
    outcome = run(potential, lambda trace, burn_in: Verdict(True, 1.0, 0.1), budget=4000.0)
    virial = outcome.trace["virial"].astype(np.float64)[:, :400].mean()
    assert least < virial < most


def test_production_that_excites_stiff_directions_begins_anew_once_and_far_slower():
    def judge(restless: bool) -> Judge:
        return lambda trace, burn_in: Verdict(True, 1.0, 0.1, restless)

    calm, anew = (run(small(), judge(restless), budget=16_000.0) for restless in (False, True))

    def speed(outcome: Outcome) -> float:
        memory = float(outcome.found["memory"])
        return float(outcome.found["courant_number"]) * (1 + memory) / (1 - memory)

    assert speed(anew) == pytest.approx(0.1 * speed(calm))
    first_look = 4 * LangevinPlan.FIRST_LOOK
    assert anew.cost["warm-up"] == pytest.approx(calm.cost["warm-up"] + first_look, rel=0.01)
    assert calm.trace.num_draws == anew.trace.num_draws == LangevinPlan.FIRST_STRETCH
    assert not np.array_equal(calm.trace.energy, anew.trace.energy)
