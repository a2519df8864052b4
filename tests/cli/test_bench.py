import json
import sys

import pytest

from singulab.cli.main import main

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
    rows = [{"seed": seed, "error": seed / 3, "passed": seed < 5} for seed in config.seeds]
    return {"rows": rows, "passed": all(row["passed"] for row in rows)}
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
    assert told["rows"][1] == {"seed": 2, "error": 2 / 3, "passed": True}
    assert {"packages", "processor", "threads"} <= set(told["environment"])


def test_a_failed_benchmark_exits_1_and_people_read_its_rows(checkout, capsys):
    assert main(["bench", "count", "--seeds", "3", "7", "--no-record"]) == 1
    out = capsys.readouterr().out
    assert "0.3333" not in out
    assert "2.333" in out
    assert "failed" in out
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
