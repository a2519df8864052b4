import pytest

from singulab import discrete, dynamics
from singulab.evidence import Evidence, numbers


def one(value, se):
    return Evidence(claim=1, quantity="a number", value=value, se=se)


@pytest.mark.parametrize(
    "value, se, expected, agrees",
    [
        (1.0, 0.1, 1.39, True),
        (1.0, 0.1, 1.45, False),
        (1.0, 0.0, 1.005, True),
        (1.0, 0.0, 1.02, False),
        (0.0, 0.0, 0.0, True),
        (1e-9, 0.0, 0.0, False),
    ],
)
def test_a_number_agrees_within_its_errors_or_a_percent_of_a_lattice(value, se, expected, agrees):
    assert one(value, se).agrees(expected) == agrees


def test_the_seed_goes_to_experiments_that_draw():
    def still() -> Evidence:
        return one(0.0, 0.0)

    def drawn(*, seed: int = 0) -> tuple[Evidence, ...]:
        return one(float(seed), 1.0), one(0.0, 1.0)

    assert [e.value for e in numbers(still, seed=7)] == [0.0]
    assert [e.value for e in numbers(drawn, seed=7)] == [7.0, 0.0]


def test_every_claim_about_the_discrete_post_has_an_experiment():
    assert sorted({*discrete.EVIDENCE, *dynamics.EVIDENCE}) == list(range(1, 23))
    assert not set(discrete.EVIDENCE) & set(dynamics.EVIDENCE)
