"""What a chain step costs beside the raw forward and backward pass of the same shapes.

The raw pass is written by hand for the case, with minibatches drawn beforehand: batched matrix products over
all chains for the small network, the bare module chain by chain for the transformer. Raw and ours take turns
within one process, so that both see the same machine; a ratio is taken within each turn, and the record holds
its median and range over the turns. A step of ours draws the minibatches and the noise, pairs the losses with
those at w*, takes the gradients of both halves of the batch, moves the chains and records them. The rows of
kernel "auto" are whole measurements, calibration and checks included: seconds per gradient unit of their own
ledger against the raw seconds of one chain.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import singulab as sl
from singulab.cli.bench import BenchConfig
from singulab.sample import KERNELS
from singulab.sample.run import Simulation

STEP_SIZE = 1e-9  # chains stay where they are; the arithmetic does not care


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Cost of a chain step against the raw forward and backward pass of the same shapes."""

    turns: int = 9  # how often raw and ours alternate
    seconds: float = 0.4  # time of one half of a turn
    num_chains: int = 4
    max_gradients: float = 1000.0  # budget of a whole measurement
    kernels: tuple[str, ...] = ("sgld", "leimkuhler_matthews", "baoab")
    transformer: bool = False  # also a two-layer attention-only transformer of 3 million weights
    seed: int = 0


class Case(NamedTuple):
    """A model with data, and its raw forward and backward pass over all chains."""

    name: str
    model: nn.Module
    data: tuple[Tensor, Tensor]
    loss: str
    batch_size: int
    raw: Callable[[], Any]


def small_network(num_chains: int) -> Case:
    """A 64-64-64-10 classifier, batches of 64; raw: batched products over stacked weights."""
    widths, batch_size, num_data = (64, 64, 64, 10), 64, 1792
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    x, y = torch.randn(num_data, widths[0]), torch.randint(widths[-1], (num_data,))
    stacked = [
        p.detach().expand(num_chains, *p.shape).clone().requires_grad_() for p in model.parameters()
    ]
    rows = torch.randint(num_data, (num_chains, batch_size))
    inputs, targets = x[rows], y[rows].flatten()

    def raw() -> Any:
        h = inputs
        for i in range(0, len(stacked), 2):
            h = torch.baddbmm(stacked[i + 1][:, None], h, stacked[i].mT)
            h = h.relu() if i < len(stacked) - 2 else h
        loss = F.cross_entropy(h.flatten(0, 1), targets, reduction="sum") / batch_size
        return torch.autograd.grad(loss, stacked)

    return Case("mlp 64-64-64-10", model, (x, y), "cross_entropy", batch_size, raw)


class AttentionOnly(nn.Module):
    """Token and position embeddings, two layers of causal attention, an unembedding."""

    def __init__(self, vocabulary: int, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads = heads
        self.embed, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.mix = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, length = tokens.shape
        h = self.embed(tokens) + self.place.weight[:length]
        for mix, out in zip(self.mix, self.out, strict=True):
            q, k, v = mix(h).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            h = h + out(seen.transpose(1, 2).reshape(batch, length, -1))
        return self.head(h)


def transformer(num_chains: int) -> Case:
    """Batches of 8 sequences of 64 tokens; raw: the bare module, one chain after the other."""
    vocabulary, width, length, batch_size, num_data = 4096, 256, 64, 8, 512
    model = AttentionOnly(vocabulary, width, 8, length)
    tokens = torch.randint(vocabulary, (num_data, length))
    batch, parameters = tokens[:batch_size], list(model.parameters())

    def raw() -> Any:
        for _ in range(num_chains):
            logits = model(batch)[:, :-1].flatten(0, 1)
            torch.autograd.grad(F.cross_entropy(logits, batch[:, 1:].flatten()), parameters)

    return Case(
        "attention-only transformer", model, (tokens, tokens), "next_token", batch_size, raw
    )


def run(config: Config, on_progress: Any) -> dict[str, Any]:
    """Rows per case and kernel, and per case one for a whole measurement."""
    torch.manual_seed(config.seed)
    cases = [small_network(config.num_chains)]
    if config.transformer:
        cases.append(transformer(config.num_chains))
    rows, total = [], len(cases) * (len(config.kernels) + 1)
    for case in cases:
        for row in _rows(case, config):
            rows.append(row)
            on_progress(f"{case.name}, {row['kernel']}", len(rows) / total)
    return {"rows": rows}


def _rows(case: Case, config: Config) -> Iterator[dict[str, Any]]:
    potential = sl.LocalPotential.of(
        case.model, case.data, case.loss, localization=100.0, batch_size=case.batch_size
    )
    for name in config.kernels:
        simulation = Simulation(
            potential,
            KERNELS[name](step_size=STEP_SIZE),
            num_chains=config.num_chains,
            seed=config.seed,
        )
        yield {
            "case": case.name,
            "weights": potential.dim,
            "kernel": name,
            "chains": config.num_chains,
            "batch_size": case.batch_size,
            "stacked": "yes" if len(simulation.groups) == 1 else "no",
            **_compare(case.raw, lambda s=simulation: s.advance(s.step + 1), config),
        }
    yield {
        "case": case.name,
        "weights": potential.dim,
        "kernel": "auto",
        "chains": config.num_chains,
        "batch_size": case.batch_size,
        "stacked": "yes" if len(simulation.groups) == 1 else "no",
        **_whole(case, potential, config),
    }


def _whole(case: Case, potential: sl.LocalPotential, config: Config) -> dict[str, float]:
    count = _count(case.raw, config.seconds)
    turns = []
    for seed in range(config.seed, config.seed + 3):
        raw = _time(case.raw, count)
        measured = sl.measure(
            potential,
            num_chains=config.num_chains,
            max_gradients=config.max_gradients,
            relative_error=1e-6,  # never reached: the budget ends the run
            seed=seed,
        )
        per_step = config.num_chains * measured.seconds / measured.gradients["total"]
        turns.append((raw, per_step))
    return _summary(turns)


def _compare(raw: Callable[[], Any], ours: Callable[[], Any], config: Config) -> dict[str, float]:
    counts = [_count(raw, config.seconds), _count(ours, config.seconds)]
    return _summary([(_time(raw, counts[0]), _time(ours, counts[1])) for _ in range(config.turns)])


def _summary(turns: list[tuple[float, float]]) -> dict[str, float]:
    """Median and range over turns of (raw, ours) seconds per step of all chains."""
    ratios = sorted(b / a for a, b in turns)
    return {
        "raw_us": 1e6 * median(a for a, _ in turns),
        "step_us": 1e6 * median(b for _, b in turns),
        "ratio": median(ratios),
        "ratio_low": ratios[0],
        "ratio_high": ratios[-1],
    }


def _count(function: Callable[[], Any], seconds: float) -> int:
    """How many calls fill the time, after a few that warm up."""
    for _ in range(3):
        function()
    return max(1, round(seconds / _time(function, 3)))


def _time(function: Callable[[], Any], count: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count
