"""The one call: calibrate, sample, estimate, check."""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from singulab.checks import Criticality, all_checks, failure, restless, sampling_checks
from singulab.environment import environment, installed
from singulab.estimate.llc import (
    NOTHING,
    Extrapolation,
    heat_capacity,
    llc_extrapolated,
    widening,
)
from singulab.files import finite, read_json, read_sealed, write_json, write_sealed
from singulab.landscape import ModelLandscape
from singulab.measurement import Measurement
from singulab.params import Weights
from singulab.potential import LocalPotential, default_localization
from singulab.rng import Purpose
from singulab.sample.exact_plan import ExactPlan
from singulab.sample.fixed_plan import FixedPlan
from singulab.sample.langevin_plan import LangevinPlan
from singulab.sample.plan import (
    DEFAULT_BUDGET,
    DEFAULT_EXACT_BUDGET,
    Outcome,
    Plan,
    Progress,
    Verdict,
)
from singulab.sample.precondition import Preconditioner
from singulab.sample.saver import Saver, refuse_other
from singulab.sample.slice_plan import SlicePlan
from singulab.settings import Settings
from singulab.trace import Trace

LADDER = (1.0, 1 / 3, 1 / 10)  # of γ
_MOST_CRITICALITY_BATCHES = 64
_CRITICALITY_SHARE = 0.02  # of the budget, at most
_GRAM_COLUMNS = 1 << 18  # weights at a time in double precision


def measure(
    model: nn.Module | LocalPotential,
    data: Any = None,
    loss: Any = "cross_entropy",
    *,
    weights: Weights = None,
    units: Mapping[str, float] | None = None,
    settings: Settings | None = None,
    nbeta: float | None = None,
    localization: float | Literal["ladder"] | None = None,
    labels: str = "data",
    kernel: str = "auto",
    num_chains: int | None = None,
    batch_size: int | None = None,
    relative_error: float = 0.02,
    max_gradients: float | None = None,
    run: str | Path | None = None,
    device: torch.device | str | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> Measurement:
    """Measure the local learning coefficient of a model at its present weights.

    λ̂ = nβ(E[L_n(w)] − L_n(w*)) under p(w) ∝ exp(−nβ·L_n(w) − γ/2·|w − w*|²), with its Monte Carlo error
    and with checks that say whether to believe it. It never raises for what the posterior does: a run that
    cannot be trusted comes back with ``passed=False`` and the named check.

    What a careful reader would get wrong: λ̂ depends on nβ and γ, which are printed with it; the number of
    data n sets nβ, the batch size never does; ``labels="model"`` measures the geometry of the function
    that the model computes, at any point of training, and carries its own name.

    Args:
        model: any ``torch.nn.Module`` standing at w*; it comes back exactly as it was. Or a
            :class:`LocalPotential`, and then without data, loss, weights, units, nbeta and localization.
        data: ``(inputs, targets)`` tensors or tuples/dicts of tensors, a ``Dataset``, a ``DataLoader``, a
            Hugging Face data set, or :class:`singulab.Data`.
        loss: ``"cross_entropy"``, ``"gaussian"``, ``"next_token"``, :func:`singulab.gaussian`,
            :func:`singulab.next_token`, or a function ``(output, target) -> [batch]`` or
            ``(model, batch) -> [batch]``, in nats per datum.
        weights: what moves: glob(s) on parameter names, ``{name: bool mask}``, :func:`singulab.head`.
        units: glob on parameter names → unit u; the tether and all radii are measured in w/u, so that a
            network rescaled tensor by tensor keeps its λ̂ when its units are rescaled alike.
        settings: fixed γ, nβ, kernel …, as :func:`calibrate` makes them; then none of them is given here.
        nbeta: n·β; default n/log n; mandatory when n is unknown.
        localization: γ; default puts a flat landscape's radius at 0.3·|w*|; ``"ladder"`` measures at γ,
            γ/3, γ/10 while the checks pass.
        labels: ``"data"``, or ``"model"`` for the behavioural loss.
        kernel: ``"auto"``, or the name of a kernel.
        num_chains: independent chains, at least 2.
        batch_size: B; for hardware speed, not for accuracy.
        relative_error: wanted standard error of λ̂, relative to λ̂.
        max_gradients: budget in gradient units (one forward and backward pass of a minibatch); default
            16 000, and 2·10⁷ for a loss given as a function.
        run: folder in which state and result are kept; the same call resumes from it.
        device: where to compute; default where the model is.
        seed: a non-negative integer; the same seed gives the same numbers.
        on_progress: called a few times a second with a :class:`Progress`.

    Returns:
        The measurement. Of a model under ``fully_shard`` every process makes this call, with the same
        arguments, and gets the same measurement: print or save it in the first.

    Raises:
        ValueError, TypeError: wrong arguments, data or loss.
        StaleRunError: ``run`` belongs to other weights, data, loss or settings.
        InterruptedRunError: stopped by SIGINT or SIGTERM with ``run`` given; the state is saved.

    Source: Lau et al. (2023), arXiv:2308.12108, for the estimator.
    """
    if isinstance(model, LocalPotential):
        told = {
            "data": data,
            "loss": None if loss == "cross_entropy" else loss,
            "weights": weights,
            "units": units,
            "nbeta": nbeta,
            "localization": localization,
            "batch_size": batch_size,
            "device": device,
        }
        given = [name for name, value in told.items() if value is not None and value != "ladder"]
        if given:
            raise ValueError(f"a LocalPotential fixes {', '.join(given)} itself; leave it out.")
    elif data is None:
        raise ValueError(
            "data is missing: pass (inputs, targets), a Dataset, a DataLoader or sl.Data(...)."
        )
    settings = _settings(
        settings,
        nbeta=nbeta,
        localization=None if localization == "ladder" else localization,
        labels=labels,
        kernel=kernel,
        num_chains=num_chains,
        batch_size=batch_size,
        relative_error=relative_error,
        max_gradients=max_gradients,
    )
    with untouched_random_state():
        start = time.monotonic()
        if isinstance(model, LocalPotential):
            potential = model
        else:
            potential = LocalPotential.of(
                model,
                data,
                loss,
                weights=weights,
                units=units,
                nbeta=settings.nbeta,
                localization=settings.localization,
                labels=settings.labels,
                batch_size=settings.batch_size,
                device=device,
            )
        settings = _resolve(settings, potential)
        if run is not None and potential.landscape.sharded:
            raise ValueError(
                "a run folder needs an unsharded model; leave run out and save the result."
            )
        folder = None if run is None else Path(run)
        if folder is not None:
            config = finite({"settings": settings.to_dict(), "seed": int(seed)})
            if (folder / "config.json").exists():
                refuse_other(folder, read_json(folder / "config.json"), config)
            write_run_files(folder, config)
            folder = folder / "measurement"
        first = measure_potential(
            potential,
            settings,
            seed=seed,
            folder=folder,
            on_progress=on_progress,
            preparation_seconds=time.monotonic() - start,
        )
        if localization != "ladder":
            return first
        rungs = [first]
        for index, share in enumerate(LADDER[1:], start=1):
            if not rungs[-1].passed:
                break
            lower = potential.at(localization=potential.localization * share)
            rungs.append(
                measure_potential(
                    lower,
                    replace(settings, localization=lower.localization),
                    seed=seed,
                    folder=None if folder is None else folder.with_name(f"ladder-{index}"),
                    on_progress=on_progress,
                )
            )
        return replace(first, ladder=tuple(replace(r, ladder=()) for r in rungs))


def _settings(settings: Settings | None, **told: Any) -> Settings:
    defaults = {"labels": "data", "kernel": "auto", "relative_error": 0.02}
    given = {k: v for k, v in told.items() if v is not None and v != defaults.get(k)}
    if settings is None:
        return Settings(**{k: v for k, v in told.items() if v is not None})
    if given:
        raise ValueError(
            f"settings already fix {', '.join(given)}; change them with dataclasses.replace(settings, …)."
        )
    return settings


def _resolve(settings: Settings, potential: LocalPotential) -> Settings:
    """Settings with all that is fixed before sampling filled in; refuses those of another kind of loss."""
    if settings.unit is not None and settings.unit != potential.unit:
        raise ValueError(
            f"a datum of the settings is a {settings.unit}, of this loss a {potential.unit}."
        )
    if settings.nbeta is not None and not math.isclose(settings.nbeta, potential.nbeta):
        raise ValueError(
            f"the settings fix nβ = {settings.nbeta}, the potential has {potential.nbeta}."
        )
    if settings.localization is not None and not math.isclose(
        settings.localization, potential.localization
    ):
        raise ValueError(
            f"the settings fix γ = {settings.localization}, the potential has {potential.localization}."
        )
    labels = "model" if potential.quantity == "behavioural_llc" else "data"
    if settings.labels != labels and (settings.labels == "model" or settings.unit is not None):
        raise ValueError(
            f"the settings have labels={settings.labels!r}, the potential has labels={labels!r}."
        )
    return replace(
        settings,
        nbeta=potential.nbeta,
        localization=potential.localization,
        labels=labels,
        unit=potential.unit,
        num_data=potential.num_data if settings.num_data is None else settings.num_data,
        batch_size=potential.batch_size,
        found={},
    )


def calibrate(
    potentials: LocalPotential | Sequence[LocalPotential],
    relative_radius: float = 0.3,
    *,
    relative_error: float = 0.02,
    max_gradients: float | None = None,
    num_chains: int | None = None,
    kernel: str = "auto",
) -> Settings:
    """Fix nβ, γ and the rest once, for a series of checkpoints.

    γ = d/(ρ|w*|)² with the median |w*| of the potentials, so that one absolute γ serves all of them:
    re-tuning per checkpoint manufactures stages.

    Args:
        potentials: one, or several of one model and one kind of loss, at different checkpoints.
        relative_radius: ρ, the radius of a flat landscape in units of |w*|.
        relative_error: wanted standard error, relative to λ̂.
        max_gradients: budget of each measurement, in gradient units.
        num_chains: chains of each measurement.
        kernel: see :func:`measure`.

    Raises:
        ValueError: potentials that differ in nβ, labels, unit or number of weights.
    """
    several = [potentials] if isinstance(potentials, LocalPotential) else list(potentials)
    if not several:
        raise ValueError("calibrate needs at least one potential.")
    for name in ("nbeta", "quantity", "unit", "dim", "batch_size"):
        values = {getattr(potential, name) for potential in several}
        if len(values) > 1:
            raise ValueError(f"the potentials differ in {name}: {sorted(map(str, values))}.")
    gammas = sorted(default_localization(p.center_norm, p.dim, relative_radius) for p in several)
    return _resolve(
        Settings(
            kernel=kernel,
            relative_error=relative_error,
            max_gradients=max_gradients,
            num_chains=num_chains,
            note=f"calibrated on {len(several)} checkpoint(s), relative radius {relative_radius:g}",
        ),
        several[0].at(localization=gammas[len(gammas) // 2]),
    )


def measure_potential(
    potential: LocalPotential,
    settings: Settings,
    *,
    seed: int = 0,
    folder: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    preparation_seconds: float = 0.0,
) -> Measurement:
    """Measure one potential with resolved settings, keeping state and result in a measurement folder.

    Args:
        potential: U; its nβ and γ hold.
        settings: how to sample.
        seed: a non-negative integer.
        folder: where ``state.bin``, ``trace.zarr`` and ``result.json`` go; a finished result with the same
            identity is returned as it is.
        on_progress: see :func:`measure`.
        preparation_seconds: time already spent on making the potential.
    """
    settings = _resolve(settings, potential)
    identity = {
        **potential.landscape.fingerprints(),
        "settings": settings.to_dict(),
        "seed": int(seed),
        "components": list(potential.components),
        "version": installed("singulab"),
    }
    if folder is not None and (folder / "result.json").exists():
        saved = read_sealed(folder / "result.json")
        refuse_other(folder, saved.get("identity", {}), identity)
        return Measurement.load(folder)
    start = time.monotonic()
    exact_function = not isinstance(potential.landscape, ModelLandscape)
    budget = settings.max_gradients or (DEFAULT_EXACT_BUDGET if exact_function else DEFAULT_BUDGET)
    preparation = getattr(potential.landscape, "preparation", 0.0)
    with Saver(folder, identity) as saver, potential.landscape.ready():
        plan = _plan_type(potential, settings)(
            potential,
            settings,
            seed=seed,
            budget=budget - preparation,
            judge=lambda trace, burn_in: _judge(trace, burn_in, settings),
            saver=saver,
            on_progress=on_progress,
        )
        outcome = plan.run()
        criticality, cost = _criticality(potential, outcome.preconditioner, seed, budget)
        costs = {"center": preparation, **outcome.cost, "criticality": cost}
        seconds = preparation_seconds + time.monotonic() - start
        result = _conclude(potential, settings, outcome, criticality, costs, budget, seconds)
        if folder is not None:
            assert result.trace is not None
            result.trace.save(folder / "trace.zarr")
            write_sealed(folder / "result.json", {**result.to_dict(), "identity": identity})
            saver.clear()
    return result


def _plan_type(potential: LocalPotential, settings: Settings) -> type[Plan]:
    if settings.kernel == "hmc" and settings.num_draws is None:
        return ExactPlan
    if settings.step_size is not None and settings.kernel != "auto":
        return FixedPlan
    if settings.kernel == "elliptical_slice":
        return SlicePlan
    if settings.kernel == "auto" and not isinstance(potential.landscape, ModelLandscape):
        few = potential.dim <= SlicePlan.FEW and potential.localization > 0
        return SlicePlan if few else ExactPlan
    return LangevinPlan


def _living(trace: Trace, burn_in: int) -> tuple[Trace, int]:
    """The production part of the chains that stayed finite and did not blow up, and how many did not."""
    part = trace.select(first=burn_in)
    energy = part.energy
    with np.errstate(invalid="ignore"):
        lost = ~np.isfinite(energy).all(1) | (
            energy > LangevinPlan.EXPLODED * max(trace.dim, 10)
        ).any(1)
    kept = [int(c) for c in np.flatnonzero(~lost)]
    return part.select(chains=kept), int(lost.sum())


def _judge(trace: Trace, burn_in: float, settings: Settings) -> Verdict:
    living, _ = _living(trace, int(burn_in * trace.num_draws))
    if living.num_chains < 2 or living.num_draws < 20:
        return Verdict(False, math.nan, math.nan)
    extrapolation = llc_extrapolated(living)
    llc = extrapolation.llc
    checks = sampling_checks(living, extrapolation, relative_error=0.0)
    good = all(check.passed for check in checks if check.name != "monte_carlo_error")
    enough = good and llc.se <= settings.relative_error * abs(llc.value)
    hot = restless(heat_capacity(living), llc, errors=2)  # to begin anew costs less than to fail
    return Verdict(enough, llc.value, llc.se, hot)


def _conclude(
    potential: LocalPotential,
    settings: Settings,
    outcome: Outcome,
    criticality: Criticality | None,
    costs: dict[str, float],
    budget: float,
    seconds: float,
) -> Measurement:
    trace = outcome.trace
    living, left_out = _living(trace, outcome.burn_in)
    spent = sum(costs.values())
    notes = list(outcome.notes)
    if left_out:
        notes.append(f"{left_out} of {trace.num_chains} chains blew up and were left out")
    common: dict[str, Any] = {
        "quantity": potential.quantity,
        "num_data": potential.num_data,
        "unit": potential.unit,
        "nbeta": potential.nbeta,
        "localization": potential.localization,
        "num_weights": potential.dim,
        "gradients": {**{k: float(v) for k, v in costs.items()}, "total": float(spent)},
        "seconds": seconds,
        "settings": replace(settings, found=outcome.found),
        "trace": trace,
    }
    if living.num_chains < 2 or living.num_draws < 20:
        check = (
            failure(
                "living_chains",
                "at least 2",
                "Nearly all chains blew up: raise localization, or check the loss.",
            )
            if living.num_chains < 2
            else failure(
                "budget",
                "at least 20 draws",
                "The budget ended before sampling began: raise max_gradients.",
            )
        )
        return Measurement(
            llc=NOTHING,
            raw=NOTHING,
            heat_capacity=NOTHING,
            checks=(check,),
            notes=tuple(notes),
            effective_localization=math.nan,
            radius=math.nan,
            relative_radius=None,
            **common,
        )
    extrapolation = llc_extrapolated(living)
    heat = heat_capacity(living)
    radius_squared = float(living["radius_squared"].mean())
    virial = float(living["virial"].mean())
    norm = potential.center_norm
    if (wider := widening(living)) > 1.05:
        notes.append(
            f"not local: chains go {living.reach:.1f} times as far from w* as the model's weights are long, where "
            f"they may miss a part of the posterior; the error is made {wider:.1f} times as large, and a larger "
            "localization keeps them near"
        )
    checks = all_checks(
        living,
        extrapolation,
        heat=heat,
        relative_error=settings.relative_error,
        criticality=criticality,
        lost_updates=outcome.lost_updates
        if outcome.trace.dataset.attrs["kernel"] not in ("hmc", "mala")
        else 0.0,
        num_left_out=left_out,
        stability=float(outcome.found.get("stability", math.nan)),
        biased=trace.dataset.attrs["biased"],
        spent=spent,
        budget=budget,
    )
    if settings.relative_error > 0.025:
        notes.append(
            f"relative_error = {settings.relative_error:g} was asked for, wider than the usual 2.5 %"
        )
    return Measurement(
        llc=extrapolation.llc,
        raw=extrapolation.raw,
        heat_capacity=heat,
        checks=checks,
        effective_localization=potential.localization
        + potential.dim * (1 - virial) / max(radius_squared, 1e-300),
        radius=math.sqrt(radius_squared),
        relative_radius=None if norm == 0 else math.sqrt(radius_squared) / norm,
        corrections=_corrections(potential, outcome, extrapolation, criticality),
        notes=tuple(notes),
        **common,
    )


def _corrections(
    potential: LocalPotential,
    outcome: Outcome,
    extrapolation: Extrapolation,
    criticality: Criticality | None,
) -> dict[str, float]:
    """Closed-form effects on λ̂ in the quadratic approximation; stated beside the value, not applied.

    With the loss's share q = nβh/(nβh + γ) of each coordinate's curvature: the tether changes λ̂ by
    −½ Σ q(1 − q) per factor e in γ; an Euler step ε (whitened curvature 1) adds ½ Σ q·x/(1 − x), x = ε/4;
    a gradient g at w* adds −½(nβ)² Σ g²s²(1 + (1 − q)), at most twice minus the predicted drop.
    """
    stated = {"gradient_noise": extrapolation.llc.value - extrapolation.raw.value}
    share = outcome.preconditioner.loss_share()
    if share is not None:
        share = share.double()
        stated["tether_per_e_fold"] = -0.5 * float(potential.total((share * (1 - share)).sum()))
        if outcome.trace.dataset.attrs["kernel"] == "sgld":
            x = float(outcome.found["step_size"]) / 4
            stated["euler_step"] = -0.5 * float(potential.total(share.sum())) * x / max(1 - x, 1e-9)
        else:
            stated["euler_step"] = 0.0
    if criticality is not None:
        stated["gradient_at_center"] = criticality.drop
    return stated


def _criticality(
    potential: LocalPotential, preconditioner: Preconditioner, seed: int, budget: float
) -> tuple[Criticality | None, float]:
    """Predicted nβ·(loss drop) of a Newton step from w*, ½|nβ Sᵀg|², from products of independent gradients.

    Gradients of different minibatches have independent noise, so the mean of their cross products is
    unbiased, where the square of their mean is not. Returns it with its jackknife error and its cost.
    """
    landscape = potential.landscape
    center = potential.center[None]
    if not isinstance(landscape, ModelLandscape):
        gradient, _, cost = landscape.full(center, None)
        return Criticality(
            0.5
            * float((potential.nbeta * gradient).square().sum())
            / max(potential.localization, 1.0),
            0.0,
        ), cost
    if potential.quantity == "behavioural_llc":
        return None, 0.0
    feed = landscape.feed(
        seed=seed,
        num_chains=1,
        batch_size=potential.batch_size,
        purpose=Purpose.BATCH_FOR_CURVATURE,
    )
    if potential.exact:
        gradient = landscape.slope(center, feed([0], 0)).gradient.mean(1)
        z = preconditioner.transpose(potential.nbeta * gradient)
        return Criticality(0.5 * float(potential.total(z.square().sum())), 0.0), 1.0
    groups = 8
    source = landscape.source
    count = min(_MOST_CRITICALITY_BATCHES, max(groups, int(_CRITICALITY_SHARE * budget)))
    if source.num_data is not None and potential.batch_size:
        count = min(count, max(groups, source.num_data // potential.batch_size))
    sums = center.new_zeros(groups, center.shape[1])
    taken = [0] * groups
    for index in range(count):
        gradient = landscape.slope(center, feed([0], 10**6 + index)).gradient.mean(1)
        sums[index % groups] += gradient[0]
        taken[index % groups] += 1
    gram = center.new_zeros(groups, groups, dtype=torch.float64)
    for row, count_of_row in zip(sums, taken, strict=True):
        row.copy_(preconditioner.transpose(row[None] * (potential.nbeta / count_of_row))[0])
    for piece in sums.split(_GRAM_COLUMNS, 1):
        wide = piece.double()
        gram += wide @ wide.T
    gram = potential.total(gram).cpu()

    def cross(kept: list[int]) -> float:
        part = gram[kept][:, kept]
        return 0.5 * float(part.sum() - part.trace()) / (len(kept) * (len(kept) - 1))

    everyone = list(range(groups))
    left_out = [cross([i for i in everyone if i != skip]) for skip in everyone]
    spread = float(np.var(left_out)) * (groups - 1)
    return Criticality(cross(everyone), math.sqrt(spread)), count * landscape.cost


@contextmanager
def untouched_random_state() -> Iterator[None]:
    """Global generators of torch, numpy and random are put back as they were."""
    numbers = np.random.get_state()  # noqa: NPY002 - the caller's
    states = (random.getstate(), torch.random.get_rng_state())
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(numbers)  # noqa: NPY002
        torch.random.set_rng_state(states[1])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def write_run_files(folder: Path, config: dict[str, Any]) -> None:
    """``config.json`` and ``environment.json`` of a run folder."""
    write_json(folder / "config.json", finite(config))
    write_json(folder / "environment.json", environment())
