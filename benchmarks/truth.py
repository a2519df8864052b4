"""Error, honesty and cost of the automatic measurement against known values.

    singulab bench truth                  # everything, and the record
    singulab bench truth --shard 0/2      # every second run; rows are shared through --folder

Three groups of runs, each with its own summary, all without any setting but γ, the labels and the case's own
batch size:

* ``fresh``: networks that no constant was chosen on (:mod:`singulab.zoo.fresh`), at most 16 000 gradient
  units each. The promises are about these.
* ``tuned``: P1–P13, which the constants were chosen on.
* ``plane``: losses of two weights given as functions, with quadrature for a truth.

A question enters only if its gold value passed the rule of :mod:`benchmarks.gold`, decided before any sampler
ran. Finished rows stand in ``--folder``, one line each: a run that was cut off goes on where it stood, as long
as the code of the sampler is the same.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import singulab as sl
from benchmarks.book import sampler
from benchmarks.shards import Row, Shards
from singulab.cli.bench import BenchConfig
from singulab.zoo import FRESH, Case, NetworkCase, Truth
from singulab.zoo.case import Labels
from singulab.zoo.deep_linear import DEEP_LINEAR
from singulab.zoo.potentials import PLANE_POTENTIALS

Group = Literal["fresh", "tuned", "plane"]

LOCALIZATIONS = (1.0, 10.0, 100.0)  # γ of P1–P13
LABELS: tuple[Labels, ...] = ("data", "model")
LARGE = 30_000  # weights
GOLD_ERROR, GOLD_VIRIAL, GOLD_RHAT = 0.01, 0.02, 1.02  # a truth may be off by, at most
HIDDEN = ("checks",)  # in the rows of the folder, not in the record

# The promises.
MEDIAN = 0.02
WRONG, WRONG_Z = 0.08, 4.0  # a passing run is off by no more than the larger of the two
SHARE_WRONG = 0.01  # of the passing runs that are off by more than WRONG
SHARE_PASSING = 0.75
COVERAGE = (0.93, 0.97)  # of the 95 % intervals of passing runs
COVERAGE_OF_ALL = 0.9
FLAGGED = 0.1  # an error larger than this must not pass
NUM_RUNS, NUM_NETWORKS, NUM_LARGE = 200, 60, 10


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """λ̂ of fresh networks, P1–P13 and plane losses against known values."""

    groups: tuple[Group, ...] = ("fresh", "tuned", "plane")
    max_gradients: float = 16_000.0  # gradient units of each network run
    seeds: tuple[int, ...] = (0,)  # of every question
    plane_num_data: tuple[int, ...] = (10**3, 10**4, 10**6, 10**9)  # n of the plane losses
    most_weights: float = math.inf  # leave larger networks out
    limit: int | None = None  # only the first so many runs: they are a balanced sample
    shard: str = "0/1"  # i/k: every k-th run from the i-th on
    folder: Path = Path("runs/truth")  # where finished rows are kept


class Question(NamedTuple):
    """One run."""

    group: Group
    case: Case
    localization: float  # γ
    labels: Labels
    seed: int

    @property
    def truth(self) -> Truth | None:
        """The known value, if there is one."""
        try:
            return self.case.truth(self.localization, labels=self.labels)
        except LookupError:
            return None

    @property
    def key(self) -> str:
        """What tells it from the others, the truth that it is judged by included."""
        known = self.truth
        return json.dumps(
            [
                *(self.case.name, self.case.num_data, self.localization, self.labels, self.seed),
                None if known is None else [known.value, known.error],
            ]
        )


def run(config: Config, on_progress: Callable[[str, float], None] | None = None) -> dict[str, Any]:
    """Measure what is not measured yet; ``passed`` says whether every promise holds."""
    asked = questions(config)
    left_out = [question for question in asked if not enters(question.truth)]
    order = [question for question in asked if enters(question.truth)][: config.limit]
    told = on_progress or (lambda what, share: None)
    told(f"{len(order)} questions, {len(left_out)} left out for want of a sure truth", 0.0)
    shards = Shards(config.folder, config.shard, f"{sampler()} {config.max_gradients}")
    shards.fill([(question.key, partial(answered, question, config)) for question in order], told)
    done = shards.rows()
    rows = [done[question.key] for question in order if question.key in done]
    summaries = {group: summary(rows, group, left_out) for group in config.groups}
    promises = promised(summaries["fresh"]) if "fresh" in summaries else {}
    return {
        "rows": [{k: v for k, v in row.items() if k not in HIDDEN} for row in rows],
        "summary": summaries,
        "promises": promises,
        "left_out": [[q.case.name, q.case.num_data, q.localization, q.labels] for q in left_out],
        "missing": len(order) - len(rows),
        "passed": len(rows) == len(order) and all(promises.values()),
    }


def questions(config: Config) -> list[Question]:
    """Everything that is asked, in an order of which every beginning is a balanced sample."""
    groups: list[list[Question]] = [
        [
            Question(group, case, localization, labels, seed)
            for seed in config.seeds
            for case, localization, labels in cells
            if case.num_weights <= config.most_weights
        ]
        for group, cells in (("fresh", FRESH), ("tuned", tuned()), ("plane", planes(config)))
        if group in config.groups
    ]
    return interleaved(groups)


def tuned() -> Iterator[tuple[NetworkCase, float, Labels]]:
    """P1–P13 wherever there is a gold value."""
    for localization in reversed(LOCALIZATIONS):
        for labels in LABELS:
            for case in DEEP_LINEAR:
                if (case.nbeta, localization, labels) in case.truths:
                    yield case, localization, labels


def planes(config: Config) -> Iterator[tuple[Case, float, Labels]]:
    """The losses of two weights at every n, γ = 1."""
    for num_data in config.plane_num_data:
        for plane in PLANE_POTENTIALS:
            yield plane.at(num_data), 1.0, "data"


def interleaved(groups: Iterable[list[Question]]) -> list[Question]:
    """One list in which the members of every group are spread evenly."""
    placed = [
        ((place + 0.5) / len(group), question)
        for group in groups
        for place, question in enumerate(group)
    ]
    return [question for _, question in sorted(placed, key=lambda pair: pair[0])]


def enters(truth: Truth | None) -> bool:
    """Whether a truth is known well enough to judge others by."""
    if truth is None or not truth.error <= GOLD_ERROR * abs(truth.value):
        return False
    if "rhat" not in truth.evidence:
        return truth.how != "published estimate" and "radius_squared" in truth.evidence
    return abs(truth.evidence["virial"] - 1) <= GOLD_VIRIAL and truth.evidence["rhat"] <= GOLD_RHAT


def answered(question: Question, config: Config) -> Row:
    """Measure once."""
    case, truth = question.case, question.truth
    assert truth is not None
    start = time.monotonic()
    m = measured(question, config)
    error = m.llc.value / truth.value - 1
    joint = math.hypot(m.llc.se, truth.error)
    failed = [check.name for check in m.checks if not check.passed]
    row: Row = {
        "group": question.group,
        "case": case.name,
        "num_weights": case.num_weights,
        "n": case.num_data,
        "localization": question.localization,
        "labels": question.labels,
        "seed": question.seed,
        "llc": m.llc.value,
        "se": m.llc.se,
        "truth": truth.value,
        "truth_error": truth.error,
        "error": error,
        "z": (m.llc.value - truth.value) / joint,
        "passed": m.passed,
        "failed_checks": ", ".join(failed),
        "checks": {check.name: check.value for check in m.checks},
        "effective_localization": m.effective_localization,
        "relative_radius": m.relative_radius,
        "gradients": m.gradients["total"],
        "seconds": round(time.monotonic() - start, 2),
    }
    return {name: _finite(value) for name, value in row.items()}


def measured(question: Question, config: Config) -> sl.Measurement:
    """The measurement under test."""
    case = question.case
    if isinstance(case, NetworkCase):
        return sl.measure(
            case.model(),
            case.data(),
            case.loss,
            localization=question.localization,
            labels=question.labels,
            batch_size=case.batch_size,
            max_gradients=config.max_gradients,
            seed=question.seed,
        )
    return sl.measure(case.exact_potential(question.localization), seed=question.seed)


def _finite(value: Any) -> Any:
    """Numbers as JSON has them: None where there is none."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summary(rows: list[Row], group: Group, left_out: list[Question]) -> dict[str, Any]:
    """The numbers that the promises are about, for one group."""
    runs = [row for row in rows if row["group"] == group]
    passing = [row for row in runs if row["passed"]]
    off = [row for row in passing if size(row) > WRONG]
    return {
        "runs": len(runs),
        "networks": len({row["case"] for row in runs}),
        "large_networks": len({row["case"] for row in runs if row["num_weights"] > LARGE}),
        "left_out": sum(question.group == group for question in left_out),
        "median_error": median(map(size, runs)) if runs else None,
        "share_passing": _share(passing, runs),
        "worst_passing_error": max(map(size, passing), default=None),
        "passing_beyond_errors": sum(size(row) > allowed(row) for row in passing),
        "share_of_passing_off": _share(off, passing),
        "coverage_of_passing": _share([row for row in passing if covered(row)], passing),
        "coverage_of_all": _share([row for row in runs if covered(row)], runs),
        "large_errors": sum(size(row) > FLAGGED for row in runs),
        "large_errors_not_flagged": sum(size(row) > FLAGGED for row in passing),
        "failed_checks": dict(
            Counter(
                name for row in runs for name in row["failed_checks"].split(", ") if name
            ).most_common()
        ),
        "seconds": round(sum(row["seconds"] for row in runs), 1),
    }


def size(row: Row) -> float:
    """|λ̂/truth − 1|; infinite where no chain lived."""
    return math.inf if row["error"] is None else abs(row["error"])


def allowed(row: Row) -> float:
    """What a passing run may be off by."""
    return max(WRONG, WRONG_Z * math.hypot(row["se"], row["truth_error"]) / abs(row["truth"]))


def covered(row: Row) -> bool:
    """Whether the 95 % interval of the difference contains 0."""
    return row["z"] is not None and abs(row["z"]) <= 1.96


def _share(part: list[Row], whole: list[Row]) -> float | None:
    return len(part) / len(whole) if whole else None


def promised(found: dict[str, Any]) -> dict[str, bool]:
    """Each promise about fresh networks, and whether it is kept."""
    if not found["runs"] or found["share_of_passing_off"] is None:
        return {"some_runs_pass": False}
    return {
        "200_runs_on_60_networks": found["runs"] >= NUM_RUNS and found["networks"] >= NUM_NETWORKS,
        "10_networks_above_30000_weights": found["large_networks"] >= NUM_LARGE,
        "median_error_at_most_2%": found["median_error"] <= MEDIAN,
        "no_passing_run_off_by_more_than_8%_or_4_errors": found["passing_beyond_errors"] == 0,
        "at_most_1%_of_passing_runs_off_by_more_than_8%": found["share_of_passing_off"]
        <= SHARE_WRONG,
        "at_least_75%_pass": found["share_passing"] >= SHARE_PASSING,
        "intervals_hold_in_93_to_97%_of_passing_runs": COVERAGE[0]
        <= found["coverage_of_passing"]
        <= COVERAGE[1],
        "intervals_hold_in_90%_of_all_runs": found["coverage_of_all"] >= COVERAGE_OF_ALL,
        "every_error_above_10%_is_flagged": found["large_errors_not_flagged"] == 0,
    }
