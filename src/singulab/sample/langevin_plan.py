"""The automatic plan for minibatches: preconditioned Langevin dynamics, tuned in warm-up, then frozen."""

import math
from typing import Any

import torch
from torch import Tensor

from singulab.rng import Purpose
from singulab.sample import curvature
from singulab.sample.baoab import BAOAB
from singulab.sample.kernel import Kernel
from singulab.sample.leimkuhler_matthews import LeimkuhlerMatthews
from singulab.sample.plan import DEFAULT_BUDGET, NOISE_BIAS, Plan
from singulab.sample.sgld import SGLD


class LangevinPlan(Plan):
    """Leimkuhler–Matthews or BAOAB with a frozen curvature preconditioner, tuned in warm-up.

    Warm-up starts at w* with short segments that double in length. After each, curvature is measured anew
    at the chain points and the step is set to c/k, k the top curvature in the coordinates of S; c falls
    where gradient noise would heat the chains by more than ``TOLERANCE`` of λ̂, and momentum is used as far
    as the noise allows. In production half of the chains take the step, half of them half of it, with all
    knobs frozen, until the judge is content or the budget is spent.
    """

    QUIET = 0.06  # share of λ̂ that gradient noise adds, before it is extrapolated away …
    TOLERANCE = 0.2  # … and what it may add where the chains would else be too slow
    RELAXATIONS = 25  # of whitened coordinates, wanted in production
    LARGEST = 0.3  # largest c without momentum
    LARGEST_WITH_MOMENTUM = 0.15
    SMALLEST = 0.003
    MEMORY = 0.8  # largest a
    WARM_UP = 0.25  # share of the budget, at most of the default budget
    FIRST = 16  # steps of the first segment
    EXPLODED = 20.0  # energies per weight beyond which a chain is taken as lost
    RESTARTS = 4

    @property
    def num_chains(self) -> int:
        return self.settings.num_chains or 4

    def kernel(self) -> Kernel:
        step = 2 * self.facts.get("courant", 0.1) / self.facts.get("top", 1.0)
        half = self.num_chains // 2
        production = self.facts["phase"] == "production"
        steps = [step] * (self.num_chains - half) + [0.5 * step if production else step] * half
        memory = self.facts.get("memory", 0.0)
        if self.settings.kernel == "sgld":
            return SGLD(step_size=steps, preconditioner=self.scale)
        if memory == 0.0:
            return LeimkuhlerMatthews(step_size=steps, preconditioner=self.scale)
        return BAOAB(step_size=steps, memory=memory, preconditioner=self.scale)

    def begin(self) -> None:
        kind = curvature.choose(self.potential, self.settings.preconditioner)
        self.facts.update(kind=kind, courant=0.1, memory=0.0, stage=0, restarts=0, top=1.0)
        self._measure_curvature(repeats=4)
        self.facts["end"] = self.FIRST
        self._start_segment(self.simulation.position)

    @property
    def _feed(self) -> Any:
        return self.potential.landscape.feed(
            seed=self.seed,
            num_chains=self.num_chains,
            batch_size=self.potential.batch_size,
            purpose=Purpose.BATCH_FOR_CURVATURE,
        )

    def _measure_curvature(self, *, repeats: int) -> None:
        position, feed = self.simulation.position, self._feed
        address = 1000 * (self.facts["stage"] + 100 * self.facts["restarts"])
        with self.potential.landscape.ready():
            self.scale, cost = curvature.preconditioner(
                self.potential,
                position,
                feed,
                kind=self.facts["kind"],
                seed=self.seed,
                step=address,
                repeats=repeats,
            )
            top, more = curvature.top_curvature(
                self.potential,
                position,
                self.scale,
                feed,
                self.simulation.groups,
                seed=self.seed,
                step=address + 500,
            )
        self.facts["top"] = top if math.isfinite(top) else 10 * self.facts["top"]
        self.charge("curvature", cost + more)

    def _start_segment(self, position: Tensor) -> None:
        self.simulation.restart(self.kernel(), position)

    def turn(self) -> bool:
        if self.facts["phase"] == "warm-up":
            return self._turn_warm_up()
        return self._turn_production()

    def _lost(self) -> Tensor:
        """Which chains blew up in this segment."""
        energy = self._energies()
        return ~torch.isfinite(energy).all(0) | (energy > self.EXPLODED * self.potential.dim).any(0)

    def _turn_warm_up(self) -> bool:
        facts, step = self.facts, self.simulation.step
        share = self.WARM_UP * min(self.budget, DEFAULT_BUDGET)
        if bool(self._lost().any()) and self.spent < min(2 * share, self.budget):
            facts["restarts"] += 1
            facts["top"] *= 3.0
            facts["end"] = step + self.FIRST * 2 ** facts["stage"]
            self._start_segment(self._rescued())
            return True
        self._set_step()
        facts["stage"] += 1
        last = self.spent >= 0.5 * share
        position = self.simulation.position
        self._measure_curvature(repeats=8 if last else 4)
        if self.spent < share:
            facts["end"] = step + min(
                self.FIRST * 2 ** facts["stage"],
                max(self.FIRST, int((share - self.spent) / self._step_cost)),
            )
            self._start_segment(position)
            return True
        self._start_production(position)
        return True

    @property
    def _step_cost(self) -> float:
        return self.num_chains * self.potential.landscape.cost

    def _rescued(self) -> Tensor:
        """Positions with lost chains set back to w*."""
        lost = self._lost().to(self.potential.center.device).unsqueeze(1)
        position = torch.where(lost, self.potential.center, self.simulation.position)
        return torch.where(position.isfinite(), position, self.potential.center)

    def _set_step(self) -> None:
        """Step and memory from the gradient noise of the last half of a segment.

        Noise heats the chains in proportion to the step. It is kept at ``QUIET`` of λ̂, or as far above, up
        to ``TOLERANCE``, as the chains need to relax ``RELAXATIONS`` times in the production that the
        budget allows.
        """
        facts, records, energy = self.facts, self.simulation.recorded(), self._energies()
        half = records.shape[0] // 2
        level = max(float(energy[half:].mean()), 0.5)
        heating = float(records[half:, :, NOISE_BIAS].mean()) / level
        heating *= (1 - facts["memory"]) / (1 + facts["memory"])  # of the overdamped step
        if not heating > 0:
            facts["courant"], heating = self.LARGEST, 0.0
        else:
            per_courant = heating / facts["courant"]
            production = (1 - self.WARM_UP) * self.budget / self._step_cost
            needed = self.RELAXATIONS * facts["top"] / production
            allowed = min(max(self.QUIET, needed * per_courant), self.TOLERANCE)
            facts["courant"] = min(max(allowed / per_courant, self.SMALLEST), self.LARGEST)
            heating = per_courant * facts["courant"]
        facts["memory"] = 0.0
        if self.settings.kernel in ("sgld", "leimkuhler_matthews"):
            return
        wanted = self.settings.memory
        if wanted is None:
            wanted = self.MEMORY
            if heating > 0:
                hotter = 0.5 * self.TOLERANCE / heating
                wanted = min(self.MEMORY, (hotter - 1) / (hotter + 1))
        if wanted > 0.2 or self.settings.memory is not None:
            facts["memory"] = wanted
            facts["courant"] = min(facts["courant"], self.LARGEST_WITH_MOMENTUM)

    def _start_production(self, position: Tensor) -> None:
        facts = self.facts
        facts["phase"], facts["production_from"] = "production", self.simulation.step
        facts["restarts"] = 0
        self._start_at = position
        self._start_segment(position)
        facts["end"] = self._next_end()

    @property
    def kept(self) -> dict[str, Tensor]:
        return {"start": self._start_at.cpu()} if self.facts["phase"] == "production" else {}

    def remember(self, kept: dict[str, Tensor]) -> None:
        if "start" in kept:
            self._start_at = kept["start"]

    def _next_end(self) -> int:
        """Half as much again as there is, at least 500 steps, at most what the budget allows."""
        step, start = self.simulation.step, self.facts["production_from"]
        affordable = int((self.budget - self.spent) / self._step_cost)
        return step + max(0, min(affordable, max(500, (step - start) // 2)))

    def _turn_production(self) -> bool:
        facts = self.facts
        lost = self._lost()
        if (
            bool(lost.any())
            and facts["restarts"] < self.RESTARTS
            and self._next_end() > self.simulation.step
        ):
            facts["restarts"] += 1
            facts["top"] *= 3.0
            facts["memory"] *= 0.6
            self.note(
                f"production was restarted with a third of the step: {int(lost.sum())} of "
                f"{self.num_chains} chains blew up"
            )
            facts["cost"]["dead"] = facts["cost"].get("dead", 0.0) + facts["cost"].pop(
                "production", 0.0
            )
            facts["production_from"] = self.simulation.step
            self._start_segment(self._start_at)
            facts["end"] = self._next_end()
            return True
        verdict = self._judged()
        end = self._next_end()
        if verdict.enough or end <= self.simulation.step or int((~lost).sum()) < 2:
            return False
        facts["end"] = end
        return True

    def found(self) -> dict[str, float | str]:
        kernel = self.simulation.kernel
        step = 2 * self.facts["courant"] / self.facts["top"]
        return {
            "kernel": kernel.name,
            "step_size": step,
            "smaller_step_size": 0.5 * step,
            "memory": float(self.facts["memory"]),
            "top_curvature": float(self.facts["top"]),
            "courant_number": float(self.facts["courant"]),
            "preconditioner": self.scale.name,
            "num_chains": float(self.num_chains),
            "num_draws": float(len(self.simulation.records)),
            "chains": "stacked" if len(self.simulation.groups) == 1 else "in turn",
        }
