"""Faults that can meet a measurement, and the small model that they are put on."""

import contextlib
import errno
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from singulab.measurement import Measurement

clock = time.monotonic  # the true one, also where a trial sets the clocks wrong


# ── what is measured ──────────────────────────────────────────────────────────────────────────────


@dataclass
class Poison:
    """What the network does wrong, and when."""

    kind: str = "none"  # "nan gradient" or "exploding loss"
    begin: int = 0  # the first evaluation that is poisoned
    count: int = 0  # how many are
    calls: int = 0  # evaluations so far

    def __call__(self, outputs: Tensor) -> Tensor:
        self.calls += 1
        if not self.begin <= self.calls < self.begin + self.count:
            return outputs
        if self.kind == "exploding loss":
            return outputs * 1e30
        return outputs + (0 * outputs).square().sum().sqrt()  # 0, and its gradient is 0·∞


POISON = Poison()


class Network(nn.Module):
    """A perceptron that can be poisoned."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
        dice = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=dice) / 2

    def forward(self, inputs: Tensor) -> Tensor:
        # A look at a value rules vmap out: chains side by side differ from chains in turn in the last bit,
        # and which of the two is faster depends on the clock.
        if not bool(inputs.isfinite().all()):
            raise ValueError("the inputs must be finite.")
        return POISON(self.layers(inputs))


def network() -> nn.Module:
    return Network()


def data() -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(1)
    inputs = torch.randn(200, 3, generator=dice)
    return inputs, (inputs[:, 0] > 0).long()


def loader() -> Any:
    """The same data, dealt by worker processes."""
    rows = list(zip(*data(), strict=True))
    return torch.utils.data.DataLoader(rows, batch_size=50, shuffle=True, num_workers=2)


# ── faults ────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Reference:
    """The undisturbed run."""

    measurement: Measurement
    seconds: float
    calls: int  # evaluations of the model


@dataclass
class Fault:
    """What is done to the first attempts of a trial."""

    before: Callable[[Path], None] = lambda folder: None  # to the run folder that is to be
    arm: Callable[[], None] = lambda: None  # in the process, before the command
    strike: Callable[[int], None] = lambda pid: None  # from outside, while it runs
    after: Callable[[Path], None] = lambda folder: None  # to the run folder
    mend: Callable[[Path], None] = lambda folder: None  # before the attempts without a fault
    repeats: int = 1  # attempts that it is done to
    data: str = "data"  # or "loader"
    poisons: bool = False  # the numbers that the model gives
    damages: bool = False  # files that then cannot be read


def killed(dice: random.Random, usual: "Reference") -> Fault:
    return Fault(strike=signals(dice, usual, signal.SIGKILL), repeats=dice.randint(1, 4))


def terminated(dice: random.Random, usual: "Reference") -> Fault:
    return Fault(strike=signals(dice, usual, signal.SIGTERM), repeats=dice.randint(1, 3))


def interrupted(dice: random.Random, usual: Reference) -> Fault:
    """Ctrl-C, up to three times in a row; a terminal sends it to the workers of a data loader too."""
    several = [signal.SIGINT] * dice.randint(1, 3)
    source, repeats = dice.choice(("data", "loader")), dice.randint(1, 3)
    return Fault(strike=signals(dice, usual, *several), repeats=repeats, data=source)


def nan_gradient(dice: random.Random, usual: "Reference") -> Fault:
    return _poisoned("nan gradient", dice, usual)


def exploding_loss(dice: random.Random, usual: "Reference") -> Fault:
    return _poisoned("exploding loss", dice, usual)


def disk_full(dice: random.Random, usual: "Reference") -> Fault:
    if dice.random() < 0.5:
        largest = int(
            10 ** dice.uniform(3.7, 4.8)
        )  # bytes of a file; what the command prints must fit
        return Fault(arm=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)))
    writes = dice.randint(0, 12)
    return Fault(arm=lambda: _no_space_after(writes))


def read_only(dice: random.Random, usual: Reference) -> Fault:
    """A file where a folder should be, or a folder where a file should be: that stops even root."""
    inside = ("config.json", "measurement/result.json", "measurement/state.bin")
    place = dice.choice((".", "measurement", *inside, "locked"))

    def block(folder: Path) -> None:
        path = folder / place
        if place in inside:
            (path / "occupied").mkdir(parents=True)
        elif place == "locked":
            folder.mkdir()
            folder.chmod(0o555)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("occupied")

    def unblock(folder: Path) -> None:
        path = folder / place
        if place in inside:
            shutil.rmtree(path)
        elif place == "locked":
            folder.chmod(0o755)
        else:
            path.unlink()

    return Fault(before=block, mend=unblock)


def clock_jump(dice: random.Random, usual: "Reference") -> Fault:
    jumps = [dice.choice([-1, 1]) * 10 ** dice.uniform(-1, 7) for _ in range(dice.randint(1, 5))]
    moments = sorted(dice.uniform(0, usual.seconds) for _ in jumps)
    strike = signals(dice, usual, signal.SIGKILL) if dice.random() < 0.5 else lambda pid: None
    return Fault(arm=lambda: _set_clocks_wrong(moments, jumps), strike=strike)


def worker_killed(dice: random.Random, usual: "Reference") -> Fault:
    delay = dice.uniform(0, 0.8) * usual.seconds

    def strike(pid: int) -> None:
        time.sleep(delay)
        children = Path(f"/proc/{pid}/task/{pid}/children")
        while not ended(pid):
            with contextlib.suppress(OSError):
                workers = children.read_text().split()
                if workers:
                    os.kill(int(dice.choice(workers)), signal.SIGKILL)
                    return
            time.sleep(0.002)

    return Fault(strike=strike, data="loader")


def truncated(dice: random.Random, usual: "Reference") -> Fault:
    return _damaged(dice, usual, lambda content: content[: dice.randrange(len(content) or 1)])


def bit_flipped(dice: random.Random, usual: "Reference") -> Fault:
    def flip(content: bytes) -> bytes:
        spoiled = bytearray(content)
        if spoiled:
            spoiled[dice.randrange(len(spoiled))] ^= 1 << dice.randrange(8)
        return bytes(spoiled)

    return _damaged(dice, usual, flip)


FAULTS: dict[str, Callable[[random.Random, "Reference"], Fault]] = {
    make.__name__.replace("_", " "): make
    for make in (
        killed,
        terminated,
        interrupted,
        nan_gradient,
        exploding_loss,
        disk_full,
        read_only,
        clock_jump,
        worker_killed,
        truncated,
        bit_flipped,
    )
}


def signals(
    dice: random.Random, usual: Reference, *numbers: signal.Signals
) -> Callable[[int], None]:
    """Signals to a process at a random moment; SIGINT goes to its group."""

    def strike(pid: int) -> None:
        time.sleep(dice.uniform(0, usual.seconds))
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):  # it has no group yet
                (os.killpg if number == signal.SIGINT else os.kill)(pid, number)
            time.sleep(dice.uniform(0, 0.005))

    return strike


def _poisoned(kind: str, dice: random.Random, usual: "Reference") -> Fault:
    begin = dice.randrange(1, usual.calls)
    count = dice.choice([1, 1, 3, usual.calls])

    def arm() -> None:
        POISON.kind, POISON.begin, POISON.count = kind, begin, count

    return Fault(arm=arm, poisons=True)


def _damaged(dice: random.Random, usual: "Reference", spoil: Callable[[bytes], bytes]) -> Fault:
    """One file of the run folder is spoiled after the run was killed, or after it ended."""

    def after(folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        states = [path for path in files if path.name.startswith("state")]
        if files:
            path = dice.choice(states or files)
            path.write_bytes(spoil(path.read_bytes()))

    strike = signals(dice, usual, signal.SIGKILL) if dice.random() < 0.7 else lambda pid: None
    return Fault(strike=strike, after=after, damages=True)


def _no_space_after(writes: int) -> None:
    """The disk is full from some write on."""
    fsync, done = os.fsync, [0]

    def refuse(opened: int) -> None:
        done[0] += 1
        if done[0] > writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(opened)

    os.fsync = refuse


def _set_clocks_wrong(moments: list[float], jumps: list[float]) -> None:
    """All clocks jump at some moments, back or forth."""
    start = clock()

    def wrong(true: Callable[[], float]) -> float:
        passed = clock() - start
        return true() + sum(j for m, j in zip(moments, jumps, strict=True) if m <= passed)

    for name in ("time", "monotonic", "perf_counter"):
        setattr(time, name, partial(wrong, getattr(time, name)))


def ended(pid: int) -> bool:
    """Whether a child process has ended; it can still be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
