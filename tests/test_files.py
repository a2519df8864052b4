import json
import math
import os
import stat

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import normal
from singulab import files
from singulab.errors import CorruptFileError
from singulab.fingerprint import fingerprint


@pytest.fixture
def state(tmp_path):
    tensors = {"a": normal(3, 4), "b": torch.tensor([True, False]), "c": torch.tensor(2.5).double()}
    facts = {"step": 7, "llc": 1.25, "nothing": None, "names": ["x", "λ"]}
    files.write_state(tmp_path / "state.bin", tensors, facts)
    return tmp_path / "state.bin", tensors, facts


def test_a_state_comes_back_bitwise(state):
    path, tensors, facts = state
    read, told = files.read_state(path)
    assert told == facts
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_state_is_named(state, kept):
    path = state[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CorruptFileError, match="its checksum does not match") as caught:
        files.read_state(path)
    assert caught.value.path == path


def test_any_flipped_bit_of_a_state_is_found(state):
    path = state[0]
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(CorruptFileError):
            files.read_state(path)


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=50)
@given(content=st.dictionaries(st.text().filter(lambda name: name != "sha256"), values))
def test_any_sealed_content_comes_back(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "sealed.json"
    files.write_sealed(path, content)
    assert files.read_sealed(path) == content


def test_a_sealed_file_is_plain_json(tmp_path):
    files.write_sealed(tmp_path / "r.json", {"value": 1.5})
    assert json.loads((tmp_path / "r.json").read_text())["value"] == 1.5


def test_no_flipped_bit_of_a_sealed_file_changes_what_is_read(tmp_path):
    content = {"llc": {"value": 12.25, "se": None}, "passed": True, "notes": ["γ = 100"]}
    path = tmp_path / "result.json"
    files.write_sealed(path, content)
    whole = path.read_bytes()
    found = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        path.write_bytes(damaged)
        try:
            assert files.read_sealed(path) == content  # white space
        except CorruptFileError:
            found += 1
    assert found > 0.8 * len(whole)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ('{"value": 1.5', "it is not valid JSON"),
        ("", "it is not valid JSON"),
        ("\xff", "it is not valid JSON"),
        ('{"value": 1.5}', "it has no checksum"),
        ("[1, 2]", "it has no checksum"),
        ('{"value": 2.5, "sha256": "00"}', "its checksum does not match"),
    ],
)
def test_a_damaged_sealed_file_says_what_is_wrong(tmp_path, text, sentence):
    path = tmp_path / "result.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptFileError, match=sentence):
        files.read_sealed(path)


def test_json_that_is_not_finite_is_refused_and_nothing_is_left_behind(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": math.nan})
    assert files.read_json(tmp_path / "a.json") == {"x": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write_json(path, {"x": 1})

    def interrupt(*_):
        raise KeyboardInterrupt

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, interrupt)
            with pytest.raises(KeyboardInterrupt):
                files.write_json(path, {"x": 2})
        assert files.read_json(path) == {"x": 1}
        assert os.listdir(tmp_path) == ["a.json"]


def test_an_interrupted_folder_leaves_the_old_folder(tmp_path):
    path = tmp_path / "trace"
    files.write_folder_atomic(path, lambda folder: (folder / "x").write_text("1"))

    def interrupted(folder):
        (folder / "x").write_text("2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_folder_atomic(path, interrupted)
    assert (path / "x").read_text() == "1"
    assert os.listdir(tmp_path) == ["trace"]
    files.write_folder_atomic(path, lambda folder: (folder / "y").write_text("3"))
    assert os.listdir(path) == ["y"]
    assert os.listdir(tmp_path) == ["trace"]


def test_files_have_the_permissions_that_the_user_asked_for(tmp_path):
    before = os.umask(0o022)
    try:
        files.write_json(tmp_path / "a.json", {})
        files.write_folder_atomic(tmp_path / "b", lambda folder: None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o755


def test_a_fingerprint_sees_every_bit_shape_and_dtype():
    x = torch.arange(12.0)
    parts = [
        (x,),
        (x.double(),),
        (x.view(3, 4),),
        (x.view(3, 4).T.contiguous(),),
        (x.bfloat16(),),
        (x, x),
        (x.nextafter(x + 1),),
        (x[:0],),
        (torch.tensor(True),),
        (x, "a"),
        (x, "b"),
        (),
    ]
    prints = [fingerprint(*part) for part in parts]
    assert len(set(prints)) == len(prints)
    assert fingerprint(x.view(3, 4).T) == fingerprint(x.view(3, 4).T.contiguous())
    assert all(len(p) == 64 for p in prints)
