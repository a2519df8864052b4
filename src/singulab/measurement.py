"""A finished measurement: the number, its error, its checks, and everything that was chosen for it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from singulab.checks import Check
from singulab.errors import CorruptFileError
from singulab.estimate.llc import Estimate
from singulab.files import finite, read_sealed, write_sealed
from singulab.settings import Settings
from singulab.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A learning coefficient with its error, its checks, and everything that was chosen for it."""

    quantity: str  # "llc", or "behavioural_llc" for labels="model"
    llc: Estimate  # λ̂ at (nβ, γ); noise extrapolated
    raw: Estimate  # before the extrapolation
    heat_capacity: Estimate  # (nβ)² Var(L): the same quantity without L(w*)
    checks: tuple[Check, ...]
    num_data: int | None  # n
    unit: str  # what n counts
    nbeta: float
    localization: float  # γ
    effective_localization: float  # γ_eff = (d − nβ E[δ·∇L])/E|δ|²: where the value holds
    radius: float  # √E|w − w*|²
    relative_radius: float | None  # divided by |w*|; None if w* = 0
    num_weights: int
    corrections: dict[str, float] = field(default_factory=dict)  # closed form, stated, not applied
    gradients: dict[str, float] = field(
        default_factory=dict
    )  # gradient units by purpose, and "total"
    seconds: float = 0.0
    settings: Settings = field(default_factory=Settings)
    notes: tuple[str, ...] = ()
    ladder: "tuple[Measurement, ...]" = ()
    trace: Trace | None = None

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def beta(self) -> float | None:
        """β = nβ/n, where n is known."""
        return None if self.num_data is None else self.nbeta / self.num_data

    @property
    def scale(self) -> str:
        """The line without which a learning coefficient means nothing."""
        n = "unknown" if self.num_data is None else _counted(self.num_data, self.unit)
        beta = "unknown" if self.beta is None else f"{self.beta:.4g}"
        relative = "" if self.relative_radius is None else f" ({self.relative_radius:.1%} of |w*|)"
        return (
            f"n = {n}, β = {beta}, nβ = {self.nbeta:.6g}, γ = {self.localization:.4g}, "
            f"radius = {self.radius:.4g}{relative}"
        )

    def __str__(self) -> str:
        lines = [f"{self.quantity} {self.llc} [{self.verdict}]", self.scale]
        lines += [self.chosen] if self.settings.found else []
        lines += [
            f"ladder: radius {rung.radius:.4g} (γ = {rung.localization:.4g}) {rung.llc} [{rung.verdict}]"
            for rung in self.ladder
        ]
        return "\n".join(lines)

    @property
    def verdict(self) -> str:
        """``passed``, or ``FAILED`` with the names of the checks that failed."""
        failed = ", ".join(check.name for check in self.checks if not check.passed)
        return f"FAILED {failed}" if failed else "passed"

    @property
    def chosen(self) -> str:
        """What was chosen and spent, and λ̂ before the extrapolation, on one line."""
        found = self.settings.found
        told = [str(found.get("kernel", self.settings.kernel))]
        told += [str(found["preconditioner"])] if "preconditioner" in found else []
        told += [f"step {found['step_size']:.3g}"] if "step_size" in found else []
        if "num_chains" in found and "num_draws" in found:
            told.append(f"{found['num_chains']:.0f} chains of {found['num_draws']:.0f} draws")
        told.append(f"{self.gradients.get('total', math.nan):.0f} gradient units")
        return f"chosen: {', '.join(told)}; before noise extrapolation {self.raw}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; what is not a finite number becomes None."""
        content = {
            "quantity": self.quantity,
            "llc": self.llc.to_dict(),
            "passed": self.passed,
            "checks": [check.to_dict() for check in self.checks],
            "num_data": self.num_data,
            "unit": self.unit,
            "beta": self.beta,
            "nbeta": self.nbeta,
            "localization": self.localization,
            "effective_localization": self.effective_localization,
            "radius": self.radius,
            "relative_radius": self.relative_radius,
            "num_weights": self.num_weights,
            "heat_capacity": self.heat_capacity.to_dict(),
            "raw": self.raw.to_dict(),
            "corrections": self.corrections,
            "gradients": self.gradients,
            "seconds": self.seconds,
            "settings": self.settings.to_dict(),
            "notes": list(self.notes),
            "ladder": [rung.to_dict() for rung in self.ladder],
        }
        return finite(content)

    @classmethod
    def from_dict(cls, content: dict[str, Any], trace: Trace | None = None) -> "Measurement":
        """The inverse of :meth:`to_dict`."""

        def estimate(saved: dict[str, Any]) -> Estimate:
            chains = tuple(_float(value) for value in saved["per_chain"])
            return Estimate(
                _float(saved["value"]), _float(saved["mcse"]), _float(saved["bias_se"]), chains
            )

        return cls(
            quantity=content["quantity"],
            llc=estimate(content["llc"]),
            raw=estimate(content["raw"]),
            heat_capacity=estimate(content["heat_capacity"]),
            checks=tuple(Check(**{**c, "value": _float(c["value"])}) for c in content["checks"]),
            num_data=content["num_data"],
            unit=content["unit"],
            nbeta=content["nbeta"],
            localization=content["localization"],
            effective_localization=_float(content["effective_localization"]),
            radius=_float(content["radius"]),
            relative_radius=None
            if content["relative_radius"] is None
            else float(content["relative_radius"]),
            num_weights=content["num_weights"],
            corrections={k: _float(v) for k, v in content["corrections"].items()},
            gradients=content["gradients"],
            seconds=content["seconds"],
            settings=Settings.from_dict(content["settings"]),
            notes=tuple(content["notes"]),
            ladder=tuple(cls.from_dict(rung) for rung in content["ladder"]),
            trace=trace,
        )

    def save(self, path: str | Path) -> None:
        """Write ``result.json`` and ``trace.zarr`` into a folder."""
        folder = Path(path)
        if self.trace is not None:
            self.trace.save(folder / "trace.zarr")
        write_sealed(folder / "result.json", self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "Measurement":
        """Read a folder that :meth:`save` or ``run=`` wrote.

        Raises:
            FileNotFoundError: there is no ``result.json``.
            CorruptFileError: a file is damaged.
        """
        folder = Path(path)
        if (
            not (folder / "result.json").exists()
            and (folder / "measurement" / "result.json").exists()
        ):
            folder = folder / "measurement"
        content = read_sealed(folder / "result.json")
        trace = Trace.load(folder / "trace.zarr") if (folder / "trace.zarr").exists() else None
        try:
            measurement = cls.from_dict(content, trace)
            str(measurement)  # a word where a number should be does not print
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise CorruptFileError(
                folder / "result.json", f"it is not a measurement ({error!r})"
            ) from error
        return measurement

    def figure(self) -> Any:
        """Traces, chain means and checks, as a matplotlib figure (extra ``singulab[plot]``)."""
        from singulab.report.figure import measurement

        return measurement(self)


def _counted(number: int, unit: str) -> str:
    """A number of data, sequences or tokens in words."""
    return f"{number} {'data' if unit == 'datum' else unit + 's'}"


def _float(value: float | None) -> float:
    if isinstance(value, str):
        raise TypeError(f"a number was expected, got {value!r}.")
    return math.nan if value is None else float(value)
