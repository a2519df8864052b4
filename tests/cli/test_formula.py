import json

import pytest

from singulab.cli.formula import names
from singulab.cli.main import main
from singulab.exact import formulas


@pytest.mark.parametrize(
    "flags, value, multiplicity",
    [
        (["deep-linear", "5", "3", "5", "--rank", "0"], "13/2", 2),
        (["deep_linear", "4", "4", "4", "4", "4", "4"], "5", 5),
        (["reduced-rank", "6", "3", "6", "2"], "12", 2),
        (["tanh-network", "4"], "1", 2),
        (["vandermonde", "2", "--num-outputs", "2", "--period", "2"], "1", 2),
        (["polynomial-network", "2", "3"], "3/28", 1),
        (["monomial", "2", "2", "--prior", "1", "0"], "1/2", 1),
        (["gaussian-mixture", "3"], "1", 1),
        (["naive-bayes", "2"], "3/2", 3),
        (["naive-bayes", "3", "--truth", "pair"], "5/2", 1),
        (["quadratic-power", "3", "2", "--definite"], "3/4", 1),
        (["sbic-mixture", "3", "3", "--dim", "2"], "4", 1),
        (
            ["sbic-latent-forest", "h-a", "h-b", "h-c", "--leaves", "a", "b", "c", "--true"],
            "9/4",
            1,
        ),
    ],
)
def test_a_formula_answers_on_the_command_line(capsys, flags, value, multiplicity):
    assert main(["formula", *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rlct"], told["multiplicity"]) == (value, multiplicity)
    assert told["status"] == "proved"
    assert told["how"]


def test_bounds_are_told_as_bounds(capsys):
    flags = ["nonnegative-matrix-factorization", "2", "2", "2", "0"]
    assert main(["formula", *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rlct"] is None
    assert (told["lower"]["rlct"], told["upper"]["rlct"]) == ("3/2", "2")
    assert main(["formula", *flags]) == 0
    assert "λ at most" in capsys.readouterr().out


def test_every_formula_of_numbers_is_a_command_with_help(capsys):
    assert set(formulas.__all__) - set(names()) == {"sum_rule", "product_rule"}
    for name in names():
        assert main(["formula", name, "--help"]) == 0
    assert main(["formula", "--help"]) == 0
    out = capsys.readouterr().out
    assert "deep-linear" in out


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ([], "formula needs a name; the formulas are deep-linear"),
        (["nothing"], "There is no formula 'nothing'; the formulas are"),
        (["deep-linear", "5"], "two or more positive numbers"),
        (["reduced-rank", "2", "2", "2", "5"], "rank must lie between"),
        (["tanh-network", "x"], "x"),
        (["sbic-latent-forest", "ab", "--true", "--leaves", "a"], "An edge is two nodes"),
    ],
)
def test_bad_input_is_one_sentence(capsys, flags, sentence):
    assert main(["formula", *flags, "--json"]) == 2
    assert sentence in json.loads(capsys.readouterr().out)["error"]
