"""Imports go one way, and optional packages stay optional."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "singulab"

# A name may import from its own row and from the rows above it.
LAYERS = (
    {
        "ahead",
        "errors",
        "environment",
        "evidence",
        "files",
        "fingerprint",
        "fits",
        "params",
        "rng",
        "data",
        "losses",
        "checkpoint",
    },
    {"exact"},
    {"bayes", "discrete", "dynamics"},
    {"landscape"},
    {"potential"},
    {"settings", "trace"},
    {"sample"},
    {"estimate"},
    {"checks", "measurement", "measure", "scale_curve", "polish"},
    {"zoo"},
    {"development"},
    {"report"},
    {"cli"},
    {"__main__"},
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
USERS_OF_ZOO = {"zoo", "cli"}
# Packages that stand beside the stream, usable alone: what each may import of ours, but itself.
BESIDE = {
    "exact": {"errors"},
    "bayes": {"errors", "exact", "fits", "rng"},
    "discrete": {"errors", "evidence", "rng"},
    "dynamics": {"errors", "evidence", "rng"},
}
USERS_OF_BESIDE = {"zoo", "report", "cli"}
FORBIDDEN = {"exact": {"numpy", "scipy", "torch"}}  # algebra has no floats
# What an extra brings is imported in the function that needs it, so that the core works without it.
# The modules of cli are themselves imported that way.
OPTIONAL = {
    "datasets",
    "flint",
    "jinja2",
    "matplotlib",
    "rich",
    "sklearn",
    "transformers",
    "tyro",
    "z3",
}
OPTIONAL_OF_CLI = {"rich", "tyro"}


def imports(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Absolute names of all imported modules, each with the names of the functions around it."""

    def visit(node: ast.AST, inside: list[str]) -> Iterator[tuple[str, list[str]]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written in full"
            yield from ((f"{node.module}.{alias.name}", inside) for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = [*inside, node.name]
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(tree, [])


def violations(subject: str, code: str) -> list[str]:
    """What a module of the given top-level name must not import, but does.

    One exception: a method called ``figure`` hands its object on to ``report`` when it is called.
    """
    found = []
    for name, inside in imports(ast.parse(code)):
        parts = name.split(".")
        allowed = OPTIONAL_OF_CLI if subject == "cli" else set()
        if parts[0] in OPTIONAL - allowed and not inside:
            found.append(f"{subject} imports the optional {parts[0]} at module level")
        if parts[0] in FORBIDDEN.get(subject, ()):
            found.append(f"{subject} imports {parts[0]}")
        if parts[0] != "singulab":
            continue
        if len(parts) == 1:
            if subject != "cli":
                found.append(f"{subject} imports the front door: name the module itself")
            continue
        target = parts[1]
        if target not in RANK:
            found.append(f"{subject} imports {name}, which is no layer: name the module itself")
        elif target == "report" and inside[-1:] == ["figure"]:
            continue
        elif subject in BESIDE and target not in BESIDE[subject] | {subject}:
            found.append(f"{subject} imports {name}, and stands beside the stream")
        elif target in BESIDE and subject not in {target, *BESIDE, *USERS_OF_BESIDE}:
            found.append(f"{subject} imports {name}, which stands beside the stream")
        elif RANK[target] > RANK[subject] or (target == "zoo" and subject not in USERS_OF_ZOO):
            found.append(f"{subject} imports {name}, which lies above it")
    return found


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path):
    subject = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert subject in RANK, f"give {subject} its place in LAYERS"
    assert violations(subject, path.read_text()) == []


@pytest.mark.parametrize(
    "subject, code",
    [
        ("rng", "from singulab.potential import LocalPotential"),
        ("potential", "import singulab.trace"),
        ("sample", "from singulab.estimate.llc import llc"),
        ("sample", "from singulab import estimate"),
        ("sample", "def late():\n    from singulab.measure import measure"),
        ("estimate", "from singulab.report.series import llc_curve"),
        ("measure", "def show():\n    from singulab.report import figure"),
        ("zoo", "from singulab.development.curve import Curve"),
        ("development", "from singulab.zoo.digits import digits"),
        ("report", "from singulab.cli.main import main"),
        ("discrete", "from singulab.files import write_atomic"),
        ("discrete", "from singulab.potential import LocalPotential"),
        ("estimate", "from singulab.discrete.fibres import fibres"),
        ("discrete", "from singulab.dynamics.mean import Mean"),
        ("exact", "from singulab.files import finite"),
        ("exact", "def late():\n    import numpy as np"),
        ("measure", "from singulab import measure_everything"),
        ("measure", "import singulab as sl"),
        ("report", "import matplotlib.pyplot as plt"),
        ("dynamics", "from singulab.landscape.model import ModelLandscape"),
        ("dynamics", "from singulab.data import Data"),
        ("dynamics", "from singulab.report.figure import lines"),
    ],
)
def test_a_broken_arrow_is_found(subject, code):
    assert violations(subject, code)


@pytest.mark.parametrize(
    "subject, code",
    [
        ("potential", "from singulab import rng\nimport torch"),
        ("measurement", "def figure(self):\n    from singulab.report import figure"),
        ("report", "def page():\n    import jinja2"),
        ("cli", "from singulab.zoo.digits import digits"),
        ("cli", "import singulab as sl"),
        ("dynamics", "from singulab.rng import generator"),
        ("report", "from singulab.dynamics.stationary import StationaryScan"),
        ("discrete", "from singulab.rng import generator"),
        ("discrete", "from singulab.discrete.fibres import fibres"),
        ("report", "from singulab.discrete.fibres import Fibres"),
        ("bayes", "from singulab.exact.result import RLCT"),
        ("zoo", "from singulab.exact import formulas"),
    ],
)
def test_an_arrow_along_the_order_is_allowed(subject, code):
    assert violations(subject, code) == []
