"""The canvas that all figures share: axes, colours, ticks, and a drawing as SVG for a page.

No global state of matplotlib is read or changed: no pyplot, no style sheet, no ``show``. Colours are those
of Okabe and Ito, which colour-blind readers tell apart.
"""

import io
import re
from collections.abc import Mapping
from typing import Any

from singulab.errors import MissingExtraError

Axes = Any  # matplotlib.axes.Axes; matplotlib is imported where it is used, for it is optional
Figure = Any  # matplotlib.figure.Figure

INK = "#222222"  # text and axes
FAINT = "#8c8c8c"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH, HEIGHT = 7.2, 4.0  # inches; 100 dots each are legible on a phone and 800 px wide


def matplotlib_classes() -> tuple[Any, Any]:
    """The classes ``matplotlib.figure.Figure`` and the module ``matplotlib.ticker``."""
    try:
        from matplotlib import ticker
        from matplotlib.figure import Figure as MatplotlibFigure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="plot") from error
    return MatplotlibFigure, ticker


def axes(ax: Axes | None, *, height: float = HEIGHT) -> Axes:
    """The axes that are given, or those of a new figure; ``height`` in inches."""
    if ax is not None:
        return ax
    figure = matplotlib_classes()[0](figsize=(WIDTH, height), layout="constrained", dpi=100)
    return figure.subplots()


def plain_log_ticks(axis: Any) -> None:
    """Numbers such as 0.01 and 30 instead of powers of ten, on 1, 2 and 5 of each decade if few."""
    ticker = matplotlib_classes()[1]
    low, high = sorted(axis.get_view_interval())
    short = low > 0 and high / low < 50
    axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def finish(
    ax: Axes, drawn: Mapping[str, Any], *, legend: bool = True, bottom_at_zero: bool = False
) -> Axes:
    """Labels, spines, grid and legend in the house style.

    Args:
        ax: what was drawn on.
        drawn: holds ``x_label`` and ``y_label``.
        legend: whether to name what has a label.
        bottom_at_zero: whether the ordinate begins at 0, or below it where there are negative values.
    """
    ax.set_xlabel(drawn["x_label"], fontsize=11, color=INK)
    ax.set_ylabel(drawn["y_label"], fontsize=11, color=INK)
    ax.tick_params(which="both", colors=INK, labelsize=10)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    ax.grid(True, color=FAINT, linewidth=0.5, alpha=0.35)
    ax.set_axisbelow(True)
    ax.set_facecolor("none")
    if bottom_at_zero:
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, 0.0), high + 0.1 * (high - min(low, 0.0)))
    if legend and ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=9, labelcolor=INK)
    return ax


def svg(drawing: Axes | Figure, *, name: str) -> str:
    """A figure as SVG text to be put into a page, following the page's light or dark colours.

    Args:
        drawing: axes or a figure.
        name: prefix of the ids inside, different for each figure of a page.

    Returns:
        An ``<svg>`` element without header. Text is drawn as paths, so no font is needed; ink and series
        colours are CSS variables (``--ink``, ``--faint``, ``--series-1`` …) with the print colours as
        fallback.
    """
    import matplotlib as mpl

    figure = drawing if hasattr(drawing, "savefig") else drawing.figure
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    variables = {INK: "--ink", FAINT: "--faint"}
    variables |= {colour: f"--series-{i}" for i, colour in enumerate(COLOURS, start=1)}
    for colour, variable in variables.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    return text
