"""What ``singulab demo`` found, as a page for someone who has never heard of λ̂."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from singulab.development.curve import Curve
from singulab.development.difference import Difference, difference
from singulab.development.stages import Stages
from singulab.environment import environment, installed
from singulab.measurement import Measurement
from singulab.report import canvas, figure, table
from singulab.report.page import render
from singulab.report.table import Table, percent, rounded
from singulab.settings import Settings

Weights = dict[str, Any]  # the state_dict of a network


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network at one step of its training."""

    step: int
    weights: Weights
    training_loss: float  # nats per digit, over all training digits
    training_accuracy: float  # share of training digits read as labelled
    held_out_accuracy: float  # share of held-out digits read correctly
    weight_norm: float  # |w|


@dataclass(frozen=True, kw_only=True)
class Network:
    """One training run."""

    label: str
    checkpoints: tuple[Checkpoint, ...]

    @property
    def last(self) -> Checkpoint:
        return self.checkpoints[-1]

    def at(self, step: float) -> Checkpoint:
        return next(c for c in self.checkpoints if c.step == step)

    def sentence(self) -> str:
        end = self.last
        return (
            f"{self.label}: {end.step} steps, training loss {end.training_loss:.4f} nats per digit, "
            f"held-out accuracy {percent(end.held_out_accuracy)}, weight norm {end.weight_norm:.1f}"
        )


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that was measured."""

    true: Network
    shuffled: Network
    curve: Curve  # behavioural λ̂ of the network on true labels
    shuffled_curve: Curve  # behavioural λ̂ of the one on shuffled labels
    label_curves: tuple[Curve, ...]  # label λ̂ of either, where it was tried
    wide: dict[str, Measurement]  # behavioural λ̂ of both at the end, with a tether ten times weaker
    criticality: tuple[
        str, ...
    ]  # which checkpoints are critical points and which are not, in sentences
    stages: Stages
    alarms: int  # shuffled curves in which the rule found a border …
    num_controls: int  # … out of so many
    settings: Settings
    num_train: int  # training digits
    seed: int
    seconds: float  # of everything

    @property
    def behavioural(self) -> dict[str, Measurement]:
        """Every behavioural measurement under its name."""
        return {
            f"{c.label}, step {s:g}": m for c in (self.curve, self.shuffled_curve) for s, m in c
        }

    @property
    def all(self) -> dict[str, Measurement]:
        """Every measurement under its name."""
        labels = {f"{c.label}, step {s:g}, label λ̂": m for c in self.label_curves for s, m in c}
        wide = {f"{label}, weaker tether": m for label, m in self.wide.items()}
        return {**self.behavioural, **labels, **wide}

    @property
    def difference(self) -> Difference:
        """The two networks at the end, at equal training loss."""
        return difference(
            self.curve.measurements[-1],
            self.shuffled_curve.measurements[-1],
            names=(self.true.label, self.shuffled.label),
        )

    def records(self) -> list[dict[str, Any]]:
        """Every measurement as JSON, with its step and what else is known of its checkpoint."""
        networks = {network.label: network for network in (self.true, self.shuffled)}
        curves = (self.curve, self.shuffled_curve, *self.label_curves)
        measured = [(networks[c.label], step, m) for c in curves for step, m in c]
        measured += [
            (networks[label], networks[label].last.step, m) for label, m in self.wide.items()
        ]
        return [
            {
                "step": int(step),
                "network": network.label,
                "training_loss": network.at(step).training_loss,
                "training_accuracy": network.at(step).training_accuracy,
                "held_out_accuracy": network.at(step).held_out_accuracy,
                "weight_norm": network.at(step).weight_norm,
                **m.to_dict(),
            }
            for network, step, m in measured
        ]


def is_critical(m: Measurement) -> bool:
    """Whether the loss of this measurement is nearly stationary at the checkpoint."""
    return any(check.name == "criticality" and check.passed for check in m.checks)


@dataclass(frozen=True)
class Answer:
    """The demo's answer to its question."""

    yes: bool
    sentences: tuple[str, ...]


def answer(findings: Findings) -> Answer:
    """Whether λ̂ tells the two networks apart, in plain words."""
    true, shuffled = findings.true.last, findings.shuffled.last
    low, high = findings.curve.measurements[-1], findings.shuffled_curve.measurements[-1]
    failed = [
        name
        for name, m in ((findings.true.label, low), (findings.shuffled.label, high))
        if not m.passed
    ]
    if failed:
        return Answer(
            False,
            (
                f"Not answered: the final measurement of the network on {' and on '.join(failed)} did not "
                f"pass its checks.",
            ),
        )
    gap = findings.difference
    values = (
        f"{rounded(high.llc.value, high.llc.se)} for the network that memorised and "
        f"{rounded(low.llc.value, low.llc.se)} for the one that learned"
    )
    accuracy = (
        f"On digits that neither has seen, the first reads {percent(shuffled.held_out_accuracy)} correctly and the "
        f"second {percent(true.held_out_accuracy)}; λ̂ was measured on training digits alone."
    )
    if abs(gap.value) < 3 * gap.se:
        return Answer(
            False,
            (
                f"Not here: at equal training loss λ̂ is {values}, a difference of "
                f"{rounded(gap.value, gap.se)}, which is less than three standard errors.",
                accuracy,
            ),
        )
    wide = findings.wide
    elsewhere = difference(
        wide[findings.true.label],
        wide[findings.shuffled.label],
        names=(findings.true.label, findings.shuffled.label),
    )
    more = f"{rounded(gap.ratio, gap.ratio_se)} times as large"
    return Answer(
        True,
        (
            f"For this pair, yes: at equal training loss ({shuffled.training_loss:.4f} and "
            f"{true.training_loss:.4f} nats per digit) behavioural λ̂ is {values}: {more}, "
            f"a difference of {rounded(gap.value, gap.se)}.",
            f"How much larger depends on the resolution: with a tether ten times weaker it is "
            f"{rounded(elsewhere.ratio, elsewhere.ratio_se)} times.",
            accuracy,
        ),
    )


def page(findings: Findings) -> str:
    """The whole page as HTML."""
    true, shuffled, curve = findings.true, findings.shuffled, findings.curve
    behavioural = findings.behavioural
    first = curve.measurements[0]
    low, high = curve.measurements[-1], findings.shuffled_curve.measurements[-1]
    return render(
        "demo.html",
        {
            "version": installed("singulab") or "",
            "answer": answer(findings),
            "cards": [
                {
                    "value": rounded(low.llc.value, low.llc.se),
                    "words": f"λ̂ of the network that learned ({percent(true.last.held_out_accuracy)} of "
                    f"held-out digits)",
                },
                {
                    "value": rounded(high.llc.value, high.llc.se),
                    "words": f"λ̂ of the network that memorised ({percent(shuffled.last.held_out_accuracy)}; "
                    f"chance is 10 %)",
                },
                {
                    "value": f"{true.last.training_loss:.3g}",
                    "words": f"training loss of the first, nats per digit; the second has "
                    f"{shuffled.last.training_loss:.3g}",
                },
                {
                    "value": f"{len(findings.stages.stages)}",
                    "words": f"stage{'s' * (len(findings.stages.stages) != 1)} of λ̂ along the training on "
                    f"true labels",
                },
            ],
            "facts": {
                "num_train": f"{findings.num_train:,}",
                "target_loss": f"{max(true.last.training_loss, shuffled.last.training_loss):.2g}",
                "num_checkpoints": len(curve),
                "last_step": true.last.step,
                "num_weights": f"{first.num_weights:,}",
                "half_weights": f"{first.num_weights // 2:,}",
                "nbeta": f"{curve.nbeta:.4g}",
                "localization": f"{curve.localization:.4g}",
                "noticed": f"{1 / curve.nbeta:.2g}",
                "radius": f"{first.radius:.2g}",
                "norms": f"{shuffled.last.weight_norm:.0f} against {true.last.weight_norm:.0f}",
                "passed": sum(m.passed for m in behavioural.values()),
                "measured": len(behavioural),
                "measured_all": len(findings.all),
                "total_cost": _total_cost(findings),
                "seed": findings.seed,
            },
            "stages": findings.stages.sentences(),
            "control": {
                "alarms": findings.alarms,
                "curves": findings.num_controls,
                "level": f"{findings.stages.level:.0%}",
            },
            "criticality": findings.criticality,
            "figures": _figures(findings),
            "tables": _tables(findings),
            "settings": findings.settings.to_toml(),
            "snippet": SNIPPET,
            "data": findings.records(),
        },
    )


def _figures(findings: Findings) -> Mapping[str, str]:
    true, shuffled, curve = findings.true, findings.shuffled, findings.curve
    networks = (true, shuffled)
    short = {
        f"{c.label.split()[0]}, step {s:g}": m
        for c in (curve, findings.shuffled_curve)
        for s, m in c
    }
    drawn = {
        "curve": figure.llc_curve(curve, stages=findings.stages),
        "loss": figure.lines(
            {
                n.label: ([c.step for c in n.checkpoints], [c.training_loss for c in n.checkpoints])
                for n in networks
            },
            y_label="training loss (nats per digit)",
            logarithmic=True,
        ),
        "accuracy": figure.lines(
            {
                n.label: (
                    [c.step for c in n.checkpoints],
                    [100 * c.held_out_accuracy for c in n.checkpoints],
                )
                for n in networks
            },
            y_label="held-out digits read correctly (%)",
        ),
        "comparison": figure.comparison(
            {
                true.label: curve.measurements[-1],
                shuffled.label: findings.shuffled_curve.measurements[-1],
            }
        ),
        "against_loss": figure.llc_against(
            [curve, findings.shuffled_curve],
            [
                [n.at(s).training_loss for s in c.steps]
                for n, c in ((true, curve), (shuffled, findings.shuffled_curve))
            ],
            x_label="training loss (nats per digit)",
            falling=True,
        ),
        "checks": figure.checks(curve),
        "traces": figure.traces_grid(short),
    }
    return {name: canvas.svg(drawing, name=name) for name, drawing in drawn.items()}


def _tables(findings: Findings) -> Mapping[str, Any]:
    true, shuffled, curve = findings.true, findings.shuffled, findings.curve
    shuffled_curve = findings.shuffled_curve
    ends = {true.label: curve.measurements[-1], shuffled.label: shuffled_curve.measurements[-1]}
    return {
        "curve": _checkpoints(curve, true),
        "shuffled": _checkpoints(shuffled_curve, shuffled),
        "networks": Table(
            (
                "network",
                "steps",
                "training loss",
                "training accuracy",
                "held-out accuracy",
                "|w|",
                "λ̂ ± se",
            ),
            tuple(
                (
                    network.label,
                    f"{network.last.step}",
                    f"{network.last.training_loss:.4f}",
                    percent(network.last.training_accuracy),
                    percent(network.last.held_out_accuracy),
                    f"{network.last.weight_norm:.1f}",
                    rounded(ends[network.label].llc.value, ends[network.label].llc.se),
                )
                for network in (true, shuffled)
            ),
        ),
        "failures": Table(
            ("measurement", "check", "value", "limit", "advice"),
            tuple(
                (name, check.name, f"{check.value:.3g}", check.limit, check.advice)
                for name, m in findings.all.items()
                for check in m.checks
                if not check.passed
            ),
        ),
        "label": Table(
            ("network", "step", "label λ̂ ± se", "behavioural λ̂ ± se", "checks"),
            tuple(
                (
                    labelled.label,
                    f"{step:g}",
                    rounded(m.llc.value, m.llc.se) if is_critical(m) else "not a critical point",
                    rounded(other.llc.value, other.llc.se),
                    "passed"
                    if m.passed
                    else "failed: " + ", ".join(c.name for c in m.checks if not c.passed),
                )
                for labelled in findings.label_curves
                for step, m in labelled
                for other in [_measurement_at(findings, labelled.label, step)]
            ),
        ),
        "resolutions": Table(
            ("network", "γ", "radius", "radius / |w|", "λ̂ ± se", "checks"),
            tuple(
                (
                    label,
                    f"{m.localization:.4g}",
                    f"{m.radius:.3g}",
                    "–" if m.relative_radius is None else f"{m.relative_radius:.2f}",
                    rounded(m.llc.value, m.llc.se),
                    "passed" if m.passed else "failed",
                )
                for measurements in (ends, findings.wide)
                for label, m in measurements.items()
            ),
        ),
        "checks": [(f"{name}, end of training", table.checks(m)) for name, m in ends.items()],
        "cost": table.cost(findings.all),
        "environment": table.environment(environment()),
    }


def _measurement_at(findings: Findings, label: str, step: float) -> Measurement:
    curve = findings.curve if label == findings.true.label else findings.shuffled_curve
    return dict(curve)[step]


def _checkpoints(curve: Curve, network: Network) -> Table:
    return table.curve(
        curve,
        training_loss={c.step: f"{c.training_loss:.3g}" for c in network.checkpoints},
        held_out={c.step: percent(c.held_out_accuracy) for c in network.checkpoints},
    )


def _total_cost(findings: Findings) -> str:
    measuring = sum(m.seconds for m in findings.all.values())
    training = sum(n.last.step for n in (findings.true, findings.shuffled))
    return (
        f"The measurements took {measuring:.0f} seconds. The call that wrote this page took "
        f"{findings.seconds:.0f}, with two trainings of together {training:,} steps; measurements that are "
        f"finished are not made again unless weights, data, settings or version changed."
    )


SNIPPET = {
    "one": """\
import singulab as sl

# model stands at the weights to be measured; data: (inputs, targets), a Dataset, a DataLoader …
m = sl.measure(model, data, loss="cross_entropy", labels="model")
print(m)                  # λ̂ ± error, its resolution, and which checks failed, if any
m.llc.value, m.llc.se     # the number and its standard error
m.checks                  # each check with value, limit, verdict and advice
""",
    "many": """\
from singulab.development.curve import Curve
from singulab.development.stages import stages
from singulab.report import figure

model.load_state_dict(checkpoints[last_step])        # {step: state_dict}
potential = sl.LocalPotential.of(model, data, "cross_entropy", labels="model")
settings = sl.calibrate(potential)                   # fixes nβ, γ and labels once

measured = {}
for step, weights in checkpoints.items():
    model.load_state_dict(weights)
    measured[step] = sl.measure(model, data, "cross_entropy", settings=settings)

curve = Curve(tuple(measured), tuple(measured.values()), "my model")
print(stages(curve))
figure.llc_curve(curve, stages=stages(curve)).figure.savefig("curve.png")
""",
    "shell": """\
singulab measure --model package.module:factory --checkpoint file.safetensors \\
    --data package.module:function --loss cross_entropy --labels model
""",
}
