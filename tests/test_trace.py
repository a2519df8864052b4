import json
import math
import random
import shutil

import numpy as np
import pytest

import singulab as sl
from networks import perceptron, regression
from singulab.errors import CorruptFileError

RANDOM = np.random.default_rng(0)
ENERGY = RANDOM.gamma(3.0, size=(3, 8))


def made(**facts) -> sl.Trace:
    variables = {
        "excess_loss": ENERGY / 40,
        "acceptance": np.full((3, 8), np.nan),
        "virial_by_component": RANDOM.normal(size=(3, 8, 2)),
    }
    known = {"nbeta": 40.0, "localization": 2.0, "dim": 5, "num_data": 100, "seed": 3}
    return sl.Trace.of_arrays(
        variables,
        components=("a", "λ.weight"),
        component_sizes=(2, 3),
        **{**known, **facts},
    )


def of_a_run() -> sl.Trace:
    potential = sl.LocalPotential.of(perceptron(), regression(), "gaussian", batch_size=8)
    return sl.sample(potential, "sgld", step_size=1e-3, num_chains=2, num_draws=5, seed=1)


def assert_same(one: sl.Trace, other: sl.Trace) -> None:
    assert one.dataset.identical(other.dataset)
    assert json.dumps(one.dataset.attrs) == json.dumps(other.dataset.attrs)  # NaN included
    for name, variable in one.dataset.data_vars.items():
        assert variable.dtype == other.dataset[name].dtype


@pytest.mark.parametrize("make", [made, of_a_run], ids=["made", "of a run"])
def test_a_trace_comes_back_from_a_folder_as_it_was(tmp_path, make):
    trace = make()
    trace.save(tmp_path / "t.zarr")
    assert_same(sl.Trace.load(tmp_path / "t.zarr"), trace)
    trace.save(tmp_path / "t.zarr")  # over itself
    assert_same(sl.Trace.load(tmp_path / "t.zarr"), trace)


@pytest.mark.parametrize(
    "value", [-np.nan, -0.0], ids=["NaN of either sign", "zero of either sign"]
)
def test_a_trace_of_nothing_but_one_value_comes_back(tmp_path, value):
    # 0·∞ is a NaN with its sign bit set; an array of one value is stored as that value without its sign
    variables = {name: np.full((2, 8), value) for name in ("excess_loss", "acceptance")}
    trace = sl.Trace.of_arrays(variables, nbeta=40.0, localization=2.0, dim=5, num_data=9, seed=3)
    trace.save(tmp_path / "t.zarr")
    again = sl.Trace.load(tmp_path / "t.zarr")
    np.testing.assert_array_equal(again["excess_loss"], variables["excess_loss"])


def test_attributes_that_are_not_finite_or_absent_come_back(tmp_path):
    trace = made(center_loss=math.nan, num_data=None, biased=None, knob=math.inf)
    trace.save(tmp_path / "t")
    again = sl.Trace.load(tmp_path / "t")
    assert math.isnan(again.center_loss)
    assert (again.num_data, again.dataset.attrs["biased"]) == (None, None)
    assert again.dataset.attrs["knob"] == math.inf


def test_a_trace_of_a_run_knows_all_that_is_needed_to_read_it():
    trace = of_a_run()
    attributes = trace.dataset.attrs
    for name in ("unit", "quantity", "kernel", "biased", "step_sizes", "seed", "batch_size"):
        assert name in attributes
    assert sorted(attributes["fingerprints"]) == ["data", "loss", "weights"]
    assert trace.num_data == 24
    assert trace.nbeta == pytest.approx(24 / math.log(24))
    assert trace.dim == 26
    assert list(trace.dataset["component"].values) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(trace.dataset["component_size"].values) == [12, 4, 8, 2]
    np.testing.assert_allclose(
        trace["virial"], trace["virial_by_component"] @ [12, 4, 8, 2] / 26, rtol=1e-5
    )
    np.testing.assert_allclose(trace["excess_loss"], (trace["excess_a"] + trace["excess_b"]) / 2)
    assert (trace["excess_loss"][:, 0] == 0).all()  # chains start at w*
    assert (trace["radius_squared"][:, 0] == 0).all()


def test_selections_keep_their_chains_and_draws():
    trace = made()
    part = trace.select(chains=[2, 0], first=3, last=7)
    np.testing.assert_array_equal(part["excess_loss"], trace["excess_loss"][[2, 0], 3:7])
    assert (part.num_chains, part.num_draws) == (2, 4)
    assert list(part.dataset["chain"].values) == [2, 0]
    assert part.nbeta == trace.nbeta
    np.testing.assert_allclose(trace.energy, ENERGY)


def test_dead_chains_are_those_that_met_a_loss_that_is_not_finite():
    broken = ENERGY.copy()
    broken[1, 4], broken[2, 0] = np.nan, np.inf
    trace = sl.Trace.of_arrays({"excess_loss": broken}, nbeta=1, localization=0, dim=1)
    assert trace.dead_chains == (1, 2)
    assert made().dead_chains == ()


def test_the_tree_has_the_groups_and_dims_that_arviz_reads():
    tree = made().to_datatree()
    assert set(tree.children) == {"posterior", "sample_stats"}
    assert tree["posterior"]["energy"].dims == ("chain", "draw")
    np.testing.assert_allclose(tree["posterior"]["energy"].values, ENERGY)
    assert tree["posterior"].attrs["nbeta"] == 40.0
    assert set(tree["sample_stats"].data_vars) == set(made().dataset.data_vars)


def test_a_trace_has_chains_and_draws():
    wrong = made().dataset.transpose("draw", "chain", "component")
    with pytest.raises(ValueError, match=r"dims \(chain, draw\), got \('draw', 'chain'\)"):
        sl.Trace(wrong)


def test_an_absent_trace_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no trace at .*nowhere"):
        sl.Trace.load(tmp_path / "nowhere")


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_trace_with_a_missing_or_cut_file_is_named(tmp_path):
    whole = tmp_path / "t.zarr"
    made().save(whole)
    names = [path.relative_to(whole) for path in files_of(whole)]
    assert len(names) > 5
    for name in names:
        for kept in (None, 0.0, 0.5):
            copy = tmp_path / "copy"
            shutil.copytree(whole, copy)
            content = (copy / name).read_bytes()
            (copy / name).unlink()
            if kept is not None:
                (copy / name).write_bytes(content[: int(kept * len(content))])
            with pytest.raises(CorruptFileError, match="copy cannot be read") as caught:
                sl.Trace.load(copy)
            assert caught.value.path == copy
            shutil.rmtree(copy)


def test_no_flipped_bit_changes_what_is_read_from_a_trace(tmp_path):
    whole, copy = tmp_path / "t.zarr", tmp_path / "copy"
    trace = made()
    trace.save(whole)
    dice, found = random.Random(0), 0
    places = [(path.relative_to(whole), path.stat().st_size) for path in files_of(whole)]
    for name, size in places * 4:
        shutil.copytree(whole, copy)
        damaged = bytearray((copy / name).read_bytes())
        damaged[dice.randrange(size)] ^= 1 << dice.randrange(8)
        (copy / name).write_bytes(damaged)
        try:
            assert_same(sl.Trace.load(copy), trace)  # a bit without meaning
        except CorruptFileError:
            found += 1
        shutil.rmtree(copy)
    assert found > 0.5 * 4 * len(places)


def test_a_file_in_the_place_of_a_trace_is_named(tmp_path):
    (tmp_path / "t.zarr").write_text("not a folder")
    with pytest.raises(CorruptFileError, match="it is not a whole trace"):
        sl.Trace.load(tmp_path / "t.zarr")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorruptFileError, match="it is not a whole trace"):
        sl.Trace.load(tmp_path / "empty")
