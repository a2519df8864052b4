import pytest

from singulab.zoo.reduced_rank import REDUCED_RANK, learning_coefficient


def regime(m, h, n, r):
    return (m + h < n + r, n + h < m + r, m + n < h + r)


def test_the_instances_cover_all_four_cases_and_both_parities():
    seen = {(regime(*case.widths, case.rank), case.multiplicity) for case in REDUCED_RANK}
    assert seen == {
        ((False, False, False), 1),
        ((False, False, False), 2),
        ((True, False, False), 1),
        ((False, True, False), 1),
        ((False, False, True), 1),
    }


@pytest.mark.parametrize("case", REDUCED_RANK, ids=lambda case: case.name)
def test_an_instance_carries_the_value_of_the_four_case_theorem(case):
    value, multiplicity = learning_coefficient(*case.widths, case.rank)
    assert (case.rlct.value, case.multiplicity) == (float(value), multiplicity)


def test_inputs_and_outputs_can_be_exchanged():
    for m, h, n, r in [(3, 4, 9, 2), (6, 3, 6, 2), (2, 5, 4, 1)]:
        assert learning_coefficient(m, h, n, r) == learning_coefficient(n, h, m, r)


def test_a_rank_above_the_least_width_is_refused():
    with pytest.raises(ValueError, match="rank"):
        learning_coefficient(3, 2, 3, 3)
