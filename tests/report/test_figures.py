import json
import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from fake_measurement import measurement
from singulab.development.curve import Curve
from singulab.development.stages import stages
from singulab.report import canvas, figure, series
from singulab.scale_curve import ScaleCurve

STEPS = (0, 4, 9, 20, 46, 103, 231, 519, 754)
VALUES = (8.0, 8.1, 8.2, 12.0, 14.0, 14.6, 11.0, 8.0, 6.05)


@pytest.fixture
def curve() -> Curve:
    points = [
        measurement(v, 0.2, passed=s != 20, seed=s) for s, v in zip(STEPS, VALUES, strict=True)
    ]
    points[1] = measurement(float("nan"), float("nan"), passed=False)
    return Curve(STEPS, tuple(points), "true labels")


@pytest.fixture
def scale() -> ScaleCurve:
    points = [
        measurement(v, 0.1, nbeta=nbeta, localization=gamma, radius=5 / gamma**0.5)
        for v, (nbeta, gamma) in enumerate(
            [(100.0, 1.0), (10.0, 1.0), (10.0, 9.0), (100.0, 9.0)], start=1
        )
    ]
    return ScaleCurve(tuple(points))


def bars(ax) -> list[tuple[float, float, float, float]]:
    """(x, low, x, high) of every error bar drawn."""
    return [
        (*segment[0], *segment[1])
        for container in ax.containers
        for lines in container.lines[2]
        for segment in lines.get_segments()
    ]


def texts(ax) -> str:
    return " ".join(t.get_text() for t in ax.get_legend().get_texts())


def test_series_are_json(curve, scale):
    other = Curve((0, 9), (measurement(60.0), measurement(138.0)), "shuffled")
    drawn = [
        series.llc_curve(curve, stages(curve)),
        series.llc_against([curve, other], [range(9), [1.0, 2.0]], x_label="training loss (nats)"),
        series.comparison({"a": curve.measurements[0], "b": curve.measurements[1]}),
        series.lines({"loss": ([0, 1], [2.3, float("inf")])}, y_label="loss (nats)"),
        series.traces(curve.measurements[0]),
        series.scale_curve(scale),
        series.checks(curve),
    ]
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn
    assert drawn[0]["y"][1] is None
    assert drawn[3]["lines"][0]["y"] == [2.3, None]


def test_every_point_with_a_value_has_its_error_bar(curve):
    drawn = sorted(bars(figure.llc_curve(curve)))
    wanted = [(s, v - 0.2, s, v + 0.2) for s, v in zip(STEPS, VALUES, strict=True) if s != 4]
    np.testing.assert_allclose(drawn, wanted)


def test_failed_points_are_hollow_and_named(curve):
    ax = figure.llc_curve(curve)
    hollow = [c for c in ax.containers if c.lines[0].get_markerfacecolor() == "none"]
    assert [list(c.lines[0].get_xdata()) for c in hollow] == [[20.0]]
    assert "hollow: failed its checks" in texts(ax)
    assert "no value at 4" in texts(ax)


def test_axes_name_quantity_resolution_and_unit(curve):
    ax = figure.llc_curve(curve)
    assert ax.get_ylabel() == "behavioural λ̂ (nβ = 169, γ = 100)"
    assert ax.get_xlabel() == "training step"
    assert "±" in texts(ax)


def test_borders_of_stages_are_drawn_between_their_points():
    steps = tuple(range(0, 26, 2))
    points = Curve(steps, tuple(measurement(10.0 if s < 12 else 20.0, 0.2) for s in steps))
    found = stages(points)
    ax = figure.llc_curve(points, stages=found)
    dashed = [line for line in ax.get_lines() if line.get_linestyle() == "--"]
    assert (
        [10 < line.get_xdata()[0] < 12 for line in dashed] == [True] * len(found.borders) == [True]
    )


def test_step_zero_and_the_last_step_are_in_sight(curve):
    ax = figure.llc_curve(curve)
    low, high = ax.get_xlim()
    assert low <= 0 < 754 <= high
    ax.figure.canvas.draw()
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels[0] == "0"
    assert "100" in labels


def test_curves_at_other_resolutions_are_not_put_together(curve):
    other = Curve((0,), (measurement(nbeta=50.0),), "other")
    with pytest.raises(ValueError, match="nβ differs: 169 for true labels, 50 for other"):
        figure.llc_against([curve, other], [range(9), [1.0]], x_label="loss")
    with pytest.raises(ValueError, match="differs"):
        figure.comparison({"a": curve.measurements[0], "b": other.measurements[0]})


def test_a_scale_curve_has_one_line_per_other_value(scale):
    by_nbeta = series.scale_curve(scale)
    assert by_nbeta["x_label"] == "inverse temperature nβ"
    assert [(c["label"], c["x"], c["y"]) for c in by_nbeta["curves"]] == [
        ("γ = 1", [10.0, 100.0], [2.0, 1.0]),
        ("γ = 9", [10.0, 100.0], [3.0, 4.0]),
    ]
    by_radius = series.scale_curve(scale, against="radius")
    assert by_radius["curves"][0]["x"] == sorted(by_radius["curves"][0]["x"])
    with pytest.raises(ValueError, match="against is one of nbeta, localization, radius"):
        series.scale_curve(scale, against="beta")
    assert len(bars(figure.scale_curve(scale))) == 4


def test_traces_keep_the_mean_of_every_chain_since_burn_in():
    made = measurement(9.0, 0.2)
    drawn = series.traces(made, num_points=37)
    assert drawn["burn_in"] == 80  # a fifth of 400 draws
    for chain, energy in zip(drawn["chains"], made.trace.energy, strict=True):
        assert chain["running_mean"][-1] == pytest.approx(energy[80:].mean())
        assert len(chain["block_mean"]) == 38
    short = series.traces(made, num_points=10_000)
    np.testing.assert_allclose(short["chains"][2]["block_mean"], made.trace.energy[2])


def test_a_chain_that_blew_up_is_drawn_as_far_as_it_went():
    made = measurement(9.0, 0.2)
    made.trace.dataset["excess_loss"].values[1, 200:] = np.inf
    drawn = series.traces(made)
    json.dumps(drawn, allow_nan=False)
    assert drawn["chains"][1]["block_mean"][-1] is None
    assert drawn["chains"][0]["block_mean"][-1] is not None
    figure.traces(made).figure.canvas.draw()


def test_a_measurement_without_its_trace_says_so():
    with pytest.raises(ValueError, match=r"trace\.zarr"):
        series.traces(measurement(trace=None))


def test_a_measurement_draws_itself():
    drawn = measurement(9.0, 0.2, passed=False).figure()
    assert "9.00 ± 0.20 (failed)" in drawn.get_suptitle()
    assert "drift" in {text.get_text() for ax in drawn.axes for text in ax.texts}


def test_a_missing_check_is_neither_passed_nor_failed(curve):
    points = list(curve.measurements)
    points[2] = replace(points[2], checks=points[2].checks[:2])
    curve = Curve(curve.steps, tuple(points))
    drawn = series.checks(curve)
    assert drawn["names"] == ["error", "drift", "rhat", "virial"]
    assert [row[2] for row in drawn["passed"]] == [True, True, None, None]
    assert drawn["passed"][1][3] is False
    ax = figure.checks(curve)
    assert sum(len(c.get_offsets()) for c in ax.collections) == 4 * 9 - 2


def test_drawing_changes_nothing_global(curve, scale):
    before = dict(mpl.rcParams)
    canvas.svg(figure.llc_curve(curve), name="one")
    figure.traces_grid({"a": curve.measurements[0], "b": curve.measurements[3]})
    figure.scale_curve(scale)
    assert dict(mpl.rcParams) == before
    pyplot = __import__("sys").modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_given_axes_are_used(curve):
    own = Figure().subplots(2)
    assert figure.llc_curve(curve, ax=own[1]) is own[1]
    assert not own[0].lines


def test_a_grid_has_one_panel_per_measurement(curve):
    grid = figure.traces_grid({f"step {s}": m for s, m in curve})
    visible = [ax for ax in grid.axes if ax.get_visible()]
    assert [ax.get_title() for ax in visible][:4] == [
        "step 0",
        "step 4 (failed)",
        "step 9",
        "step 20 (failed)",
    ]
    assert len(visible) == 9


def luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_two_figures_of_one_page_share_no_id_and_ask_for_nothing(curve):
    first = canvas.svg(figure.llc_curve(curve), name="one")
    second = canvas.svg(figure.llc_curve(curve), name="two")
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, known in zip((first, second), ids, strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
        assert used <= known
        assert set(re.findall(r'https?://[^"\s]+', text)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }


def test_the_same_figure_gives_the_same_svg(curve):
    assert canvas.svg(figure.llc_curve(curve), name="one") == canvas.svg(
        figure.llc_curve(curve), name="one"
    )


def test_colours_of_the_page_stand_out_on_light_and_dark():
    css = (figure.__file__.removesuffix("figure.py")) + "templates/page.html"
    with open(css, encoding="utf-8") as file:
        palettes = file.read().split("prefers-color-scheme: dark")
    for palette in (palettes[0], palettes[1].split("}")[0]):
        named = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", palette))
        paper = luminance(named["paper"])
        for name in ["ink", "soft", *(f"series-{i}" for i in range(1, 7))]:
            pair = sorted([luminance(named[name]), paper])
            contrast = (pair[1] + 0.05) / (pair[0] + 0.05)
            assert contrast > (4.5 if name in ("ink", "soft") else 2.5), (name, to_hex(named[name]))
