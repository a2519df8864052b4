"""Before anything of ours is imported: shapes and types are checked, nothing is downloaded.

All but the algebra: a proof makes millions of calls of small functions on plain Python types, which mypy looks at.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import jaxtyping

import singulab.exact  # noqa: F401 - what is imported before the hook is not wrapped

jaxtyping.install_import_hook("singulab", "typecheck.typecheck")

import torch

torch.set_num_threads(1)  # small tensors: a second thread only waits, and spins beside other work

import pytest


@pytest.fixture
def unchecked():
    """As for a user: our own sentences answer a wrong argument, not the type checker of the test run."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
