"""What ``sl.measure`` refuses, each with its own sentence, and what it leaves as it was."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

import singulab as sl
from networks import filled, integers, normal, perceptron, regression
from untouched import Counting, assert_same, everything, of_the_process

X, Y = regression(24)
CLASSES = integers(2, 24)


class Stream(IterableDataset):
    def __iter__(self):
        return zip(X, Y, strict=True)


class Odd(nn.Module):
    """Returns what no loss can read."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return {"scores": self.layer(x)}


class Deaf(nn.Module):
    """Its output does not depend on one of its weights."""

    def __init__(self):
        super().__init__()
        self.layer, self.unused = nn.Linear(3, 2), nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.layer(x)


class Broken(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        return X[index] * (math.nan if index == 7 else 1), Y[index]


def with_weight(value: float) -> nn.Module:
    model = perceptron()
    model[0].weight.data[0, 0] = value
    return model


def own_loss(model, batch):
    return (model(batch[0]) - batch[1]).square().sum(1)


MODEL, DATA = perceptron(), (X, Y)
QUADRATIC = sl.LocalPotential.from_function(
    lambda w: w["x"].square().sum(1), {"x": torch.zeros(2)}, nbeta=20.0, localization=1.0
)
CALIBRATED = sl.Settings(nbeta=7.0, localization=1.0, unit="datum", max_gradients=200)
REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no data": ({"data": None}, ValueError, r"data is missing: pass \(inputs, targets\)"),
    "a function as model": (
        {"model": lambda x: x},
        TypeError,
        "must be a torch.nn.Module, got function",
    ),
    "NaN weights": (
        {"model": with_weight(math.nan)},
        ValueError,
        r"0\.weight holds NaN or infinite",
    ),
    "infinite weights": (
        {"model": with_weight(math.inf)},
        ValueError,
        r"0\.weight holds NaN or inf",
    ),
    "NaN data": ({"data": (X / 0 * 0, Y)}, ValueError, "the data hold NaN or infinite numbers"),
    "infinite data": ({"data": (X, Y / 0)}, ValueError, "the data hold NaN or infinite numbers"),
    "NaN in a data set": ({"data": Broken()}, ValueError, "the data hold NaN or infinite numbers"),
    "NaN loss": (
        {"loss": lambda f, y: (f - y).sum(1).sqrt() - 9e9**0.5 * math.inf},
        ValueError,
        r"the loss at w\* is NaN or infinite for 24 of 24 data \(first: 0\)",
    ),
    "scalar loss": (
        {"loss": F.mse_loss},
        ValueError,
        r"the loss returned a scalar; wanted one value per datum, shape \[24\]. Use reduction='none'",
    ),
    "scalar loss of a model": (
        {"loss": lambda model, batch: own_loss(model, batch).mean()},
        ValueError,
        "the loss returned a scalar",
    ),
    "loss of wrong shape": (
        {"loss": nn.MSELoss(reduction="none")},
        ValueError,
        r"the loss returned shape \(24, 2\); wanted one value per datum, \[24\]",
    ),
    "unknown loss": ({"loss": "hinge"}, ValueError, "unknown loss 'hinge'; choose from"),
    "loss of no kind": ({"loss": 0.5}, TypeError, "loss must be a name or a function, got float"),
    "targets of wrong shape": (
        {"data": (X, Y[:, 0])},
        ValueError,
        r"targets of the outputs' shape \(24, 2\), got \(24,\)",
    ),
    "classes as numbers": (
        {"data": (X, Y[:, 0]), "loss": "cross_entropy"},
        ValueError,
        r"class indices of shape \(24,\) or class probabilities of shape \(24, 2\)",
    ),
    "empty data": ({"data": (X[:0], Y[:0])}, ValueError, "the data are empty; at least 2"),
    "one datum": ({"data": (X[:1], Y[:1])}, ValueError, "there is one datum only"),
    "unequal lengths": ({"data": (X, Y[:9])}, ValueError, r"must have one length, got \[9, 24\]"),
    "an iterator": (
        {"data": iter(DataLoader(Broken()))},
        TypeError,
        "an iterator that can be read only once",
    ),
    "no selection": ({"weights": []}, ValueError, r"no weights selected: \[\] matches none of"),
    "unknown name": (
        {"weights": "head.*"},
        ValueError,
        r"no weights selected: 'head\.\*' matches none",
    ),
    "unknown mask": (
        {"weights": {"head": torch.ones(2, dtype=torch.bool)}},
        ValueError,
        "unknown parameter 'head'; the model has 0.weight",
    ),
    "mask of wrong shape": (
        {"weights": {"0.bias": torch.ones(3, dtype=torch.bool)}},
        ValueError,
        r"the mask of 0\.bias has shape \(3,\), the parameter \(4,\)",
    ),
    "mask of wrong dtype": (
        {"weights": {"0.bias": torch.ones(4)}},
        TypeError,
        r"the mask of 0\.bias must be a boolean tensor, got torch\.float32",
    ),
    "unknown n": (
        {"data": Stream(), "batch_size": 8},
        ValueError,
        r"the number of data n is unknown, so .* is too; pass nbeta=",
    ),
    "negative γ": (
        {"localization": -1.0},
        ValueError,
        "localization must be finite and not negative",
    ),
    "zero nβ": ({"nbeta": 0.0}, ValueError, "nbeta must be positive and finite, got 0.0"),
    "one chain": ({"num_chains": 1}, ValueError, "num_chains must be at least 2, got 1"),
    "unknown kernel": (
        {"kernel": "nuts"},
        ValueError,
        "kernel must be one of auto, .*, got 'nuts'",
    ),
    "a kernel without its step": ({"kernel": "mala"}, ValueError, "'mala' is not tuned here"),
    "unknown labels": (
        {"labels": "soft"},
        ValueError,
        "labels must be 'data' or 'model', got 'soft'",
    ),
    "no error": ({"relative_error": 0.0}, ValueError, "relative_error must be positive and finite"),
    "no budget": ({"max_gradients": -5.0}, ValueError, "max_gradients must be positive and finite"),
    "negative seed": ({"seed": -1}, ValueError, "seed must be a non-negative integer, got -1"),
    "empty batches": ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
    "odd output": ({"model": Odd()}, TypeError, r"the model returned dict; wanted a tensor"),
    "deaf weights": (
        {"model": Deaf(), "weights": "unused"},
        ValueError,
        "the loss does not depend on the selected weights; select others",
    ),
    "behaviour of a model loss": (
        {"loss": own_loss, "labels": "model"},
        TypeError,
        r"hides it; pass loss\(output, target\)",
    ),
    "settings and nbeta": (
        {"settings": sl.Settings(nbeta=3.0), "nbeta": 3.0},
        ValueError,
        r"settings already fix nbeta; change them with dataclasses\.replace",
    ),
    "settings and more": (
        {"settings": sl.Settings(), "kernel": "sgld", "num_chains": 2, "labels": "model"},
        ValueError,
        "settings already fix labels, kernel, num_chains",
    ),
    "settings of another unit": (
        {"settings": sl.Settings(unit="token")},
        ValueError,
        "a datum of the settings is a token, of this loss a datum",
    ),
    "hmc on a stream": (
        {"data": Stream(), "batch_size": 8, "nbeta": 1.0, "kernel": "hmc"},
        ValueError,
        "a stream has no full-data gradient; this kernel needs data of stable order",
    ),
    "a potential with data": (
        {"model": QUADRATIC, "nbeta": 3.0, "batch_size": 4},
        ValueError,
        "a LocalPotential fixes data, loss, nbeta, batch_size itself; leave it out",
    ),
    "a potential with other settings": (
        {"model": QUADRATIC, "data": None, "loss": "cross_entropy", "settings": CALIBRATED},
        ValueError,
        r"the settings fix .* = 7\.0, the potential has 20\.0",
    ),
    "a potential with other labels": (
        {"model": QUADRATIC, "data": None, "loss": "cross_entropy", "labels": "model"},
        ValueError,
        "the settings have labels='model', the potential has labels='data'",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_refused_with_its_own_sentence(unchecked, what):
    knobs, error, sentence = REFUSED[what]
    arguments = {"model": MODEL, "data": DATA, "loss": "gaussian", **knobs}
    with pytest.raises(error, match=sentence) as caught:
        sl.measure(**arguments)
    assert "\n" not in str(caught.value)


def test_calibrated_settings_of_other_labels_are_refused():
    behavioural = sl.LocalPotential.of(MODEL, DATA, "gaussian", labels="model")
    settings = sl.calibrate(sl.LocalPotential.of(MODEL, DATA, "gaussian"))
    with pytest.raises(ValueError, match="have labels='data', the potential has labels='model'"):
        sl.measure(behavioural.at(localization=settings.localization), settings=settings)


# ── what is left as it was ────────────────────────────────────────────────────────────────────


class Dicing(Counting):
    """Draws from the global generators wherever it can."""

    def forward(self, x):
        np.random.random()  # noqa: NPY002 - the global one is meant
        return super().forward(x) + 1e-9 * torch.rand(1)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def default_dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


BRIEF = {"max_gradients": 150, "num_chains": 2, "batch_size": 8}


def scene(dtype: torch.dtype = torch.float32) -> nn.Module:
    model = filled(Dicing().to(dtype))
    model.layers[0].bias.requires_grad_(False)
    model.layers[3].weight.grad = torch.ones(2, 4)
    return model


@pytest.mark.parametrize("labels", ["data", "model"])
def test_a_measurement_leaves_model_and_process_as_they_were(unchecked, default_dtype, labels):
    model = scene(default_dtype)
    data = tuple(tensor.to(default_dtype) for tensor in DATA)
    before, process = everything(model), of_the_process()
    sl.measure(model, DataLoader(Pairs(data), batch_size=8), "gaussian", labels=labels, **BRIEF)
    assert_same(before, everything(model))
    assert_same(process, of_the_process())


class Pairs(Dataset):
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data[0])

    def __getitem__(self, index):
        return tuple(part[index] for part in self.data)


def test_a_failing_loss_leaves_model_and_process_as_they_were(unchecked):
    model = scene()
    before, process = everything(model), of_the_process()
    calls = iter(range(10**6))

    def failing(output, target):
        if next(calls) == 60:
            raise ZeroDivisionError("deep in the run")
        return (output - target).square().sum(1)

    with pytest.raises(ZeroDivisionError, match="deep in the run"):
        sl.measure(model, DATA, failing, **BRIEF)
    assert next(calls) == 61
    assert_same(before, everything(model))
    assert_same(process, of_the_process())


@pytest.mark.parametrize("run", [None, "run"])
def test_ctrl_c_leaves_model_and_process_as_they_were(unchecked, tmp_path, run):
    model = scene()
    before, process = everything(model), of_the_process()

    def press(progress: sl.Progress) -> None:
        assert not model.training
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sl.measure(
            model,
            DATA,
            "gaussian",
            run=None if run is None else tmp_path / run,
            on_progress=press,
            **BRIEF,
        )
    assert_same(before, everything(model))
    assert_same(process, of_the_process())


def test_a_refusal_leaves_model_and_process_as_they_were(unchecked):
    model = scene()
    before, process = everything(model), of_the_process()
    with pytest.raises(ValueError, match="the loss returned a scalar"):
        sl.measure(model, DATA, F.mse_loss)
    assert_same(before, everything(model))
    assert_same(process, of_the_process())


def test_parts_of_the_package_leave_the_generators_alone_too(unchecked):
    model = filled(Counting())
    process = of_the_process()
    potential = sl.LocalPotential.of(model, DataLoader(Pairs(DATA), shuffle=True), "gaussian")
    sl.calibrate(potential)
    sl.sample(potential, "sgld", step_size=1e-4, num_draws=3)
    assert_same(process, of_the_process())


def test_gradients_may_be_switched_off_around_a_measurement(unchecked):
    with torch.no_grad():
        m = sl.measure(MODEL, DATA, "gaussian", labels="model", **BRIEF)
    assert m.trace is not None
    assert m.trace.dead_chains == ()


def test_numbers_of_numpy_are_numbers(unchecked, tmp_path):
    knobs = {
        "max_gradients": np.float32(150),
        "num_chains": np.int64(2),
        "batch_size": np.int32(8),
        "nbeta": np.float32(8.5),
        "seed": np.int64(3),
    }
    data = sl.Data(Stream(), n=np.int64(24))
    m = sl.measure(MODEL, data, "gaussian", labels="model", run=tmp_path, **knobs)
    assert sl.Measurement.load(tmp_path).to_dict() == m.to_dict()


def test_progress_tells_phase_cost_and_value(unchecked):
    seen: list[sl.Progress] = []
    sl.measure(
        MODEL, (normal(200, 3), normal(200, 2)), "gaussian", on_progress=seen.append, **BRIEF
    )
    assert seen
    assert seen[0].phase == "warm-up"
    for progress in seen:
        assert 0 <= progress.done <= 1.1 * 150
        assert progress.total <= 150
        assert progress.rate >= 0
        assert progress.eta_seconds >= 0
