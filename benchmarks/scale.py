"""What a measurement holds in memory, and whether ten million weights are measured truly.

    singulab bench scale                  # everything, and the record

*Memory.* A fresh process makes a linear network of two layers, its data and one forward and backward pass;
what its peak (``ru_maxrss``) grows by afterwards, divided by chains × weights × 4 bytes, is the constant. It must
stay below the one that docs/scaling.md promises. Kernels take a few steps with all chains side by side, the
dearest way; *auto* is a whole measurement. The C library gives vectors of a megabyte back at once here, as it
does by itself from 32 MB on: what it would keep of smaller ones says nothing of large networks. The large network
runs as it would for anybody; told to keep all freed memory, the library is faster, and its peak three times higher.

*Ten million weights.* The deep linear network of three layers of 1826 × 1826 weights, of half the full rank,
without label noise, is measured with no setting but the budget, the batch size and two chains. An independent
sampler, which shares no code with the package's, then runs at the same nβ and at γ (γ_eff where the measurement
did not pass), with exact gradients from second moments: BAOAB, once from w* and once with half the step from a
draw of the tether. Promised is that the measurement passes or else agrees with that value at its γ_eff, within
four errors or 2 %.

Each of these is a process of its own, kept in ``folder`` when it is finished, and not repeated by a later call
unless the code that it runs has changed.
"""

import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import fully_shard

import singulab as sl
from benchmarks.book import sampler
from singulab.cli.bench import BenchConfig
from singulab.files import write_json
from singulab.sample import KERNELS
from singulab.settings import Settings
from singulab.zoo.deep_linear import DeepLinear

# Vectors of all selected weights that are alive at once, per chain: what docs/scaling.md promises.
PROMISED = {
    **dict.fromkeys(KERNELS, 20.0),
    "auto, diagonal": 20.0,
    "auto, ekfac": 44.0,
    "auto, sharded": 16.0,
}
LADDER = ("leimkuhler_matthews", "auto, diagonal", "auto, ekfac", "auto, sharded")  # at every size
AGREEMENT, ERRORS = 0.02, 4.0
# What the C library does with vectors that are freed: gives them back, or keeps them.
ALLOCATION = {
    "memory": {"MALLOC_MMAP_THRESHOLD_": str(2**20)},
    "independent": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**36)},
}


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Peak memory per chain and weight, and a deep linear network of ten million weights."""

    kernels: tuple[str, ...] = tuple(PROMISED)
    num_weights: tuple[int, ...] = (1_000_000, 3_000_000)  # of the memory runs, the least first
    num_chains: tuple[int, ...] = (2, 4)  # the fewest first
    width: int = 1826  # of the large network, at all ends of its three layers; 0 = leave it out
    num_data: int = 20_000
    batch_size: int = 128
    max_gradients: float = 1300.0  # gradient units of its measurement
    steps: int = 30  # of each independent chain
    threads: int = 2  # of torch
    seed: int = 0
    folder: Path = Path("runs/scale")  # where finished jobs are kept


def run(config: Config, on_progress: Callable[[str, float], None] | None = None) -> dict[str, Any]:
    """Every job that is not finished yet; ``passed`` says whether all promises hold."""
    jobs: list[dict[str, Any]] = [
        {"job": "memory", "kernel": kernel, "num_weights": weights, "num_chains": chains}
        for kernel in config.kernels
        for weights in config.num_weights
        for chains in config.num_chains
        if kernel in LADDER or (weights, chains) == (config.num_weights[0], config.num_chains[0])
    ]
    rows = []
    for count, job in enumerate(jobs):
        row, most = (
            finished(job | {"threads": config.threads}, config.folder),
            PROMISED[job["kernel"]],
        )
        rows.append({**row, "promised": most, "passed": row["vectors_per_chain"] <= most})
        if on_progress is not None:
            told = (
                f"{job['kernel']}, {job['num_weights']:,} weights, {job['num_chains']} chains: done"
            )
            on_progress(told, (count + 1) / (len(jobs) + 8))
    result: dict[str, Any] = {"rows": rows}
    if config.width:
        result["network"] = network(config, on_progress)
        kept = result["network"]["agrees"] and result["network"]["within_memory"]
    else:
        kept = True
    return result | {"passed": kept and all(row["passed"] for row in rows)}


def network(config: Config, on_progress: Callable[[str, float], None] | None) -> dict[str, Any]:
    """The large network: measured, and once more by the independent sampler."""
    names = ("width", "num_data", "batch_size", "threads", "seed")
    common = {name: getattr(config, name) for name in names}
    measured = finished(
        {"job": "measurement", "max_gradients": config.max_gradients, **common}, config.folder
    )
    if on_progress is not None:
        on_progress("measurement done", 0.9)
    localization = measured["localization" if measured["passed"] else "effective_localization"]
    knobs = {"nbeta": measured["nbeta"], "localization": localization, "steps": config.steps}
    exact = finished({"job": "independent", **knobs, **common}, config.folder)
    off, joint = measured["llc"] - exact["llc"], math.hypot(measured["se"], exact["se"])
    return {
        "measurement": measured,
        "independent": exact,
        "relative_difference": measured["llc"] / exact["llc"] - 1,
        "z": off / joint,
        "agrees": abs(off) <= max(AGREEMENT * exact["llc"], ERRORS * joint),
        "promised": PROMISED["auto, diagonal"],
        "within_memory": measured["vectors_per_chain"] <= PROMISED["auto, diagonal"],
    }


def finished(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a job gave, in a process of its own unless it is on the disk already."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join(map(str, (*job.values(), sampler("zoo/deep_linear.py")))).replace(", ", "-")
    path = folder / f"{name}.json"
    if not path.exists():
        command = [sys.executable, __file__, json.dumps(job)]
        env = {**os.environ, **ALLOCATION.get(job["job"], {})}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
        write_json(path, json.loads(done.stdout.splitlines()[-1]))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


# ── jobs, each in a fresh process ─────────────────────────────────────────────────────────────


def peak() -> int:
    """Most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def passed_once(model: nn.Module, inputs: Tensor, targets: Tensor) -> int:
    """The peak after one forward and backward pass."""
    (model(inputs) - targets).square().mean().backward()
    for weight in model.parameters():
        weight.grad = None
    return peak()


def memory(kernel: str, num_weights: int, num_chains: int) -> dict[str, Any]:
    """How much the peak grows per chain and weight; a small network first loads all code."""
    width = round(math.sqrt(num_weights / 2))
    sampled(kernel, *linear(8, kernel), num_chains)
    model, inputs, targets = linear(width, kernel)
    before = passed_once(model, inputs[:64], targets[:64])
    chains = sampled(kernel, model, inputs, targets, num_chains)
    weights = 2 * width * width
    return {
        "kernel": kernel,
        "num_weights": weights,
        "num_chains": num_chains,
        "chains": chains,
        "before_megabytes": before / 2**20,
        "peak_megabytes": peak() / 2**20,
        "vectors_per_chain": (peak() - before) / (num_chains * weights * 4),
    }


def linear(width: int, kernel: str) -> tuple[nn.Module, Tensor, Tensor]:
    """Two square layers, sharded over this process alone if wanted, and data that they fit exactly."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(2)))
    if kernel == "auto, sharded":
        if not distributed.is_initialized():
            alone = distributed.HashStore()
            distributed.init_process_group("gloo", store=alone, rank=0, world_size=1)
        for layer in (*model, model):
            fully_shard(layer)
    inputs = torch.randn(256, width)
    with torch.no_grad():
        return model, inputs, model(inputs)


def sampled(kernel: str, model: nn.Module, inputs: Tensor, targets: Tensor, num_chains: int) -> str:
    """Run a kernel for a few steps or a short measurement; whether chains ran side by side."""
    data = inputs, targets
    if kernel in KERNELS:
        potential = sl.LocalPotential.of(model, data, "gaussian", batch_size=64)
        knobs = {"step_size": 1e-9}
        if kernel == "hmc":
            knobs["num_leapfrog"] = 2
        elif kernel == "elliptical_slice":
            knobs = {}
        chosen = KERNELS[kernel](**knobs)
        sl.sample(potential, chosen, num_chains=num_chains, num_draws=5, stacked=True)
        return "stacked"
    settings = Settings(
        preconditioner="ekfac" if kernel == "auto, ekfac" else "diagonal",
        num_chains=num_chains,
        batch_size=64,
        max_gradients=60.0 * num_chains,
    )
    measured = sl.measure(model, data, "gaussian", settings=settings)
    return str(measured.settings.found["chains"])


def case(width: int, num_data: int, batch_size: int, seed: int) -> DeepLinear:
    """Three square layers of half the full rank."""
    return DeepLinear(
        name="ten million",
        widths=(width,) * 4,
        rank=width // 2,
        num_data=num_data,
        batch_size=batch_size,
        seed=seed,
    )


def measurement(max_gradients: float, seed: int, **shape: Any) -> dict[str, Any]:
    """The measurement of the large network, with its time and memory."""
    network = case(seed=seed, **shape)
    model, data = network.model(), network.data()
    size = network.batch_size
    before = passed_once(model, data[0][:size], data[1][:size])
    measured = sl.measure(
        model,
        data,
        "gaussian",
        batch_size=size,
        num_chains=2,
        max_gradients=max_gradients,
        seed=seed,
        on_progress=lambda progress: print(progress, file=sys.stderr),
    )
    told = measured.to_dict()
    names = ("passed", "checks", "notes", "nbeta", "localization", "effective_localization")
    return {
        "num_weights": network.num_weights,
        "rank": network.rank,
        "rlct": network.rlct.value,
        "llc": measured.llc.value,
        "se": measured.llc.se,
        **{name: told[name] for name in names},
        "relative_radius": measured.relative_radius,
        "gradients": measured.gradients,
        "found": dict(measured.settings.found),
        "seconds": measured.seconds,
        "before_megabytes": before / 2**20,
        "peak_megabytes": peak() / 2**20,
        "vectors_per_chain": (peak() - before) / (2 * network.num_weights * 4),
    }


def independent(
    nbeta: float, localization: float, steps: int, seed: int, **shape: Any
) -> dict[str, Any]:
    """λ̂ by a sampler with exact gradients; its error is the spread of eight stretches, and of two chains."""
    start = time.monotonic()
    center, moments = case(seed=seed, **shape).moments()
    weights = [weight.float() for weight in center]
    second = moments.inputs.float()
    generator = torch.Generator().manual_seed(seed)
    stiffest = localization + nbeta * stiffness(weights, second)
    chains = []
    for drawn, share in ((False, 0.4), (True, 0.2)):
        step = share / stiffest  # ε; dt = √ε
        moved = [w + drawn * normal(w, generator) / math.sqrt(localization) for w in weights]
        rows = baoab(moved, weights, second, nbeta, localization, step, steps, generator)
        chains.append(rows[steps // 3 :])
    energies = [nbeta * chain[:, 0] for chain in chains]
    means = [float(energy.mean()) for energy in energies]
    stretches = torch.cat([torch.stack([s.mean() for s in e.chunk(4)]) for e in energies])
    error = max(float(stretches.std()) / math.sqrt(len(stretches)), abs(means[0] - means[1]) / 2)
    return {
        "nbeta": nbeta,
        "localization": localization,
        "llc": sum(means) / 2,
        "se": error,
        "per_chain": means,
        "virial": [float(chain[:, 1].mean()) for chain in chains],
        "steps": steps,
        "seconds": time.monotonic() - start,
        "peak_megabytes": peak() / 2**20,
    }


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator)


def slope(weights: list[Tensor], product: Tensor, second: Tensor) -> tuple[float, list[Tensor]]:
    """½ tr(D S Dᵀ), D = W₃W₂W₁ − (the same at w*), and its gradient."""
    first, middle, last = weights
    below = middle @ first
    difference = last @ below - product
    pulled = difference @ second
    above = last.T @ pulled
    loss = 0.5 * float((difference * pulled).sum(dtype=torch.float64))
    return loss, [middle.T @ above, above @ first.T, pulled @ below.T]


def stiffness(weights: list[Tensor], second: Tensor) -> float:
    """A bound on the loss's curvature at w*: the sum over layers of the norms of what surrounds them."""
    norms = [float(torch.linalg.matrix_norm(w, 2)) ** 2 for w in weights]
    inputs = float(torch.linalg.matrix_norm(second, 2))
    return inputs * sum(math.prod(norms) / norm for norm in norms)


def baoab(
    weights: list[Tensor],
    center: list[Tensor],
    second: Tensor,
    nbeta: float,
    localization: float,
    step: float,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Excess loss and virial of every step of underdamped Langevin dynamics with memory ½."""
    product = center[2] @ center[1] @ center[0]
    dt, memory = math.sqrt(step), 0.5
    velocity = [normal(w, generator) for w in weights]
    rows = []
    for _ in range(steps):
        loss, gradients = slope(weights, product, second)
        virial = 0.0
        for w, c, v, g in zip(weights, center, velocity, gradients, strict=True):
            g.mul_(nbeta).add_(w - c, alpha=localization)
            virial += float(((w - c) * g).sum(dtype=torch.float64))
            v.sub_(g, alpha=dt)
            w.add_(v, alpha=0.5 * dt)
            v.mul_(memory).add_(normal(v, generator), alpha=math.sqrt(1 - memory**2))
            w.add_(v, alpha=0.5 * dt)
        rows.append([loss, virial / sum(w.numel() for w in weights)])
        print(rows[-1], file=sys.stderr)
    return torch.tensor(rows, dtype=torch.float64)


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "memory": memory,
    "measurement": measurement,
    "independent": independent,
}

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked.pop("threads"))
    print(json.dumps(JOBS[asked.pop("job")](**asked)))
