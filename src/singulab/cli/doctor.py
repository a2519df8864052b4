"""``singulab doctor``: whether this machine is fit for singulab, and what to do where it is not."""

import importlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from rich.console import Console

from singulab.cli.command import CommandConfig, Outcome
from singulab.cli.screen import drawn
from singulab.environment import cores, devices, environment, installed
from singulab.report.table import Table

_SPARE_GIB = 1.0


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Look at versions, threads, devices, vmap, data types, the run folder and the extras."""

    run: Path = Path("runs")  # folder that runs will be written to


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    found: str
    verdict: Literal["ok", "untested", "missing", "broken"]  # only "broken" is a fault
    advice: str = ""


def run(config: Config, console: Console) -> Outcome:
    """Look at everything, show it, and fail if something required is broken."""
    findings = [
        _python(),
        *_dependencies(),
        *_extras(),
        _threads(),
        *_attempts(),
        _run_folder(config.run),
    ]
    rows = tuple((f.subject, f.found, f.verdict, f.advice) for f in findings)
    console.print(drawn(Table(("subject", "found", "verdict", "advice"), rows)))
    broken = [f.subject for f in findings if f.verdict == "broken"]
    console.print(f"\nBroken: {', '.join(broken)}." if broken else "\nAll that is required works.")
    data = {
        "passed": not broken,
        "findings": [asdict(f) for f in findings],
        "environment": environment(),
    }
    return Outcome(data=data, passed=not broken)


def _python() -> Finding:
    wanted = metadata("singulab")["Requires-Python"]
    return Finding(
        subject="Python", found=f"{platform.python_version()} (wanted {wanted})", verdict="ok"
    )


def _requirements(extra: str = "") -> list[Requirement]:
    """What the core, or an extra alone, declares."""
    declared = [Requirement(line) for line in requires("singulab") or ()]
    core = [r for r in declared if r.marker is None]
    if not extra:
        return core
    return [r for r in declared if r.marker and r.marker.evaluate({"extra": extra})]


def _dependencies() -> Iterator[Finding]:
    for requirement in _requirements():
        finding = _attempt(
            requirement.name,
            partial(_imported, requirement.name),
            f"pip install '{requirement}'",
            wanted=f" (wanted {requirement.specifier})",
        )
        found = installed(requirement.name)
        if finding.verdict == "ok" and found and not requirement.specifier.contains(found, True):
            finding = replace(finding, verdict="untested", advice=f"pip install '{requirement}'")
        yield finding


def _imported(package: str) -> str:
    importlib.import_module(package.replace("-", "_"))
    return installed(package) or "installed without metadata"


def _extras() -> Iterator[Finding]:
    for extra in metadata("singulab").get_all("Provides-Extra") or ():
        names = [r.name for r in _requirements(extra) if r.name != "singulab"]
        absent = [name for name in names if not installed(name)]
        yield Finding(
            subject=f"extra {extra}",
            found=", ".join(f"{name} {installed(name) or 'is missing'}" for name in names),
            verdict="missing" if absent else "ok",
            advice=f"pip install 'singulab[{extra}]'" if absent else "",
        )


def _threads() -> Finding:
    import torch

    threads, available = torch.get_num_threads(), cores()
    advice = ""
    if threads > available:
        advice = f"torch uses more threads than there are cores: set OMP_NUM_THREADS={available}"
    asked = os.environ.get("OMP_NUM_THREADS")
    told = f"{threads} of torch on {available} cores" + (
        f" (OMP_NUM_THREADS={asked})" if asked else ""
    )
    return Finding(subject="threads", found=told, verdict="ok", advice=advice)


def _attempts() -> Iterator[Finding]:
    reinstall = "install the torch version that constraints.txt names"
    yield _attempt("devices", lambda: "; ".join(devices()), reinstall)
    yield _attempt("float64", _double, reinstall)
    yield _attempt("bfloat16 autocast", _autocast, reinstall)
    yield _attempt("vmap of gradients", _vmap, reinstall)
    yield _attempt("a measurement", _measurement, "reinstall singulab: its own arithmetic is off")


def _attempt(subject: str, look: Callable[[], str], advice: str, *, wanted: str = "") -> Finding:
    try:
        return Finding(subject=subject, found=look() + wanted, verdict="ok")
    except Exception as error:  # noqa: BLE001 - whatever a broken package raises is the finding
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding(subject=subject, found=reason + wanted, verdict="broken", advice=advice)


def _double() -> str:
    import torch

    error = float((torch.eye(3, dtype=torch.float64) / 3 * 3 - torch.eye(3)).abs().max())
    if error > 1e-15:
        raise ArithmeticError(f"1/3·3 is off by {error:.1e}")
    return "works"


def _autocast() -> str:
    import torch

    with torch.autocast("cpu", dtype=torch.bfloat16):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    if product.dtype != torch.bfloat16 or not bool((product == 2).all()):
        raise ArithmeticError(f"a product of ones came out as {product.tolist()}")
    return "works"


def _vmap() -> str:
    import torch
    from torch.func import grad, vmap

    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    stacked = vmap(grad(lambda w: (w.sin() * w).sum()))(points)
    error = float((stacked - (points.sin() + points * points.cos())).abs().max())
    if error > 1e-12:
        raise ArithmeticError(f"gradients under vmap are off by {error:.1e}")
    return "works"


def _measurement() -> str:
    """λ̂ of a parabola in 4 weights, which is 4/2 · nβ/(nβ + γ)."""
    import torch

    import singulab as sl

    parabola = sl.LocalPotential.from_function(
        lambda w: 0.5 * w["x"].square().sum(1), {"x": torch.zeros(4)}, nbeta=90.0, localization=10.0
    )
    llc = sl.measure(parabola, relative_error=0.05).llc
    if not abs(llc.value - 1.8) < 6 * llc.se < 1:
        raise ArithmeticError(f"λ̂ of a parabola is {llc}, not 1.8")
    return f"λ̂ of a parabola is {llc}, exactly 1.8"


def _run_folder(folder: Path) -> Finding:
    """Whether runs can be written, by writing there; leaves nothing behind."""
    parent = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())

    def look() -> str:
        with tempfile.TemporaryDirectory(dir=parent, prefix=".doctor-") as scratch:
            first = Path(scratch) / "a"
            first.write_bytes(b"1")
            os.replace(first, Path(scratch) / "b")
        free = shutil.disk_usage(parent).free / 2**30
        if free < _SPARE_GIB:
            raise OSError(f"only {free:.2f} GiB are free")
        return f"{folder}: writable, {free:.0f} GiB free"

    return _attempt("run folder", look, "choose another folder with --run")
