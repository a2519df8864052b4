import json
import re
import time
from fractions import Fraction

import pytest

from known_rlct import AT_POINTS, BOUNDED, CORNERS, LOSSES, MODELS, TRAPS
from singulab.exact import Bound, check, rlct, rlct_of_ideal


def replayed(found):
    """The certificate proves the value, also after a way through a file."""
    low, high = check(json.loads(json.dumps(found.to_dict()["certificate"])))
    assert low == high == found.upper
    return str(found.value), found.multiplicity


@pytest.mark.parametrize("loss, value, multiplicity", [*LOSSES, *TRAPS])
def test_a_known_loss_is_proved(loss, value, multiplicity):
    found = rlct(loss, time_limit=60)
    assert found.status == "proved", found
    assert replayed(found) == (value, multiplicity)


@pytest.mark.parametrize("generators, value, multiplicity", MODELS)
def test_a_known_ideal_is_proved(generators, value, multiplicity):
    found = rlct_of_ideal(generators.split(","), time_limit=60)
    assert found.status == "proved", found
    assert replayed(found) == (value, multiplicity)


@pytest.mark.parametrize(
    "generators, at, value, multiplicity",
    [row[1:] for row in AT_POINTS],
    ids=[r[0] for r in AT_POINTS],
)
def test_a_known_model_at_a_point_is_proved(generators, at, value, multiplicity):
    found = rlct_of_ideal(generators, at, time_limit=60)
    assert found.status == "proved", found
    assert replayed(found) == (value, multiplicity)


@pytest.mark.parametrize("name, generators, value, multiplicity", CORNERS)
def test_a_known_model_at_a_corner_is_proved(name, generators, value, multiplicity):
    variables = {word for g in generators for word in re.findall("[a-z][0-9]*", g)}
    found = rlct_of_ideal(generators, domain=dict.fromkeys(variables, (0, None)), time_limit=60)
    assert replayed(found) == (value, multiplicity)


@pytest.mark.parametrize("name, expression, value, multiplicity", BOUNDED)
def test_what_is_not_proved_lies_between_bounds(name, expression, value, multiplicity):
    ask = rlct if isinstance(expression, str) else rlct_of_ideal
    found = ask(expression, time_limit=2)
    truth = Bound(Fraction(value), multiplicity)
    assert found.lower <= truth <= found.upper
    low, high = check(found.certificate)
    assert low <= truth <= high


@pytest.mark.parametrize("n", range(1, 8))
def test_a_regular_model_has_half_its_dimension(n):
    assert rlct(" + ".join(f"x{i}^2" for i in range(n))).value == Fraction(n, 2)


def test_an_ideal_is_not_its_principal_ideal():
    assert rlct_of_ideal(["x"]).value == Fraction(1, 2) == rlct("x^2").value
    assert rlct_of_ideal(["x^2"]).value == Fraction(1, 4) == rlct("x^4").value


def test_restriction_to_a_subspace_can_raise_the_value():
    assert rlct("(x^2 + y^2 + z^2 - w^3)^2").value == Fraction(1, 2)
    assert rlct("(x^2 + y^2 + z^2)^2").value == Fraction(3, 4)


@pytest.mark.parametrize(
    "loss, sides, value, multiplicity",
    [
        ("(x + y)^2", "xy", "1", 1),
        ("(x - y)^2", "xy", "1/2", 1),
        ("(x^2 + y)^2", "y", "3/4", 1),
        ("(a*b + c*d)^2", "abcd", "1", 3),
        ("x^4 + y^2", "x", "3/4", 1),
    ],
)
def test_on_a_boundary_fewer_points_count(loss, sides, value, multiplicity):
    found = rlct(loss, domain=dict.fromkeys(sides, (0, None)))
    assert replayed(found) == (value, multiplicity)
    mirrored = rlct(loss.replace("x", "(0-x)"), domain={"x": (-3, 0)}) if sides == "x" else found
    assert mirrored.value == found.value


def test_at_a_boundary_the_value_may_exceed_half_the_dimension():
    # K = x + y² on x ≥ 0: volume ε^{3/2}. As a generator √K is no polynomial, so K is asked for itself.
    found = rlct("x + y^2", domain={"x": (0, None)})
    assert replayed(found) == ("3/2", 1)


@pytest.mark.parametrize(
    "loss, prior, value, multiplicity",
    [("x^2*y^2", "x^2", "1/2", 1), ("x^2 + y^2", "x*y", "2", 1), ("x^4", "x^3", "1", 1)],
)
def test_a_prior_that_vanishes_counts(loss, prior, value, multiplicity):
    assert replayed(rlct(loss, prior=prior)) == (value, multiplicity)


@pytest.mark.parametrize(
    "loss, at, value, multiplicity",
    [
        ("(x*y)^2", {"x": 1}, "1/2", 1),
        ("(x*y - 1)^2", {"x": 1, "y": 1}, "1/2", 1),
        ("(y^2 - x^3)^2", {"x": 1, "y": -1}, "1/2", 1),
        ("((x - 1/2)*y)^2", {"x": "1/2"}, "1/2", 2),
        ("x^2*(x - 1)^4", {"x": Fraction(1)}, "1/4", 1),
    ],
)
def test_a_point_other_than_the_origin(loss, at, value, multiplicity):
    assert replayed(rlct(loss, at)) == (value, multiplicity)


@pytest.mark.parametrize(
    "ask, told",
    [
        (lambda: rlct("x*0.5"), "float.*1/2"),
        (lambda: rlct("tanh(x)"), "no polynomial.*from_model"),
        (lambda: rlct("x**y"), "whole number"),
        (lambda: rlct("1/x"), "division by a number"),
        (lambda: rlct("x +"), "cannot be read"),
        (lambda: rlct("x^2", {"q": 1}), "'q' is unknown; the variables are x"),
        (lambda: rlct("x^2", {"x": 0.5}), "exact"),
        (lambda: rlct("x^2 + 1"), "not 0"),
        (lambda: rlct("x^2", {"x": 1}), "not 0 at x = 1|K is not 0"),
        (lambda: rlct("x^2 - x^2"), "zero everywhere"),
        (lambda: rlct("x^2 - y^2"), "negative"),
        (lambda: rlct("x"), "negative"),
        (lambda: rlct("(y - x^2)^2 - x^5"), "negative"),
        (lambda: rlct("-x^2"), "negative"),
        (lambda: rlct("x^2", prior="x + 1"), "monomial"),
        (lambda: rlct("x^2", domain={"x": (1, 0)}), "empty"),
        (lambda: rlct("x^2", domain={"x": (1, 2)}), "outside the domain"),
        (lambda: rlct("x^2", domain={"x": 3}), "pair"),
        (lambda: rlct("x^2", time_limit=0), "positive number of seconds"),
        (lambda: rlct(3.5), "text"),
        (lambda: rlct_of_ideal("x, y"), "list of generators"),
        (lambda: rlct_of_ideal([]), "at least one"),
        (lambda: rlct("+".join(f"x{i}^2" for i in range(200))), "200 variables"),
        (lambda: rlct("(a+b+c+d+e+f)^60"), "too many terms"),
        (lambda: rlct("x^1000"), "0 to 60"),
        (lambda: rlct("((x+1)^60)^60*x^2 + y^2"), "highest total degree is 600"),
        (lambda: rlct("x^2 + (((9^60)^60)^60)^60"), "digits"),
        (lambda: rlct("+".join(["x"] * 2_000)), "nested too deeply"),
        (lambda: rlct("x^2*(y^2 + 1)^60", time_limit=1e-9), "time_limit"),
        (lambda: rlct("pi^2*x^2"), "pi is no rational"),
        (lambda: rlct("π*x^2"), "pi is no rational"),
        (lambda: rlct("x^2", prior="pi*x"), "pi is no rational"),
        (lambda: rlct("x^2", domain={"x": "01"}), "pair"),
        (lambda: rlct("__import__('os').getcwd()"), "no polynomial"),
    ],
)
def test_bad_input_is_told_in_a_sentence(ask, told, unchecked):
    with pytest.raises(ValueError, match=told):
        ask()


def test_sympy_expressions_are_read():
    import sympy

    x, y = sympy.symbols("x y")
    assert rlct((x**2 - y**3) ** 2).value == Fraction(5, 12)
    assert rlct_of_ideal([x * y, x**2]).value == rlct_of_ideal(["x*y", "x^2"]).value
    with pytest.raises(ValueError, match="float"):
        rlct(0.3 * x**2)
    assert rlct(x**2 * y**2, {x: 0, y: 1}).multiplicity == 1


@pytest.mark.parametrize("name", ["pi", "E", "GoldenRatio", "EulerGamma", "I", "oo", "zoo", "nan"])
def test_constants_of_sympy_are_no_variables(name):
    import sympy

    loss = sympy.Mul(getattr(sympy, name), sympy.Symbol("x") ** 2, evaluate=False)
    with pytest.raises(ValueError, match=f"{name} is no rational number"):
        rlct(loss)


@pytest.mark.parametrize(
    "ask, told",
    [
        (lambda: rlct("x^2", at="x=1"), r"at must be a mapping such as \{'x': 1\}, got 'x=1'"),
        (lambda: rlct("x^2", at=[1]), "at must be a mapping"),
        (lambda: rlct("x^2", domain="x>=0"), "domain must be a mapping"),
        (lambda: rlct_of_ideal(["x"], at="x=1"), "at must be a mapping"),
    ],
)
def test_arguments_of_another_kind_are_told(ask, told, unchecked):
    with pytest.raises(TypeError, match=told):
        ask()


@pytest.mark.parametrize(
    "loss",
    ["((x+1)^60)^60*x^2+y^2", "(((x+1)^60)^60)^4*x^2", "(a+b+c+d)^50*(a+b+c-d)^50*x^2"],
)
def test_reading_ends_with_the_time_too(loss):
    start = time.monotonic()
    with pytest.raises(ValueError, match="degree|time_limit|too many terms"):
        rlct(loss, time_limit=0.5)
    assert time.monotonic() - start < 1.5


HARD = (
    "a*b*c + d*e*f - a*d^2*c + b^3*e, a^2*f - b*d*e + c^3*a + f^3, c*d*f + a^2*b*e - e^3*c + d*b^2"
)


def test_a_time_limit_holds_and_gives_bounds():
    start = time.monotonic()
    found = rlct_of_ideal(HARD.split(","), time_limit=0.5)
    assert time.monotonic() - start < 1.5
    assert found.status == "bounds"
    assert found.value is None
    assert found.reasons
    assert found.lower.rlct >= Fraction(1, 6)
    assert found.upper.rlct <= 3


def test_bounds_have_a_certificate_too():
    found = rlct_of_ideal(
        ["x*y^2 + z^3*y - x^2", "y^3*z - x*z^2 + y*x", "z^4 + x^3*y"], time_limit=0.05
    )
    low, high = check(found.certificate)
    assert low <= found.upper
    assert high >= found.lower
