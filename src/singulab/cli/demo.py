"""``singulab demo``: does λ̂ tell memorising from generalising?

One small network is trained twice on handwritten digits, on the true labels and on the same labels in
random order, until both reach the same training loss. λ̂ is measured along the first training and near the
end of the second with one frozen ``Settings``; stages are looked for; everything is written as a page.
Read :func:`experiment` from top to bottom.
"""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from torch.nn.functional import cross_entropy

from singulab.cli.command import CommandConfig, Outcome
from singulab.cli.demo_page import Checkpoint, Findings, Network, answer, is_critical, page
from singulab.cli.progress import bar
from singulab.development.curve import Curve
from singulab.development.stages import stages
from singulab.errors import CorruptFileError, StaleRunError
from singulab.files import write_json
from singulab.measure import calibrate, measure_potential, write_run_files
from singulab.measurement import Measurement
from singulab.potential import LocalPotential
from singulab.report.page import write
from singulab.report.table import rounded
from singulab.sample.plan import Progress
from singulab.settings import Settings
from singulab.zoo.digits import Digits, digits, multilayer_perceptron

TRUE, SHUFFLED = "true labels", "shuffled labels"
FIRST_STEP, GROWTH = 4, 1.6  # checkpoints: step 0, then 4, 6, 10, 16, 26 …, and the last
NUM_SHUFFLED = 4  # checkpoints of the memorising network at which λ̂ is measured: the last ones
WIDER = 0.1  # share of γ at which the final comparison is repeated
NUM_CONTROLS = 100  # shuffled curves on which the rule for stages is tried


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Does λ̂ tell memorising from generalising? A network along its training, with a page to read."""

    run: Path = Path("runs/demo")  # folder for measurements, settings and report.html
    seed: int = 0  # of split, initial weights, shuffled labels and chains
    training_loss: float = 0.01  # nats per digit at which both trainings stop
    learning_rate: float = 1e-3  # of Adam, on all training digits at once
    max_steps: int = 20_000  # a training that is not there by then is given up
    relative_radius: float = 0.3  # how far weights may wander, relative to |w| after training
    relative_error: float = 0.025  # wanted standard error of each λ̂, relative to it
    max_gradients: float = 4000.0  # budget of each measurement, in gradient units

    def __post_init__(self) -> None:
        if not 0 < self.training_loss < 2:
            raise ValueError(
                f"training_loss must lie between 0 and 2 nats (guessing costs 2.3), got "
                f"{self.training_loss}."
            )
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}.")
        if self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {self.max_steps}.")
        for name in ("learning_rate", "relative_radius", "relative_error", "max_gradients"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}.")


def run(config: Config, console: Console) -> Outcome:
    """The whole experiment, on one thread."""
    # Matrices this small gain nothing from a second thread, and wait for it where others compute.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return experiment(config, console)
    finally:
        torch.set_num_threads(threads)


def experiment(config: Config, console: Console) -> Outcome:
    """Train, calibrate, measure, compare, write down."""
    started = time.monotonic()
    console.print("Training a network on true labels, and its copy on shuffled labels …")
    data = {
        TRUE: digits(seed=config.seed),
        SHUFFLED: digits(seed=config.seed, shuffled_labels=True),
    }
    true, shuffled = (train(label, data[label], config) for label in (TRUE, SHUFFLED))
    for network in (true, shuffled):
        console.print(f"  {network.sentence()}")

    settings = calibrate(
        potential(true.last, data[TRUE], labels="model"),
        relative_radius=config.relative_radius,
        relative_error=config.relative_error,
        max_gradients=config.max_gradients,
    )
    write_run_files(
        config.run, {**asdict(config), "run": str(config.run), "settings": settings.to_dict()}
    )
    console.print(
        f"One resolution for all: nβ = {settings.nbeta:.4g}, γ = {settings.localization:.4g}\n"
    )

    laboratory = Laboratory(config, data, settings, console)
    behavioural = [Job(true, at, "model") for at in true.checkpoints]
    behavioural += [Job(shuffled, at, "model") for at in shuffled.checkpoints[-NUM_SHUFFLED:]]
    measured = laboratory.measure(behavioural)
    # Label λ̂ means something at critical points only, so from the end backwards to the first that is none.
    for at in reversed(true.checkpoints):
        measured |= laboratory.measure([Job(true, at, "data")])
        if not is_critical(list(measured.values())[-1]):
            break
    measured |= laboratory.measure([Job(shuffled, shuffled.last, "data")])
    # The same comparison at another resolution: is the answer one of γ?
    wide = laboratory.measure([Job(n, n.last, "model", WIDER) for n in (true, shuffled)])

    curve = curve_of(true, "model", measured)
    findings = Findings(
        true=true,
        shuffled=shuffled,
        curve=curve,
        shuffled_curve=curve_of(shuffled, "model", measured),
        label_curves=tuple(curve_of(network, "data", measured) for network in (true, shuffled)),
        wide={job.network.label: m for job, m in wide.items()},
        criticality=criticality(true, shuffled, measured),
        stages=stages(curve, seed=config.seed),
        alarms=alarms(curve),
        num_controls=NUM_CONTROLS,
        settings=settings,
        num_train=len(data[TRUE].train_labels),
        seed=config.seed,
        seconds=time.monotonic() - started,
    )
    records = findings.records()
    write_json(config.run / "measurements.json", records)
    write(config.run / "report.html", page(findings))

    console.print("\nStages of the training on true labels")
    for sentence in findings.stages.sentences():
        console.print(f"  {sentence}")
    console.print("\nDoes λ̂ tell memorising from generalising?", style="bold")
    for sentence in answer(findings).sentences:
        console.print(f"  {sentence}")
    passed = sum(m.passed for m in findings.behavioural.values())
    console.print(
        f"\n{passed} of {len(findings.behavioural)} behavioural measurements passed every check. "
        f"{findings.seconds:.0f} seconds."
    )
    console.print(f"Page to read: {config.run / 'report.html'}", style="bold")
    return Outcome(data=records)


def train(label: str, data: Digits, config: Config) -> Network:
    """Train by Adam on all training digits at once until the training loss is reached.

    Returns:
        The network at step 0, at steps that grow by half, and at the end.
    """
    model = multilayer_perceptron(seed=config.seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    kept: list[Checkpoint] = []
    wanted = 0.0
    for step in range(config.max_steps + 1):
        loss = cross_entropy(model(data.train_inputs), data.train_labels)
        finished = loss.item() <= config.training_loss
        if finished or step >= wanted:
            # Two checkpoints close together at the end would say the same thing twice.
            if finished and step < 1.15 * kept[-1].step:
                kept.pop()
            kept.append(checkpoint(model, step, loss.item(), data))
            wanted = max(FIRST_STEP, round(wanted * GROWTH))
        if finished:
            return Network(label=label, checkpoints=tuple(kept))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    raise ValueError(
        f"After {config.max_steps} steps on {label} the training loss is {loss.item():.3g} nats, not "
        f"{config.training_loss}: raise max_steps, learning_rate or training_loss."
    )


def checkpoint(model: nn.Module, step: int, loss: float, data: Digits) -> Checkpoint:
    """The network as it stands."""
    with torch.no_grad():
        right = [
            (model(inputs).argmax(1) == labels).double().mean().item()
            for inputs, labels in (data.train, data.test)
        ]
        norm = math.sqrt(sum(w.double().square().sum().item() for w in model.parameters()))
    return Checkpoint(
        step=step,
        weights={name: w.detach().clone() for name, w in model.state_dict().items()},
        training_loss=loss,
        training_accuracy=right[0],
        held_out_accuracy=right[1],
        weight_norm=norm,
    )


@dataclass(frozen=True, eq=False)
class Job:
    """One measurement to be made."""

    network: Network
    checkpoint: Checkpoint
    labels: str  # "model": behavioural λ̂; "data": label λ̂
    share: float = 1.0  # of the common γ

    @property
    def kind(self) -> str:
        kind = "behavioural" if self.labels == "model" else "label"
        return kind if self.share == 1 else f"γ·{self.share:g}"

    @property
    def folder(self) -> str:
        labels = "behavioural" if self.labels == "model" else "label"
        share = "" if self.share == 1 else f"-{self.share:g}"
        return f"{self.network.label.split()[0]}-{self.checkpoint.step:06d}-{labels}{share}"


def potential(
    at: Checkpoint, data: Digits, *, labels: str, settings: Settings | None = None
) -> LocalPotential:
    """The local posterior at a checkpoint, over the digits that the network was trained on."""
    model = multilayer_perceptron()
    model.load_state_dict(at.weights)
    return LocalPotential.of(
        model,
        data.train,
        "cross_entropy",
        labels=labels,
        nbeta=None if settings is None else settings.nbeta,
        localization=None if settings is None else settings.localization,
    )


def alarms(curve: Curve) -> int:
    """In how many of ``NUM_CONTROLS`` shuffled copies of the passed points the rule finds a border."""
    if not any(curve.passed):
        return 0
    passed = curve.where(lambda _, m: m.passed)
    copies = (stages(passed.shuffled(k), num_simulations=199, seed=k) for k in range(NUM_CONTROLS))
    return sum(bool(copy.borders) for copy in copies)


class Laboratory:
    """Measures jobs, keeps what is finished in the run folder, and prints a row for each."""

    ROW = "{:<15} {:>5}  {:<11} {:>8}  {:>15}  {:>9}  {}"

    def __init__(
        self, config: Config, data: dict[str, Digits], settings: Settings, console: Console
    ) -> None:
        self.config, self.data, self.settings, self.console = config, data, settings, console
        console.print(
            self.ROW.format("network", "step", "quantity", "loss", "λ̂ ± se", "gradients", "checks")
        )

    def measure(self, jobs: Sequence[Job]) -> dict[Job, Measurement]:
        measured: dict[Job, Measurement] = {}
        begun = time.monotonic()
        for done, job in enumerate(jobs):
            rest = (time.monotonic() - begun) / max(done, 1) * (len(jobs) - done)
            title = f"{done + 1} of {len(jobs)}" + (f" ({rest:.0f} s to go)" if done else "")
            with bar(self.console, title) as on_progress:
                measured[job] = self._measure(job, on_progress)
            self._report(job, measured[job])
        return measured

    def _measure(self, job: Job, on_progress: Callable[[Progress], None]) -> Measurement:
        assert self.settings.localization is not None
        settings = replace(
            self.settings,
            labels=job.labels,
            localization=job.share * self.settings.localization,
        )
        target = potential(
            job.checkpoint, self.data[job.network.label], labels=job.labels, settings=settings
        )
        folder = self.config.run / job.folder
        while True:
            try:
                return measure_potential(
                    target, settings, seed=self.config.seed, folder=folder, on_progress=on_progress
                )
            except (StaleRunError, CorruptFileError) as error:
                self.console.print(f"  measuring again: {error}", style="yellow")
                shutil.rmtree(folder)

    def _report(self, job: Job, m: Measurement) -> None:
        failed = ", ".join(check.name for check in m.checks if not check.passed)
        self.console.print(
            self.ROW.format(
                job.network.label,
                job.checkpoint.step,
                job.kind,
                f"{job.checkpoint.training_loss:.4f}",
                rounded(m.llc.value, m.llc.se),
                f"{m.gradients['total']:,.0f}",
                f"failed: {failed}" if failed else "passed",
            ),
            style="red" if failed else None,
        )


def curve_of(network: Network, labels: str, measured: dict[Job, Measurement]) -> Curve:
    """The measurements of one network with one kind of labels, in the order of training."""
    mine = [job for job in measured if (job.network, job.labels) == (network, labels)]
    mine.sort(key=lambda job: job.checkpoint.step)
    return Curve(
        tuple(job.checkpoint.step for job in mine),
        tuple(measured[job] for job in mine),
        network.label,
    )


def criticality(
    true: Network, shuffled: Network, measured: dict[Job, Measurement]
) -> tuple[str, ...]:
    """Which checkpoints are critical points of the ordinary loss, in sentences."""
    said = []
    for network in (true, shuffled):
        jobs = {j: m for j, m in measured.items() if j.labels == "data" and j.network is network}
        for verdict, words in (
            (True, "near a critical point of the loss"),
            (False, "not near one"),
        ):
            steps = [str(j.checkpoint.step) for j, m in jobs.items() if is_critical(m) == verdict]
            if steps:
                said.append(f"On {network.label}, {words} at step {', '.join(reversed(steps))}.")
        first = min(j.checkpoint.step for j in jobs)
        if network is true and first > 0:
            said.append(
                f"Checkpoints before step {first} were not tried: they stand higher up the same slope, with "
                f"more than {network.at(first).training_loss:.2g} nats per digit still to lose."
            )
    return tuple(said)
