import itertools
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singulab.discrete import (
    Machine,
    Rounding,
    Tally,
    binary,
    boolean_network,
    fibres,
    float_format,
    multiples,
    sign_network,
    ternary,
    text,
)
from singulab.discrete.fibres import Fibres, normal_quantile

module = sys.modules["singulab.discrete.fibres"]  # the name itself is the function


def table(found: Fibres) -> dict[str, int]:
    return dict(zip(text(found.symbols), found.counts.tolist(), strict=True))


def naive_sign_network(num_inputs: int, num_hidden: int, bias: bool) -> dict[str, int]:
    """Loops over weights, inputs and units, with nothing but integers."""
    fan_in = num_inputs + bias
    counts: dict[str, int] = {}
    inputs = list(itertools.product((-1, 1), repeat=num_inputs))
    for weights in itertools.product((-1, 1), repeat=num_hidden * fan_in + num_hidden):
        answer = ""
        for x in inputs:
            total = 0
            for unit in range(num_hidden):
                w = weights[unit * fan_in : (unit + 1) * fan_in]
                z = sum(a * b for a, b in zip(w, x, strict=False)) + (w[-1] if bias else 0)
                total += weights[num_hidden * fan_in + unit] * (1 if z > 0 else -1)
            answer += "1" if total > 0 else "0"
        counts[answer] = counts.get(answer, 0) + 1
    return counts


@pytest.mark.parametrize(
    "shape", [(1, 3, True), (2, 3, True), (3, 2, True), (3, 3, False), (2, 4, False)]
)
def test_enumeration_is_that_of_a_naive_loop(shape):
    num_inputs, num_hidden, bias = shape
    expected = naive_sign_network(*shape)
    machine = sign_network(num_inputs, num_hidden, bias=bias)
    found = fibres(machine)
    assert table(found) == expected
    assert found.total == sum(expected.values()) == machine.num_settings
    assert table(fibres(machine.as_machine())) == expected


@pytest.mark.slow
def test_a_machine_of_2_16_settings_is_that_of_a_naive_loop():
    assert table(fibres(sign_network(3, 4, bias=False))) == naive_sign_network(3, 4, False)
    machine = boolean_network(
        (2, 4, 1), weights=binary(), activation="sign", biases=(True, False), signed=True
    )
    assert machine.num_settings == 2**16
    assert table(fibres(machine)) == naive_sign_network(2, 4, True)


def test_a_ternary_relu_network_is_that_of_a_naive_loop():
    machine = boolean_network((2, 2, 1), weights=ternary())
    counts: dict[str, int] = {}
    for w in itertools.product((-1, 0, 1), repeat=9):
        answer = ""
        for x in itertools.product((0, 1), repeat=2):
            hidden = [
                max(0, w[3 * u] * x[0] + w[3 * u + 1] * x[1] + w[3 * u + 2]) for u in range(2)
            ]
            answer += "1" if w[6] * hidden[0] + w[7] * hidden[1] + w[8] > 0 else "0"
        counts[answer] = counts.get(answer, 0) + 1
    assert table(fibres(machine)) == counts


def test_all_patterns_of_a_float_format_are_settings():
    # w·x > 0 on inputs 0 and 1: every positive pattern gives 01, all others 00.
    machine = boolean_network((1, 1), weights=float_format("float8_e4m3fn"), biases=False)
    assert table(fibres(machine)) == {"00": 128, "01": 126}


def symmetric(num_inputs, num_hidden):
    """Fibres of a machine in which no sum is ever 0."""
    assert num_inputs % 2 == 0
    assert num_hidden % 2 == 1
    return table(fibres(sign_network(num_inputs, num_hidden)))


@pytest.fixture(scope="module")
def four_three():
    return symmetric(4, 3)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(4)), st.lists(st.booleans(), min_size=4, max_size=4), st.booleans())
def test_fibres_are_invariant_under_the_symmetries_of_the_inputs(four_three, order, flips, negated):
    inputs = list(itertools.product((0, 1), repeat=4))
    place = {x: i for i, x in enumerate(inputs)}
    moved = [place[tuple(x[order[i]] ^ flips[i] for i in range(4))] for x in inputs]
    for function, count in four_three.items():
        image = "".join(function[m] for m in moved)
        if negated:
            image = image.translate(str.maketrans("01", "10"))
        assert four_three[image] == count


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(range(3)), st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3), st.data()
)
def test_permuting_and_flipping_hidden_units_stays_in_the_fibre(order, signs, data):
    machine = sign_network(4, 3)
    number = data.draw(st.integers(0, machine.num_settings - 1))
    weights = machine.settings(number, number + 1)
    units, out = weights[:, :15].view(3, 5), weights[0, 15:]
    sign = torch.tensor(signs, dtype=weights.dtype)
    moved = torch.cat([(units * sign[:, None])[list(order)].flatten(), (out * sign)[list(order)]])
    assert np.array_equal(machine.functions(moved[None]), machine.functions(weights))


def test_a_stopped_count_goes_on_and_counts_nothing_twice(monkeypatch):
    monkeypatch.setattr(module, "SHARE", 1)
    machine = sign_network(4, 3)
    monkeypatch.setitem(machine.__dict__, "block", 1 << 16)
    whole = fibres(machine)
    kept, seen = [], []

    def stop_after_two(done, total):
        seen.append(done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fibres(machine, keep=kept.append, on_progress=stop_after_two)
    assert kept[-1].done == seen[-1] == 2 << 16 < machine.num_settings
    computed = []
    real = type(machine).functions_of_range

    def watched(self, start, stop):
        computed.append((start, stop))
        return real(self, start, stop)

    monkeypatch.setattr(type(machine), "functions_of_range", watched)
    start = Tally.of_arrays(kept[-1].arrays())
    again = fibres(machine, start=start)
    assert computed == [(2 << 16, 3 << 16), (3 << 16, 4 << 16)]
    assert np.array_equal(again.functions, whole.functions)
    assert np.array_equal(again.counts, whole.counts)


def test_a_sample_in_two_pieces_is_the_sample_in_one(monkeypatch):
    machine = boolean_network((4, 6, 1))
    monkeypatch.setattr(module, "SHARE", 1)
    whole = fibres(machine, num_draws=3 * machine.block + 17, seed=3)
    kept = []

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fibres(
            machine, num_draws=3 * machine.block + 17, seed=3, keep=kept.append, on_progress=stop
        )
    again = fibres(machine, num_draws=3 * machine.block + 17, seed=3, start=kept[-1])
    assert table(again) == table(whole)
    assert again.total == again.counts.sum() == 3 * machine.block + 17


def test_a_finished_tally_is_not_counted_again():
    kept = []
    machine = sign_network(2, 3)
    fibres(machine, keep=kept.append)
    again = fibres(machine, start=kept[-1], on_progress=lambda *_: pytest.fail("counted again"))
    assert again.counts.sum() == 4096


def test_a_kept_state_comes_at_intervals(monkeypatch):
    monkeypatch.setattr(module, "SHARE", 1)
    monkeypatch.setattr(module, "KEEP_SECONDS", -1.0)
    kept = []
    fibres(sign_network(4, 3), keep=kept.append)
    assert [tally.done for tally in kept] == [k << 16 for k in (1, 2, 3, 4)] + [4 << 16]


def test_a_one_to_one_machine_has_no_flexibility():
    found = fibres(identity(multiples(1, 2)))
    assert len(found) == found.total == 5
    assert np.allclose(list(vars(found.flexibility).values()), 0, atol=1e-12)
    assert np.allclose(found.complexity, math.log(5))


def test_complexity_and_flexibility_are_those_of_the_counts():
    # θ₁θ₂ on {−1, 0, 1}²: 0 from 5 settings, ±1 from 2 each.
    machine = Machine(
        network=lambda w, x: (w.prod(1, keepdim=True) * x.T)[:, :, None],
        num_weights=2,
        weights=ternary(),
        inputs=torch.ones(1, 1, dtype=torch.float64),
        outputs=Rounding(1.0),
    )
    found = fibres(machine)
    assert found.counts.tolist() == [5, 2, 2]
    assert found.count(np.array([0])) == 5
    assert found.count(np.array([7])) == 0
    c = [math.log(9 / 5), math.log(9 / 2), math.log(9 / 2)]
    assert np.allclose(found.complexity, c)
    assert found.flexibility.range == pytest.approx(math.log(5 / 2))
    assert found.flexibility.deviation == pytest.approx(np.std(c))
    entropy = (5 * c[0] + 4 * c[1]) / 9
    assert found.flexibility.deficit == pytest.approx(math.log(3) - entropy)
    assert found.flexibility.weighted_deviation == pytest.approx(
        math.sqrt((5 * (c[0] - entropy) ** 2 + 4 * (c[1] - entropy) ** 2) / 9)
    )


@pytest.fixture(scope="module")
def samples():
    """Forty samples of a machine that is known exactly."""
    machine = sign_network(3, 3)
    return fibres(machine), [fibres(machine, num_draws=2_000, seed=seed) for seed in range(40)]


def test_intervals_hold_as_often_as_they_say(samples):
    exact, found = samples
    truth = dict(zip(text(exact.symbols), exact.probability, strict=True))
    held = []
    for sample in found:
        low, high = sample.intervals(0.9).T
        p = np.array([truth[name] for name in text(sample.symbols)])
        frequent = (
            p > 0.004
        )  # functions that every sample meets, so that none is left out for being rare
        assert {n for n, q in truth.items() if q > 0.004} <= set(text(sample.symbols))
        held += ((low <= p) & (p <= high))[frequent].tolist()
    # About 3 000 intervals; those of one sample are nearly independent, and Wilson's are within 2 % of 90 %.
    assert len(held) > 2_000
    assert abs(np.mean(held) - 0.9) < 0.02 + 4 * (0.09 / len(held)) ** 0.5
    assert np.array_equal(exact.intervals()[:, 0], exact.probability)


def test_good_turing_knows_the_mass_that_was_not_met(samples):
    exact, found = samples
    truth = dict(zip(text(exact.symbols), exact.probability, strict=True))
    z = []
    for sample in found:
        missing = 1 - sum(truth[name] for name in text(sample.symbols))
        z.append((sample.unseen.value - missing) / sample.unseen.se)
    # 40 independent errors in units of their own standard error: mean 0 ± 0.16, mean square 1 ± 0.22.
    assert abs(np.mean(z)) < 0.7
    assert 0.4 < np.mean(np.square(z)) < 2.0
    assert exact.unseen == module.Unseen(0.0, 0.0)


def test_what_is_told_is_json(samples):
    import json

    exact, found = samples
    told = json.loads(json.dumps(found[0].to_dict(3)))
    assert told["total"] == 2000
    assert not told["exact"]
    assert len(told["functions"]) == 3
    first = told["functions"][0]
    assert first["low"] < first["probability"] < first["high"]
    assert len(exact.to_dict(10**9)["functions"]) == len(exact)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: fibres(boolean_network((2, 3, 1))), "give num_draws"),
        (
            lambda: fibres(boolean_network((7, 40, 40, 1), weights=binary())),
            "about 2\\^2001 settings",
        ),
        (lambda: fibres(sign_network(2, 3), num_draws=0), "at least 1, got 0"),
        (lambda: fibres(sign_network(2, 3), num_draws=10**30), "at most 2\\^36"),
        (lambda: fibres(sign_network(2, 3), start=Tally.empty(2)), "of another machine"),
        (lambda: fibres(sign_network(2, 1), start=done(4096)), "more than the"),
        (
            lambda: fibres(boolean_network((2, 3, 1)), num_draws=10**6, start=done(4096)),
            "within a block",
        ),
        (lambda: fibres(sign_network(2, 3)).intervals(1.5), "between 0 and 1"),
    ],
)
def test_bad_wishes_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def done(settings: int) -> Tally:
    return Tally.empty(1).with_words(np.zeros((settings, 1), np.uint64)).merged()


def identity(levels) -> Machine:
    return Machine(
        network=lambda w, x: w[:, :, None] * x[None, :, :],
        num_weights=1,
        weights=levels,
        inputs=torch.ones(1, 1, dtype=torch.float64),
        outputs=Rounding(1.0),
    )


def test_the_quantile_is_the_known_one():
    assert normal_quantile(0.975) == pytest.approx(1.959964, abs=1e-6)
