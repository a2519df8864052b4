"""The independent sampler of ``benchmarks/scale.py``: its gradient, and its law where that is known."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch

from singulab.zoo.deep_linear import product


@pytest.fixture(scope="module")
def scale():
    path = Path(__file__).parents[1] / "benchmarks" / "scale.py"
    spec = importlib.util.spec_from_file_location("benchmarks.scale", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_its_gradient_is_that_of_its_loss_which_is_that_of_the_data(scale):
    network = scale.case(width=6, num_data=50, batch_size=10, seed=0)
    center, moments = network.moments()
    moved = [(w + 0.1 * torch.randn_like(w)).requires_grad_() for w in center]
    inputs, targets = network.data()
    outputs = inputs.double() @ product(moved).T
    wanted = 0.5 * (outputs - inputs.double() @ product(center).T).square().sum(1).mean()
    loss, gradients = scale.slope([w.detach() for w in moved], product(center), moments.inputs)
    assert loss == pytest.approx(float(wanted.detach()), rel=1e-9)
    for got, truth in zip(gradients, torch.autograd.grad(wanted, moved), strict=True):
        torch.testing.assert_close(got, truth)
    torch.testing.assert_close(
        targets.double(), inputs.double() @ product(center).T, atol=1e-5, rtol=0
    )


def test_it_gives_a_tight_tether_its_closed_form(scale):
    """At large γ the loss is quadratic around w*: λ̂ = ½ Σ nβh/(nβh + γ); false alarms 6 in 10⁵ runs."""
    nbeta, localization = 100.0, 1e4
    shape = {"width": 8, "num_data": 200, "batch_size": 20}
    found = scale.independent(nbeta, localization, 1500, seed=1, **shape)
    center, moments = scale.case(seed=1, **shape).moments()
    flat = torch.cat([w.flatten() for w in center])

    def loss(position):
        parts = [p.view(8, 8) for p in position.split(64)]
        difference = product(parts) - product(center)
        return 0.5 * (difference * (difference @ moments.inputs)).sum()

    curvature = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))
    held = nbeta * curvature.clamp(min=0)
    wanted = 0.5 * float((held / (held + localization)).sum())
    assert found["se"] < 0.02 * wanted
    assert math.isclose(found["llc"], wanted, abs_tol=4 * found["se"] + 0.005 * wanted)
    assert all(abs(virial - 1) < 0.05 for virial in found["virial"])
