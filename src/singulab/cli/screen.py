"""How tables and sentences appear on a terminal."""

from rich import box, table
from rich.console import Console
from rich.text import Text

from singulab.cli.streams import hush
from singulab.report.table import Table

_PIPED_WIDTH = 120
_STYLES = {"passed": "green", "ok": "green", "failed": "bold red", "broken": "bold red"}


class Screen(Console):
    """A console that goes on when its reader has left (``| head``); the rest is read by nobody."""

    def on_broken_pipe(self) -> None:
        """Called by rich in the place of a ``BrokenPipeError``."""
        self.quiet = True
        hush(self.file)


def console(*, quiet: bool = False) -> Console:
    """Where a command writes what people read; silent under ``--json``."""
    screen = Screen(quiet=quiet, highlight=False, markup=False, soft_wrap=False)
    if not screen.is_terminal:
        screen = Screen(quiet=quiet, highlight=False, markup=False, width=_PIPED_WIDTH)
    return screen


def drawn(content: Table, title: str | None = None) -> table.Table:
    """A table whose long cells wrap and whose verdicts have a colour."""
    result = table.Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )
    for name in content.columns:
        result.add_column(name, overflow="fold")
    for row in content.rows:
        result.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return result
