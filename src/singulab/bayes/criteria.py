"""WBIC, WAIC and the singular fluctuation, from pointwise log-likelihoods at draws of any program."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from singulab.bayes.box import finite

Pointwise = Float[np.ndarray, "chain draw datum"]

_GROUP = "log_likelihood"
_NO_GROUP = (
    "There is no group log_likelihood among {}: have the sampler store pointwise log-likelihoods, such as by "
    "pymc.compute_log_likelihood(trace)."
)
_NO_ARRAY = "Pointwise log-likelihoods are an array, an xarray or an ArviZ object, got {}."
_TOLERANCE = 0.01  # of a temperature, relative


@dataclass(frozen=True, kw_only=True)
class Wbic:
    """E^β[n·L_n] at β = 1/log n, which is the free energy up to O(√log n)."""

    value: float  # nats, for all data
    mcse: float  # Monte Carlo standard error from the chains; NaN with one chain
    num_data: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"wbic": self.value, "mcse": self.mcse, "num_data": self.num_data}


@dataclass(frozen=True, kw_only=True)
class Waic:
    """T_n + V_n/n, an estimate of the Bayes generalisation loss."""

    value: float  # nats per datum; n times it is comparable with a free energy's n·L
    se: float  # over the data
    training_loss: float  # T_n = −mean log E_w p(x_i|w)
    functional_variance: (
        float  # V_n = Σ_i Var_w log p(x_i|w), the effective number of parameters of WAIC
    )
    num_data: int

    @property
    def total(self) -> float:
        """N times the value: nats for all data."""
        return self.num_data * self.value

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "waic": self.value,
            "se": self.se,
            "training_loss": self.training_loss,
            "functional_variance": self.functional_variance,
            "num_data": self.num_data,
        }


def wbic(log_likelihood: Any, beta: float) -> Wbic:
    """E^β[−Σ_i log p(x_i|w)] over draws at β = 1/log n.

    What a careful reader would get wrong: draws of the ordinary posterior (β = 1) do not give it, whatever is done
    with them; the sampler itself has to run at the likelihood to the power 1/log n.

    Args:
        log_likelihood: log p(x_i|w) with axes draw × datum or chain × draw × datum; also an ArviZ tree or data set with
            a group or variable ``log_likelihood``.
        beta: the inverse temperature that the draws were made at.

    Raises:
        ValueError: β is not 1/log n, or the numbers are no log-likelihoods.

    Source: Watanabe, "A widely applicable Bayesian information criterion", J. Machine Learning Research 14 (2013).
    """
    beta = _temperature(beta)
    values = pointwise(log_likelihood)
    num_data = values.shape[-1]
    if num_data < 3:
        raise ValueError(f"WBIC needs at least 3 data, got {num_data}.")
    wanted = 1 / math.log(num_data)
    if not abs(beta / wanted - 1) <= _TOLERANCE:
        raise ValueError(
            f"WBIC needs draws at β = 1/log n = {wanted:.4g} for n = {num_data}, these are at β = {beta:g}: sample "
            "from prior × likelihood^β."
        )
    means = -values.sum(axis=-1).mean(axis=1)
    error = float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.nan
    return Wbic(value=float(means.mean()), mcse=error, num_data=num_data)


def waic(log_likelihood: Any, beta: float = 1.0) -> Waic:
    """T_n + V_n/n over draws of the ordinary posterior.

    Args:
        log_likelihood: as in :func:`wbic`.
        beta: the inverse temperature that the draws were made at.

    Raises:
        ValueError: β is not 1, or the numbers are no log-likelihoods.

    Source: Watanabe, "Asymptotic equivalence of Bayes cross validation and widely applicable information criterion in
        singular learning theory", J. Machine Learning Research 11 (2010).
    """
    beta = _temperature(beta)
    if not abs(beta - 1) <= _TOLERANCE:
        raise ValueError(
            f"WAIC needs draws of the posterior itself, β = 1, these are at β = {beta:g}; for E^β[nL] see wbic."
        )
    values = _joined(pointwise(log_likelihood))
    count, num_data = values.shape
    predictive = logsumexp(values, axis=0) - math.log(count)
    variances = values.var(axis=0, ddof=1)
    each = -predictive + variances
    return Waic(
        value=float(each.mean()),
        se=float(each.std(ddof=1) / math.sqrt(num_data)) if num_data > 1 else math.nan,
        training_loss=float(-predictive.mean()),
        functional_variance=float(variances.sum()),
        num_data=num_data,
    )


def singular_fluctuation(log_likelihood: Any, beta: float = 1.0) -> float:
    """ν = β·V_n/2, whose mean over data tends to the singular fluctuation; d/2 for a regular model.

    Args:
        log_likelihood: as in :func:`wbic`.
        beta: the inverse temperature that the draws were made at, any number > 0.

    Raises:
        ValueError: β is not above 0, or the numbers are no log-likelihoods.

    Source: Watanabe (2010), as :func:`waic`.
    """
    beta = _temperature(beta)
    values = _joined(pointwise(log_likelihood))
    return float(beta * values.var(axis=0, ddof=1).sum() / 2)


def _temperature(beta: object) -> float:
    if not finite(beta) or float(beta) <= 0:
        raise ValueError(f"β is a finite number above 0, got {beta!r}.")
    return float(beta)


def pointwise(log_likelihood: Any) -> Pointwise:
    """Log-likelihoods with axes chain, draw, datum, from arrays, xarray or ArviZ.

    Raises:
        ValueError: another shape, fewer than two draws, or numbers that are not finite.
    """
    array = _array(log_likelihood)
    if array.ndim == 2:
        array = array[None]
    if array.ndim < 3:
        raise ValueError(
            "Pointwise log-likelihoods have axes draw × datum or chain × draw × datum, got an array of shape "
            f"{array.shape}."
        )
    array = array.reshape(*array.shape[:2], -1)
    if array.shape[0] * array.shape[1] < 2 or not array.shape[2]:
        raise ValueError(f"At least two draws of one datum are needed, got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError("A log-likelihood is not finite; leave such draws out, or mend the model.")
    return array


def _array(value: Any) -> np.ndarray:
    """The one array of log-likelihoods inside a container."""
    if hasattr(value, "children") and hasattr(value, "to_dataset"):  # DataTree
        return _array(_group(value).to_dataset())
    if hasattr(value, "groups") or (not hasattr(value, "dtype") and hasattr(value, _GROUP)):
        # InferenceData, whose groups are attributes
        if not hasattr(value, _GROUP):
            raise ValueError(_NO_GROUP.format(", ".join(map(str, value.groups()))))
        return _array(value.log_likelihood)
    if isinstance(value, Mapping) and _GROUP in value:
        return _array(value[_GROUP])
    if hasattr(value, "data_vars") or isinstance(value, Mapping):  # Dataset
        names = list(getattr(value, "data_vars", value))
        if len(names) != 1:
            raise ValueError(
                f"There are {len(names)} variables of log-likelihoods, {', '.join(map(str, names))}: hand over one."
            )
        return _array(value[names[0]])
    if hasattr(value, "transpose") and hasattr(value, "dims"):  # DataArray
        first = [dim for dim in ("chain", "draw") if dim in value.dims]
        value = value.transpose(*first, ...)
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = array.astype(float)
    except (TypeError, ValueError) as error:
        raise TypeError(_NO_ARRAY.format(type(value).__name__)) from error
    if array.dtype.kind == "U" and array.ndim == 0:
        raise TypeError(_NO_ARRAY.format(type(value).__name__))
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"Pointwise log-likelihoods are real numbers, got an array of {array.dtype}."
        )
    return array.astype(float, copy=False)


def _group(tree: Any) -> Any:
    """The group of log-likelihoods of a tree, which may be that group itself."""
    if _GROUP in tree.children:
        return tree[_GROUP]
    if tree.children or tree.name not in (None, _GROUP):
        raise ValueError(_NO_GROUP.format(", ".join(tree.children) or tree.name))
    return tree


def _joined(values: Pointwise) -> Float[np.ndarray, "all datum"]:
    return values.reshape(-1, values.shape[-1])
