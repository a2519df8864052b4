import contextlib
import os
import pickle
import random

import pytest
import safetensors.torch
import torch
from torch import nn

from singulab import checkpoint
from singulab.errors import CheckpointError, CorruptFileError


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


class Attack:
    """A pickle that makes a file when it is loaded carelessly."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def trained():
    torch.manual_seed(0)
    model = network()
    model(torch.randn(8, 3))  # moves the running statistics off their defaults
    return model


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("nest", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_saved_state_dict_comes_back_bitwise(tmp_path, trained, nest, zipped):
    content = trained.state_dict() if nest is None else {"step": 7, nest: trained.state_dict()}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    assert same(checkpoint.load(network(), tmp_path / "w.pt"), trained)


def test_safetensors_come_back_bitwise(tmp_path, trained):
    safetensors.torch.save_file(trained.state_dict(), tmp_path / "w.safetensors")
    assert same(checkpoint.load(network(), tmp_path / "w.safetensors"), trained)


@pytest.mark.parametrize(
    "wrapper", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."]
)
def test_the_prefix_of_a_wrapper_is_taken_off(tmp_path, trained, wrapper):
    torch.save({wrapper + k: v for k, v in trained.state_dict().items()}, tmp_path / "w.pt")
    assert same(checkpoint.load(network(), tmp_path / "w.pt"), trained)


def test_one_name_suffices_for_tied_weights(tmp_path):
    model = Tied()
    safetensors.torch.save_file({"embed.weight": torch.ones(5, 3)}, tmp_path / "w.safetensors")
    checkpoint.load(model, tmp_path / "w.safetensors")
    assert bool((model.head.weight == 1).all())


def test_missing_and_unexpected_keys_are_listed(tmp_path, trained):
    state = dict(trained.state_dict())
    del state["0.weight"], state["2.bias"]
    state["3.weight"] = torch.ones(1)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(network(), tmp_path / "w.pt")
    message = str(caught.value)
    assert "missing in the file: 0.weight, 2.bias; not in the model: 3.weight" in message
    assert caught.value.path == tmp_path / "w.pt"


def test_a_long_list_of_keys_is_cut(tmp_path, trained):
    torch.save({f"x{i}": torch.ones(1) for i in range(50)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="x19 and 30 more"):
        checkpoint.load(network(), tmp_path / "w.pt")


def test_a_wrong_shape_names_both_shapes(tmp_path, trained):
    state = trained.state_dict()
    state["2.bias"] = torch.ones(9)
    torch.save(state, tmp_path / "w.pt")
    model = network()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"2\.bias is \(9,\) in the file, \(2,\) in the model"
    ):
        checkpoint.load(model, tmp_path / "w.pt")
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_corrupt(tmp_path, trained, suffix, kept):
    path = tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save(trained.state_dict(), path)
    else:
        safetensors.torch.save_file(trained.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CorruptFileError, match="no complete") as caught:
        checkpoint.load(network(), path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_bytes_raise_nothing_but_our_errors(tmp_path, trained, zipped):
    path = tmp_path / "w.pt"
    torch.save(trained.state_dict(), path, _use_new_zipfile_serialization=zipped)
    whole, dice = path.read_bytes(), random.Random(1)
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointError, CorruptFileError):
            checkpoint.load(network(), path)


def test_a_hostile_pickle_is_refused_unexecuted_and_named(tmp_path):
    trace = tmp_path / "executed"
    attack = Attack(trace)
    torch.save({"state_dict": attack}, tmp_path / "zip.pt")
    torch.save(attack, tmp_path / "legacy.ckpt", _use_new_zipfile_serialization=False)
    (tmp_path / "old.bin").write_bytes(pickle.dumps(attack, protocol=2))
    for name in ("zip.pt", "legacy.ckpt", "old.bin"):
        with pytest.raises(CheckpointError, match=r"calls posix.mkdir when loaded.*only tensors"):
            checkpoint.load(network(), tmp_path / name)
    (tmp_path / "new.pth").write_bytes(pickle.dumps(attack, protocol=5))
    with pytest.raises(CheckpointError, match="another kind than torch.save writes"):
        checkpoint.load(network(), tmp_path / "new.pth")
    assert not trace.exists()


def test_a_whole_module_is_refused_with_the_way_out(tmp_path, trained):
    torch.save(trained, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"container\.Sequential.*Save model\.state_dict\(\)"):
        checkpoint.load(network(), tmp_path / "w.pt")


@pytest.mark.parametrize(
    "content, sentence",
    [
        ([torch.ones(2)], "it holds a list, not a state dict"),
        ({"epoch": 3, "w": torch.ones(2)}, "these are not tensors: epoch"),
        ({}, "it is empty"),
    ],
)
def test_a_file_without_named_tensors_says_what_it_holds(tmp_path, content, sentence):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=sentence):
        checkpoint.load(network(), tmp_path / "w.pt")


def test_a_path_that_is_no_checkpoint_says_so(tmp_path):
    (tmp_path / "w.npz").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="there is no such file"):
        checkpoint.read(tmp_path / "absent.pt")
    with pytest.raises(CheckpointError, match="it is a folder"):
        checkpoint.read(tmp_path)
    with pytest.raises(CheckpointError, match="must end in one of .safetensors"):
        checkpoint.read(tmp_path / "w.npz")
