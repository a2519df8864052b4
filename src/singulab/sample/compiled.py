"""∇U on minibatches as one native function: fetching the data, both passes and the tether.

The gradient of a small model costs little beside the dozens of operations that it consists of. ``torch.compile``
fuses them, for some seconds of compilation and with a C++ compiler on the machine. Values agree with those of
:meth:`LocalPotential.evaluate` up to rounding, which is checked.
"""

import math
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
from singulab.landscape.recording import shaken, simplify, turn_tall_products
from singulab.potential import Evaluation, LocalPotential, assembled

ON_ALL_DATA = ("mala", "hmc", "elliptical_slice")  # kernels without minibatches
PRECISE = (torch.float32, torch.float64)
NEAR = 0.01  # of the length of w*: where chains are, about, and losses are small differences
ROUNDING = 1000.0  # largest difference, in ulps of the largest element
ROUNDING_OF_LOSS = 32.0  # the same for losses, in ulps of a loss; nβ times it is what λ̂ may move by
Native = Callable[..., Any]  # of positions, indices, nβ and γ to the fields of an Evaluation


def obstacle(potential: LocalPotential, kernel: str) -> str | None:
    """What keeps steps of this kernel from being compiled, if anything is known to."""
    landscape = potential.landscape
    if not isinstance(landscape, ModelLandscape) or landscape.sharded:
        return "they are of a model only, with all weights in one place"
    if kernel in ON_ALL_DATA:
        return f"{kernel} takes no minibatches"
    if not isinstance(landscape.source, TensorSource):
        return "the data are not tensors in memory"
    if any(weight.dtype not in PRECISE for weight in landscape.model.parameters()):
        return "the model computes in low precision, where rounding hides what is wrong"
    return None if landscape.stacked else "the chains run in turn"


class CompiledEvaluation:
    """:meth:`LocalPotential.evaluate` of all chains on their minibatches.

    Compiled at the first call of each kind (with or without the gradient noise, the control), number of chains and
    size of a batch. nβ and γ are arguments of what is compiled, which the landscape keeps: other temperatures and
    tethers of it compile nothing anew. What is refused runs as it is, and ``refused`` says why.

    Args:
        potential: U, to which there is no :func:`obstacle`.
        feed: minibatches.
    """

    def __init__(self, potential: LocalPotential, feed: Callable[..., Any]) -> None:
        assert isinstance(potential.landscape, ModelLandscape)
        assert isinstance(potential.landscape.source, TensorSource)
        assert isinstance(feed, Feed)
        self.potential, self.landscape, self.feed = potential, potential.landscape, feed
        self.refused: str | None = None
        self._source = potential.landscape.source
        self._sizes = [c.size for c in potential.landscape.selection.components]
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
            compiled[key] = self._compile(indices, gap, control)
        native = compiled[key]
        if isinstance(native, str):
            self.refused = native
        if isinstance(native, str) or position.dtype != self.potential.center.dtype:
            return self._plain(position, indices, gap, control)
        with torch.no_grad():
            return Evaluation(*native(position.contiguous(), indices, *self._law))

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
        self, indices: Int[Tensor, "chain batch"], gap: bool, control: bool
    ) -> Native | str:
        """The native function, or why there is none. Depends on w* and not on where the chains are."""

        def looked_at(evaluation: Evaluation) -> Evaluation:
            if not gap:
                return evaluation
            return evaluation._replace(dots=evaluation.dots_by_component(self._sizes))

        def evaluated(position: Tensor, indices: Tensor, *law: Tensor) -> tuple[Tensor | None, ...]:
            batch = self._source.fetch(indices), indices
            slope = self.landscape.slope(position, batch, halves=gap, control=control)
            return tuple(looked_at(assembled(slope, position - self.potential.center, *law)))

        probes = self._probes(len(indices))
        plain = [looked_at(self._plain(probe, indices, gap, control)) for probe in probes]
        why, turning, retried = "", True, False
        while True:
            turned = turning
            try:
                with torch.no_grad(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the compiler's own
                    with torch.enable_grad():
                        recording = make_fx(functionalize(evaluated))(
                            probes[0], indices, *self._law
                        )
                    simplify(recording)
                    turned = turning and turn_tall_products(recording)
                    native = _native(recording, on_cpu=probes[0].device.type == "cpu")
                    found = [Evaluation(*native(probe, indices, *self._law)) for probe in probes]
                if all(map(self._agree, plain, found)):
                    return native
                why = "they would differ from what they are"
            except Exception as error:  # noqa: BLE001 - a model, an operation or a compiler that cannot
                said = str(error).strip().splitlines() or [""]
                why = f"torch cannot ({type(error).__name__}: {said[0][:200]})"
                if (
                    not retried
                ):  # a Ctrl-C reaches the compiler too, and must not change what is made
                    retried = True
                    continue
            if not turned:  # then another try would be the same
                return why
            turning = False

    def _probes(self, chains: int) -> list[Tensor]:
        """Points beside w*, and points as far from it as it is long."""
        center = self.potential.center.expand(chains, -1)
        (away,) = shaken([center + 0.1] if not center.any() else [center])
        return [center + NEAR * (away - center), away]

    def _agree(self, plain: Evaluation, found: Evaluation) -> bool:
        """Whether two evaluations are finite and equal up to rounding, which for losses is that of a nat."""
        ulp = torch.finfo(plain.gradient.dtype).eps
        loss = 1 + abs(self.landscape.center_loss) + float(plain.half_excess.abs().max())
        for name, one in plain._asdict().items():
            other = getattr(found, name)
            if one is None or other is None:
                if one is not other:
                    return False
                continue
            size = float(one.abs().max())
            if name == "dots":
                within = (one - other).abs() <= ROUNDING * ulp * self._size_of_dots(plain)
                if not (math.isfinite(size) and bool(within.all())):
                    return False
                continue
            limit = ROUNDING * size
            if name in ("excess", "half_excess"):
                limit = ROUNDING_OF_LOSS * loss
            elif name == "linear_noise":  # a small difference of two energies
                limit += ROUNDING_OF_LOSS * loss
            difference = float((one - other).abs().max())
            if not (math.isfinite(size) and difference <= limit * ulp):
                return False
        return True

    def _size_of_dots(self, plain: Evaluation) -> Float[Tensor, "chain part"]:
        """What each dot product would be without cancellation, and with gradients as wrong as they may be."""
        gradient = plain.gradient.abs()
        sizes = plain._replace(
            displacement=plain.displacement.abs(), gradient=gradient + gradient.max(), dots=None
        )
        return sizes.dots_by_component(self._sizes)


def _native(recording: fx.GraphModule, *, on_cpu: bool) -> Native:
    # Shapes, types and order in memory are seen to before each call, and nothing else changes.
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    if on_cpu:
        options["cpp_wrapper"] = True
    return torch.compile(recording.forward, dynamic=False, options=options)
