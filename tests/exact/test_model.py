from fractions import Fraction

import pytest

from singulab.exact import check, from_model

TWO = "a*tanh(b*x) + c*tanh(d*x)"


def replayed(found):
    low, high = check(found.certificate)
    assert low == high == found.upper
    return str(found.value), found.multiplicity


@pytest.mark.parametrize(
    "f, truth, at, value, multiplicity",
    [
        ("a*b*x", "0", {}, "1/2", 2),
        ("a*tanh(b*x)", "0", {}, "1/2", 2),
        (TWO, "0", {}, "2/3", 1),
        (TWO.replace("tanh", "sin"), "0", {}, "2/3", 1),
        (TWO.replace("tanh", "atan"), "0", {}, "2/3", 1),
        (TWO, "tanh(x)", {"a": "1/2", "b": 1, "c": "1/2", "d": 1}, "5/4", 1),
        (TWO, "tanh(x)", {"a": 1, "b": 1}, "3/2", 2),
        (TWO, "tanh(x)", {"a": 1, "b": 1, "d": 2}, "3/2", 1),
        (TWO, "-tanh(x)", {"a": 1, "b": -1}, "3/2", 2),
        ("a*b*x + c*d*x", "x", {"a": 1, "b": 1}, "1/2", 1),
        ("a*(b*x + c*x^2)", "0", {}, "1/2", 1),
        ("a*b*x + c*d*x^2", "0", {}, "1", 3),
        ("a*tanh(b*x) + c*x", "x", {"c": 1}, "2/3", 1),  # a·b + c − 1 and a·b³
    ],
)
def test_a_regression_with_one_input(f, truth, at, value, multiplicity):
    parameters = [p for p in "abcd" if f"{p}*" in f or f"({p}" in f or f"*{p}" in f]
    assert replayed(from_model(f, parameters, ["x"], truth, at=at)) == (value, multiplicity)


@pytest.mark.slow
def test_three_units_are_proved():
    f = "a*tanh(b*x) + c*tanh(d*x) + e*tanh(f*x)"
    assert replayed(from_model(f, list("abcdef"), ["x"], "0", time_limit=60)) == ("5/6", 1)


def test_two_inputs_and_outputs_are_a_matrix_product():
    f = ["a*(p*x + q*y) + b*(r*x + s*y)", "c*(p*x + q*y) + d*(r*x + s*y)"]
    found = from_model(f, list("abcdpqrs"), ["x", "y"], ["0", "0"])
    assert replayed(found) == ("3/2", 1)


def test_a_unit_of_two_inputs():
    # a·tanh(b·x + c·y) = 0: K ~ a²(b² + c²), volume of a product of 1 and 2 variables
    assert replayed(from_model("a*tanh(b*x + c*y)", list("abc"), ["x", "y"], 0)) == ("1/2", 1)


@pytest.mark.parametrize(
    "f, inputs, truth, at, value, multiplicity",
    [
        ("a*tanh(b*x + c)", "x", "0", {}, "1/2", 1),  # a·c and a·b
        ("a*tanh(b*x + c) + d", "x", "0", {}, "1", 2),  # d and a·b
        ("a*tanh(b*x + c*y + d) + e", "xy", "0", {}, "1", 1),  # e, a·b and a·c
        ("a*tanh(b*x + c) + d*tanh(e*x + f) + g", "x", "0", {}, "5/4", 1),
        ("a*tanh(b*x + c) + d", "x", "tanh(x)", {"a": 1, "b": 1}, "2", 1),  # regular
    ],
)
def test_units_with_biases(f, inputs, truth, at, value, multiplicity):
    parameters = [n for n in "abcdefg" if n in f.replace("tanh", "")]
    assert replayed(from_model(f, parameters, inputs, truth, at=at)) == (value, multiplicity)


def test_a_mixture_of_two_coins():
    # weights w and 1 − w of coins p and q tossed twice, truth: one coin of ½ at p = q = ½, w = ½
    heads = "(w*p^2 + (1-w)*q^2)"
    mixed = "(2*w*p*(1-p) + 2*(1-w)*q*(1-q))"
    tails = "(w*(1-p)^2 + (1-w)*(1-q)^2)"
    truth = [Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)]
    found = from_model(
        [heads, mixed, tails], list("pqw"), [], truth, at={"p": "1/2", "q": "1/2", "w": "1/2"}
    )
    # mean and variance: w·s + (1−w)·t = 0 and w·s² + (1−w)·t² = 0, so ½ + ¼
    assert replayed(found) == ("3/4", 1)


@pytest.mark.parametrize(
    "ask, told",
    [
        (lambda: from_model("a*x", ["a"], ["x"], "x"), "not 0 at a = 0"),
        (lambda: from_model("a*relu(x)", ["a"], ["x"], "0"), "activations are tanh"),
        (lambda: from_model("tanh(a*x + b^2)", ["a", "b"], ["x"], "0"), "must be one parameter"),
        (lambda: from_model("tanh(a*x)", ["a"], ["x"], "tanh(x + 1)"), "in a truth there is none"),
        (lambda: from_model("b*tanh(a*x + b)", ["a", "b"], ["x"], "0"), "occurs elsewhere too"),
        (lambda: from_model("tanh(a*x+b)", ["a", "b"], ["x"], "0", at={"b": 1}), "must be 0 there"),
        (lambda: from_model("sin(a*x + b)", ["a", "b"], ["x"], "0"), "A bias inside sin"),
        (
            lambda: from_model("tanh(a*x+b) + c*x", ["a", "b", "c"], ["x"], "0"),
            "not contain inputs",
        ),
        (lambda: from_model("tanh(a*x^2)", ["a"], ["x"], "0"), "linear in the inputs"),
        (
            lambda: from_model(
                "+".join(f"a{i}*tanh(b{i}*x + c{i})" for i in range(4)),
                [f"{n}{i}" for n in "abc" for i in range(4)],
                ["x"],
                "0",
            ),
            "known up to 3",
        ),
        (lambda: from_model("tanh(x)*tanh(a*x)", ["a"], ["x"], "0"), "no sum"),
        (lambda: from_model("tanh(a*x) + sin(a*x)", ["a"], ["x"], "0"), "one activation"),
        (lambda: from_model("a*x", ["a", "x"], ["x"], "0"), "share a name"),
        (lambda: from_model("a*x", ["a", "a"], ["x"], "0"), "parameters .* repeated: a"),
        (lambda: from_model("a*x", ["a"], ["x", "x"], "0"), "inputs .* repeated: x"),
        (lambda: from_model("pi*a*x", ["a", "pi"], ["x"], "0"), "pi is no rational"),
        (lambda: from_model("((a + 1)^60)^60*x", ["a"], ["x"], "x"), "degree"),
        (lambda: from_model("a*x", ["a"], ["x"], "b"), "inputs only"),
        (lambda: from_model(["a*x"], ["a"], ["x"], ["0", "0"]), "1 outputs and the truth 2"),
        (lambda: from_model("c*x", ["a"], ["x"], "0"), "'c' is unknown"),
        (lambda: from_model("a*x", ["a"], ["x"], "0", at={"a": 0.5}), "exact"),
    ],
)
def test_models_that_are_none_are_told(ask, told, unchecked):
    with pytest.raises(ValueError, match=told):
        ask()


@pytest.mark.parametrize(
    "ask, told",
    [
        (lambda: from_model("a*x", ["a"], ["x"], None), "truth must be a text.*got None"),
        (lambda: from_model(None, ["a"], ["x"], "0"), "f must be a text.*got None"),
        (lambda: from_model("a*x", None, ["x"], "0"), "parameters must be a list of names.*None"),
        (lambda: from_model("a*x", ["a"], [1], "0"), "inputs must be a list of names"),
        (lambda: from_model("a*x", ["a"], ["x"], "0", at=[1]), "at must be a mapping"),
        (lambda: from_model("a*x", ["a"], ["x"], "0", domain="a>=0"), "domain must be a mapping"),
    ],
)
def test_arguments_of_another_kind_are_told(ask, told, unchecked):
    with pytest.raises(TypeError, match=told):
        ask()


def test_a_model_of_sympy_is_read():
    import sympy

    a, b, x = sympy.symbols("a b x")
    assert replayed(from_model(a * sympy.tanh(b * x), [a, b], [x], 0)) == ("1/2", 2)
