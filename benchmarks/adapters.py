"""Other packages that estimate λ̂ by SGLD, brought to one posterior and one ledger.

devinterp 1.3.2 and canonical-interp 0.2.7 both move every weight of every chain by

    w' = w − (ε/2)(nβ·∇L_B(w) + γ(w − w*)) + √ε ξ,   λ̂ = nβ(mean of the L_B of the draws − L(w*)),

so with the nβ and γ of a :class:`Task` they sample the posterior that is measured here. Left alone they take
nβ = B/log B of the batch size (devinterp) and 32/log 32 (canonical-interp), that is, another posterior.
Each runs through its public entry point, on minibatches that are cut out of a tensor at once, which is faster
than the item-wise collation of a plain ``TensorDataset``. Costs are in gradient units: a step of a chain is
one, a forward pass over a minibatch a third.
"""

import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from singulab.errors import MissingExtraError

FORWARD = 1 / 3  # gradient units of a forward pass over one minibatch
_ENDLESS = 100_000  # draws of a run that is stopped from outside

Loss = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> mean over the batch


class Task(NamedTuple):
    """exp(−nβ·L_n(w) − γ/2·|w − w*|²) around the weights of a model."""

    model: nn.Module
    inputs: Tensor
    targets: Tensor
    loss: Loss
    batch_size: int
    nbeta: float
    localization: float  # γ

    @property
    def center_loss_cost(self) -> float:
        """Gradient units of a forward pass over all data."""
        return FORWARD * len(self.inputs) / self.batch_size

    def center_loss(self) -> float:
        """L_n(w*) over all data, in float64 beyond the minibatch."""
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(self.inputs), 10_000):
                inputs = self.inputs[start : start + 10_000]
                loss = self.loss(self.model(inputs), self.targets[start : start + 10_000])
                total += float(loss) * len(inputs)
        return total / len(self.inputs)


def loss_of(name: str) -> Loss:
    """The loss that ``sl.measure(loss=name)`` means, as peers take it."""
    return {
        "gaussian": _half_squared_error,
        "cross_entropy": functional.cross_entropy,
        "next_token": _next_token,
    }[name]


def _half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return 0.5 * (outputs - targets).square().sum(dim=1).mean()


def _next_token(logits: Tensor, tokens: Tensor) -> Tensor:
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


class Chains(NamedTuple):
    """What a peer's run leaves: all that its estimate is made of."""

    losses: Float[
        Tensor, "chain draw"
    ]  # L_B of every step, in order; NaN throughout if it diverged
    baseline: float  # L(w*) as the package finds it by itself
    baseline_cost: float  # gradient units


class Peer(Protocol):
    """A package with one way to run chains for their losses, and one to time them step by step."""

    name: str
    burn_in: float  # share of the steps, by default or in its instructions
    together: bool  # whether all chains move at once, on one minibatch

    def run(
        self, task: Task, *, step_size: float, num_chains: int, num_steps: int, seed: int
    ) -> Chains:
        """Chains from w*, none of their steps left out."""

    def endless(self, task: Task, loader: DataLoader[Any], *, num_chains: int) -> None:
        """Run on a loader until the loader stops it."""


class DevInterp:
    """devinterp 1.3.2: chains one after another, each on its own shuffled minibatches.

    Its own baseline is the mean over one minibatch per chain, by default ten; it drops no burn-in unless told to.
    """

    name = "devinterp"
    burn_in, together = 0.0, False
    baseline_batches = 10

    def __init__(self) -> None:
        try:
            import devinterp  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError("devinterp", extra="bench") from error

    def run(
        self, task: Task, *, step_size: float, num_chains: int, num_steps: int, seed: int
    ) -> Chains:
        from devinterp.utils import get_init_loss_multi_batch

        with _seeded(seed):
            loader = _loader(task, shuffled=True)
            evaluate, device = _evaluate(task.loss), torch.device("cpu")
            baseline = get_init_loss_multi_batch(
                loader, self.baseline_batches, task.model, evaluate, device
            )
            try:
                found = self._sample(
                    task,
                    loader,
                    step_size=step_size,
                    num_chains=num_chains,
                    num_draws=num_steps,
                    baseline=baseline,
                    seed=seed,
                )
                losses = torch.from_numpy(found["loss/trace"]).double()
            except RuntimeError as error:
                if "NaN detected" not in str(error):
                    raise
                losses = torch.full((num_chains, num_steps), torch.nan, dtype=torch.float64)
        return Chains(losses, baseline, FORWARD * self.baseline_batches)

    def endless(self, task: Task, loader: DataLoader[Any], *, num_chains: int) -> None:
        with _seeded(0):
            self._sample(
                task,
                loader,
                step_size=1e-9,
                num_chains=num_chains,
                num_draws=_ENDLESS,
                baseline=1.0,
                seed=0,
            )

    @staticmethod
    def _sample(
        task: Task,
        loader: DataLoader[Any],
        *,
        step_size: float,
        num_chains: int,
        num_draws: int,
        baseline: float,
        seed: int,
    ) -> dict[str, Any]:
        from devinterp.optim.sgmcmc import SGMCMC
        from devinterp.slt.sampler import estimate_learning_coeff_with_summary

        knobs = {"lr": step_size, "nbeta": task.nbeta, "localization": task.localization}
        return estimate_learning_coeff_with_summary(
            task.model,
            loader,
            evaluate=_evaluate(task.loss),
            sampling_method=SGMCMC.sgld,
            optimizer_kwargs=knobs,
            num_draws=num_draws,
            num_chains=num_chains,
            init_loss=baseline or sys.float_info.min,  # an exact zero counts as not given
            seed=seed,
            verbose=False,
        )


class CanonicalInterp:
    """canonical-interp 0.2.7: all chains in one vmap, on minibatches that they share.

    Its baseline is a pass over the loader. Its instructions spend one step in three on burn-in and keep the
    data in a fixed order, so that whole epochs of the chains use the baseline's own batches.
    """

    name = "canonical-interp"
    burn_in, together = 1 / 3, True

    def __init__(self) -> None:
        if sys.version_info < (3, 12):
            raise ValueError(
                "canonical-interp uses itertools.batched and so needs Python 3.12 or newer, this is "
                f"{sys.version_info.major}.{sys.version_info.minor}: make the environment of the "
                "benchmarks with a newer one, or leave this peer out with --peers devinterp."
            )
        try:
            import canonical_interp  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError("canonical-interp", extra="bench") from error
        logging.getLogger("canonical_interp").setLevel(logging.ERROR)

    def run(
        self, task: Task, *, step_size: float, num_chains: int, num_steps: int, seed: int
    ) -> Chains:
        # What torch.compile does to these few operations is the same arithmetic, seconds later.
        eager = torch.compiler.set_stance("force_eager")
        with (
            _seeded(seed),
            eager,
            redirect_stderr(io.StringIO()),
        ):  # a bar that cannot be turned off
            estimator = self._estimate(
                task,
                _loader(task, shuffled=False),
                step_size=step_size,
                num_chains=num_chains,
                num_draws=num_steps,
                seed=seed,
            )
        losses = estimator.get_metrics()["losses"].double()
        return Chains(losses, float(estimator.original_loss), task.center_loss_cost)

    def endless(self, task: Task, loader: DataLoader[Any], *, num_chains: int) -> None:
        with _seeded(0):
            self._estimate(
                task,
                loader,
                step_size=1e-9,
                num_chains=num_chains,
                num_draws=_ENDLESS,
                seed=0,
                current_loss=1.0,
            )

    @staticmethod
    def _estimate(
        task: Task,
        loader: DataLoader[Any],
        *,
        step_size: float,
        num_chains: int,
        num_draws: int,
        seed: int,
        current_loss: float | None = None,
    ) -> Any:
        from canonical_interp import LLCEstimator

        estimator = LLCEstimator(
            draws=num_draws,
            chains=num_chains,
            burnin_steps=0,
            learning_rate=step_size,
            localization=task.localization,
            nbeta=task.nbeta,
        )
        estimator.estimate_llc(
            task.model,
            loader,
            criterion_fn=task.loss,
            seed=seed,
            show_progress=False,
            current_loss=current_loss,
        )
        return estimator


PEERS: dict[str, Callable[[], Peer]] = {
    DevInterp.name: DevInterp,
    CanonicalInterp.name: CanonicalInterp,
}


def peers(names: Sequence[str]) -> list[Peer]:
    """The peers of these names; says at once which one cannot run here."""
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise ValueError(f"peers must be some of {', '.join(PEERS)}, got {', '.join(unknown)}.")
    return [PEERS[name]() for name in names]


def versions(found: Sequence[Peer]) -> dict[str, str]:
    """Installed versions by name."""
    return {peer.name: version(peer.name) for peer in found}


class Rows(Dataset):
    """Data whose minibatches are cut out at once."""

    def __init__(self, task: Task) -> None:
        self._inputs, self._targets = task.inputs, task.targets

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitems__(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        chosen = torch.tensor(rows)
        return self._inputs[chosen], self._targets[chosen]


def _loader(task: Task, *, shuffled: bool) -> DataLoader[Any]:
    return DataLoader(
        Rows(task), batch_size=task.batch_size, shuffle=shuffled, collate_fn=_as_it_is
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _evaluate(loss: Loss) -> Callable[[nn.Module, Any], Tensor]:
    return partial(_loss_of_batch, loss)


def _loss_of_batch(loss: Loss, model: nn.Module, batch: Any) -> Tensor:
    return loss(model(batch[0]), batch[1])


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The peers draw from the global generator and warn at every call."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        yield
