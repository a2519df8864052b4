"""Preconditioners against dense matrices and exact curvature."""

import pytest
import torch

import singulab as sl
from singulab.rng import Purpose
from singulab.sample import curvature
from singulab.sample.precondition import Diagonal, Eigenbasis, Identity, blocks, restore

SHAPES = [torch.Size((3, 4)), torch.Size((3,)), torch.Size((2, 3)), torch.Size((2, 3))]
DIM = 12 + 3 + 6 + 6


def samples(count: int = 200) -> torch.Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def image(s: Identity | Diagonal | Eigenbasis, z: torch.Tensor) -> torch.Tensor:
    return s.move(torch.zeros_like(z), z)


def dense(s: Identity | Diagonal | Eigenbasis) -> torch.Tensor:
    return image(s, torch.eye(DIM, dtype=torch.float64)).T


def preconditioners() -> list[Identity | Diagonal | Eigenbasis]:
    knobs = {"nbeta": 30.0, "localization": 2.0}
    return [
        Identity(),
        Diagonal.of_curvature(samples().square().mean(0), **knobs),
        Eigenbasis.of_samples(samples(), SHAPES, **knobs),
    ]


@pytest.mark.parametrize("index", range(3))
def test_transpose_is_the_transpose_of_move(index: int) -> None:
    s = preconditioners()[index]
    g = samples(5)
    torch.testing.assert_close(s.transpose(g), g @ dense(s))


@pytest.mark.parametrize("index", range(3))
def test_a_saved_preconditioner_is_restored_bitwise(index: int) -> None:
    s = preconditioners()[index]
    again = restore(s.name, s.tensors(), SHAPES)
    assert torch.equal(image(again, samples(5)), image(s, samples(5)))


def test_eigenbasis_whitens_a_kronecker_curvature_exactly_in_the_limit_of_samples() -> None:
    # For gradients U D V with independent entries the Kronecker basis is exact, and S (nβH + γ) Sᵀ = 1.
    generator = torch.Generator().manual_seed(3)
    u = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=generator))[0]
    v = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=generator))[0]
    a, b = torch.tensor([3.0, 1.0, 0.1]).double(), torch.tensor([2.0, 1.0, 0.5, 0.01]).double()
    z = torch.randn(100_000, 3, 4, dtype=torch.float64, generator=generator)
    g = (u @ (z * a[:, None] * b) @ v.T).reshape(-1, 12)
    s = Eigenbasis.of_samples(g, [torch.Size((3, 4))], nbeta=50.0, localization=1.0)
    outer = torch.einsum("i,j->ij", a.square(), b.square()).flatten()
    basis = torch.kron(u, v)
    exact = 50.0 * basis @ torch.diag(outer) @ basis.T + torch.eye(12)
    columns = image(s, torch.eye(12, dtype=torch.float64)).T
    torch.testing.assert_close(
        columns.T @ exact @ columns, torch.eye(12).double(), atol=0.03, rtol=0
    )


def test_the_share_of_the_loss_is_its_part_of_the_curvature() -> None:
    s = Diagonal.of_curvature(torch.tensor([1.0, 0.0]).double(), nbeta=9.0, localization=1.0)
    share = s.loss_share()
    assert share is not None
    torch.testing.assert_close(
        share, torch.tensor([0.9, 0.0], dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_equal_neighbouring_matrices_share_a_block_and_vectors_are_rows() -> None:
    assert [(b.count, b.rows, b.columns) for b in blocks(SHAPES)] == [
        (1, 3, 4),
        (1, 1, 3),
        (2, 2, 3),
    ]


def network() -> sl.LocalPotential:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)
    ).double()
    x = torch.randn(64, 4, dtype=torch.float64)
    return sl.LocalPotential.of(
        model, (x, model(x).detach()), sl.gaussian(), batch_size=32, localization=5.0
    )


def hessian(potential: sl.LocalPotential) -> torch.Tensor:
    """∇²U at w* on all data, by central differences of the full gradient."""
    eye = 1e-5 * torch.eye(potential.dim, dtype=torch.float64)
    there = potential.evaluate_full(potential.center + eye)[0].gradient
    back = potential.evaluate_full(potential.center - eye)[0].gradient
    return (there - back) / 2e-5


@pytest.mark.parametrize("kind", ["none", "diagonal", "ekfac"])
def test_top_curvature_is_the_largest_eigenvalue_with_its_margin(kind: str) -> None:
    potential = network().at()
    potential = sl.LocalPotential(potential.landscape, potential.nbeta, potential.localization, 64)
    feed = potential.landscape.feed(
        seed=0, num_chains=2, batch_size=64, purpose=Purpose.BATCH_FOR_CURVATURE
    )
    position = potential.center.expand(2, -1).clone()
    with potential.landscape.ready():
        s, _ = curvature.preconditioner(
            potential, position, feed, kind=kind, seed=0, step=0, repeats=20
        )
        potential.landscape.stacked = True
        # a probe of half a standard deviation sees walls; scale U up to make it quadratic there
        stiff = potential.at(nbeta=potential.nbeta * 1e6, localization=potential.localization * 1e6)
        shrunk = _Scaled(s, 1e-3)
        top, cost = curvature.top_curvature(
            stiff, position, shrunk, feed, [[0, 1]], seed=0, step=0, iterations=60
        )
    columns = image(s, torch.eye(potential.dim, dtype=torch.float64)).T
    exact = float(torch.linalg.eigvalsh(columns.T @ hessian(potential) @ columns)[-1])
    assert top == pytest.approx(1.15 * exact, rel=0.02)
    assert cost == 2 * 61


class _Scaled(Identity):
    """c·S."""

    def __init__(self, inner: Identity | Diagonal | Eigenbasis, factor: float) -> None:
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "factor", factor)

    def move(self, position: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.inner.move(position, self.factor * z)

    def transpose(self, g: torch.Tensor) -> torch.Tensor:
        return self.factor * self.inner.transpose(g)


def test_a_loss_without_score_gets_a_diagonal_from_finite_differences() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False).double()
    x = torch.randn(200, 3, dtype=torch.float64) * torch.tensor([2.0, 1.0, 0.3]).double()
    potential = sl.LocalPotential.of(
        model,
        (x, model(x).detach()),
        lambda output, target: 0.5 * (output - target).square().sum(1),
        batch_size=200,
        localization=1.0,
    )
    assert curvature.choose(potential) == "diagonal"
    feed = potential.landscape.feed(
        seed=0, num_chains=1, batch_size=200, purpose=Purpose.BATCH_FOR_CURVATURE
    )
    with potential.landscape.ready():
        potential.landscape.stacked = True
        s, _ = curvature.preconditioner(
            potential, potential.center[None], feed, kind="diagonal", seed=0, step=0, repeats=100
        )
    exact = x.square().mean(0)
    halfway = 0.5 * (exact + exact.mean())
    wanted = (potential.nbeta * halfway + 1.0).rsqrt()
    torch.testing.assert_close(s.tensors()["scale"], wanted, rtol=0.08, atol=0)
