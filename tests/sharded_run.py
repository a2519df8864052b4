"""What is measured of one network, whole or under FSDP: torchrun runs this file, the test calls ``results``."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import singulab as sl
from singulab.rng import Purpose
from singulab.sample import BAOAB, HMC
from singulab.sample.curvature import preconditioner, top_curvature
from singulab.settings import Settings

NUM_DATA, BATCH = 53, 26  # 2 · 26 + 1: the last chunk leaves a process without data


class Network(nn.Module):
    """Weights that no number of processes divides, a buffer that counts calls, a weight without use."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout())
        self.head = nn.Linear(7, 3)
        self.unused = nn.Parameter(torch.ones(1))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.head(self.body(x))


def network() -> Network:
    """The same in every process."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Network().double()
    for number, weight in enumerate(model.parameters()):
        weight.grad = torch.full_like(weight, float(number))
    return model


def squares(output: Tensor, target: Tensor) -> Tensor:
    """A loss without a known score, so that curvature comes from differences of gradients."""
    return (output - target).square().sum(1)


def results(model: nn.Module) -> dict[str, Any]:
    """Traces and measurements of a model, as plain values."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(NUM_DATA, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (NUM_DATA,), generator=generator)
    targets = torch.randn(NUM_DATA, 3, generator=generator, dtype=torch.float64)
    listed = sl.Data(list(zip(inputs, targets, strict=True)))
    found: dict[str, Any] = {}

    def potential(data: Any, loss: Any, **knobs: Any) -> sl.LocalPotential:
        return sl.LocalPotential.of(model, data, loss, batch_size=BATCH, **knobs)

    def keep(name: str, trace: sl.Trace) -> None:
        variables = ("excess_a", "excess_b", "virial", "radius_squared", "virial_by_component")
        found[name] = {v: torch.from_numpy(trace[v].copy()) for v in variables}

    classes = potential((inputs, labels), "cross_entropy")
    found["localization"] = classes.localization
    found["noise"] = classes.landscape.noise(7, Purpose.NOISE).normal([0, 1], 5)
    keep("baoab", sl.sample(classes, BAOAB(step_size=1e-2), num_chains=2, num_draws=6))
    keep("hmc", sl.sample(classes, HMC(step_size=1e-3, num_leapfrog=2), num_chains=2, num_draws=2))
    taught = potential(listed, "gaussian", labels="model", weights=["head.*", "body.*"])
    keep("teacher by batch", sl.sample(taught, "sgld", step_size=1e-2, num_chains=2, num_draws=2))
    keep("sgnht", sl.sample(taught, "sgnht", step_size=1e-3, num_chains=2, num_draws=2))
    kept = potential((inputs, targets), sl.gaussian(0.5), labels="model")
    keep("teacher kept", sl.sample(kept, "rmsprop_sgld", step_size=1e-4, num_chains=2, num_draws=2))
    found["curvature"] = curvature(potential((inputs, targets), squares))
    settings = Settings(preconditioner="diagonal", num_chains=2, max_gradients=200.0)
    result = sl.measure(classes, settings=settings)
    assert result.trace is not None
    keep("measurement", result.trace)
    found["choices"] = {k: v for k, v in result.settings.found.items() if isinstance(v, float)}
    found["choices"] |= {**result.gradients, **result.corrections}
    found["choices"] |= {check.name: float(check.passed) for check in result.checks}
    found["choices"] |= {"llc": result.llc.value, "se": result.llc.se}
    return found


def curvature(potential: sl.LocalPotential) -> dict[str, float]:
    """Moments of the diagonal from differences of gradients, and the top curvature in it."""
    landscape = potential.landscape
    knobs = {"seed": 3, "num_chains": 2, "batch_size": BATCH}
    feed = landscape.feed(**knobs, purpose=Purpose.BATCH_FOR_CURVATURE)
    position = landscape.center.expand(2, -1) * torch.tensor([[1.0], [1.1]])
    with landscape.ready():
        scale, _ = preconditioner(
            potential, position, feed, kind="diagonal", seed=3, step=0, repeats=1
        )
        top, _ = top_curvature(potential, position, scale, feed, [[0], [1]], seed=3, step=9)
    diagonal = scale.tensors()["scale"]
    moments = {f"moment {p}": float(potential.total((diagonal**p).sum())) for p in (-2, -1, 1, 2)}
    return {**moments, "largest": float(landscape.largest(diagonal)), "top": top}


def refusals(model: nn.Module) -> list[str]:
    """What is said of data that differ, and of arguments that sharded weights do not allow."""
    data = torch.zeros(8, 5).double(), torch.zeros(8, dtype=torch.long)
    own = torch.full((8, 5), 1.0 + distributed.get_rank()).double(), data[1]
    said = []
    for knobs in (
        {"data": own},
        {"run": "folder"},
        {"settings": Settings(preconditioner="ekfac")},
        {"weights": {"head.bias": torch.ones(3, dtype=torch.bool)}},
        {"units": {"*": 2.0}},
    ):
        try:
            sl.measure(model, **{"data": data, **knobs})
        except (TypeError, ValueError) as error:
            said.append(str(error))
    return said


def main(folder: Path) -> None:
    """Measure under FSDP; every process leaves what it found in a file of its own."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    model = network()
    gradients = [weight.grad for weight in model.parameters()]
    for weight in model.parameters():
        weight.grad = None
    fully_shard(model.body)
    fully_shard(model)
    for weight, gradient in zip(model.parameters(), gradients, strict=True):
        assert isinstance(weight, DTensor)
        assert gradient is not None
        weight.grad = weight.detach() * 0 + gradient.flatten()[0]
    found = results(model)
    found["weights"] = [weight.full_tensor() for weight in model.parameters()]
    found["gradients"] = [weight.grad.full_tensor() for weight in model.parameters()]
    found["calls"], found["training"] = int(model.calls), model.training
    found["refusals"] = refusals(model)
    torch.save(found, folder / f"rank-{distributed.get_rank()}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
