"""The numbers that decide the claims of the discrete post and its thread, 1 to 22, each with its error.

    singulab bench evidence

Every experiment of ``discrete.EVIDENCE`` and ``dynamics.EVIDENCE`` is run as it stands. A number passes if it is what
theory says, within 4 of its errors and 1 % for an exact count of a finite lattice; whether it is what was claimed is a
finding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from singulab import discrete, dynamics
from singulab.cli.bench import BenchConfig
from singulab.evidence import numbers

CLAIMS = range(1, 23)


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Every number that decides a claim about finite machines or about SGD as a Markov chain."""

    seed: int = 0


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per number, in the order of the claims."""
    torch.set_num_threads(1)
    listed = [
        (claim, package, experiment)
        for package, claims in (("discrete", discrete.EVIDENCE), ("dynamics", dynamics.EVIDENCE))
        for claim, experiments in claims.items()
        for experiment in experiments
    ]
    listed.sort(key=lambda one: one[0])
    rows = []
    for done, (claim, package, experiment) in enumerate(listed):
        on_progress(f"claim {claim}", done / len(listed))
        for one in numbers(experiment, seed=config.seed):
            rows.append(
                {
                    "function": f"{package}.evidence.{experiment.__name__}",
                    **one.to_dict(),
                    "as_claimed": None if one.claimed is None else one.agrees(one.claimed),
                    "passed": None if one.theory is None else one.agrees(one.theory),
                }
            )
    decided = {row["claim"] for row in rows}
    passed = decided == set(CLAIMS) and all(row["passed"] is not False for row in rows)
    return {"rows": rows, "passed": passed}
