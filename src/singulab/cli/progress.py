"""A progress bar hung on the ``on_progress`` callback."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress
from rich.console import Console

from singulab.cli.screen import Screen
from singulab.sample.plan import Progress

_QUIET_SECONDS = 15.0


@contextmanager
def bar(console: Console, title: str = "") -> Iterator[Callable[[Progress], None]]:
    """A bar on standard error with rate, time left and the estimate so far.

    Where standard error is no terminal, a line every 15 seconds takes its place.
    """
    screen = Screen(stderr=True, highlight=False)
    if console.quiet or not screen.is_terminal:
        yield _lines(screen, title)
        return
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=24),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[told]}"),
    )
    with progress.Progress(*columns, console=screen, transient=True) as shown:
        task = shown.add_task(title, total=None, told="")

        def show(event: Progress) -> None:
            shown.update(
                task,
                description=" ".join(filter(None, (title, event.phase))),
                completed=event.done,
                total=event.total,
                told=told(event),
            )

        yield show


def told(event: Progress) -> str:
    """Rate, time left and estimate in a few words."""
    parts = [f"{event.rate:,.0f} gradients/s"] if math.isfinite(event.rate) else []
    parts.append(f"{_clock(event.eta_seconds)} left")
    if event.llc is not None:
        error = "" if event.se is None else f" ± {event.se:.2g}"
        parts.append(f"λ̂ {event.llc:.4g}{error}")
    return " · ".join(parts)


def _lines(screen: Console, title: str) -> Callable[[Progress], None]:
    last = time.monotonic()

    def show(event: Progress) -> None:
        nonlocal last
        if time.monotonic() - last < _QUIET_SECONDS:
            return
        last = time.monotonic()
        share = f"{event.done / event.total:.0%}" if event.total else ""
        screen.print(" ".join(filter(None, (title, event.phase, share, told(event)))))

    return show


def _clock(seconds: float) -> str:
    if not 0 <= seconds < 360_000:  # also NaN: nothing is known yet
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
