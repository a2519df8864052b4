import json
import math

import pytest

from singulab.dynamics import EVIDENCE

FAST = {"num_replicas": 1000}


def decided(claim, **given):
    (experiment,) = EVIDENCE[claim]
    found = experiment(**given)
    assert found
    for one in found:
        assert one.claim == claim
        assert math.isfinite(one.value)
        assert one.se >= 0
        json.dumps(one.to_dict(), allow_nan=False)
    return found


def test_gradient_flow_and_plain_sgd_stay_and_label_noise_goes():
    flow, still, drift = decided(9, **FAST)
    assert flow.value < 1e-9
    assert abs(still.value - 0.9926) < 4 * still.se + 1e-4
    assert abs(drift.value - 0.2825) < 0.002 + 4 * drift.se


def test_a_valley_without_a_singular_point_is_followed_at_the_same_speed():
    end, speed = decided(10, **FAST)
    assert abs(end.value - 0.272) < 4 * end.se + 5e-4
    assert abs(speed.value - speed.theory) < 0.05
    assert speed.se < 0.01


@pytest.mark.slow
def test_minibatch_noise_is_no_gibbs_law_and_isotropic_noise_is():
    own, same = decided(1)
    assert abs(own.value) < 0.05
    assert own.se < 0.01
    assert abs(same.value + 1) < 4 * same.se


@pytest.mark.slow
def test_the_rule_for_the_rate_works_where_it_is_stable():
    over, colder, unstable, temperature, left, width = decided(17)
    assert over.value == pytest.approx(1e8)
    assert colder.value == pytest.approx(1e-8)
    assert unstable.value > 1
    assert abs(temperature.value - temperature.theory) < 4 * temperature.se
    assert left.value > 0.5
    assert abs(width.value - width.claimed) > 4 * width.se


@pytest.mark.slow
def test_on_a_ring_the_equilibria_differ_and_on_the_line_one_of_them_is_missing():
    apart, speed, share, leaving, staying = decided(18)
    assert apart.value > 0.2
    assert apart.se < 0.01
    assert speed.value < 1
    assert abs(share.value - share.theory) < 4 * share.se + 0.02
    assert leaving.value < -4 * leaving.se
    assert abs(staying.value) < 4 * staying.se + 0.01


@pytest.mark.slow
def test_noise_favours_the_flat_well():
    odds, trace = decided(19)
    assert odds.value > 10 * odds.se
    assert trace.value < 0.1
