"""Plans: how a run proceeds from w* to a trace that is long enough.

A plan is a sequence of segments of steps with a decision after each. All it knows between two steps lies
in ``facts`` (plain values) and in its simulation (tensors), so it can be saved at any step and continued
with the same numbers. :class:`LangevinPlan` is the automatic sampler for minibatches, :class:`ExactPlan`
tunes Hamiltonian Monte Carlo for losses without gradient noise, and :class:`FixedPlan` runs given knobs.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from singulab.landscape import ModelLandscape
from singulab.potential import LocalPotential
from singulab.rng import Purpose
from singulab.sample import curvature
from singulab.sample.baoab import BAOAB
from singulab.sample.hmc import HMC
from singulab.sample.kernel import Kernel
from singulab.sample.leimkuhler_matthews import LeimkuhlerMatthews
from singulab.sample.precondition import Identity, Preconditioner, restore
from singulab.sample.run import FIELDS, Simulation
from singulab.sample.saver import Saver
from singulab.sample.sgld import SGLD
from singulab.settings import Settings
from singulab.trace import Trace

EXCESS_A, EXCESS_B = FIELDS.index("excess_a"), FIELDS.index("excess_b")
NOISE_BIAS, ACCEPTANCE = FIELDS.index("noise_bias"), FIELDS.index("acceptance")


class Progress(NamedTuple):
    """What a running measurement reports."""

    phase: str
    done: float  # gradient units
    total: float  # gradient units at most
    rate: float  # gradient units per second
    eta_seconds: float
    llc: float | None
    se: float | None


class Verdict(NamedTuple):
    """What the judge says of a trace so far."""

    enough: bool
    llc: float
    se: float


Judge = Callable[[Trace, float], Verdict]  # (trace, burn-in share)


@dataclass
class Outcome:
    """A finished run."""

    trace: Trace
    burn_in: int  # draws to drop
    cost: dict[str, float]  # gradient units by purpose
    found: dict[str, float | str]  # what was chosen on the way
    notes: list[str]
    position: Tensor  # where the chains ended
    preconditioner: Preconditioner
    lost_updates: float


class Plan(ABC):
    """What all plans share: segments, saving, progress and the ledger."""

    def __init__(
        self,
        potential: LocalPotential,
        settings: Settings,
        *,
        seed: int,
        budget: float,
        judge: Judge,
        saver: Saver,
        on_progress: Callable[[Progress], None] | None,
        stacked: bool | None = None,
    ) -> None:
        self.potential, self.settings, self.seed, self.budget = potential, settings, seed, budget
        self.judge, self.saver, self.on_progress = judge, saver, on_progress
        self.facts: dict[str, Any] = {
            "phase": "warm-up",
            "end": 0,
            "cost": {},
            "notes": [],
            "llc": None,
            "se": None,
        }
        self.scale: Preconditioner = Identity()
        self._stacked = stacked
        self._started = time.monotonic()
        self._reported = 0.0
        self._resumed_cost = 0.0

    # ── what each plan fills in ───────────────────────────────────────────────────────────────

    @property
    @abstractmethod
    def num_chains(self) -> int:
        """Independent chains."""

    @abstractmethod
    def kernel(self) -> Kernel:
        """The kernel that ``facts`` and ``scale`` describe."""

    @abstractmethod
    def begin(self) -> None:
        """Prepare the first segment."""

    @abstractmethod
    def turn(self) -> bool:
        """Decide what follows a finished segment; False = the run is over."""

    @abstractmethod
    def found(self) -> dict[str, float | str]:
        """What was chosen on the way."""

    # ── the loop over segments ────────────────────────────────────────────────────────────────

    def run(self) -> Outcome:
        """Go from w* (or from a saved state) to the end."""
        saved = self.saver.load()
        if saved is None:
            self.simulation = self._simulation(self._first_kernel())
            self.begin()
        else:
            self._resume(*saved)
        while True:
            self.simulation.advance(self.facts["end"], on_step=self._tick)
            self._charge()
            if not self.turn():
                break
            if self.saver.due:
                self._save()
        return self._outcome()

    def _first_kernel(self) -> Kernel:
        return self.kernel()

    def _simulation(self, kernel: Kernel) -> Simulation:
        return Simulation(
            self.potential,
            kernel,
            num_chains=self.num_chains,
            seed=self.seed,
            stacked=self._stacked,
        )

    def _tick(self, simulation: Simulation) -> None:
        now = time.monotonic()
        if self.on_progress is not None and now - self._reported > 0.2:
            self._reported = now
            self._report()
        if self.saver.due:
            self._save()

    def _report(self) -> None:
        assert self.on_progress is not None
        done = self.spent
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = (done - self._resumed_cost) / seconds
        left = max(self.budget - done, 0.0)
        eta = left / rate if rate > 0 else math.inf
        self.on_progress(
            Progress(
                self.facts["phase"],
                done,
                self.budget,
                rate,
                eta,
                self.facts["llc"],
                self.facts["se"],
            )
        )

    @property
    def spent(self) -> float:
        return sum(self.facts["cost"].values()) + self.simulation.cost

    def charge(self, purpose: str, cost: float) -> None:
        self.facts["cost"][purpose] = self.facts["cost"].get(purpose, 0.0) + cost

    def _charge(self) -> None:
        self.charge(self.facts["phase"], self.simulation.cost)
        self.simulation.cost = 0.0

    def note(self, text: str) -> None:
        if text not in self.facts["notes"]:
            self.facts["notes"].append(text)

    @property
    def notes(self) -> list[str]:
        """What the landscape and the plan found worth saying, each once."""
        said = [*getattr(self.potential.landscape, "notes", []), *self.facts["notes"]]
        return list(dict.fromkeys(said))

    def _save(self) -> None:
        landscape = self.potential.landscape
        facts = {
            **self.facts,
            "notes": self.notes,
            "lost_updates": self.simulation.lost_updates,
            "step": self.simulation.step,
            "simulation_cost": self.simulation.cost,
            "scale": self.scale.name,
            "stacked": getattr(landscape, "stacked", None),
        }
        tensors = self.simulation.tensors()
        tensors |= {f"scale.{name}": tensor.cpu() for name, tensor in self.scale.tensors().items()}
        tensors |= {f"kept.{name}": tensor for name, tensor in self.kept.items()}
        self.saver.save(tensors, facts)

    @property
    def kept(self) -> dict[str, Tensor]:
        """Further tensors that the plan must remember."""
        return {}

    def _resume(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        step, cost = facts.pop("step"), facts.pop("simulation_cost")
        scale, self._stacked = facts.pop("scale"), facts.pop("stacked")
        lost_updates = facts.pop("lost_updates")
        facts.pop("identity")
        self.facts = facts
        place = self.potential.center.device
        named = {
            n.removeprefix("scale."): t.to(place)
            for n, t in tensors.items()
            if n.startswith("scale.")
        }
        shapes = [c.shape for c in self.potential.landscape.selection.components]
        self.scale = restore(scale, named, shapes)
        self.remember(
            {
                n.removeprefix("kept."): t.to(place)
                for n, t in tensors.items()
                if n.startswith("kept.")
            }
        )
        self.simulation = self._simulation(self.kernel())
        self.simulation.restore(tensors, step=step, cost=cost)
        self.simulation.lost_updates = lost_updates
        self._resumed_cost = self.spent

    def remember(self, kept: dict[str, Tensor]) -> None:
        """Take back what ``kept`` gave: nothing, here."""
        assert not kept

    def _outcome(self) -> Outcome:
        trace = self.simulation.trace()
        return Outcome(
            trace=trace,
            burn_in=int(self.settings.burn_in * trace.num_draws),
            cost=dict(self.facts["cost"]),
            found=self.found(),
            notes=self.notes,
            position=self.simulation.position,
            preconditioner=self.scale,
            lost_updates=self.simulation.lost_updates,
        )

    def _judged(self) -> Verdict:
        verdict = self.judge(self.simulation.trace(), self.settings.burn_in)
        self.facts["llc"] = verdict.llc if math.isfinite(verdict.llc) else None
        self.facts["se"] = verdict.se if math.isfinite(verdict.se) else None
        return verdict

    def _energies(self) -> Tensor:
        """nβ(L − L*) of the current segment's records, (draw, chain)."""
        records = self.simulation.recorded()
        return self.potential.nbeta * 0.5 * (records[..., EXCESS_A] + records[..., EXCESS_B])


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


class ExactPlan(Plan):
    """HMC for losses without gradient noise: the step by dual averaging, the trajectory from γ.

    The slowest direction of a posterior with tether γ has frequency √γ at least, so a trajectory of length
    (π/2)/√γ decorrelates it.

    Source: Hoffman & Gelman (2014), JMLR 15, for dual averaging.
    """

    ACCEPTANCE = 0.8
    WARM_UP = 0.3  # share of the budget, at most
    SEGMENT = 10  # trajectories between looks at the curvature
    LONGEST = 4096  # leapfrog steps
    TRAJECTORIES = 60  # of warm-up
    SAFE = 0.7  # ε times the steepest curvature seen in warm-up; leapfrog is stable below 4
    LEAST = 60  # trajectories of production, before it may be found long enough

    @property
    def num_chains(self) -> int:
        if self.settings.num_chains is not None:
            return self.settings.num_chains
        if isinstance(self.potential.landscape, ModelLandscape):
            return 4
        return min(512, max(8, 4096 // self.potential.dim))

    def _length(self, step: float) -> int:
        if self.settings.num_leapfrog is not None:
            return self.settings.num_leapfrog
        gamma = max(self.potential.localization, 1e-12)
        return int(min(self.LONGEST, max(1, round(0.5 * math.pi / math.sqrt(gamma * step)))))

    def kernel(self) -> Kernel:
        step = float(self.facts.get("step_size", 1.0))
        length = self._length(step)
        if self.facts["phase"] == "warm-up":
            length = min(length, 16 * 2 ** self.facts.get("segment", 0))
        return HMC(step_size=step, num_leapfrog=length)

    def begin(self) -> None:
        if self.settings.step_size is not None:
            self.facts.update(step_size=self.settings.step_size, phase="production")
            self._start_production()
            return
        step = 0.25 / self._measure_top()
        self.facts.update(
            step_size=step,
            log_step=math.log(step),
            mean_log_step=math.log(step),
            error=0.0,
            rounds=0,
            anchor=math.log(4 * step),
            segment=0,
            ceiling=math.inf,
        )
        self._continue_warm_up()

    def _measure_top(self) -> float:
        """Largest curvature at any chain; the leapfrog step is stable up to ε = 4/curvature."""
        potential = self.potential
        model = isinstance(potential.landscape, ModelLandscape)
        feed = potential.landscape.feed(
            seed=self.seed,
            num_chains=self.num_chains,
            batch_size=potential.batch_size,
            purpose=Purpose.BATCH_FOR_CURVATURE,
        )
        top, cost = curvature.top_curvature(
            potential,
            self.simulation.position,
            self.scale,
            feed,
            self.simulation.groups,
            seed=self.seed,
            step=self.simulation.step,
            iterations=6 if model else 3,
        )
        self.charge("curvature", cost)
        return top if math.isfinite(top) else 1e6

    def _first_kernel(self) -> Kernel:
        return HMC(step_size=1.0, num_leapfrog=1)

    def _continue_warm_up(self) -> None:
        self.simulation.restart(self.kernel(), self.simulation.position)
        self.facts["end"] = self.simulation.step + 1

    def turn(self) -> bool:
        if self.facts["phase"] == "warm-up":
            self._adapt()
            share = self.WARM_UP * self.budget
            if self.facts["rounds"] < self.TRAJECTORIES and self.spent < share:
                self._continue_warm_up()
                return True
            self.facts["step_size"] = math.exp(
                min(self.facts["mean_log_step"], self.facts["ceiling"])
            )
            self.facts["phase"] = "production"
            self._start_production()
            return True
        verdict = self._judged()
        end = self._next_end()
        if verdict.enough or end <= self.simulation.step:
            self.facts["stability"] = self.facts["step_size"] * self._measure_top()
            return False
        self.facts["end"] = end
        return True

    def _adapt(self) -> None:
        """One round of dual averaging on log ε, pooled over the chains.

        A good mean acceptance can hide walls that no chain can enter, because every trajectory into them is
        unstable. So ε also stays below ``SAFE``/curvature at the chain that stands steepest, measured
        again and again while the chains spread.
        """
        facts = self.facts
        acceptance = float(self.simulation.recorded()[-1, :, ACCEPTANCE].mean())
        facts["rounds"] += 1
        t = facts["rounds"]
        facts["error"] += (self.ACCEPTANCE - acceptance - facts["error"]) / (t + 10)
        facts["log_step"] = facts["anchor"] - math.sqrt(t) / 0.1 * facts["error"]
        weight = t**-0.75
        facts["mean_log_step"] += weight * (facts["log_step"] - facts["mean_log_step"])
        if t % self.SEGMENT == 0:
            facts["ceiling"] = min(facts["ceiling"], math.log(self.SAFE / self._measure_top()))
            facts["mean_log_step"] = min(facts["mean_log_step"], facts["ceiling"])
        facts["step_size"] = math.exp(min(facts["log_step"], facts["ceiling"]))
        facts["segment"] = t // self.SEGMENT

    def _start_production(self) -> None:
        self.facts["production_from"] = self.simulation.step
        self.simulation.restart(self.kernel(), self.simulation.position)
        self.facts["end"] = self._next_end()

    def _next_end(self) -> int:
        kernel = self.simulation.kernel
        assert isinstance(kernel, HMC)
        step, start = self.simulation.step, self.facts["production_from"]
        cost = float(kernel.num_leapfrog * self.num_chains)
        if isinstance(self.potential.landscape, ModelLandscape):
            n = self.potential.landscape.source.num_data or 1
            cost *= n / (self.potential.batch_size or 128) * self.potential.landscape.cost
        affordable = int((self.budget - self.spent) / cost)
        return step + max(0, min(affordable, max(self.LEAST, (step - start) // 2)))

    def found(self) -> dict[str, float | str]:
        kernel = self.simulation.kernel
        assert isinstance(kernel, HMC)
        return {
            "kernel": "hmc",
            "step_size": float(self.facts["step_size"]),
            "stability": float(self.facts.get("stability", math.nan)),
            "num_leapfrog": float(kernel.num_leapfrog),
            "num_chains": float(self.num_chains),
            "num_draws": float(len(self.simulation.records)),
        }


class FixedPlan(Plan):
    """A kernel with given knobs: no warm-up, no tuning, nothing rescued."""

    @property
    def num_chains(self) -> int:
        return self.settings.num_chains or 4

    def kernel(self) -> Kernel:
        from singulab.sample import KERNELS

        settings = self.settings
        knobs: dict[str, Any] = {"step_size": settings.step_size}
        if settings.kernel == "baoab" and settings.memory is not None:
            knobs["memory"] = settings.memory
        if settings.kernel == "hmc" and settings.num_leapfrog is not None:
            knobs["num_leapfrog"] = settings.num_leapfrog
        return KERNELS[settings.kernel](**knobs)

    def begin(self) -> None:
        self.facts["phase"] = "production"
        self.facts["end"] = self._next_end()

    def _next_end(self) -> int:
        step = self.simulation.step
        if self.settings.num_draws is not None:
            return min(self.settings.num_draws, step + max(1, self.settings.num_draws // 10))
        per_step = max(self.spent / step, self.num_chains) if step else float(self.num_chains)
        return step + max(0, min(int((self.budget - self.spent) / per_step), max(200, step // 2)))

    def turn(self) -> bool:
        verdict = self._judged()
        end = self._next_end()
        dead = bool((~torch.isfinite(self._energies()).all(0)).all())
        if (
            end <= self.simulation.step
            or dead
            or (verdict.enough and self.settings.num_draws is None)
        ):
            return False
        self.facts["end"] = end
        return True

    def found(self) -> dict[str, float | str]:
        return {
            "kernel": self.settings.kernel,
            "step_size": float(self.settings.step_size or math.nan),
            "num_chains": float(self.num_chains),
            "num_draws": float(len(self.simulation.records)),
        }


DEFAULT_BUDGET = 16_000.0  # gradient units with minibatches
DEFAULT_EXACT_BUDGET = 20_000_000.0  # for a loss given as a function, whose gradients are cheap
