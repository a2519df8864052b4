"""Rows of benchmarks that several processes fill together."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.shards import Row, Shards


def quiet(what: str, share: float) -> None:
    pass


class Answers:
    """Questions a, b, c, … and which of them were answered."""

    def __init__(self, names: str) -> None:
        self.given: list[str] = []
        self.asked: list[tuple[str, Callable[[], Row]]] = [
            (name, lambda name=name: self._answer(name)) for name in names
        ]

    def _answer(self, name: str) -> Row:
        self.given.append(name)
        return {"letter": name}


def test_each_process_answers_its_share_and_all_rows_are_read(tmp_path: Path) -> None:
    answers = Answers("abcde")
    Shards(tmp_path, "1/2", "code").fill(answers.asked, quiet)
    assert answers.given == ["b", "d"]
    whole = Shards(tmp_path, "0/1", "code")
    whole.fill(answers.asked, quiet)
    assert answers.given == ["b", "d", "a", "c", "e"]
    assert whole.rows() == {name: {"letter": name} for name in "abcde"}


def test_a_line_that_was_cut_off_is_answered_again(tmp_path: Path) -> None:
    shards = Shards(tmp_path, "0/1", "code")
    shards.fill(Answers("ab").asked, quiet)
    (file,) = tmp_path.glob("*.jsonl")
    file.write_text(file.read_text()[:-20])
    assert shards.rows() == {"a": {"letter": "a"}}
    again = Answers("abc")
    shards.fill(again.asked, quiet)
    assert again.given == ["b", "c"]
    assert list(shards.rows()) == ["a", "b", "c"]


def test_rows_of_other_code_are_passed_over(tmp_path: Path) -> None:
    Shards(tmp_path, "0/1", "old").fill(Answers("ab").asked, quiet)
    new, answers = Shards(tmp_path, "0/1", "new"), Answers("a")
    assert new.rows() == {}
    new.fill(answers.asked, quiet)
    assert answers.given == ["a"]


def test_finished_rows_outlive_an_answer_that_fails(tmp_path: Path) -> None:
    def fail() -> Row:
        raise RuntimeError("no answer")

    shards = Shards(tmp_path, "0/1", "code")
    with pytest.raises(RuntimeError, match="no answer"):
        shards.fill([*Answers("a").asked, ("b", fail)], quiet)
    assert list(shards.rows()) == ["a"]


@pytest.mark.parametrize("shard", ["2/2", "-1/2", "1", "a/b", "0/0"])
def test_what_is_no_shard_is_told(tmp_path: Path, shard: str) -> None:
    with pytest.raises(ValueError, match="shard must be i/k"):
        Shards(tmp_path, shard, "code")
