"""The reference says what the docstrings say, and names every public name."""

import importlib.util
from pathlib import Path

import pytest

import singulab

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(reference):
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `make docs`"


@pytest.mark.parametrize("name", singulab.__all__)
def test_a_public_name_is_in_the_reference_and_has_a_docstring(name, reference):
    assert f"\n## `sl.{name}`\n" in reference.PAGE.read_text(encoding="utf-8")
    assert getattr(singulab, name).__doc__


def test_a_docstring_becomes_markdown(reference):
    text = """Do it.

    x = ½ y

    Args:
        first: what
            it is.
        second, third: ``code`` of :func:`other`.

    Returns:
        A number,
        always.

    Source: A paper, arXiv:1.

    Example:
        >>> f(1)
        2
    """
    assert reference.prose(text) == (
        "Do it.\n\nx = ½ y\n\n"
        "**Args**\n\n- `first`: what it is.\n- `second, third`: `code` of `other`.\n\n"
        "**Returns** A number, always.\n\n"
        "**Source** A paper, arXiv:1.\n\n"
        "**Example**\n\n```python\n>>> f(1)\n2\n```"
    )


def test_the_page_of_trust_says_what_the_records_say():
    spec = importlib.util.spec_from_file_location("make_trust", DOCS / "make_trust.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run `make docs`"
    assert module.FIGURE.exists()


def test_the_tables_of_dynamics_say_what_the_record_says():
    spec = importlib.util.spec_from_file_location("make_dynamics", DOCS / "make_dynamics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run `make docs`"
    assert module.number(0.28267, 0.0002) == "0.28267 ± 0.00020"
    assert module.number(0.5, 0.0) == "0.5"


@pytest.mark.parametrize("name", ["discrete", "evidence"])
def test_the_tables_of_finite_machines_and_of_claims_say_what_the_records_say(name):
    spec = importlib.util.spec_from_file_location(f"make_{name}", DOCS / f"make_{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.PAGE.read_text(encoding="utf-8")
    assert text == module.page(), "run `make docs`"
    assert "There is no record" not in text


def test_the_page_of_exact_coefficients_says_what_the_record_says():
    spec = importlib.util.spec_from_file_location("make_exact", DOCS / "make_exact.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run `make docs`"
