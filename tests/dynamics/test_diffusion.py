import math

import numpy as np
import pytest

from singulab.dynamics import Diffusion, RingChain, Saturating, TwoWells, ring_run, spread
from singulab.dynamics.diffusion import total_variation
from singulab.dynamics.ring import _chi2


def constant(value):
    return lambda x: np.full_like(x, value)


def ring(slope, temperature, *, num_cells=200):
    return Diffusion(
        slope=slope, temperature=temperature, low=-np.pi, high=np.pi, num_cells=num_cells
    )


def cell_masses(density, d):
    fine = np.linspace(d.low, d.high, 40 * d.num_cells + 1)
    middle = (fine[:-1] + fine[1:]) / 2
    masses = density(middle).reshape(d.num_cells, -1).sum(axis=1)
    return masses / masses.sum()


def hot(x):
    return 0.4 + 0.2 * np.cos(x - 1)


def test_one_temperature_gives_the_gibbs_law():
    d = ring(np.sin, constant(0.4))
    wanted = cell_masses(lambda x: np.exp(np.cos(x) / 0.4), d)
    np.testing.assert_allclose(d.stationary(), wanted, rtol=1e-4)
    np.testing.assert_allclose(d.gibbs(), wanted, rtol=1e-4)
    assert abs(d.current()) < 1e-12


def test_between_walls_the_law_is_the_ito_one():
    d = Diffusion(slope=np.sin, temperature=hot, low=-3.0, high=2.0, periodic=False)
    x = np.linspace(-3, 2, 20_001)
    phi = np.concatenate([[0], np.cumsum(np.diff(x) * (np.sin(x) / hot(x))[:-1])])
    wanted = cell_masses(lambda y: np.exp(-np.interp(y, x, phi)) / hot(y), d)
    np.testing.assert_allclose(d.stationary(), wanted, rtol=2e-3)
    assert d.current() == 0.0
    assert total_variation(d.stationary(), d.gibbs()) > 0.05


def test_a_constant_force_drives_a_constant_current():
    d = ring(constant(-0.7), constant(0.3))
    np.testing.assert_allclose(d.stationary(), 1 / d.num_cells, rtol=1e-9)
    assert d.current() == pytest.approx(0.7 / (2 * np.pi))


def test_a_temperature_out_of_step_with_the_force_drives_a_current_without_any_force_around():
    """∮L'/T ≠ 0 although ∮L' = 0."""
    d = ring(lambda x: 2 * np.sin(x), lambda x: 0.4 + 0.3 * np.cos(x - 1.5))
    assert abs(d.current()) > 1e-4
    rest = np.linalg.svd(d.generator)[2][-1]
    np.testing.assert_allclose(flow_of(d, rest / rest.sum()), d.current(), rtol=0.01)


def flow_of(d, masses):
    """Current through every face, from the rates of the generator."""
    n = d.num_cells
    here, there = np.arange(n), (np.arange(n) + 1) % n
    return d.generator[there, here] * masses - d.generator[here, there] * masses[there]


@pytest.mark.parametrize("periodic", [True, False])
def test_the_generator_conserves_mass_and_rests_at_the_closed_form(periodic):
    apart = []
    for num_cells in (100, 200):
        d = Diffusion(
            slope=lambda x: 2 * np.sin(x),
            temperature=hot,
            low=-np.pi,
            high=np.pi,
            periodic=periodic,
            num_cells=num_cells,
        )
        rates = d.generator
        np.testing.assert_allclose(rates.sum(axis=0), 0, atol=1e-9 * np.abs(rates).max())
        assert (rates - np.diag(np.diag(rates)) >= 0).all()
        rest = np.linalg.svd(rates)[2][-1]
        apart.append(total_variation(rest / rest.sum(), d.stationary()))
    assert apart[0] < 5e-4
    assert apart[0] / apart[1] == pytest.approx(4, rel=0.2)  # second order in the width of a cell


def test_a_free_ring_forgets_like_its_slowest_wave():
    d = ring(constant(0.0), constant(0.3))
    assert d.relaxation_time() == pytest.approx(1 / 0.3, rel=1e-3)


def test_a_parabola_forgets_like_its_curvature():
    d = Diffusion(
        slope=lambda x: 0.5 * x,
        temperature=constant(0.2),
        low=-5.0,
        high=5.0,
        periodic=False,
        num_cells=400,
    )
    assert d.relaxation_time() == pytest.approx(2.0, rel=1e-3)
    start = np.zeros(400)
    start[280] = 1.0
    for time in (0.0, 1.0, 3.0):
        after = d.evolve(start, time)
        assert after.sum() == pytest.approx(1.0)
        mean = after @ d.centers
        assert mean == pytest.approx(d.centers[280] * math.exp(-0.5 * time), rel=1e-3)
        spread_of = after @ d.centers**2 - mean**2
        assert spread_of == pytest.approx(0.4 * (1 - math.exp(-time)), rel=2e-3, abs=1e-10)


def test_the_time_to_reach_a_free_equilibrium_is_that_of_its_fourier_series():
    d = ring(constant(0.0), constant(0.3), num_cells=400)
    time = d.time_to_reach(0.0, 0.05)
    x = np.linspace(-np.pi, np.pi, 4001)
    waves = sum(2 * np.exp(-0.3 * k**2 * time) * np.cos(k * x) for k in range(1, 30))
    assert np.trapezoid(np.abs(waves), x) / (4 * np.pi) == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize("kind", ["homoskedastic", "state_dependent"])
def test_the_law_of_the_chain_tends_to_that_of_the_diffusion(kind):
    d = getattr(TwoWells(), kind)()
    apart = [
        total_variation(RingChain(d, rate).stationary(), d.stationary()) for rate in (0.08, 0.04)
    ]
    assert apart[1] < 0.03
    assert apart[0] / apart[1] == pytest.approx(2, rel=0.25)
    chain = RingChain(d, 0.02)
    assert chain.relaxation_time() == pytest.approx(d.relaxation_time(), rel=0.2)


def test_the_transition_has_the_mean_and_spread_of_a_step():
    d = TwoWells().state_dependent()
    chain = RingChain(d, 0.02)
    start = 130
    there = chain.transition[:, start]
    x = d.centers[start]
    away = (d.centers - x + np.pi) % (2 * np.pi) - np.pi
    pull, temperature = d.slope(np.array([x]))[0], d.temperature(np.array([x]))[0]
    assert there.sum() == pytest.approx(1)
    assert there @ away == pytest.approx(-0.02 * pull, abs=1e-10)
    assert there @ away**2 - (there @ away) ** 2 == pytest.approx(0.04 * temperature, rel=1e-8)


@pytest.mark.parametrize("relaxations", [0.5, 8.0])
@pytest.mark.parametrize("kind", ["homoskedastic", "state_dependent"])
def test_replicas_on_a_ring_follow_the_exact_law_of_the_chain_to_equilibrium(kind, relaxations):
    """A sound run fails by chance 1 time in 1 000 in each assertion."""
    wells = TwoWells(mean_temperature=0.5)
    chain = RingChain(getattr(wells, kind)(), 0.05)
    run = ring_run(chain, region=wells.flat, num_replicas=4000, relaxations=relaxations)
    rest = chain.stationary() @ wells.flat(chain.diffusion.centers)
    assert (abs(run.exact_inside - rest) < 0.001) == (relaxations > 1)
    assert run.p_value > 1e-3
    assert abs(run.inside.z(run.exact_inside)) < 3.3
    assert run.inside.se < 0.01


def test_counts_of_another_law_are_told():
    random = np.random.default_rng(0)
    law = np.array([0.3, 0.3, 0.2, 0.2, 1e-5])
    law /= law.sum()
    counts = random.multinomial(5000, law)
    assert _chi2(counts, law) > 1e-3
    assert _chi2(counts, np.array([0.25, 0.3, 0.25, 0.2, 0.0]) + 1e-9) < 1e-6


def test_state_dependent_noise_moves_the_equilibrium_towards_the_flat_well():
    wells = TwoWells()
    same, own = wells.homoskedastic(), wells.state_dependent()
    shares = [d.stationary() @ wells.flat(d.centers) for d in (same, own)]
    assert shares[0] < 0.75
    assert shares[1] > 0.9
    x = np.linspace(-np.pi, np.pi, 100_001)[:-1]
    assert own.temperature(x).mean() == pytest.approx(same.temperature(x).mean(), rel=1e-6)
    assert total_variation(same.stationary(), same.gibbs()) < 1e-9
    assert total_variation(own.stationary(), own.gibbs()) > 0.2


def test_the_slope_of_the_wells_is_that_of_half_the_square():
    wells = TwoWells(depth=0.7, asymmetry=0.4)
    x = np.linspace(-3, 3, 50)

    def loss(x):
        return 0.7 * np.sin(x + 0.4 * np.sin(x)) ** 2

    slope = (loss(x + 1e-6) - loss(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(wells.slope(x), slope, atol=1e-8)


def test_on_the_line_the_tail_decides():
    well = Saturating(temperature=1.5, floor=0.1)
    same = well.diffusion(50.0, fading=False, periodic=False)
    fading = well.diffusion(50.0, fading=True, periodic=False)
    assert same.tail_exponent(1e4) == pytest.approx(1 / 1.5, rel=1e-3)  # below 1: no norm
    assert fading.tail_exponent(1e4) == pytest.approx(1 / 0.15, rel=1e-3)
    inside = []
    for reach in (50.0, 400.0):
        d = well.diffusion(reach, fading=False, periodic=False, num_cells=4000)
        inside.append(d.stationary()[np.abs(d.centers) < 5].sum())
    # The norm grows like reach^{1 − 1/T}.
    assert inside[0] / inside[1] == pytest.approx(8 ** (1 / 3), rel=0.15)


def test_on_a_ring_both_noises_have_an_equilibrium_and_homoskedastic_noise_takes_long_to_it():
    well = Saturating()
    times = []
    for reach in (20.0, 40.0):
        d = well.diffusion(reach, fading=False, periodic=True)
        assert d.stationary().sum() == pytest.approx(1)
        times.append(d.relaxation_time())
    assert times[1] / times[0] == pytest.approx(4, rel=0.15)


def test_replicas_on_the_line_leave_where_there_is_no_equilibrium():
    well = Saturating()
    given = {"times": (50.0, 200.0), "rate": 0.2, "num_replicas": 2000}
    leaving = spread(well, fading=False, **given)
    staying = spread(well, fading=True, **given)
    assert leaving.exponent().value < -4 * leaving.exponent().se
    assert abs(staying.exponent().value) < 4 * staying.exponent().se + 0.01
    assert staying.inside[1].value > leaving.inside[1].value + 0.2


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: ring(np.sin, constant(-1.0)), "temperature must be positive, its least is -1"),
        (lambda: ring(lambda x: x, constant(1.0)), "the same at both ends"),
        (lambda: ring(lambda x: x * np.nan, constant(1.0)), "must be finite"),
        (lambda: ring(np.sin, constant(1.0), num_cells=4), "at least 8 cells"),
        (lambda: RingChain(TwoWells().homoskedastic(), 1e-6), "are too wide for noise steps"),
        (lambda: RingChain(TwoWells().homoskedastic(), -1.0), "must be positive"),
        (
            lambda: RingChain(Saturating().diffusion(5.0, fading=True, periodic=False), rate=0.1),
            "needs a periodic diffusion",
        ),
        (lambda: ring(np.sin, constant(1.0)).time_to_reach(9.0), "0 < distance < 1 and a start"),
        (lambda: ring(np.sin, constant(1.0)).evolve(np.ones(3), 1.0), "200 masses"),
        (lambda: TwoWells(asymmetry=1.0), "0 ≤ asymmetry < 1"),
        (lambda: TwoWells(depth=0.0), "must be positive"),
        (lambda: Saturating(temperature=0.0), "temperature > 0"),
        (lambda: spread(Saturating(), fading=True, times=(5.0,)), "at least 2 ascending"),
        (
            lambda: ring_run(
                RingChain(TwoWells().homoskedastic(), 0.05), region=np.cos, num_bins=7
            ),
            "must divide 400",
        ),
        (
            lambda: ring_run(RingChain(TwoWells().homoskedastic(), 0.05), region=np.cos, start=9.0),
            "needs a start in",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
