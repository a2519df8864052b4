"""``singulab demo``: the experiment around the measurements, which are fakes except where it says so."""

import contextlib
import functools
import inspect
import io
import json
import math
import re
import shlex
import shutil
import time
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import singulab as sl
from fake_measurement import check, measurement
from singulab.cli import demo, demo_page, measure
from singulab.cli.demo_page import SNIPPET, Checkpoint, Findings, Network, answer
from singulab.cli.inputs import ModelConfig
from singulab.cli.main import main
from singulab.development.curve import Curve
from singulab.development.stages import stages
from singulab.zoo.digits import digits, multilayer_perceptron

TRAIN, GRID = demo.train, demo_page.figure.traces_grid
HIGH = 60.0  # fake λ̂ of the memorising network


def fake(potential, settings, *, seed, folder, on_progress, high=HIGH, fails=()):
    """A measurement whose λ̂ rises and falls along training, and grows with |w|."""
    norm = float(potential.center.norm())
    on_progress(sl.Progress("production", 1.0, 2.0, 3.0, 4.0, None, None))
    value = high if norm > 20 else 5.0 - 2 * abs(norm - 8)
    made = measurement(
        value,
        0.02 * abs(value),
        nbeta=settings.nbeta,
        localization=settings.localization,
        quantity=potential.quantity,
        num_data=potential.num_data,
        num_weights=potential.dim,
        settings=settings,
    )
    checks = list(made.checks)
    if potential.quantity == "llc":
        checks.append(check("criticality", norm > 11))
    checks.append(check("heat_capacity", folder.name not in fails))
    made = replace(made, checks=tuple(checks))
    made.save(folder)
    return made


def faked(monkeypatch, **changed):
    monkeypatch.setattr(
        demo, "measure_potential", lambda *given, **named: fake(*given, **named, **changed)
    )


@functools.cache
def trained(label, seed, training_loss):
    config = demo.Config(seed=seed, training_loss=training_loss)
    return TRAIN(label, digits(seed=seed, shuffled_labels=label == demo.SHUFFLED), config)


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Networks are trained once, few shuffled curves are tried, and two traces stand for all."""
    patch.setattr(demo, "NUM_CONTROLS", 3)
    patch.setattr(
        demo, "train", lambda label, data, config: trained(label, config.seed, config.training_loss)
    )
    patch.setattr(
        demo_page.figure, "traces_grid", lambda named: GRID(dict(list(named.items())[:2]))
    )


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    if "slow" not in request.keywords:
        quicken(monkeypatch)


def told(capsys) -> str:
    """Standard output as one line, for rich breaks lines where the terminal ends."""
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """Folder and output of one demo on fake measurements."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        quicken(patch)
        faked(patch, fails=("true-000016-behavioural",))
        assert main(["demo", "--run", str(folder)]) == 0
    return folder, " ".join(out.getvalue().split())


@pytest.fixture
def records(finished) -> list[dict]:
    return json.loads((finished[0] / "measurements.json").read_text())


@pytest.fixture
def text(finished) -> str:
    return (finished[0] / "report.html").read_text()


def test_two_networks_reach_one_loss_and_only_one_generalises(records):
    behavioural = [r for r in records if r["quantity"] == "behavioural_llc"]
    true = [r for r in behavioural if r["network"] == "true labels"]
    ends = {r["network"]: r for r in behavioural}
    steps = [r["step"] for r in true[:-1]]  # the last is the one with the weaker tether
    assert len(steps) >= 12
    assert steps[0] == 0
    assert steps == sorted(set(steps))
    assert true[0]["num_weights"] >= 5000
    low, high = (ends[name]["training_loss"] for name in ("true labels", "shuffled labels"))
    assert low == pytest.approx(high, rel=0.02)
    assert ends["true labels"]["held_out_accuracy"] >= 0.95
    assert ends["shuffled labels"]["held_out_accuracy"] < 0.2
    assert ends["shuffled labels"]["training_accuracy"] > 0.99


def test_every_point_has_the_same_resolution_and_only_one_comparison_has_another(records):
    assert len({r["nbeta"] for r in records}) == 1
    gammas = [r["localization"] for r in records]
    assert len(set(gammas[:-2])) == 1
    assert gammas[-2] == gammas[-1] == pytest.approx(0.1 * gammas[0])
    assert [r["network"] for r in records[-2:]] == ["true labels", "shuffled labels"]


def test_label_llc_is_tried_from_the_end_back_to_the_first_point_that_is_not_critical(
    records, text
):
    tried = [r for r in records if r["quantity"] == "llc" and r["network"] == "true labels"]
    verdicts = [c["passed"] for r in tried for c in r["checks"] if c["name"] == "criticality"]
    assert verdicts == [False] + [True] * (len(tried) - 1)
    steps = [r["step"] for r in tried]
    assert f"not near one at step {steps[0]}." in text
    assert f"near a critical point of the loss at step {', '.join(map(str, steps[1:]))}." in text


def test_the_run_folder_holds_what_it_promises(finished):
    folder, out = finished
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "environment.json", "measurements.json", "report.html"} <= names
    assert {p.name for p in (folder / "true-000000-behavioural").iterdir()} == {
        "result.json",
        "trace.zarr",
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["seed"] == 0
    assert config["settings"]["localization"] > 0
    assert "Page to read" in out
    assert "Does λ̂ tell memorising from generalising? For this pair, yes" in out
    assert "rises" in out


def test_failed_points_are_reported_and_do_not_fail_the_demo(finished, text):
    _, out = finished
    assert "failed: heat_capacity" in out
    assert "Left out because they failed their checks: step 16." in out
    assert "16 of 17 behavioural measurements passed every check" in text
    assert "Run longer, or choose a smaller step." in text


def test_a_demo_without_a_single_passing_point_ends_well(monkeypatch, tmp_path, capsys):
    class Everything:
        def __contains__(self, name):
            return True

    faked(monkeypatch, fails=Everything())
    assert main(["demo", "--run", str(tmp_path)]) == 0
    out = told(capsys)
    assert (
        "Not answered: the final measurement of the network on true labels and on shuffled" in out
    )
    assert "Every point failed its checks" in out
    assert (tmp_path / "report.html").exists()


def findings(low: float, high: float) -> Findings:
    """Two networks with given λ̂ ± 0.5 at the end."""
    ends = {}
    for label, accuracy in ((demo.TRUE, 0.98), (demo.SHUFFLED, 0.09)):
        at = Checkpoint(
            step=9,
            weights={},
            training_loss=0.01,
            training_accuracy=1.0,
            held_out_accuracy=accuracy,
            weight_norm=9.0,
        )
        ends[label] = Network(label=label, checkpoints=(at,))
    curve = Curve((9,), (measurement(low, 0.5),), demo.TRUE)
    shuffled = Curve((9,), (measurement(high, 0.5),), demo.SHUFFLED)
    return Findings(
        true=ends[demo.TRUE],
        shuffled=ends[demo.SHUFFLED],
        curve=curve,
        shuffled_curve=shuffled,
        label_curves=(),
        wide={demo.TRUE: measurement(low, 0.5), demo.SHUFFLED: measurement(high, 0.5)},
        criticality=(),
        stages=stages(curve),
        alarms=0,
        num_controls=1,
        settings=sl.Settings(),
        num_train=1438,
        seed=0,
        seconds=1.0,
    )


@pytest.mark.parametrize(
    "low, high, yes, words",
    [
        (5.0, 60.0, True, "For this pair, yes: .* a difference of 55.0 ± 0.7"),
        (5.0, 6.0, False, "Not here: .* which is less than three standard errors"),
        (20.0, 10.0, True, "0.500 ± 0.028 times as large, a difference of -10.0 ± 0.7"),
    ],
)
def test_the_answer_follows_the_numbers(low, high, yes, words):
    given = answer(findings(low, high))
    assert given.yes == yes
    assert re.search(words, " ".join(given.sentences))


class Page(HTMLParser):
    """Checks that tags close, and collects what a browser would fetch."""

    VOID = frozenset({"meta", "br", "hr", "img", "input", "link", "path", "use", "rect", "image"})

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.ids, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "poster", "srcset"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_asks_for_nothing_and_its_tags_close(text):
    parsed = Page()
    parsed.feed(text)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    outside = [a for a in parsed.addresses if not a.startswith(("#", "data:"))]
    assert outside == []
    assert {a[1:] for a in parsed.addresses if a.startswith("#")} <= set(parsed.ids)
    assert "<script" not in text
    assert not re.search(r"@import|url\((?!#)", text)


def test_the_page_says_what_a_newcomer_needs(text):
    for words in (
        "What the numbers mean",
        "What this does not show",
        "Can the numbers be trusted?",
        "How to do this with your own model",
        "localization = ",
        "Cost in gradient units",
        "prefers-color-scheme: dark",
        'name="viewport"',
    ):
        assert words in text
    assert text.count("<svg") == 7


def test_again_with_json_it_prints_the_records_and_writes_the_same_page(
    finished, records, text, monkeypatch, capsys
):
    faked(monkeypatch, fails=("true-000016-behavioural",))
    before = torch.get_num_threads()
    assert main(["demo", "--run", str(finished[0]), "--json"]) == 0
    assert torch.get_num_threads() == before
    assert json.loads(capsys.readouterr().out) == records
    seconds = re.compile(r"that wrote this page took\s+\d+")
    again = (finished[0] / "report.html").read_text()
    assert seconds.sub("", again) == seconds.sub("", text)


def test_training_depends_on_the_seed_alone():
    config = demo.Config(seed=3, training_loss=1.5)
    data = digits(seed=3)
    torch.manual_seed(11)
    first = TRAIN("a", data, config)
    torch.manual_seed(12)
    second = TRAIN("a", data, config)
    assert [c.step for c in first.checkpoints] == [c.step for c in second.checkpoints]
    for name, weights in first.last.weights.items():
        assert torch.equal(weights, second.last.weights[name])
    other = TRAIN("a", digits(seed=4), replace(config, seed=4))
    assert other.last.training_loss != first.last.training_loss


def test_checkpoints_are_what_they_say():
    data = digits(seed=0)
    network = TRAIN("a", data, demo.Config(training_loss=1.8))
    model = multilayer_perceptron()
    for at in network.checkpoints:
        model.load_state_dict(at.weights)
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(model(data.train_inputs), data.train_labels)
        assert loss.item() == pytest.approx(at.training_loss, rel=1e-5)
        norm = math.sqrt(sum(float(w.detach().square().sum()) for w in model.parameters()))
        assert norm == pytest.approx(at.weight_norm, rel=1e-5)
    steps = [at.step for at in network.checkpoints]
    assert steps[:4] == [0, 4, 6, 10]


def test_a_training_that_does_not_arrive_says_so():
    with pytest.raises(ValueError, match="After 20 steps on a the training loss is .* nats"):
        TRAIN("a", digits(), demo.Config(max_steps=20))


@pytest.mark.parametrize(
    "flags, words",
    [(["--training-loss", "3"], "between 0 and 2 nats"), (["--seed", "-1"], "not be negative")],
)
def test_flags_out_of_range_are_refused(flags, words, capsys):
    assert main(["demo", *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_finished_measurement_is_reused_and_a_stale_one_made_again(tmp_path, capsys):
    """With real measurements, of a small budget."""

    def measured(**changed):
        from rich.console import Console

        config = demo.Config(run=tmp_path, training_loss=1.9, max_gradients=400.0, **changed)
        data = {demo.TRUE: digits(seed=config.seed)}
        network = trained(demo.TRUE, config.seed, config.training_loss)
        target = demo.potential(network.last, data[demo.TRUE], labels="model")
        settings = sl.calibrate(target, max_gradients=config.max_gradients)
        laboratory = demo.Laboratory(config, data, settings, Console())
        job = demo.Job(network, network.last, "model")
        return laboratory.measure([job])[job], tmp_path / job.folder / "result.json"

    first, result = measured()
    written = result.stat().st_mtime_ns
    again, _ = measured()
    assert again.llc == first.llc
    assert result.stat().st_mtime_ns == written
    assert "measuring again" not in capsys.readouterr().out
    other, moved = measured(seed=1)
    assert other.llc != first.llc
    shutil.rmtree(result.parent, ignore_errors=True)
    moved.parent.rename(result.parent)
    capsys.readouterr()
    assert measured()[0].llc == first.llc
    assert "measuring again" in told(capsys)
    result.write_text(result.read_text()[:100])
    assert measured()[0].llc == first.llc
    assert "measuring again" in told(capsys)


def test_the_page_s_own_code_fits_the_library(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    real, calls = inspect.signature(sl.measure), []

    def measured(*given, **named):
        bound = real.bind(*given, **named).arguments
        calls.append(bound)
        settings = bound.get("settings")
        if settings is not None:  # what it fixes may not be given again
            assert not {"labels", "nbeta", "localization", "kernel"} & set(bound)
            assert settings.labels == "model"
        return measurement(8.0 + len(calls), 0.2)

    monkeypatch.setattr(sl, "measure", measured)
    model = multilayer_perceptron((64, 4, 10))
    checkpoints = {
        step: multilayer_perceptron((64, 4, 10), seed=step).state_dict() for step in range(8)
    }
    names = {"model": model, "data": digits().train, "checkpoints": checkpoints, "last_step": 7}
    exec(SNIPPET["one"], names)
    exec(SNIPPET["many"], names)
    assert len(calls) == 9
    assert (tmp_path / "curve.png").exists()
    flags = [w for w in shlex.split(SNIPPET["shell"].replace("\\\n", "")) if w.startswith("--")]
    known = {
        f"--{field.name}" for config in (measure.Config, ModelConfig) for field in fields(config)
    }
    assert set(flags) <= known


@pytest.mark.slow
def test_the_whole_demo_answers_in_three_minutes(tmp_path, capsys):
    started = time.monotonic()
    assert main(["demo", "--run", str(tmp_path), "--json"]) == 0
    assert time.monotonic() - started < 180
    records = json.loads(capsys.readouterr().out)
    behavioural = [r for r in records if r["quantity"] == "behavioural_llc"]
    assert sum(r["passed"] for r in behavioural) >= 0.8 * len(behavioural)
    assert all(r["llc"]["value"] > 0 for r in behavioural)
    assert "For this pair, yes" in (tmp_path / "report.html").read_text()
