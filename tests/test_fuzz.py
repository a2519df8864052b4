"""Files from anywhere: whatever they hold, they are read or refused by name, and never run."""

import copy
import json
import os
import pickle
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import singulab as sl
from fake_measurement import measurement
from singulab import checkpoint, files
from singulab.errors import CheckpointError, CorruptFileError
from singulab.sample.saver import Saver

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
) | st.sampled_from([10**400, -1, 2**63, "1", "", "NaN", [[]], 1e308])


@pytest.fixture(scope="module", autouse=True)
def _as_for_a_user() -> Iterator[None]:
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The address of every part of nested containers."""
    yield path
    if isinstance(content, dict | list):
        for key, part in content.items() if isinstance(content, dict) else enumerate(content):
            yield from places(part, (*path, key))


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at an address."""
    if not path:
        return value
    content = copy.deepcopy(content)
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return content


def tried(call: Callable[..., Any], *given: Any) -> tuple[Any, Exception | None]:
    """What a call returns, or what it refuses with."""
    try:
        return call(*given), None
    except (CheckpointError, CorruptFileError, ValueError, TypeError) as error:
        return None, error


def spoiled(data: st.DataObject, content: bytes) -> bytes:
    """Cut, with a few bytes changed, or with some put in."""
    kind = data.draw(st.sampled_from(["cut", "changed", "longer"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        return content[:place]
    other = data.draw(st.binary(min_size=1, max_size=8))
    return content[:place] + other + content[place + (kind == "changed") * len(other) :]


# ── checkpoints ───────────────────────────────────────────────────────────────────────────────────


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".safetensors", ".pt", ".ckpt"]))
def test_random_bytes_are_no_checkpoint(here, content, suffix):
    path = here / f"random{suffix}"
    path.write_bytes(content)
    with pytest.raises((CheckpointError, CorruptFileError)) as caught:
        checkpoint.load(network(), path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), suffix=st.sampled_from([".safetensors", ".pt", ".bin"]))
def test_a_spoiled_checkpoint_raises_nothing_but_our_errors(here, data, suffix):
    path = here / f"spoiled{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(network().state_dict(), path)
    else:
        torch.save(network().state_dict(), path, _use_new_zipfile_serialization=suffix == ".pt")
    path.write_bytes(spoiled(data, path.read_bytes()))
    _, error = tried(checkpoint.load, network(), path)
    assert error is None or isinstance(error, CheckpointError | CorruptFileError)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=st.lists(st.integers(-1, 2**63), max_size=3), end=st.integers(-1, 2**64))
def test_a_header_that_claims_too_much_is_refused(here, shape, end):
    header = {"0.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}
    text = json.dumps(header).encode()
    path = here / "claims.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(48))
    with pytest.raises((CheckpointError, CorruptFileError)):
        checkpoint.load(network(), path)


class Attack:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class StateAttack:
    """Calls a function when its state is set."""

    def __init__(self, attack: Attack) -> None:
        self.attack = attack

    def __reduce__(self) -> Any:
        return dict, (), None, None, iter([("weights", self.attack)])


def attacks(victim: Path) -> list[Any]:
    """Ways to leave a file behind."""
    line = f"open({str(victim)!r}, 'w').close()"
    return [
        Attack(os.system, f"touch '{victim}'"),
        Attack(os.mkdir, str(victim)),
        Attack(eval, line),
        Attack(exec, line),
        Attack(subprocess.call, ["touch", str(victim)]),
        Attack(torch.load, str(victim)),
        Attack(shutil.copy, __file__, str(victim)),
        Attack(getattr, Attack(__import__, "os"), "system"),
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    which=st.integers(0, 7),
    dressing=st.sampled_from(["bare", "state_dict", "list", "key", "state", "beside tensors"]),
    how=st.sampled_from(["zip", "legacy", 0, 1, 2, 3, 4, 5]),
    suffix=st.sampled_from([".pt", ".pth", ".bin", ".ckpt"]),
)
def test_no_hostile_pickle_runs(here, which, dressing, how, suffix):
    victim, path = here / "executed", here / f"hostile{suffix}"
    attack = attacks(victim)[which]
    content = {
        "bare": attack,
        "state_dict": {"state_dict": {"0.weight": attack}},
        "list": [torch.ones(2), attack],
        "key": {("a", attack): 1},
        "state": StateAttack(attack),
        "beside tensors": {**network().state_dict(), "optimizer": attack},
    }[dressing]
    if isinstance(how, int):
        path.write_bytes(pickle.dumps(content, protocol=how))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises((CheckpointError, CorruptFileError)):
        checkpoint.load(network(), path)
    assert not victim.exists()


# ── states, results, settings ─────────────────────────────────────────────────────────────────────


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_spoiled_state_is_found_and_the_one_before_it_serves(here, data):
    folder = here / "state"
    shutil.rmtree(folder, ignore_errors=True)
    saver = Saver(folder, {"seed": 1})
    for step in (1, 2):
        saver.save({"records": torch.full((3,), float(step))}, {"step": step})
    assert saver.path is not None
    whole = saver.path.read_bytes()
    content = spoiled(data, whole)
    saver.path.write_bytes(content)
    tensors, facts = saver.load()
    expected = 2 if content == whole else 1
    assert facts["step"] == expected
    assert tensors["records"].tolist() == [expected] * 3


@settings(max_examples=40, deadline=None, derandomize=True)
@given(body=st.binary(max_size=80) | json_values.map(lambda v: json.dumps(v).encode()))
def test_a_state_with_a_right_checksum_and_wrong_content_is_named(here, body):
    import hashlib

    path = here / "sealed.bin"
    body = struct.pack("<Q", len(body)) + body
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(CorruptFileError, match="not a state"):
        files.read_state(path)


RESULT = measurement().to_dict()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(place=st.sampled_from(list(places(RESULT))), value=json_values)
def test_a_result_with_a_right_checksum_and_wrong_content_is_read_or_named(here, place, value):
    folder = here / "result"
    content = replaced(RESULT, place, value)
    if not isinstance(content, dict):
        files.write_json(folder / "result.json", content)
    else:
        files.write_sealed(folder / "result.json", content)
    loaded, error = tried(sl.Measurement.load, folder)
    if error is None:
        str(loaded)
        json.dumps(loaded.to_dict(), allow_nan=False)
    else:
        assert isinstance(error, CorruptFileError)
        assert error.path == folder / "result.json"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=st.text() | st.sampled_from(["[" * 5000, '{"a":' * 5000, "9" * 5000, '"\\ud800"']))
def test_a_result_that_is_any_text_is_named(here, text):
    path = here / "result.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(CorruptFileError) as caught:
        sl.Measurement.load(here)
    assert caught.value.path == path


def refused_settings(path: Path) -> None:
    """They load, or are refused in a sentence that a user can read."""
    _, error = tried(sl.Settings.load, path)
    if error is not None:
        assert 10 < len(str(error)) < 1200
        assert "must be real number" not in str(error)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    content=st.binary(max_size=60) | st.sampled_from([b"a=" + b"[" * 5000, b"nbeta=" + b"9" * 5000])
)
def test_settings_of_any_bytes_are_refused_by_name(here, content):
    path = here / "bytes.toml"
    path.write_bytes(content)
    refused_settings(path)


toml_values = st.sampled_from(
    [
        "nan",
        "-inf",
        "true",
        "[]",
        "[1, 'a']",
        "{a = 1}",
        "1979-05-27",
        "0",
        "-7",
        "1e400",
        "'λ'",
        '""',
    ]
) | st.integers().map(str)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(sl.Settings().to_dict())), value=toml_values)
def test_settings_of_any_kind_are_taken_or_refused_in_a_sentence(here, name, value):
    path = here / "kinds.toml"
    path.write_text(f"{name} = {value}\n")
    refused_settings(path)


def test_a_setting_of_the_wrong_kind_says_which_kind_it_wants():
    with pytest.raises(TypeError, match="nbeta must be a number, got 'many'"):
        sl.Settings(nbeta="many")
    with pytest.raises(TypeError, match="num_chains must be a whole number, got 2.5"):
        sl.Settings(num_chains=2.5)
    with pytest.raises(ValueError, match="num_chains must be at most 65536, got 1000000"):
        sl.Settings(num_chains=1000000)


# ── traces ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def store(here) -> Path:
    trace = measurement().trace
    trace.select(last=20).save(here / "whole.zarr")
    return here / "whole.zarr"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_trace_with_any_spoiled_metadata_is_read_as_it_was_or_named(store, data):
    folder = store.with_name("spoiled.zarr")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(store, folder)
    path = data.draw(st.sampled_from(sorted(folder.rglob("zarr.json"))))
    content = json.loads(path.read_text())
    place = data.draw(st.sampled_from(list(places(content))))
    path.write_text(json.dumps(replaced(content, place, data.draw(json_values))))
    loaded, error = tried(sl.Trace.load, folder)
    if error is None:
        same = sl.Trace.load(store)
        assert loaded.dataset.equals(same.dataset)
        assert json.dumps(loaded.dataset.attrs) == json.dumps(same.dataset.attrs)
    else:
        assert isinstance(error, CorruptFileError)
        assert error.path == folder


def test_a_trace_that_claims_more_than_the_memory_is_refused(store):
    folder = store.with_name("giant.zarr")
    shutil.copytree(store, folder)
    for path in folder.rglob("zarr.json"):
        content = json.loads(path.read_text())
        if content["node_type"] == "array":
            content["shape"] = [10**6 for _ in content["shape"]]
            content["chunk_grid"]["configuration"]["chunk_shape"] = content["shape"]
            path.write_text(json.dumps(content))
            shutil.rmtree(path.with_name("c"))
    with pytest.raises(CorruptFileError, match="more than the memory"):
        sl.Trace.load(folder)


def test_a_trace_of_an_older_format_that_names_a_pickle_does_not_run_it(here):
    victim, folder = here / "executed", here / "hostile.zarr"
    (folder / "excess_loss").mkdir(parents=True)
    array = {
        "zarr_format": 2,
        "shape": [1, 1],
        "chunks": [1, 1],
        "dtype": "|O",
        "compressor": None,
        "fill_value": None,
        "order": "C",
        "filters": [{"id": "pickle", "protocol": 2}],
    }
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / "excess_loss" / ".zarray").write_text(json.dumps(array))
    (folder / "excess_loss" / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["chain", "draw"]}')
    for attack in attacks(victim):
        (folder / "excess_loss" / "0.0").write_bytes(pickle.dumps(attack))
        with pytest.raises(CorruptFileError, match="not a whole trace"):
            sl.Trace.load(folder)
        assert not victim.exists()
