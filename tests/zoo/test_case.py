import math

import pytest
import torch

from singulab.zoo import CASES, NetworkCase, Truth, gold


def test_an_unknown_name_is_answered_with_the_closest_ones():
    with pytest.raises(ValueError, match="P13"):
        CASES["P33"]


def test_names_are_unique_and_keys():
    assert all(name == case.name for name, case in CASES.items())
    assert {"P1", "P13", "T1", "T2", "x^2y^2", "relu-100000", "polynomial-4-5"} <= set(CASES)


# Networks with more data are covered by the tests of their family.
SMALL = [
    name
    for name, case in CASES.items()
    if not (isinstance(case, NetworkCase) and max(case.num_data, case.num_weights) > 10_000)
]


@pytest.mark.parametrize("name", SMALL)
def test_a_case_is_consistent_with_itself(name):
    case = CASES[name]
    function, center = case.exact_loss()
    assert sum(weight.numel() for weight in center.values()) == case.num_weights
    values = function({name: torch.stack([weight] * 3) for name, weight in center.items()})
    torch.testing.assert_close(values, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-14)
    potential = case.exact_potential(2.0)
    assert (potential.dim, potential.localization) == (case.num_weights, 2.0)
    assert potential.nbeta == pytest.approx(case.nbeta)
    if case.rlct is not None:
        assert 0 < case.rlct.value <= case.num_weights / 2
        assert case.rlct.how == "proved"
        assert case.multiplicity >= 1
    if isinstance(case, NetworkCase):
        inputs, targets = case.data()
        assert len(inputs) == len(targets) == case.num_data
        assert len(case.model()(inputs[:2])) == 2


def test_every_gold_record_belongs_to_a_case_and_says_how_it_was_made():
    records = [record for name in CASES for record in gold(name)]
    assert len(records) == len(gold())
    for record in records:
        assert record.truth.error > 0
        assert record.truth.source
        assert record.labels in ("data", "model")


def test_a_value_whose_chains_still_drift_is_kept_but_is_no_truth():
    assert any(record.localization == 10.0 for record in gold("P13"))
    with pytest.raises(LookupError, match="no gold value"):
        CASES["P13"].truth(10.0)


def test_without_label_noise_both_kinds_of_labels_have_the_same_truth():
    assert CASES["P2"].truth(10.0, labels="model") == CASES["P2"].truth(10.0)
    assert CASES["P6"].truth(100.0, labels="model") != CASES["P6"].truth(100.0)


def test_a_truth_at_another_temperature_is_asked_for_by_nbeta():
    assert CASES["P2"].truth(1.0, nbeta=128 / math.log(128)).value == 39.3


def test_a_truth_measures_deviations_in_units_of_all_errors():
    truth = Truth(value=10.0, error=3.0, how="numerical", source="")
    assert truth.z(15.0, 4.0) == 1.0
    exact = Truth(value=1.0, error=0.0, how="proved", source="")
    assert exact.z(1.0) == 0.0
    assert exact.z(0.5) == -math.inf


@pytest.mark.parametrize("change", [{"how": "guessed"}, {"error": -1.0}, {"value": math.nan}])
def test_a_truth_without_a_number_or_a_known_origin_is_refused(change):
    with pytest.raises((ValueError, TypeError), match=r"how|finite"):
        Truth(**{"value": 1.0, "error": 0.0, "how": "proved", "source": ""} | change)
