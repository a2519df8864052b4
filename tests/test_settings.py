import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import singulab as sl
from singulab.errors import CorruptFileError
from singulab.settings import KERNEL_NAMES, PRECONDITIONERS, published_names

positive = st.floats(1e-300, 1e300) | st.integers(1, 10**9)
share = st.floats(0, 1, exclude_max=True)
text = st.text(st.characters(codec="utf-8"))
ANY = {
    "nbeta": st.none() | positive,
    "localization": st.none() | st.floats(0, 1e300),
    "labels": st.sampled_from(["data", "model"]),
    "unit": st.none() | text,
    "num_data": st.none() | st.integers(2, 10**12),
    "kernel": st.sampled_from(KERNEL_NAMES),
    "step_size": positive,
    "memory": st.none() | share,
    "num_leapfrog": st.none() | st.integers(1, 1000),
    "preconditioner": st.sampled_from(PRECONDITIONERS),
    "num_chains": st.none() | st.integers(2, 100),
    "batch_size": st.none() | st.integers(1, 10**6),
    "relative_error": st.floats(1e-6, 1),
    "max_gradients": st.none() | positive,
    "burn_in": share,
    "compiled": st.booleans(),
    "num_draws": st.none() | st.integers(1, 10**6),
    "note": text,
    "found": st.dictionaries(st.from_regex(r"\A[a-z_]{1,8}\Z"), st.floats(allow_nan=False) | text),
}


def test_every_field_is_tried_below():
    assert set(ANY) == {field.name for field in dataclasses.fields(sl.Settings)}


@settings(max_examples=60)
@given(st.fixed_dictionaries(ANY))
def test_any_settings_come_back_from_toml_and_from_json_values(fields):
    if fields["kernel"] == "auto":  # which finds these itself
        fields |= {"step_size": None, "num_draws": None}
    chosen = sl.Settings(**fields)
    assert sl.Settings.from_toml(chosen.to_toml()) == chosen
    assert sl.Settings.from_dict(chosen.to_dict()) == chosen


def test_settings_come_back_from_a_file(tmp_path):
    chosen = sl.Settings(nbeta=12.5, note='γ = 100\n"quoted" \\ \t\r\x7f', found={"top": math.inf})
    chosen.save(tmp_path / "s.toml")
    assert sl.Settings.load(tmp_path / "s.toml") == chosen
    assert "localization" not in (tmp_path / "s.toml").read_text()


def test_numbers_of_numpy_become_plain_numbers(unchecked):
    chosen = sl.Settings(
        nbeta=np.float32(2.5), localization=np.float64(1e-7), num_chains=np.int64(3)
    )
    assert chosen == sl.Settings(nbeta=2.5, localization=1e-7, num_chains=3)
    assert sl.Settings.from_toml(chosen.to_toml()) == chosen
    assert json.loads(json.dumps(chosen.to_dict())) == chosen.to_dict()


def test_a_damaged_or_foreign_file_is_named(tmp_path):
    path = tmp_path / "s.toml"
    with pytest.raises(FileNotFoundError):
        sl.Settings.load(path)
    for content in (b"nbeta = ", b"\xff\xfe", b"nbeta 3"):
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match="it is not valid TOML") as caught:
            sl.Settings.load(path)
        assert caught.value.path == path
    path.write_text("nbeta = 3.0\ntemperature = 1.0\n")
    with pytest.raises(ValueError, match=r"unknown settings \['temperature'\]; known are .*nbeta"):
        sl.Settings.load(path)


@pytest.mark.parametrize("name", published_names())
def test_published_settings_are_plain_sgld_with_a_warning(name):
    published = sl.Settings.published(name)
    assert (published.kernel, published.preconditioner) == ("sgld", "none")
    assert published.localization == 1.0
    assert published.burn_in == 0.0
    assert published.num_chains == 2
    assert "arXiv:2308.12108" in published.note
    assert "plain SGLD" in published.note
    assert sl.Settings.from_toml(published.to_toml()) == published


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"nbeta": 0.0}, "nbeta must be positive and finite, got 0.0"),
        ({"nbeta": math.inf}, "nbeta must be positive and finite, got inf"),
        ({"step_size": -1e-3}, "step_size must be positive and finite, got -0.001"),
        ({"relative_error": 0.0}, "relative_error must be positive and finite, got 0.0"),
        ({"max_gradients": math.nan}, "max_gradients must be positive and finite, got nan"),
        ({"localization": -1.0}, "localization must be finite and not negative, got -1.0"),
        ({"labels": "both"}, "labels must be 'data' or 'model', got 'both'"),
        ({"kernel": "nuts"}, "kernel must be one of auto, .* got 'nuts'"),
        ({"preconditioner": "adam"}, "preconditioner must be one of auto, .* got 'adam'"),
        ({"num_chains": 1}, "num_chains must be at least 2, got 1: the error is taken between"),
        ({"memory": 1.0}, r"memory must lie in \[0, 1\), got 1.0"),
        ({"burn_in": 1.0}, r"burn_in is a share in \[0, 1\), got 1.0"),
        ({"num_draws": 0}, "num_draws must be at least 1, got 0"),
        ({"num_leapfrog": 0}, "num_leapfrog must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"step_size": 1e-3}, "kernel='auto' finds its own step_size"),
        ({"num_draws": 10}, "kernel='auto' finds its own step_size"),
        ({"kernel": "mala"}, "kernel 'mala' is not tuned here; give step_size"),
        ({"kernel": "sgnht"}, "kernel 'sgnht' is not tuned here; give step_size"),
    ],
)
def test_a_wrong_field_says_what_is_wrong(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        sl.Settings(**fields)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        sl.Settings().nbeta = 3.0
    with pytest.raises(ValueError, match="unknown published settings 'lau'; choose from lau2023"):
        sl.Settings.published("lau")
