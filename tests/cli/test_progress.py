from singulab.cli import progress
from singulab.sample.plan import Progress

EVENT = Progress(
    phase="sample", done=50.0, total=200.0, rate=1234.5, eta_seconds=75.0, llc=9.87, se=0.123
)


def test_an_event_is_told_with_rate_time_left_and_estimate():
    assert progress.told(EVENT) == "1,234 gradients/s · 1:15 left · λ̂ 9.87 ± 0.12"
    assert progress.told(EVENT._replace(llc=None)) == "1,234 gradients/s · 1:15 left"


def test_an_unknown_rate_is_left_out():
    assert progress.told(EVENT._replace(rate=float("nan"), llc=None)) == "1:15 left"


def test_unknown_and_long_times_are_told():
    assert "· ? left" in progress.told(EVENT._replace(eta_seconds=float("nan")))
    assert "· ? left" in progress.told(EVENT._replace(eta_seconds=float("inf")))
    assert "· 2:00:05 left" in progress.told(EVENT._replace(eta_seconds=7205.0))


def test_without_a_terminal_a_line_is_told_at_most_every_interval(capsys, monkeypatch):
    clock = iter([0.0, 5.0, 16.0, 16.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.bar(progress.Console(quiet=True), "point 1") as show:
        for _ in range(3):
            show(EVENT)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("point 1 sample 25%") == 1
