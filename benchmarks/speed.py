"""What a chain step costs beside the raw forward and backward pass, and beside other packages.

Everything takes turns within one process, so that all see the same machine; a ratio is taken within each
turn, and the record holds its median and range over the turns. Per case:

*raw*: forward and backward pass of one minibatch per chain, written by hand: batched products over stacked
weights for the small networks, the bare module chain by chain for the transformer.
*normal draw*, *read and write*: one N(0, 1) number per weight and chain; one pass over the weights of all
chains that reads and writes each.
*singulab*: kernels by preconditioners. A step draws the minibatches and the noise, pairs the losses with those
at w*, takes the gradients of both halves of the batch, moves the chains and records them. *singulab, compiled*: the
same with ``compiled=True``, where the chains are stacked.
*devinterp*, *canonical-interp*: their own loops with minibatches from a shuffling ``DataLoader`` over tensors, and
*prepared*: with minibatches that were put together before. Both are held at the loader between turns
(benchmarks/turns.py). devinterp moves one chain after another, so a step of one chain is timed.

"first step" is the time from nothing to the end of the first step, or of the fifth where steps are compiled: both
kinds of step are, anew for each row and with an empty cache. Memory is the peak
above what the process held before, over building and the first steps.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from os import environ
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import singulab as sl
from benchmarks.adapters import Peer, Task, loss_of, peers, versions
from benchmarks.turns import Held, Ratio, Runner, alternate, ratio_of, torch_threads
from singulab.cli.bench import FOLDER, BenchConfig
from singulab.files import write_atomic
from singulab.sample import KERNELS
from singulab.sample.precondition import Diagonal, Eigenbasis, Identity, Preconditioner
from singulab.sample.run import LOOK_EVERY, Simulation
from singulab.zoo import DeepLinear, attention_only_transformer, multilayer_perceptron

LOCALIZATION = 100.0
STEP_SIZE = 1e-9  # chains stay where they are; the arithmetic does not care
PRECONDITIONERS = ("none", "diagonal", "ekfac")
RAW, DRAW, PASS = "raw", "normal draw", "read and write"
PLAIN, COMPILED = "singulab", "singulab, compiled"
PREPARED = ", prepared"  # of a peer's name, where its minibatches are
AT_LEAST = {"deep linear": 10.0, "perceptron": 4.0}  # devinterp's time over ours


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Cost of a chain step against the raw forward and backward pass, and against other packages."""

    cases: tuple[str, ...] = ("deep linear", "perceptron", "transformer")
    kernels: tuple[str, ...] = ("sgld", "leimkuhler_matthews", "baoab")
    preconditioners: tuple[str, ...] = PRECONDITIONERS
    peers: tuple[str, ...] = ("devinterp", "canonical-interp")
    num_chains: int = 8
    turns: int = 5  # how often all alternate
    seconds: float = 0.3  # time of each in a turn, or more where a few steps take longer
    threads: int = 2  # of torch
    seed: int = 0


class Case(NamedTuple):
    """A model with data, and its raw forward and backward pass over all chains."""

    name: str
    model: nn.Module
    data: tuple[Tensor, Tensor]
    loss: str
    batch_size: int
    raw: Callable[[], Any]
    dear: bool = False  # a step takes seconds: not every kernel with every preconditioner

    @property
    def num_weights(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters())


def deep_linear(num_chains: int) -> Case:
    """220 weights in three layers, batches of 500."""
    case = DeepLinear(
        name="deep linear",
        widths=(5, 10, 10, 7),
        rank=3,
        num_data=10_000,
        batch_size=500,
        seed=0,
    )
    model, data = case.model(), case.data()
    raw = _stacked_pass(model, data, "gaussian", case.batch_size, num_chains)
    return Case(case.name, model, data, "gaussian", case.batch_size, raw)


def perceptron(num_chains: int) -> Case:
    """8 970 weights in three layers with tanh, batches of 256."""
    widths, batch_size, num_data = (64, 64, 64, 10), 256, 10_240
    model = multilayer_perceptron(widths)
    data = torch.randn(num_data, widths[0]), torch.randint(widths[-1], (num_data,))
    raw = _stacked_pass(model, data, "cross_entropy", batch_size, num_chains)
    return Case("perceptron", model, data, "cross_entropy", batch_size, raw)


def transformer(num_chains: int) -> Case:
    """3.1 million weights in two layers of attention, batches of 8 sequences of 128 tokens."""
    batch_size, num_data = 8, 128
    model = attention_only_transformer()
    tokens = torch.randint(model.config.vocabulary, (num_data, model.config.context))
    batches = tokens[: batch_size * num_chains].split(batch_size)
    parameters, loss = list(model.parameters()), loss_of("next_token")

    def raw() -> None:
        for batch in batches:
            torch.autograd.grad(loss(model(batch), batch), parameters)

    return Case("transformer", model, (tokens, tokens), "next_token", batch_size, raw, dear=True)


CASES = {"deep linear": deep_linear, "perceptron": perceptron, "transformer": transformer}


def _stacked_pass(
    model: nn.Module, data: tuple[Tensor, Tensor], loss: str, batch_size: int, num_chains: int
) -> Callable[[], Any]:
    """Linear layers with tanh between, if any, as batched products over the chains."""
    rows = torch.randint(len(data[0]), (num_chains, batch_size))
    targets = data[1][rows]
    if targets.ndim == 3:
        targets = targets.mT.contiguous()
    inputs = data[0][rows].mT.contiguous()  # (chain, feature, datum): long rows multiply faster
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    bent = any(isinstance(layer, nn.Tanh) for layer in model)
    stacked = [
        p.detach().expand(num_chains, *p.shape).clone().requires_grad_() for p in model.parameters()
    ]
    each = 1 if layers[0].bias is None else 2  # tensors of a layer

    def raw() -> Any:
        h = inputs
        for index in range(len(layers)):
            weight, *bias = stacked[each * index : each * (index + 1)]
            h = torch.baddbmm(bias[0][:, :, None], weight, h) if bias else weight @ h
            h = h.tanh() if bent and index < len(layers) - 1 else h
        if loss == "gaussian":
            value = 0.5 * (h - targets).square().sum()
        else:
            value = F.cross_entropy(h, targets, reduction="sum")
        return torch.autograd.grad(value / batch_size, stacked)

    return raw


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """Rows per case and runner; ``passed`` says whether the wanted ratios are kept."""
    unknown = [name for name in config.cases if name not in CASES]
    if unknown:
        raise ValueError(f"cases must be some of {', '.join(CASES)}, got {', '.join(unknown)}.")
    others = peers(config.peers)
    torch.manual_seed(config.seed)
    rows, ratios, profiles = [], [], []
    with torch_threads(config.threads):
        for index, name in enumerate(config.cases):

            def told(what: str, share: float, name: str = name, index: int = index) -> None:
                on_progress(f"{name}, {what}", (index + share) / len(config.cases))

            case = CASES[name](config.num_chains)
            runners = list(_runners(case, others, config))
            alternate(runners, config.turns, config.seconds, told)
            rows += [_row(case, runner, runners) for runner in runners]
            ratios += _comparisons(case.name, runners)
            profiles.append(_profile(case, config))
    if config.record:
        text = "\n\n".join(profiles) + "\n"
        path = FOLDER / "records" / f"{datetime.now(UTC):%Y-%m-%d}_speed_profile.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    return {
        "rows": rows,
        "ratios": ratios,
        "threads": config.threads,
        "peers": versions(others),
        "passed": all(ratio["held"] for ratio in ratios),
    }


def _runners(case: Case, others: Sequence[Peer], config: Config) -> Iterator[Runner]:
    chains = config.num_chains
    stacked = torch.zeros(chains, case.num_weights)
    for name, work in (
        (RAW, case.raw),
        (DRAW, stacked.normal_),
        (PASS, lambda: stacked.mul_(1.0)),
    ):
        yield Runner(name, chain_steps=chains, build=lambda work=work: _repeated(work))
    potential = _potential(case)
    for kernel, preconditioner in product(config.kernels, config.preconditioners):
        if case.dear and preconditioner != "diagonal" and kernel != config.kernels[-1]:
            continue
        for name in (PLAIN,) if case.dear else (PLAIN, COMPILED):

            def build(
                kernel: str = kernel, preconditioner: str = preconditioner, name: str = name
            ) -> Any:
                if name == PLAIN:
                    simulation = _simulation(case, potential, kernel, preconditioner, config)
                else:
                    simulation = _compiled(case, kernel, preconditioner, config)
                return lambda count: simulation.advance(simulation.step + count)

            yield Runner(
                name,
                kernel,
                preconditioner,
                chains,
                LOOK_EVERY,
                guest=name == COMPILED,
                build=build,
            )
    inputs, targets = case.data
    task = Task(
        case.model,
        inputs,
        targets,
        loss_of(case.loss),
        case.batch_size,
        potential.nbeta,
        LOCALIZATION,
    )
    prepared = list(zip(inputs.split(case.batch_size), targets.split(case.batch_size), strict=True))
    drawn: Iterable[Any] = DataLoader(
        TensorDataset(inputs, targets), batch_size=case.batch_size, shuffle=True, drop_last=True
    )
    for peer, (how, batches) in product(others, (("", drawn), (PREPARED, prepared))):
        held = Held(peer, task, batches, num_chains=chains)
        together = chains if peer.together else 1
        yield Runner(
            peer.name + how,
            "sgld",
            "none",
            together,
            guest=True,
            build=lambda h=held: h.advance,
            end=held.end,
        )


def _repeated(work: Callable[[], Any]) -> Callable[[int], None]:
    def advance(count: int) -> None:
        for _ in range(count):
            work()

    return advance


def _potential(case: Case) -> sl.LocalPotential:
    return sl.LocalPotential.of(
        case.model, case.data, case.loss, localization=LOCALIZATION, batch_size=case.batch_size
    )


def _simulation(
    case: Case,
    potential: sl.LocalPotential,
    kernel: str,
    preconditioner: str,
    config: Config,
    *,
    compiled: bool = False,
) -> Simulation:
    scale = _preconditioner(preconditioner, case, potential)
    return Simulation(
        potential,
        KERNELS[kernel](step_size=STEP_SIZE, preconditioner=scale),
        num_chains=config.num_chains,
        seed=config.seed,
        compiled=compiled,
    )


def _compiled(case: Case, kernel: str, preconditioner: str, config: Config) -> Simulation:
    """Compiled for itself alone, both kinds of step, with nothing kept from earlier."""
    potential = _potential(case)
    with TemporaryDirectory() as folder, patch.dict(environ, TORCHINDUCTOR_CACHE_DIR=folder):
        simulation = _simulation(case, potential, kernel, preconditioner, config, compiled=True)
        simulation.advance(LOOK_EVERY)
    if simulation.uncompiled is not None:
        raise RuntimeError(f"{case.name}: steps are not compiled: {simulation.uncompiled}")
    return simulation


def _preconditioner(kind: str, case: Case, potential: sl.LocalPotential) -> Preconditioner:
    """Of the right shapes; what is in it does not change the cost."""
    law = {"nbeta": potential.nbeta, "localization": LOCALIZATION}
    if kind == "none":
        return Identity()
    if kind == "diagonal":
        return Diagonal.of_curvature(torch.rand(potential.dim), **law)
    if kind == "ekfac":
        shapes = [weight.shape for weight in case.model.parameters()]
        return Eigenbasis.of_samples(torch.randn(4, potential.dim), shapes, **law)
    raise ValueError(f"preconditioners are some of {', '.join(PRECONDITIONERS)}, got {kind!r}.")


def _row(case: Case, runner: Runner, runners: Sequence[Runner]) -> dict[str, Any]:
    what = {
        "case": case.name,
        "weights": case.num_weights,
        "runner": runner.name,
        "kernel": runner.kernel,
        "preconditioner": runner.preconditioner,
    }
    if runner.failure:
        return {**what, "failure": runner.failure}
    ratio = ratio_of(runner.turns, _named(runners, RAW).turns)
    return {
        **what,
        "us per chain-step": 1e6 * median(runner.turns),
        "of raw": ratio.median,
        "low": ratio.low,
        "high": ratio.high,
        "first step s": runner.first_seconds,
        "peak MiB": runner.memory_mib,
    }


def _named(runners: Sequence[Runner], name: str) -> Runner:
    return next(runner for runner in runners if runner.name == name)


def _comparisons(case: str, runners: Sequence[Runner]) -> list[dict[str, Any]]:
    """What is wanted of a case and what is stated, each for the kernel that does worst."""
    raw, draw, one_pass = (_named(runners, name).turns for name in (RAW, DRAW, PASS))
    floor = [sum(parts) for parts in zip(raw, draw, one_pass, strict=True)]
    able = [runner for runner in runners if not runner.failure]
    present = [name for name in (PLAIN, COMPILED) if any(r.name == name for r in able)]
    kinds = {
        (name, kind): [r for r in able if (r.name, r.preconditioner) == (name, kind)]
        for name, kind in product(present, PRECONDITIONERS)
    }
    found: list[dict[str, Any]] = []

    def compare(
        what: str, ratios: Sequence[Ratio], limits: dict[str, float], *, least: bool
    ) -> None:
        limit = limits.get(case)
        if not ratios and limit is None:
            return
        unknown = Ratio(math.nan, math.nan, math.nan)  # what was not measured does not hold
        worst = (min if least else max)(ratios, default=unknown)
        held = limit is None or (worst.median >= limit if least else worst.median <= limit)
        told = "" if limit is None else f"{'at least' if least else 'at most'} {limit:g}"
        found.append({"case": case, "what": what, **worst._asdict(), "wanted": told, "held": held})

    fastest = present[-1]  # what is promised of small networks is promised of compiled steps
    others = [r for r in runners if r.guest and r.name != COMPILED]
    for peer, name in product(others, present):
        beside = [] if peer.failure else kinds[name, "none"]
        ratios = [ratio_of(peer.turns, ours.turns) for ours in beside]
        limits = AT_LEAST if (peer.name, name) == ("devinterp", fastest) else {}
        compare(f"{peer.name} over {name}", ratios, limits, least=True)
    for name, kind in product(present, ("none", "diagonal")):
        limits = {"none": {"perceptron": 1.3}, "diagonal": {"transformer": 1.3}}[kind]
        ratios = [ratio_of(ours.turns, raw) for ours in kinds[name, kind]]
        compare(f"{name}, {kind}, over raw", ratios, limits if name == fastest else {}, least=False)
    ratios = [ratio_of(ours.turns, floor) for ours in kinds[PLAIN, "diagonal"]]
    what = f"{PLAIN}, diagonal, over {RAW} + {DRAW} + {PASS}"
    compare(what, ratios, {"transformer": 1.05}, least=False)
    pairs = zip(kinds[PLAIN, "ekfac"], kinds[PLAIN, "none"], strict=False)
    ratios = [ratio_of(rotated.turns, plain.turns) for rotated, plain in pairs]
    compare(f"{PLAIN}, ekfac, over none", ratios, {}, least=False)
    return found


def _profile(case: Case, config: Config, num_lines: int = 15) -> str:
    """The dearest operators of a step, by their own time."""
    kernel, preconditioner = config.kernels[-1], "diagonal"
    num_steps = LOOK_EVERY * (1 if case.dear else 5)
    simulation = _simulation(case, _potential(case), kernel, preconditioner, config)
    simulation.advance(LOOK_EVERY)
    begin = time.perf_counter()
    simulation.advance(simulation.step + num_steps)
    plain = (time.perf_counter() - begin) / num_steps
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        simulation.advance(simulation.step + num_steps)
    events = sorted(profiler.key_averages(), key=lambda e: e.self_cpu_time_total, reverse=True)
    total = sum(event.self_cpu_time_total for event in events)
    lines = [
        f"{case.name}, {case.num_weights} weights, {kernel}, {preconditioner}: {num_steps} steps of "
        f"{config.num_chains} chains on {config.threads} threads, {1e6 * plain:.0f} us each unprofiled",
        f"{'share':>6} {'us/step':>10} {'calls/step':>10}  operator",
    ]
    lines += [
        f"{event.self_cpu_time_total / total:6.1%} {event.self_cpu_time_total / num_steps:10.1f} "
        f"{event.count / num_steps:10.1f}  {event.key[:70]}"
        for event in events[:num_lines]
    ]
    return "\n".join(lines)
