import numpy as np
import pytest
import torch
from scipy import stats

from singulab import ahead
from singulab.rng import Minibatches, Noise, Purpose, generator, steps_per_block, uniform

# drawn for many steps at a time; for one step; in several runs
SIZES = [1, 7, 40_000, 300_001]


def test_an_address_always_gives_the_same_numbers():
    first, again = (generator(3, Purpose.NOISE, 1, 2).random(5) for _ in range(2))
    assert (first == again).all()


def test_every_part_of_an_address_matters():
    addresses = [
        (seed, purpose, chain, step)
        for seed in (0, 1, 2**32, 2**40)
        for purpose in (Purpose.NOISE, Purpose.BATCH)
        for chain in (0, 1)
        for step in (0, 1)
    ]
    drawn = {generator(*address).random() for address in addresses}
    assert len(drawn) == len(addresses)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES)
def test_a_chains_noise_does_not_depend_on_the_chains_beside_it(size, dtype):
    together, alone = (Noise(5, size, dtype=dtype) for _ in range(2))
    for step in (0, 1, 2):
        beside = together.normal(range(8), step)
        assert beside.dtype == dtype
        assert torch.equal(beside[3], alone.normal([3], step)[0])


@pytest.mark.parametrize("size", SIZES)
def test_noise_does_not_depend_on_the_steps_drawn_before(size):
    block = steps_per_block(size)
    steps = [0, 1, block - 1, block, block + 1]
    walking = Noise(0, size)
    walked = {step: walking.normal([0, 1], step) for step in steps}
    for step in (block + 1, 0, block, 1, block - 1):
        assert torch.equal(Noise(0, size).normal([0, 1], step), walked[step])
        assert torch.equal(walking.normal([0, 1], step), walked[step])
    assert len({float(row[0, 0]) for row in walked.values()}) == len(set(steps))


@pytest.mark.parametrize("size", SIZES)
def test_a_part_of_a_vector_is_that_part_of_its_noise(size):
    noise = Noise(2, size)
    whole = noise.normal([3], 5)[0]
    for start, stop in ((0, size), (size // 3, size), (size // 2, size // 2 + 1)):
        assert torch.equal(noise.part(3, 5, start, stop), whole[start:stop])


def test_large_noise_is_the_same_in_turn_in_jumps_and_foreseen(monkeypatch):
    size, order = 40_000, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (0, 7), (1, 7), (0, 8)]
    drawn = {}
    for cores in (1, 2):
        monkeypatch.setattr(ahead, "_cores", lambda cores=cores: cores)
        noise = Noise(3, size)
        drawn[cores] = [noise.normal([chain], step) for chain, step in order]
    for (chain, step), alone, foreseen in zip(order, drawn[1], drawn[2], strict=True):
        assert torch.equal(alone, foreseen)
        assert torch.equal(alone, Noise(3, size).normal([chain], step))


def test_the_tails_of_the_noise_are_those_of_a_normal_law():
    # 4e6 numbers; each tail count is Poisson, so 4.5 standard deviations are passed once in 10^5 seeds
    drawn = Noise(4, 1_000_000).normal(range(4), 0)
    for level in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(level) * drawn.numel()
        assert abs(int((drawn.abs() > level).sum()) - expected) < 4.5 * expected**0.5


def test_noise_is_standard_normal_and_independent_over_chains_and_steps():
    # 5 tests at p < 1e-4: a false alarm once in 2 000 choices of the seed
    drawn = torch.stack([Noise(1, 500).normal(range(4), step) for step in range(20)]).numpy()
    assert stats.kstest(drawn.reshape(-1), "norm").pvalue > 1e-4
    pairs = {
        "chains": (drawn[:, :3], drawn[:, 1:]),
        "steps": (drawn[:-1], drawn[1:]),
        "elements": (drawn[..., :-1], drawn[..., 1:]),
        "squares": (drawn[:-1] ** 2, drawn[1:] ** 2),
    }
    for name, (one, other) in pairs.items():
        assert stats.pearsonr(one.reshape(-1), other.reshape(-1)).pvalue > 1e-4, name


def test_noise_of_another_purpose_is_other_noise():
    start = Noise(0, 3, purpose=Purpose.START)
    assert not torch.equal(start.normal([0], 0), Noise(0, 3).normal([0], 0))


def test_uniform_numbers_depend_on_seed_chain_and_step_alone():
    many = uniform(0, Purpose.ACCEPT, [0, 1, 2], 4)
    assert many.dtype == torch.float64
    assert float(many[2]) == float(uniform(0, Purpose.ACCEPT, [2], 4)[0])
    assert len({*many.tolist(), *uniform(0, Purpose.ACCEPT, [0, 1, 2], 5).tolist()}) == 6


def minibatch(seed, chains, step, **knobs):
    return Minibatches(seed, **knobs).indices(chains, step)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_chains_minibatches_do_not_depend_on_the_chains_beside_it(weighted):
    p = np.full(30, 1 / 30) if weighted else None
    for step in range(5):
        beside = minibatch(2, range(8), step, num_data=30, batch_size=6, probabilities=p)
        alone = minibatch(2, [5], step, num_data=30, batch_size=6, probabilities=p)
        assert torch.equal(beside[5], alone[0])


def test_chains_steps_seeds_and_purposes_have_minibatches_of_their_own():
    batches = [
        tuple(row.tolist())
        for seed in (0, 1)
        for step in (0, 1, 2)
        for purpose in (Purpose.BATCH, Purpose.BATCH_FOR_CURVATURE)
        for row in minibatch(seed, range(3), step, num_data=1000, batch_size=8, purpose=purpose)
    ]
    assert len(set(batches)) == len(batches) == 36


@pytest.mark.parametrize("batch_size", [1, 6, 29])
def test_no_datum_comes_twice_within_a_minibatch(batch_size):
    for row in minibatch(0, range(50), 3, num_data=30, batch_size=batch_size):
        assert len(set(row.tolist())) == batch_size
        assert 0 <= int(row.min()) <= int(row.max()) < 30


def test_a_full_batch_is_all_data_in_order():
    rows = minibatch(0, [4, 7], 9, num_data=10, batch_size=10)
    assert rows.tolist() == [list(range(10))] * 2


def test_every_datum_comes_equally_often_at_every_place_of_a_minibatch():
    # the two halves of a batch must be exchangeable; false alarms: 4e-4 over the choices of the seed
    rows = torch.cat(
        [minibatch(0, range(4), step, num_data=12, batch_size=4) for step in range(600)]
    )
    for place in range(4):
        counts = torch.bincount(rows[:, place], minlength=12).numpy()
        assert stats.chisquare(counts).pvalue > 1e-4


def test_weighted_data_come_in_proportion_to_their_weights():
    p = np.array([0.5, 0.25, 0.2, 0.05, 0.0])
    rows = torch.cat(
        [
            minibatch(0, range(4), step, num_data=5, batch_size=5, probabilities=p)
            for step in range(400)
        ]
    )
    counts = torch.bincount(rows.reshape(-1), minlength=5).numpy()
    assert counts[4] == 0
    assert stats.chisquare(counts[:4], p[:4] * rows.numel()).pvalue > 1e-4
