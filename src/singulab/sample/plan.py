"""Plans: how a run proceeds from w* to a trace that is long enough.

A plan is a sequence of segments of steps with a decision after each. All it knows between two steps lies
in ``facts`` (plain values) and in its simulation (tensors), so it can be saved at any step and continued
with the same numbers. There is one plan for minibatches, one for losses without gradient noise, and one for
knobs that are given.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from singulab.potential import LocalPotential
from singulab.sample.kernel import Kernel
from singulab.sample.precondition import Identity, Preconditioner, restore
from singulab.sample.run import FIELDS, Simulation
from singulab.sample.saver import Saver
from singulab.settings import Settings
from singulab.trace import Trace

DEFAULT_BUDGET = 16_000.0  # gradient units with minibatches
DEFAULT_EXACT_BUDGET = 20_000_000.0  # for a loss given as a function, whose gradients are cheap
EXCESS_A, EXCESS_B = FIELDS.index("excess_a"), FIELDS.index("excess_b")
NOISE_BIAS, ACCEPTANCE = FIELDS.index("noise_bias"), FIELDS.index("acceptance")
VIRIAL, RADIUS_SQUARED = FIELDS.index("virial"), FIELDS.index("radius_squared")


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
    restless: bool = False  # the energy varies far more than its mean allows


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
            control=self.facts.get("control", False),
            compiled=self.settings.compiled,
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
        if self.simulation.uncompiled is not None:
            said.append(f"steps are not compiled: {self.simulation.uncompiled}")
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
