"""The checker stands apart from the search, and each of its modules can be read alone."""

import ast
from pathlib import Path

import pytest

import singulab.exact.checker as package

MODULES = sorted(Path(package.__file__).parent.glob("*.py"))
SHARED = {"singulab.exact.polynomial", "singulab.exact.result"}  # arithmetic, and the pair (λ, m)
LONGEST = 200


def imported(path):
    """Modules that are imported anywhere in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = node.module == "singulab.exact"
            yield f"{node.module}.{node.names[0].name}" if package else node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_nothing_of_the_search_is_imported(path):
    ours = {name for name in imported(path) if name.startswith("singulab")}
    assert not {m for m in ours if not m.startswith("singulab.exact.checker")} - SHARED


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_a_module_can_be_read_alone(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_arithmetic_shares_nothing_but_the_clock():
    polynomial = Path(package.__file__).parents[1] / "polynomial.py"
    ours = {name for name in imported(polynomial) if name.startswith("singulab")}
    assert ours == {"singulab.exact.deadline"}
