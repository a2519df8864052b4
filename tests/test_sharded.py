"""A model under FSDP2 in two processes gives the numbers of the same model in one."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import sharded_run
from singulab.rng import Noise

RUNS = ("baoab", "hmc", "sgnht", "teacher by batch", "teacher kept", "measurement")


@pytest.fixture(scope="module")
def whole():
    return sharded_run.results(sharded_run.network())


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*command, sharded_run.__file__, str(folder)],
        check=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


def test_each_process_draws_its_rows_of_the_noise_bit_by_bit(whole, ranks):
    sizes = [weight.numel() for weight in sharded_run.network().parameters()]
    shapes = [weight.shape for weight in sharded_run.network().parameters()]
    for rank, found in enumerate(ranks):
        parts = [
            row.view(shape).chunk(2)[rank].flatten()
            if rank < len(row.view(shape).chunk(2))
            else row[:0]
            for chain in whole["noise"]
            for row, shape in zip(chain.split(sizes), shapes, strict=True)
        ]
        assert torch.equal(found["noise"].flatten(), torch.cat(parts))


@pytest.mark.parametrize("size", [100, 700_000])
def test_ranges_of_the_noise_are_the_noise_there(size):
    ranges = [(3, 3), (10, 40), (41, 99), (size // 3, size)]
    every = Noise(5, size).normal([0, 2], 9)
    wanted = torch.cat([every[:, start:stop] for start, stop in ranges], 1)
    assert torch.equal(Noise(5, size, ranges=ranges).normal([0, 2], 9), wanted)


@pytest.mark.parametrize("name", RUNS)
def test_traces_agree_to_rounding(whole, ranks, name):
    for variable, wanted in whole[name].items():
        if isinstance(wanted, torch.Tensor):
            got = ranks[0][name][variable]
            torch.testing.assert_close(got, wanted, rtol=1e-7, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("name", ["choices", "curvature"])
def test_choices_and_conclusions_agree_to_rounding(whole, ranks, name):
    assert ranks[0][name] == pytest.approx(whole[name], rel=1e-6, abs=1e-9)


def test_the_default_tether_knows_all_weights(whole, ranks):
    assert ranks[0]["localization"] == pytest.approx(whole["localization"], rel=1e-12)


def test_every_process_returns_the_same_bits(ranks):
    for name in RUNS:
        for variable, one in ranks[0][name].items():
            other = ranks[1][name][variable]
            same = (
                np.array_equal(one, other, equal_nan=True)
                if isinstance(one, torch.Tensor)
                else one == other
            )
            assert same, (name, variable)


def test_the_model_comes_back_as_it_was(ranks):
    before = sharded_run.network()
    for found in ranks:
        for weight, gradient, own in zip(
            found["weights"], found["gradients"], before.parameters(), strict=True
        ):
            assert torch.equal(weight, own)
            assert torch.equal(gradient, own.grad)
        assert found["calls"] == 0
        assert found["training"]


def test_what_sharded_weights_do_not_allow_is_said(ranks):
    for sentence, word in zip(
        ranks[0]["refusals"],
        ("differ in their data", "run folder", "ekfac", "masks", "units"),
        strict=True,
    ):
        assert word in sentence
