"""Stretches of the chains: by how much, and no further than walls allow."""

import math

import pytest
import torch

import singulab as sl
from singulab.sample.spread import LARGEST, stretch, wanted

GAMMA, NBETA = 2.0, 50.0


def potential_of(loss) -> sl.LocalPotential:
    center = {"w": torch.zeros(3, dtype=torch.float64)}
    return sl.LocalPotential.from_function(loss, center, nbeta=NBETA, localization=GAMMA)


def trough() -> sl.LocalPotential:
    """One steep direction, two that the tether alone holds."""
    return potential_of(lambda p: 0.5 * p["w"][..., 0] ** 2)


def channels() -> sl.LocalPotential:
    """Flat along each axis, with walls of fourth order between the axes."""
    return potential_of(lambda p: (p["w"][..., 0] * p["w"][..., 1]) ** 2)


def moved(potential, position, factor, level):
    return stretch(potential, position, factor, level, lambda *_: None, [[0], [1]], step=0)


@pytest.mark.parametrize("missing", [0.9, 1.0, 1.2])
def test_flat_directions_that_are_short_of_their_radius_are_brought_to_it(missing):
    # the steep direction has its share 1/3 of the virial; the flat ones γ(δ₂² + δ₃²)/3 = 2/3·missing²
    held = 2 / 3 * missing**2
    flat = held * 3 / GAMMA
    virial = 1 / 3 + held
    factor = wanted(trough(), virial, flat, heat=0.0)
    assert factor == pytest.approx(math.sqrt(1 + (1 - virial) / held))
    assert factor * missing == pytest.approx(1, abs=1e-12)


def test_the_heat_of_gradient_noise_is_no_radius():
    cold = wanted(trough(), virial=0.8, radius_squared=0.6, heat=0.0)
    hot = wanted(trough(), virial=0.8 + 2 * 0.3 / 3, radius_squared=0.6, heat=0.3)
    assert hot == pytest.approx(cold)


@pytest.mark.parametrize(
    "virial, radius_squared, factor",
    [(0.1, 1e-3, LARGEST), (40.0, 1.0, 1 / LARGEST), (0.5, 0.0, 1.0), (math.nan, 1.0, 1.0)],
)
def test_a_factor_is_moderate_whatever_was_seen(virial, radius_squared, factor):
    assert wanted(trough(), virial, radius_squared, heat=0.0) == pytest.approx(factor)


def test_nothing_is_stretched_without_a_tether():
    free = sl.LocalPotential.from_function(
        lambda p: (p["w"] ** 2).sum(-1), {"w": torch.zeros(3)}, nbeta=NBETA, localization=0.0
    )
    assert wanted(free, virial=0.2, radius_squared=1.0, heat=0.0) == 1.0


def test_along_flat_directions_a_stretch_is_taken_whole():
    position = torch.tensor([[0.05, 1.0, -0.5], [-0.05, 0.2, 0.4]], dtype=torch.float64)
    there, factor, cost = moved(trough(), position, 1.5, level=0.5)
    assert factor == 1.5
    torch.testing.assert_close(there, 1.5 * position)
    assert cost == 2


def test_a_stretch_stops_at_walls():
    potential = channels()
    position = torch.tensor([[0.5, 0.5, 0.0], [0.6, -0.4, 0.0]], dtype=torch.float64)

    def energy(at):
        return NBETA * float(((at[:, 0] * at[:, 1]) ** 2).mean())

    level = energy(position) / 6  # so that all of 1.5, five times the energy, is too much
    there, factor, cost = moved(potential, position, 1.5, level)
    assert factor == pytest.approx(1.5**0.5)
    assert energy(there) <= 20 * level < energy(1.5 * position)
    assert cost == 4
    same, factor, cost = moved(potential, position, 1.5, level / 100)
    assert (factor, cost) == (1.0, 8)
    torch.testing.assert_close(same, position)


def test_shrinking_asks_nobody():
    position = torch.ones(2, 3, dtype=torch.float64)
    there, factor, cost = moved(channels(), position, 0.8, level=1e-6)
    torch.testing.assert_close(there, 0.8 * position)
    assert (factor, cost) == (0.8, 0.0)
