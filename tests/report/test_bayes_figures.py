import json

import pytest

from singulab.bayes import Posterior, Splitting, volume_exponent
from singulab.report import bayes_figure, bayes_series

PLAN = Splitting(num_particles=100, num_populations=3, num_moves=6, num_levels=16)


@pytest.fixture(scope="module")
def measured():
    return volume_exponent("x^2*y^2", num_levels=16)


@pytest.fixture(scope="module")
def jumping():
    posterior = Posterior("min(44/10500 + x^2, (x - 9.4)^2)", prior="normal")
    return posterior, posterior.crossing(between=(5_000, 20_000))


def test_the_volume_is_drawn_beside_its_sublevel_sets(measured, tmp_path):
    figure = bayes_figure.volume(measured, "x^2*y^2")
    assert len(figure.axes) == 2
    figure.savefig(tmp_path / "volume.png")
    assert (tmp_path / "volume.png").stat().st_size > 10_000
    assert len(measured.figure().axes) == 1


def test_the_series_of_a_volume_is_json_and_what_was_measured(measured):
    drawn = json.loads(json.dumps(bayes_series.volume(measured, "x^2*y^2")))
    assert drawn["log_volume"] == pytest.approx(measured.curve.log_volume.tolist())
    assert drawn["sublevel"]["epsilon"] == sorted(drawn["sublevel"]["epsilon"], reverse=True)
    slopes = [
        (line["log_volume"][0] - line["log_volume"][-1])
        / (drawn["log_epsilon"][0] - drawn["log_epsilon"][-1])
        for line in drawn["lines"]
    ]
    assert slopes == pytest.approx([measured.value, 1.0])


def test_sublevel_sets_are_for_two_weights(measured):
    other = volume_exponent("x^2", num_levels=16)
    with pytest.raises(ValueError, match="two weights"):
        bayes_series.volume(other, "x^2")


def test_a_jump_is_drawn(jumping, tmp_path):
    figure = bayes_figure.jump(jumping[0], [9_000, 10_500, 12_000], jumping[1])
    assert len(figure.axes) == 4
    figure.savefig(tmp_path / "jump.png")
    assert (tmp_path / "jump.png").stat().st_size > 20_000


def test_the_series_of_a_jump_adds_up(jumping):
    posterior, crossing = jumping
    drawn = json.loads(json.dumps(bayes_series.jump(posterior, [10_000, 11_000], crossing)))
    for part in drawn["densities"]:
        step = part["x"][1] - part["x"][0]
        assert sum(part["density"]) * step == pytest.approx(part["mass"], rel=1e-3, abs=1e-6)
    energies = drawn["free_energy"]
    at = [abs(n - crossing.true) for n in drawn["n"]].index(
        min(abs(n - crossing.true) for n in drawn["n"])
    )
    gap = energies["0"]["exact"][at] - energies["9.4"]["exact"][at]
    assert abs(gap) < 2
    assert energies["0"]["formula"] == pytest.approx(energies["0"]["exact"], abs=0.02)
