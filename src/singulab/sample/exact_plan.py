"""The automatic plan for losses without gradient noise: Hamiltonian Monte Carlo, tuned in warm-up."""

import math

from singulab.landscape import ModelLandscape
from singulab.rng import Purpose
from singulab.sample import curvature
from singulab.sample.hmc import HMC
from singulab.sample.kernel import Kernel
from singulab.sample.plan import ACCEPTANCE, Plan


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
