"""The automatic plan for minibatches: preconditioned Langevin dynamics, tuned in warm-up, then frozen."""

import math
from typing import Any

import torch
from torch import Tensor

from singulab.data import StreamSource
from singulab.landscape import ModelLandscape
from singulab.rng import Purpose
from singulab.sample import curvature, spread
from singulab.sample.baoab import BAOAB
from singulab.sample.kernel import Kernel
from singulab.sample.leimkuhler_matthews import LeimkuhlerMatthews
from singulab.sample.plan import DEFAULT_BUDGET, NOISE_BIAS, RADIUS_SQUARED, VIRIAL, Plan
from singulab.sample.sgld import SGLD
from singulab.sample.speed import (
    FASTEST,
    QUIET,
    TOLERANCE,
    best_speed,
    hurried_speed,
    knobs,
    speed_of,
)


class LangevinPlan(Plan):
    """Leimkuhler–Matthews or BAOAB with a frozen curvature preconditioner, tuned in warm-up.

    Warm-up starts at w* with short segments that double in length. After each, curvature is measured anew
    at the chain points and the step is set to c/k, k the top curvature in the coordinates of S. Gradient
    noise heats the chains in proportion to the step; step, momentum and whether the noise at w* is taken off
    are chosen for the least error of λ̂ that the budget allows. Warm-up itself, whose energies are thrown
    away, moves faster, and after each segment the chains are moved along their own displacements until the
    virial is 1, so that flat directions need not fill up by diffusion alone. In production half of the chains
    take the step, half of them half of it, with all knobs frozen, until the judge is content or the budget is
    spent.
    """

    TOO_HOT = 1.25  # times TOLERANCE, at which production begins anew
    CALMED = 0.1  # of the speed, where it makes the energy vary too much
    WARM_UP = 0.2  # share of the budget, at most of the default budget
    FIRST = 16  # steps of the first segment
    FIRST_LOOK = 1000  # steps of production, or half of what is left, before it may begin anew …
    FIRST_STRETCH = 2000  # … and before it may be found long enough
    DEAREST_CONTROL = 0.1  # share of the budget that ∇L_n(w*) may cost
    WORTH = 1.1  # how much smaller the error must be for control to be used
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
        self.facts.update(
            kind=kind,
            courant=0.1,
            memory=0.0,
            hot=0.0,
            control=False,
            cooled=False,
            calmed=False,
            stretched=False,
            stage=0,
            restarts=0,
            top=1.0,
        )
        position = self.simulation.position
        self._measure_curvature(position, repeats=4)
        self.facts["end"] = self.FIRST
        self._start_segment(position)

    @property
    def _feed(self) -> Any:
        return self.potential.landscape.feed(
            seed=self.seed,
            num_chains=self.num_chains,
            batch_size=self.potential.batch_size,
            purpose=Purpose.BATCH_FOR_CURVATURE,
        )

    def _measure_curvature(self, position: Tensor, *, repeats: int) -> None:
        feed = self._feed
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
        self.simulation.control = self.facts["control"]
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
        position = self._spread()
        self._measure_curvature(position, repeats=8 if last else 4)
        if self.spent < share:
            facts["end"] = step + min(
                self.FIRST * 2 ** facts["stage"],
                max(self.FIRST, int((share - self.spent) / self._step_cost)),
            )
            self._take_speed(hurried_speed(facts["hot"], self._speed))
            self._start_segment(position)
            return True
        self._start_production(position)
        return True

    def _spread(self) -> Tensor:
        """Where the chains stand, with flat directions filled; after a stretch, whose heat lingers, no shrinking."""
        facts, records = self.facts, self.simulation.recorded()
        seen = records[records.shape[0] // 2 :].mean((0, 1)).tolist()
        factor = spread.wanted(self.potential, seen[VIRIAL], seen[RADIUS_SQUARED], seen[NOISE_BIAS])
        if facts["stretched"]:
            factor = max(factor, 1.0)
        with self.potential.landscape.ready():
            position, factor, cost = spread.stretch(
                self.potential,
                self.simulation.position,
                factor,
                self._heat()[0],
                self._feed,
                self.simulation.groups,
                step=1000 * (facts["stage"] + 100 * facts["restarts"]) + 900,
            )
        self.charge("spread", cost)
        facts["stretched"] = factor > 1.1
        return position

    @property
    def _step_cost(self) -> float:
        return self._cost_of_step(self.facts["control"])

    def _cost_of_step(self, control: bool) -> float:
        return self.num_chains * self.potential.landscape.cost * (2 if control else 1)

    def _too_hot(self) -> bool:
        """Whether the noise is far above what warm-up, whose chains had not spread yet, made expect."""
        return self._heat()[1] * self._speed > self.TOO_HOT * TOLERANCE

    def _cool(self) -> None:
        """Begin production anew from here at the speed that its own noise allows."""
        level, hot = self._heat()
        speed, _ = self._best_speed(hot, level, controlled=self.facts["control"])
        self.facts["cooled"] = True
        self._begin_anew(speed)

    def _calm(self) -> None:
        """Begin production anew from here, far slower: momentum excites stiff directions."""
        self.facts["calmed"] = True
        self._begin_anew(self.CALMED * self._speed)

    def _begin_anew(self, speed: float) -> None:
        facts = self.facts
        self._take_speed(speed)
        facts["cost"]["warm-up"] += facts["cost"].pop("production", 0.0)
        facts["production_from"] = self.simulation.step
        self._start_at = self.simulation.position
        self._start_segment(self._start_at)
        facts["end"] = self._next_end()

    def _rescued(self) -> Tensor:
        """Positions with lost chains set back to w*."""
        lost = self._lost().to(self.potential.center.device).unsqueeze(1)
        position = torch.where(lost, self.potential.center, self.simulation.position)
        return torch.where(position.isfinite(), position, self.potential.center)

    def _heat(self) -> tuple[float, float]:
        """λ̂ and what noise adds to it at speed 1, relative to it, from the last half of a segment."""
        records, energy = self.simulation.recorded(), self._energies()
        half = records.shape[0] // 2
        level = max(float(energy[half:].mean()), 0.5)
        full = self.num_chains - self.num_chains // 2  # chains that take the whole step
        heating = max(float(records[half:, :full, NOISE_BIAS].mean()) / level, 0.0)
        return level, heating / self._speed

    def _set_step(self) -> None:
        """Step, memory and control from the gradient noise of a segment."""
        facts = self.facts
        level, hot = self._heat()
        if hot * FASTEST > QUIET and self._can_control:
            ratio = self._noise_ratio()
            plain = hot * ratio if facts["control"] else hot
            _, error = self._best_speed(plain, level, controlled=False)
            _, controlled_error = self._best_speed(plain / ratio, level, controlled=True)
            facts["control"] = error > self.WORTH * controlled_error
            hot = plain / ratio if facts["control"] else plain
        speed, _ = self._best_speed(hot, level, controlled=facts["control"])
        facts["hot"] = hot
        self._take_speed(speed)

    def _best_speed(self, hot: float, level: float, *, controlled: bool) -> tuple[float, float]:
        """The best speed for the production that the budget allows, and the error of λ̂ that it promises."""
        steps = max((1 - self.WARM_UP) * self.budget / self._cost_of_step(controlled), 1.0)
        return best_speed(
            hot,
            level=level,
            num_chains=self.num_chains,
            relaxations=steps / self.facts["top"],
            controlled=controlled,
            relative_error=self.settings.relative_error,
        )

    def _take_speed(self, speed: float) -> None:
        overdamped = self.settings.kernel in ("sgld", "leimkuhler_matthews")
        memory = 0.0 if overdamped else self.settings.memory
        self.facts["courant"], self.facts["memory"] = knobs(speed, memory=memory)

    @property
    def _speed(self) -> float:
        return speed_of(self.facts["courant"], self.facts["memory"])

    @property
    def _can_control(self) -> bool:
        """Whether ∇L_n(w*) can be had for a small share of the budget, and is not zero for every datum."""
        landscape = self.potential.landscape
        if not isinstance(landscape, ModelLandscape) or landscape.labels == "model":
            return False
        if isinstance(landscape.source, StreamSource) or self.potential.batch_size is None:
            return False
        passes = landscape.source.num_data / self.potential.batch_size
        return passes * landscape.cost <= self.DEAREST_CONTROL * self.budget

    def _noise_ratio(self) -> float:
        landscape = self.potential.landscape
        assert isinstance(landscape, ModelLandscape)
        cost = landscape.prepare_control()
        # Charged once a run, also where an earlier one made it: the same seed gives the same numbers.
        if "control" not in self.facts["cost"]:
            self.charge("control", cost)
        with landscape.ready():
            ratio, cost = curvature.noise_ratio(
                self.potential,
                self.simulation.position,
                self.scale,
                self._feed,
                self.simulation.groups,
                step=1000 * (self.facts["stage"] + 100 * self.facts["restarts"]) + 800,
                repeats=4,
            )
        self.charge("control", cost)
        return ratio

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
        landscape = self.potential.landscape
        if self.facts["control"] and isinstance(landscape, ModelLandscape):
            landscape.prepare_control()

    def _next_end(self) -> int:
        """A first look, then ``FIRST_STRETCH``, then half as much again; at most what the budget allows."""
        done = self.simulation.step - self.facts["production_from"]
        affordable = int((self.budget - self.spent) / self._step_cost)
        wanted = self.FIRST_STRETCH - done if done < self.FIRST_STRETCH else done // 2
        if done == 0 and not self.facts["calmed"]:
            wanted = min(self.FIRST_LOOK, (affordable + 1) // 2)
        return self.simulation.step + max(0, min(affordable, wanted))

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
        if not facts["cooled"] and self._next_end() > self.simulation.step and self._too_hot():
            self._cool()
            return True
        verdict = self._judged()
        end = self._next_end()
        if verdict.restless and not facts["calmed"] and end > self.simulation.step:
            self._calm()
            return True
        young = self.simulation.step - facts["production_from"] < self.FIRST_STRETCH
        enough = verdict.enough and not young
        if enough or end <= self.simulation.step or int((~lost).sum()) < 2:
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
            "control": "on" if self.facts["control"] else "off",
            "top_curvature": float(self.facts["top"]),
            "courant_number": float(self.facts["courant"]),
            "preconditioner": self.scale.name,
            "num_chains": float(self.num_chains),
            "num_draws": float(len(self.simulation.records)),
            "chains": "stacked" if len(self.simulation.groups) == 1 else "in turn",
        }
