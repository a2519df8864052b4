"""``singulab demo``: does λ̂ tell memorising from generalising?

One small network is trained twice on handwritten digits, on the true labels and on the same labels in
random order, until both reach the same training loss. λ̂ is measured along the first training and near the
end of the second with one frozen ``Settings``; stages are looked for; everything is written as a page.
Read :func:`run` from top to bottom.
"""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn
from torch.nn.functional import cross_entropy

from singulab.cli.command import CommandConfig, Outcome
from singulab.cli.demo_page import Checkpoint, Findings, Network, answer, page
from singulab.cli.progress import bar
from singulab.development.curve import Curve
from singulab.development.difference import difference
from singulab.development.stages import stages
from singulab.environment import environment
from singulab.errors import StaleRunError
from singulab.files import write_json
from singulab.measure import Measurement, calibrate, measure
from singulab.potential import LocalPotential
from singulab.report.page import write
from singulab.report.table import rounded
from singulab.settings import Settings
from singulab.zoo.digits import Digits, digits, multilayer_perceptron

TRUE, SHUFFLED = "true labels", "shuffled labels"
FIRST_STEP, GROWTH = 4, 1.5  # checkpoints: step 0, then 4, 6, 9, 14, 20 …, and the last
NUM_SHUFFLED = 5  # checkpoints of the memorising network at which λ̂ is measured, the last ones
NUM_CONTROLS = 100  # shuffled curves on which the rule for stages is tried


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Does λ̂ tell memorising from generalising? A network along its training, with a page to read."""

    run: Path = Path("runs/demo")  # folder for measurements, settings and report.html
    seed: int = 0  # of split, initial weights, shuffled labels and chains
    training_loss: float = 0.01  # nats per digit at which both trainings stop
    learning_rate: float = 1e-3  # of Adam, on all training digits at once
    relative_error: float = 0.025  # wanted standard error of each λ̂, relative to it
    max_gradients: float = 6000.0  # budget of each measurement in gradient units

    def __post_init__(self) -> None:
        if not 0 < self.training_loss < 2:
            raise ValueError(
                f"training_loss must lie between 0 and 2 nats (guessing costs 2.3), got {self.training_loss}."
            )
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}.")


@dataclass(frozen=True)
class Job:
    """One measurement to be made."""

    network: Network
    checkpoint: Checkpoint
    labels: str  # "model": behavioural λ̂; "data": label λ̂

    @property
    def folder(self) -> str:
        kind = "behavioural" if self.labels == "model" else "label"
        return f"{self.network.label.split()[0]}-{self.checkpoint.step:06d}-{kind}"

    @property
    def title(self) -> str:
        kind = "behavioural" if self.labels == "model" else "label"
        return f"{self.network.label}, step {self.checkpoint.step}, {kind} λ̂"


def run(config: Config, console: Console) -> Outcome:
    """The whole experiment."""
    started = time.monotonic()
    console.print("Training one network on true labels and one on shuffled labels …")
    true = train(TRUE, digits(seed=config.seed), config)
    shuffled = train(SHUFFLED, digits(seed=config.seed, shuffled_labels=True), config)
    for network in (true, shuffled):
        console.print(f"  {network.sentence()}")

    settings = choose_settings([true, shuffled], config)
    config.run.mkdir(parents=True, exist_ok=True)
    write_json(config.run / "config.json", {**asdict(config), "run": str(config.run)})
    write_json(config.run / "environment.json", environment())
    settings.save(config.run / "settings.toml")

    jobs = [Job(true, checkpoint, "model") for checkpoint in true.checkpoints]
    jobs += [Job(shuffled, checkpoint, "model") for checkpoint in shuffled.checkpoints[-NUM_SHUFFLED:]]
    measured = measure_all(jobs, settings, config, console)

    curve = curve_of(true, measured, "model")
    found = stages(curve, seed=config.seed)
    alarms = sum(
        bool(stages(curve.shuffled(k), num_simulations=199, seed=k).borders) for k in range(NUM_CONTROLS)
    )
    findings = Findings(
        networks=(true, shuffled),
        curve=curve,
        shuffled_curve=curve_of(shuffled, measured, "model"),
        label_curves=(),
        stages=found,
        alarms=alarms,
        num_controls=NUM_CONTROLS,
        settings=settings,
        seed=config.seed,
        seconds=time.monotonic() - started,
    )
