"""A function of tensors, recorded once as a flat list of tensor operations.

Per-chain gradients of a small model spend most of their time in Python: in the model's own code, in vmap and
in autograd. Recording runs all of that once and keeps the tensor operations that it led to, without those
that do nothing; from then on only they are run. What a recording returns is compared with the function
itself, bit by bit, and the function is used as it is wherever the two differ.

Products of many rows with a small matrix are then turned over, (AB) = (BᵀAᵀ)ᵀ, so that the long side is the
one that lies together in memory: several times faster, and equal up to rounding, which is checked too.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx

from singulab.data import leaves, tree_map

logger = logging.getLogger(__name__)

_CHECKED = 2  # calls of a recording that are compared with the function
_TALL = 8  # rows per column of a product from which turning it over pays
_ROUNDING = 1e-3  # largest difference of a turned recording, in units of the largest element
_MOST = 8  # recordings of one function, one for each set of shapes

_aten = torch.ops.aten
_SAME_SHAPE = (_aten.expand.default, _aten.view.default, _aten._unsafe_view.default)
_TIMES_ONE = (
    _aten.mul.Scalar,
    _aten.mul.Tensor,
    _aten.div.Tensor,
    _aten.div.Scalar,
    _aten.pow.Tensor_Scalar,
)
_VIEWS = (_aten.view.default, _aten._unsafe_view.default)
_FILLED = {_aten.ones_like.default: torch.ones, _aten.zeros_like.default: torch.zeros}


class Recorded:
    """``function``, recorded anew for each set of argument shapes.

    Args:
        function: maps batches (trees of tensors) to trees of tensors; free of control flow on their values.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._recordings: dict[Any, fx.GraphModule | None] = {}
        self._turned: dict[Any, fx.GraphModule] = {}
        self._checked: dict[Any, int] = {}

    def __call__(self, *arguments: Any) -> Any:
        if get_proxy_mode() is not None:  # within another recording
            return self.function(*arguments)
        tensors = leaves(arguments)
        key = tuple((leaf.shape, leaf.dtype, leaf.device) for leaf in tensors)
        if key not in self._recordings:
            if len(self._recordings) == _MOST:
                return self.function(*arguments)
            self._recordings[key] = self._record(arguments, tensors)
            self._checked[key] = 0
            if self._recordings[key] is not None:
                self._turn(key, tensors)
        recording = self._recordings[key]
        if recording is None:
            return self.function(*arguments)
        used = self._turned.get(key, recording)
        if self._checked[key] == _CHECKED:
            return used(*tensors)
        self._checked[key] += 1
        wanted, got = self.function(*arguments), recording(*tensors)
        if not _equal(wanted, got):
            logger.info("a recording differs from its function, which is run as it is")
            self._recordings[key] = None
            return wanted
        return used(*tensors)

    def _turn(self, key: Any, tensors: Sequence[Tensor]) -> None:
        """Keep a turned recording beside the plain one if there is anything to turn and it is as good."""
        recording = self._recordings[key]
        assert recording is not None
        turned = copy.deepcopy(recording)
        try:
            if not turn_tall_products(turned):
                return
            away = shaken(tensors)
            if _close(recording(*away), turned(*away)):
                self._turned[key] = turned
        except Exception as error:  # noqa: BLE001 - an operation that minds the order in memory
            logger.info("a recording cannot be turned and is run as it is: %s", error)

    def _record(self, arguments: Sequence[Any], tensors: Sequence[Tensor]) -> fx.GraphModule | None:
        def of_leaves(*given: Tensor) -> Any:
            stream = iter(given)
            return self.function(*tree_map(lambda _: next(stream), tuple(arguments)))

        try:
            recording = make_fx(of_leaves)(*tensors)
            simplify(recording)
        except Exception as error:  # noqa: BLE001 - whatever a model does; it then runs unrecorded
            logger.info("a function cannot be recorded and is run as it is: %s", error)
            return None
        return recording


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(leaves(one), leaves(other), strict=True)
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


def _close(one: Any, other: Any) -> bool:
    def near(a: Tensor, b: Tensor) -> bool:
        if not a.is_floating_point():
            return torch.equal(a, b)
        scale = a.nan_to_num(0.0, 0.0, 0.0).abs().amax() if a.numel() else 0.0
        return torch.allclose(a, b, rtol=0.0, atol=_ROUNDING * float(scale), equal_nan=True)

    return all(near(a, b) for a, b in zip(leaves(one), leaves(other), strict=True))


def shaken(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Arguments away from any minimum, where a gradient would be rounding alone."""
    generator = torch.Generator().manual_seed(0)

    def shake(leaf: Tensor) -> Tensor:
        if not leaf.is_floating_point():
            return leaf
        noise = torch.randn(leaf.shape, generator=generator, dtype=torch.float32).to(leaf)
        return leaf + leaf.square().mean().sqrt() * noise

    return [shake(leaf) for leaf in tensors]


def turn_tall_products(recording: fx.GraphModule) -> bool:
    """Compute what has many more rows than columns on its transpose; whether there was any.

    A product becomes (BᵀAᵀ)ᵀ; a logarithm of softmax along the columns and its gradient run along the middle.
    A later view of such a result may need a copy, so views become reshapes.
    """
    graph = recording.graph
    if any(node.target is _aten.as_strided.default or _mutates(node) for node in graph.nodes):
        return False
    tall = [node for node in graph.nodes if node.target in _TURNED and _is_tall(node)]
    for node in tall:
        with graph.inserting_before(node):
            node.replace_all_uses_with(_flipped(graph, _TURNED[node.target](graph, node)))
        graph.erase_node(node)
    for node in graph.nodes if tall else ():
        if node.target in _VIEWS:
            node.target = _aten.reshape.default
    graph.eliminate_dead_code()
    graph.lint()
    recording.recompile()
    return bool(tall)


def _factors(node: fx.Node) -> list[fx.Node]:
    return [argument for argument in node.args if isinstance(argument, fx.Node)]


def _turned_product(graph: fx.Graph, node: fx.Node) -> fx.Node:
    left, right = (_flipped(graph, factor) for factor in _factors(node))
    return graph.call_function(_aten.bmm.default, (right, left))


def _turned_softmax(graph: fx.Graph, node: fx.Node) -> fx.Node:
    """Of ``log_softmax(x, -1)`` or of its gradient, whose tensors come first and are followed by the axis."""
    tensors = [_flipped(graph, each) for each in _factors(node)]
    rest = node.args[len(tensors) + 1 :]
    return graph.create_node("call_function", node.target, (*tensors, -2, *rest))


_TURNED: dict[Any, Callable[[fx.Graph, fx.Node], fx.Node]] = {
    _aten.bmm.default: _turned_product,
    _aten._log_softmax.default: _turned_softmax,
    _aten._log_softmax_backward_data.default: _turned_softmax,
}


def _is_tall(node: fx.Node) -> bool:
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.ndim < 2:
        return False
    if node.target is not _aten.bmm.default:
        axis: Any = node.args[len(_factors(node))]
        if axis % value.ndim != value.ndim - 1:
            return False
    return value.shape[-2] >= _TALL * value.shape[-1] > 0


def _flipped(graph: fx.Graph, node: fx.Node) -> fx.Node:
    """The transpose of batched matrices; of such a transpose, what it came from."""
    if node.target is _aten.transpose.int:
        value = node.meta.get("val")
        source, *axes = node.args
        known = () if value is None else tuple(axis % value.ndim - value.ndim for axis in axes)
        if isinstance(source, fx.Node) and ({-2, -1} == set(known) or axes == [-2, -1]):
            return source
    return graph.call_function(_aten.transpose.int, (node, -2, -1))


def simplify(recording: fx.GraphModule) -> None:
    """Drop operations that do nothing, and compute those without arguments once."""
    graph = recording.graph
    for node in list(graph.nodes):
        source = _source_of_nothing(node)
        if source is not None:
            node.replace_all_uses_with(source)
            graph.erase_node(node)
    graph.eliminate_dead_code()
    if not any(_mutates(node) for node in graph.nodes):
        _fold_constants(recording)
        graph.eliminate_dead_code()
    graph.lint()
    recording.recompile()


def _source_of_nothing(node: fx.Node) -> fx.Node | None:
    """The node whose value this one repeats, if it does."""
    if node.op != "call_function" or not node.args or not isinstance(node.args[0], fx.Node):
        return None
    before = node.args[0]
    new, old = node.meta.get("val"), before.meta.get("val")
    if not isinstance(new, Tensor) or not isinstance(old, Tensor):
        return None
    alike = new.shape == old.shape and new.stride() == old.stride() and new.dtype == old.dtype
    if node.target in _SAME_SHAPE:
        return before if alike else None
    if node.target in _TIMES_ONE:
        return before if alike and node.args[1] == 1 else None
    twice = node.target is _aten.transpose.int and before.target is _aten.transpose.int
    if twice and node.args[1:] == before.args[1:] and isinstance(before.args[0], fx.Node):
        return before.args[0]
    return None


def _mutates(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _fold_constants(recording: fx.GraphModule) -> None:
    """Replace what follows from shapes alone by its value."""
    graph = recording.graph
    values: dict[fx.Node, Tensor] = {}
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        inputs = node.all_input_nodes
        if node.target in _FILLED:
            like = node.args[0].meta["val"]
            values[node] = _FILLED[node.target](like.shape, dtype=like.dtype, device=like.device)
        elif inputs and all(i in values for i in inputs):
            arguments = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*arguments[0], **arguments[1])
    for node, value in values.items():
        users = [user for user in node.users if user not in values]
        if not users or not isinstance(value, Tensor):
            continue
        name = f"constant_{node.name}"
        recording.register_buffer(name, value)
        with graph.inserting_before(node):
            constant = graph.get_attr(name)
        for user in users:
            user.replace_input_with(node, constant)
