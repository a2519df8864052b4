import importlib.util
import json
import math
import re
import sys
from itertools import product
from pathlib import Path

import pytest
import torch

from singulab.cli import bench
from singulab.cli.main import main
from singulab.errors import MissingExtraError

REPOSITORY = Path(__file__).parents[2]

BENCHMARK = '''
from dataclasses import dataclass
from singulab.cli.bench import BenchConfig

@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Counts."""

    seeds: tuple[int, ...] = (0,)  # seeds to count

def run(config, on_progress):
    on_progress("counting", 0.0)
    on_progress("counting", 0.5)
    rows = [
        {"seed": seed, "error": seed / 3, "history": [[seed]], "passed": seed < 5}
        for seed in config.seeds
    ]
    return {
        "rows": rows,
        "summary": {"all": {"rows": len(rows)}},
        "promises": {"small seeds": max(config.seeds) < 5},
        "passed": all(row["passed"] for row in rows),
    }
'''


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "count.py").write_text(BENCHMARK)
    (tmp_path / "benchmarks" / "other.py").write_text("x = 1\n")
    yield tmp_path
    sys.modules.pop("benchmarks.count", None)


def test_a_record_holds_config_machine_and_rows(checkout, capsys):
    assert main(["bench", "count", "--seeds", "1", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (path,) = (checkout / "benchmarks" / "records").iterdir()
    assert path.name == f"{told['date'][:10]}_count.json"
    assert json.loads(path.read_text()) == told
    assert told["config"] == {"seeds": [1, 2]}
    assert told["rows"][1] == {"seed": 2, "error": 2 / 3, "history": [[2]], "passed": True}
    assert {"packages", "processor", "threads"} <= set(told["environment"])


def test_a_failed_benchmark_exits_1_and_people_read_its_rows(checkout, capsys):
    assert main(["bench", "count", "--seeds", "3", "7", "--no-record"]) == 1
    out = capsys.readouterr().out
    assert "0.3333" not in out
    assert "2.333" in out
    assert "failed" in out
    assert "history" not in out  # lists are in the record
    assert re.search(r"rows +2", out)
    assert re.search(r"small seeds +no", out)
    assert not (checkout / "benchmarks" / "records").exists()


def test_flags_of_a_benchmark_are_its_config(checkout, capsys):
    assert main(["bench", "count", "--help"]) == 0
    assert "seeds to count" in capsys.readouterr().out
    assert main(["bench", "--help"]) == 0
    assert "{count}" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["cuont"], ["other"]])
def test_a_wrong_name_lists_the_benchmarks(checkout, capsys, flags):
    assert main(["bench", *flags, "--json"]) == 2
    assert "one of count" in json.loads(capsys.readouterr().out)["error"]


def test_outside_a_checkout_bench_says_where_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "speed", "--json"]) == 2
    assert "in a checkout" in json.loads(capsys.readouterr().out)["error"]


@pytest.fixture
def load(monkeypatch):
    """A benchmark of this repository, or a module beside them."""
    monkeypatch.chdir(REPOSITORY)
    return bench._load


def installed(package):
    return importlib.util.find_spec(package) is not None


def score(load, *rmse):
    return load("peers").Score("tool", "setting", "", list(rmse), "")


def test_gradients_to_5_percent_need_every_larger_budget_to_be_good(load):
    budgets = (1, 2, 4)
    assert score(load, 0.04, 0.03, 0.05).gradients(budgets) == 1
    assert score(load, 0.04, 0.06, 0.05).gradients(budgets) == 4
    assert score(load, 0.04, 0.03, 0.06).gradients(budgets) is None
    assert score(load, math.nan, 0.03, math.nan).gradients(budgets) is None


def test_an_estimate_at_a_budget_is_that_of_the_draws_it_pays_for(load):
    losses = torch.tensor([[1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, math.nan]])
    task = load("adapters").Task(None, torch.zeros(6, 1), None, None, 2, 10.0, 1.0)
    estimate = load("peers")._estimate
    assert estimate(losses, 2.9, 0.0, 1.5, task) == pytest.approx(10 * (2.5 - 1.5))
    assert estimate(losses, 3.0, 2 / 3, 1.5, task) == pytest.approx(10 * (4.0 - 1.5))
    assert estimate(losses, 4.0, 0.0, 1.5, task) is None  # diverged
    assert estimate(losses, 0.5, 0.0, 1.5, task) is None  # the baseline alone spent it all
    assert task.center_loss_cost == 1.0  # six data, batches of two, a third each


def test_a_book_forgets_a_line_that_was_cut_off(load, tmp_path):
    book, path = load("peers").Book, tmp_path / "runs" / "book.jsonl"
    first = book(path)
    assert first.get({"seed": 0}, lambda: {"llc": math.nan}) == {"llc": None}
    assert first.get({"seed": 1}, lambda: {"llc": 1.5}) == {"llc": 1.5}
    path.write_bytes(path.read_bytes()[:-9])
    again = book(path)
    assert again.get({"seed": 0}, lambda: pytest.fail("made twice")) == {"llc": None}
    assert again.get({"seed": 1}, lambda: {"llc": 2.5}) == {"llc": 2.5}
    assert len(path.read_text().splitlines()) == 2


def test_ours_alone_is_measured_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    runs = tmp_path / "runs.jsonl"
    flags = ["bench", "peers", "--peers", "--cases", "T1", "--budgets", "200"]
    flags += ["--seeds", "0", "1", "--runs", str(runs), "--no-record", "--json"]
    assert main(flags) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    before = runs.read_bytes()
    assert len(before.splitlines()) == 2
    assert main(flags) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [row]
    assert runs.read_bytes() == before


def test_a_curve_goes_on_where_it_was_stopped(load, tmp_path):
    module, runs = load("resolution"), tmp_path / "points.jsonl"
    config = module.Config(
        cases=("polynomial-2-2",), nbeta=(1.0, 3.0, 10.0, 30.0), relative_error=0.2,
        max_gradients=4e4, num_chains=32, runs=runs,
    )  # fmt: skip

    def stopped(what, share):
        if what.endswith("1e+01"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module.run(config, stopped)
    before = runs.read_bytes()
    assert len(before.splitlines()) == 2
    told = module.run(config, lambda what, share: None)
    assert runs.read_bytes().startswith(before)
    (row,) = told["rows"]
    assert row["points"] == len(told["points"]) == 4
    assert all(abs(point["z"]) < 4 for point in told["points"])
    again = module.run(config, lambda what, share: None)
    assert again == told


def test_code_that_no_measurement_depends_on_changes_no_digest(load, tmp_path, monkeypatch):
    book = load("book")
    for part in ("sample/kernel.py", "cli/main.py"):
        (tmp_path / part).parent.mkdir()
        (tmp_path / part).write_text("1")
    monkeypatch.setattr(book.sl, "__file__", str(tmp_path / "__init__.py"))
    first, with_command = book.sampler(), book.sampler("cli/main.py")
    (tmp_path / "cli/main.py").write_text("2")
    assert book.sampler() == first
    assert book.sampler("cli/main.py") != with_command
    (tmp_path / "sample/kernel.py").write_text("2")
    assert book.sampler() != first


SPEED = ["bench", "speed", "--cases", "deep linear", "--peers", "--kernels", "sgld"]
SPEED += ["--turns", "2", "--seconds", "0.001", "--num-chains", "2", "--threads", "1"]
SPEED += ["--no-record", "--json"]


def test_speed_takes_turns_and_states_every_ratio(monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    assert main(SPEED) == 0
    told = json.loads(capsys.readouterr().out)
    names = [(row["runner"], row["preconditioner"]) for row in told["rows"]]
    kinds = product(("none", "diagonal", "ekfac"), ("singulab", "singulab, compiled"))
    assert names == [
        *((name, "") for name in ("raw", "normal draw", "read and write")),
        *((name, kind) for kind, name in kinds),
    ]
    able = [row for row in told["rows"] if "failure" not in row]
    assert {row["weights"] for row in able} == {220}
    assert all(row["low"] <= row["of raw"] <= row["high"] for row in able)
    assert told["threads"] == 1


def test_speed_without_a_compiler_tells_so_and_times_plain_steps(monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("no compiler was found")

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.chdir(REPOSITORY)
    assert main([*SPEED, "--preconditioners", "none"]) == 0
    told = json.loads(capsys.readouterr().out)
    plain, compiled = told["rows"][3:]
    assert "no compiler was found" in compiled["failure"]
    assert plain["of raw"] > 0
    assert {ratio["what"] for ratio in told["ratios"]} == {"singulab, none, over raw"}


@pytest.mark.parametrize("name", ["deep_linear", "perceptron"])
def test_the_raw_pass_is_the_gradient_of_the_model(load, name):
    case = getattr(load("speed"), name)(3)
    alike = tuple(part[:1].expand(8, *part.shape[1:]) for part in case.data)  # any rows will do
    raw = load("speed")._stacked_pass(case.model, alike, case.loss, 4, 3)
    value = load("adapters").loss_of(case.loss)(case.model(alike[0]), alike[1] + 0)
    wanted = torch.autograd.grad(value, list(case.model.parameters()))
    for part, expected in zip(raw(), wanted, strict=True):
        torch.testing.assert_close(part, expected.expand_as(part), rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="runs here")
def test_canonical_interp_names_the_python_that_it_needs(load):
    with pytest.raises(ValueError, match="needs Python 3.12 or newer, this is 3.11"):
        load("adapters").peers(["canonical-interp"])


@pytest.mark.skipif(installed("devinterp"), reason="runs here")
def test_a_missing_peer_names_its_extra(load):
    with pytest.raises(MissingExtraError, match=r"singulab\[bench\]"):
        load("adapters").peers(["devinterp"])


def test_an_unknown_peer_lists_the_known(load):
    with pytest.raises(ValueError, match="some of devinterp, canonical-interp, got other"):
        load("adapters").peers(["other"])


@pytest.mark.parametrize("name", ["devinterp", "canonical-interp"])
def test_a_peer_follows_the_law_of_sgld_on_the_posterior_that_it_is_given(load, name):
    """On a quadratic the variance is 1/(a(1 − εa/4)), a = nβh + γ; batches of all data add no noise."""
    pytest.importorskip(name.replace("-", "_"))
    adapters = load("adapters")
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 4, generator=generator) * torch.tensor([1.0, 0.7, 0.4, 0.1])
    model = torch.nn.Linear(4, 1, bias=False)
    nbeta, localization, step = 50.0, 20.0, 0.01
    task = adapters.Task(
        model,
        inputs,
        model(inputs).detach(),
        adapters.loss_of("gaussian"),
        batch_size=64,
        nbeta=nbeta,
        localization=localization,
    )
    (peer,) = adapters.peers([name])
    found = peer.run(task, step_size=step, num_chains=8, num_steps=1000, seed=0)
    h = torch.linalg.eigvalsh(inputs.double().T @ inputs.double() / 64)
    a = nbeta * h + localization
    wanted = float((0.5 * nbeta * h / (a * (1 - step * a / 4))).sum())
    by_chain = nbeta * found.losses[:, 100:].mean(1)
    se = float(by_chain.std() / math.sqrt(8))
    assert se < 0.03 * wanted
    assert abs(float(by_chain.mean()) - wanted) < 4 * se
    assert found.baseline == pytest.approx(task.center_loss(), abs=1e-12)


def test_a_held_peer_moves_in_its_turn_alone(load):
    pytest.importorskip("devinterp")
    adapters, turns = load("adapters"), load("turns")
    passed = []

    class Batches(list):
        def __iter__(self):
            for batch in super().__iter__():
                passed.append(1)
                yield batch

    data = torch.randn(8, 3), torch.randn(8, 2)
    task = adapters.Task(
        torch.nn.Linear(3, 2), *data, adapters.loss_of("gaussian"), 4, 10.0, localization=1.0
    )
    batches = Batches(zip(data[0].split(4), data[1].split(4), strict=True))
    held = turns.Held(*adapters.peers(["devinterp"]), task, batches, num_chains=2)
    assert not passed
    held.advance(3)
    assert len(passed) == 4  # it stands with the fourth in hand
    held.advance(5)
    assert len(passed) == 9
    held.end()
    assert len(passed) == 9


def test_a_guest_that_fails_is_told_and_the_others_go_on(load):
    turns = load("turns")

    def fail(count):
        raise RuntimeError("no room")

    ours, guest = turns.Runner("ours"), turns.Runner("theirs", guest=True, build=lambda: fail)
    turns.alternate([ours, guest], 3, 1e-6, lambda what, share: None)
    assert (len(ours.turns), ours.failure) == (3, "")
    assert (len(guest.turns), guest.failure) == (0, "RuntimeError: no room")
    with pytest.raises(RuntimeError, match="no room"):
        turns.alternate([turns.Runner("ours", build=lambda: fail)], 1, 1e-6, lambda *told: None)


def test_a_fault_of_a_held_peer_is_told(load):
    pytest.importorskip("devinterp")
    adapters, turns = load("adapters"), load("turns")
    data = torch.randn(8, 3), torch.randn(8, 2)
    task = adapters.Task(
        torch.nn.Linear(5, 2), *data, adapters.loss_of("gaussian"), 4, 10.0, localization=1.0
    )
    held = turns.Held(*adapters.peers(["devinterp"]), task, [data], num_chains=2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        held.advance(1)
