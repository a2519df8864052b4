"""∇U on minibatches as one native function: fetching the data, both passes and the tether.

The gradient of a small model costs little beside the dozens of operations that it consists of. ``torch.compile``
fuses them, for some seconds of compilation and with a C++ compiler on the machine. Values agree with those of
:meth:`LocalPotential.evaluate` up to rounding, which is checked.
"""

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

from singulab.data import Feed, TensorSource
from singulab.landscape import ModelLandscape
from singulab.landscape.recording import close, shaken, simplify, turn_tall_products
from singulab.potential import Evaluation, LocalPotential, assembled

logger = logging.getLogger(__name__)

ON_ALL_DATA = ("mala", "hmc", "elliptical_slice")  # kernels without minibatches
Native = Callable[..., Any]  # of positions, indices, nβ and γ to the fields of an Evaluation


def obstacle(potential: LocalPotential, kernel: str, groups: Sequence[Sequence[int]]) -> str | None:
    """What keeps the steps of these chains from being compiled, if anything is known to."""
    landscape = potential.landscape
    if not isinstance(landscape, ModelLandscape) or landscape.sharded:
        return "they are of a model only, with all weights in one place"
    if kernel in ON_ALL_DATA:
        return f"{kernel} takes no minibatches"
    if not isinstance(landscape.source, TensorSource):
        return "the data are not tensors in memory"
    return None if len(groups) == 1 else "the chains run in turn"


class CompiledEvaluation:
    """:meth:`LocalPotential.evaluate` of all chains on their minibatches.

    Compiled at the first call of each kind (with or without the gradient noise, the control) and number of chains.
    nβ and γ are arguments of what is compiled, which the landscape keeps: other temperatures and tethers of it
    compile nothing anew. What cannot be compiled runs as it is, and the landscape's notes say so.

    Args:
        potential: U, to which there is no :func:`obstacle`.
        feed: minibatches.
    """

    def __init__(self, potential: LocalPotential, feed: Callable[..., Any]) -> None:
        assert isinstance(potential.landscape, ModelLandscape)
        assert isinstance(potential.landscape.source, TensorSource)
        assert isinstance(feed, Feed)
        self.potential, self.landscape, self.feed = potential, potential.landscape, feed
        self._source = potential.landscape.source
        like = potential.center
        self._law = [
            torch.tensor(value, dtype=like.dtype, device=like.device)
            for value in (potential.nbeta, potential.localization)
        ]

    def __call__(
        self,
        position: Float[Tensor, "chain dim"],
        chains: Sequence[int],
        step: int,
        *,
        gap: bool,
        control: bool,
    ) -> Evaluation:
        """See :meth:`LocalPotential.evaluate`."""
        indices = self.feed.indices(chains, step)
        compiled, key = self.landscape.compiled, (gap, control, indices.shape)
        if key not in compiled:
            compiled[key] = self._compile(position, indices, gap, control)
        native = compiled[key]
        if native is None:
            return self._plain(position, indices, gap, control)
        with torch.no_grad():
            return Evaluation(*native(position, indices, *self._law))

    def _plain(
        self,
        position: Float[Tensor, "chain dim"],
        indices: Int[Tensor, "chain batch"],
        gap: bool,
        control: bool,
    ) -> Evaluation:
        batch = self._source.fetch(indices), indices
        return self.potential.evaluate(position, batch, gap=gap, control=control)

    def _compile(
        self, position: Tensor, indices: Tensor, gap: bool, control: bool
    ) -> Native | None:
        """The native function; None, and a note, where it cannot be had or is another one."""

        def evaluated(position: Tensor, indices: Tensor, *law: Tensor) -> tuple[Tensor | None, ...]:
            batch = self._source.fetch(indices), indices
            slope = self.landscape.slope(position, batch, halves=gap, control=control)
            return tuple(assembled(slope, position - self.potential.center, *law))

        (away,) = shaken([position + 0.1 * (position.abs().amax() == 0)])
        arguments = [away, indices, *self._law]
        plain = self._plain(away, indices, gap, control)
        why = "they would differ from what they are"
        for turned in (True, False):
            try:
                with torch.no_grad(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the compiler's own
                    with torch.enable_grad():
                        recording = make_fx(functionalize(evaluated))(*arguments)
                    native = _native(recording, turned=turned, on_cpu=away.device.type == "cpu")
                    found = Evaluation(*native(*arguments))
                if close(_tensors(plain), _tensors(found)):
                    return native
            except Exception as error:  # noqa: BLE001 - a model, an operation or a compiler that cannot
                said = str(error).strip().splitlines() or [""]
                why = f"{type(error).__name__}: {said[0][:200]}"
        note = f"steps are not compiled: {why}"
        if note not in self.landscape.notes:
            logger.warning(note)
            self.landscape.notes.append(note)
        return None


def _native(recording: fx.GraphModule, *, turned: bool, on_cpu: bool) -> Native:
    simplify(recording)
    if turned:
        turn_tall_products(recording)
    # Shapes are looked at before each call, and nothing else changes.
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    if on_cpu:
        options["cpp_wrapper"] = True
    return torch.compile(recording.forward, dynamic=False, options=options)


def _tensors(evaluation: Evaluation) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in evaluation if tensor is not None)
