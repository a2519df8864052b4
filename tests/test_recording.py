"""Recordings of functions: the same bits, and the function itself where a recording would lie."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from singulab.landscape import recording
from singulab.landscape.recording import Recorded


def gradients(model: nn.Module):
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]

    def value(flat: Tensor, x: Tensor) -> Tensor:
        parts = flat.split([shape.numel() for shape in shapes])
        params = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        return functional_call(model, params, (x,)).square().mean()

    return vmap(grad_and_value(value))


def recordings(recorded: Recorded) -> int:
    return sum(r is not None for r in recorded._recordings.values())


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)),
        nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 3), nn.Softmax(-1)),
        nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 2), nn.Tanh(), nn.Flatten()),
    ],
)
def test_a_recording_returns_the_functions_bits_at_new_arguments(model: nn.Module) -> None:
    torch.manual_seed(0)
    function = gradients(model)
    recorded = Recorded(function)
    size = sum(p.numel() for p in model.parameters())
    for chains in (3, 3, 3, 3, 1):
        flat, x = torch.randn(chains, size), torch.randn(chains, 8, 4)
        for wanted, got in zip(function(flat, x), recorded(flat, x), strict=True):
            assert torch.equal(wanted, got)
    assert recordings(recorded) == 2  # one for each number of chains


def test_a_recording_is_not_made_where_values_decide() -> None:
    def absolute(x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x

    recorded = Recorded(absolute)
    for x in (torch.ones(3), -torch.ones(3), torch.ones(3), -torch.ones(3)):
        assert torch.equal(recorded(x), torch.ones(3))
    assert recordings(recorded) == 0


def test_a_function_that_changes_from_call_to_call_is_run_as_it_is() -> None:
    calls = [0]

    def counting(x: Tensor) -> Tensor:
        calls[0] += 1
        return x * calls[0]

    recorded = Recorded(counting)
    seen = [float(recorded(torch.ones(()))) for _ in range(6)]
    assert len(set(seen)) == 6
    assert recordings(recorded) == 0


def test_constants_are_computed_once_unless_something_is_written_in_place() -> None:
    def filled(x: Tensor) -> Tensor:
        return torch.ones_like(x).mul(3.0).add(1.0) * x

    def written(x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        total.add_(x)
        return total

    for function, operations in ((filled, 1), (written, 2)):
        recorded = Recorded(function)
        for _ in range(4):
            x = torch.randn(5)
            assert torch.equal(recorded(x), function(x))
        (recording,) = recorded._recordings.values()
        assert recording is not None
        called = [node for node in recording.graph.nodes if node.op == "call_function"]
        assert len(called) == operations


@pytest.mark.parametrize(
    "model, width",
    [
        (nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.LogSoftmax(-1)), 4),
        (nn.Sequential(nn.Linear(4, 6), nn.Flatten(-2), nn.Unflatten(-1, (2, -1))), 4),
    ],
    ids=["layers and softmax", "a view across the turned axes"],
)
def test_tall_products_are_turned_over_and_equal_the_function_up_to_rounding(
    model: nn.Module, width: int
) -> None:
    torch.manual_seed(1)
    function = gradients(model.double())
    recorded = Recorded(function)
    size = sum(p.numel() for p in model.parameters())
    for _ in range(4):
        flat = torch.randn(3, size, dtype=torch.float64)
        x = torch.randn(3, 80, width, dtype=torch.float64)
        for wanted, got in zip(function(flat, x), recorded(flat, x), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-14)
    (turned,) = recorded._turned.values()
    products = [n.meta for n in turned.graph.nodes if n.target is torch.ops.aten.bmm.default]
    assert any(not meta for meta in products)  # those that turning put there


def test_a_turned_recording_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        recording, "_flipped", lambda graph, node: node.args[0] if node.args else node
    )
    function = gradients(nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)))
    recorded = Recorded(function)
    flat, x = torch.randn(3, 32), torch.randn(3, 80, 4)
    for wanted, got in zip(function(flat, x), recorded(flat, x), strict=True):
        assert torch.equal(wanted, got)
    assert not recorded._turned
