import sys

import pytest
import torch
from torch import nn

from singulab.cli import inputs

MODULE = """
import torch
from torch import nn

def factory():
    return nn.Linear(2, 1)

def data():
    return torch.ones(4, 2), torch.ones(4, 1)

def nothing():
    pass

def broken():
    return 1 / 0

class Zoo:
    loss = staticmethod(lambda output, target: (output - target).square().sum(1))

number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory holds modules of the caller's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in ("mine_of_cli_tests", "faulty_of_cli_tests", "needy_of_cli_tests"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "mine_of_cli_tests.py").write_text(MODULE)
    (tmp_path / "faulty_of_cli_tests.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "needy_of_cli_tests.py").write_text("import no_such_package_at_all\n")
    return tmp_path


def test_model_data_and_loss_are_found_in_the_current_directory(here):
    torch.save({"weight": torch.full((1, 2), 7.0), "bias": torch.zeros(1)}, here / "w.pt")
    model = inputs.load_model("mine_of_cli_tests:factory", here / "w.pt")
    assert isinstance(model, nn.Linear)
    assert model.weight.tolist() == [[7.0, 7.0]]
    assert inputs.load_data("mine_of_cli_tests:data")[0].shape == (4, 2)
    loss = inputs.load_loss("mine_of_cli_tests:Zoo.loss")
    assert loss(torch.ones(1, 2), torch.zeros(1, 2)).tolist() == [2.0]
    assert inputs.load_loss("next_token") == "next_token"


@pytest.mark.parametrize(
    "address, sentence",
    [
        ("mine_of_cli_tests", "--model must be written package.module:name, got"),
        ("mine_of_cli_tests:", "--model must be written package.module:name, got"),
        ("absent_of_cli_tests:f", "--model: there is no module 'absent_of_cli_tests'"),
        ("mine_of_cli_tests:absent", "--model: mine_of_cli_tests has no attribute 'absent'"),
        ("mine_of_cli_tests:number", "must be a function, got an object of type int"),
        ("mine_of_cli_tests:nothing", "must return a torch.nn.Module, got an object of type None"),
        ("mine_of_cli_tests:broken", r"broken\(\) failed: ZeroDivisionError: .*line 15\)"),
        ("faulty_of_cli_tests:f", r"SyntaxError: .*\(faulty_of_cli_tests.py, line 2\)"),
        ("needy_of_cli_tests:f", "No module named 'no_such_package_at_all'"),
    ],
)
def test_a_wrong_model_is_one_sentence(here, address, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        inputs.load_model(address)


def test_a_data_function_that_returns_nothing_says_so(here):
    with pytest.raises(TypeError, match=r"mine_of_cli_tests:nothing\(\) returned None"):
        inputs.load_data("mine_of_cli_tests:nothing")


def test_an_unknown_loss_lists_the_known_ones(here):
    with pytest.raises(ValueError, match="cross_entropy, gaussian, next_token or package"):
        inputs.load_loss("hinge")
