"""A trace: what every chain saw at every draw, with all that is needed to read it."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from singulab.errors import CorruptFileError
from singulab.files import write_folder_atomic
from singulab.fingerprint import fingerprint

FORMAT = 1


@dataclass(frozen=True)
class Trace:
    """Draws of a run, dims ``(chain, draw[, component])``.

    Variables of ``dataset``:

    * ``excess_loss``: L_B(w) − L_B(w*) on the chain's own minibatch, nats per datum; ``excess_a`` and
      ``excess_b`` are its two halves (equal where there are no halves).
    * ``virial``: (w − w*)·∇U/d, whose mean is 1 in equilibrium; ``virial_by_component`` the same per
      selected tensor.
    * ``radius_squared``: |w − w*|².
    * ``noise_bias``: the excess nβ·E[L] that the gradient noise of this step is predicted to cause, to first
      order in the step size; 0 for exact gradients.
    * ``linear_noise``: (g_B(w*) − g_n(w*))·(w − w*), a part of the excess loss that is minibatch noise and
      has mean 0 at every w; 0 where g_B(w*) was not computed.
    * ``acceptance``: probability of the proposed move (NaN for kernels that accept all).

    Attributes of ``dataset``: nbeta, localization, num_data, center_loss, model_norm, kernel, step_sizes, seed,
    dim, fingerprints of weights, data and loss.
    """

    dataset: xr.Dataset

    def __post_init__(self) -> None:
        if self.dataset["excess_loss"].dims != ("chain", "draw"):
            raise ValueError(
                f"a trace has dims (chain, draw), got {self.dataset['excess_loss'].dims}."
            )

    @classmethod
    def of_arrays(
        cls,
        variables: Mapping[str, NDArray[np.floating]],
        *,
        nbeta: float,
        localization: float,
        dim: int,
        center_loss: float = math.nan,
        num_data: int | None = None,
        components: Sequence[str] = (),
        component_sizes: Sequence[int] = (),
        **facts: Any,
    ) -> "Trace":
        """Put arrays of shape (chain, draw[, component]) and the run's facts together.

        Args:
            variables: at least ``excess_loss``.
            nbeta: n·β of the run.
            localization: γ of the run.
            dim: number of weights that moved.
            center_loss: L_n(w*), nats per datum.
            num_data: n.
            components: names along the component axis.
            component_sizes: weights in each.
            **facts: JSON values kept as attributes.
        """
        chains, draws = variables["excess_loss"].shape
        coordinates: dict[str, Any] = {"chain": np.arange(chains), "draw": np.arange(draws)}
        if components:
            coordinates["component"] = np.array(components, dtype=str)
            coordinates["component_size"] = ("component", np.array(component_sizes))
        data = {
            name: (("chain", "draw", "component")[: array.ndim], np.asarray(array))
            for name, array in variables.items()
        }
        attributes = {
            "format": FORMAT,
            "nbeta": float(nbeta),
            "localization": float(localization),
            "dim": int(dim),
            "center_loss": float(center_loss),
            "num_data": num_data,
            **facts,
        }
        return cls(xr.Dataset(data, coordinates, attributes))

    def __getitem__(self, name: str) -> NDArray[np.floating]:
        """A variable as an array of shape (chain, draw[, component])."""
        return self.dataset[name].values

    def __contains__(self, name: str) -> bool:
        return name in self.dataset

    @property
    def nbeta(self) -> float:
        return float(self.dataset.attrs["nbeta"])

    @property
    def localization(self) -> float:
        return float(self.dataset.attrs["localization"])

    @property
    def dim(self) -> int:
        return int(self.dataset.attrs["dim"])

    @property
    def num_data(self) -> int | None:
        return self.dataset.attrs["num_data"]

    @property
    def center_loss(self) -> float:
        return float(self.dataset.attrs["center_loss"])

    @property
    def reach(self) -> float | None:
        """√E|w − w*|² over the length of all the model's weights; None for functions and where these are 0."""
        norm = self.dataset.attrs.get("model_norm")
        if not norm or "radius_squared" not in self:
            return None
        return math.sqrt(float(self["radius_squared"].astype(np.float64).mean())) / norm

    @property
    def num_chains(self) -> int:
        return self.dataset.sizes["chain"]

    @property
    def num_draws(self) -> int:
        return self.dataset.sizes["draw"]

    @property
    def energy(self) -> NDArray[np.floating]:
        """nβ(L_B(w) − L_B(w*)), whose mean is λ̂; (chain, draw)."""
        return self.nbeta * self["excess_loss"].astype(np.float64)

    def select(
        self, *, chains: Sequence[int] | None = None, first: int = 0, last: int | None = None
    ) -> "Trace":
        """Some chains, and the draws from ``first`` to before ``last``."""
        part = self.dataset.isel(draw=slice(first, last))
        if chains is not None:
            part = part.isel(chain=list(chains))
        return Trace(part)

    @property
    def dead_chains(self) -> tuple[int, ...]:
        """Chains that met a non-finite loss."""
        finite = np.isfinite(self["excess_loss"]).all(axis=1)
        return tuple(int(c) for c in np.flatnonzero(~finite))

    def to_datatree(self) -> xr.DataTree:
        """The tree that ArviZ reads: group ``posterior`` holds λ-energies, ``sample_stats`` the rest."""
        energy = xr.Dataset(
            {"energy": self.dataset["excess_loss"] * self.nbeta}, attrs=self.dataset.attrs
        )
        return xr.DataTree.from_dict({"posterior": energy, "sample_stats": self.dataset})

    def save(self, path: str | Path) -> None:
        """Write a zarr folder, whole or not at all."""
        attributes = {k: _plain(v) for k, v in self.dataset.attrs.items()}
        if "component" in self.dataset.coords:  # zarr 3 has no stable type for strings
            attributes["components"] = self.dataset["component"].values.tolist()
        saved = self.dataset.drop_vars("component", errors="ignore")
        told = json.dumps(attributes)
        saved.attrs = {"singulab": told, "sha256": _digest(saved, told)}

        def write(folder: Path) -> None:
            saved.to_zarr(folder, mode="w", consolidated=False, zarr_format=3)

        write_folder_atomic(Path(path), write)

    @classmethod
    def load(cls, path: str | Path) -> "Trace":
        """Read a folder that :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is none.
            CorruptFileError: it is damaged, truncated or not a trace.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"there is no trace at {path}.")
        try:
            # Only what save writes: older formats of zarr may name codecs that run code.
            with xr.open_zarr(path, consolidated=False, chunks=None, zarr_format=3) as opened:
                _refuse_giant(opened)
                dataset = opened.load()
            told = dataset.attrs["singulab"]
            whole = _digest(dataset, told) == dataset.attrs["sha256"]
            dataset.attrs = {k: _number(v) for k, v in json.loads(told).items()}
            if "components" in dataset.attrs:
                names = np.array(dataset.attrs.pop("components"), dtype=str)
                dataset = dataset.assign_coords(component=names)
            trace = cls(dataset)
        except Exception as error:  # whatever zarr makes of damaged files
            raise CorruptFileError(
                path, f"it is not a whole trace ({type(error).__name__}: {error})"
            ) from error
        if not whole:
            raise CorruptFileError(path, "its checksum does not match; it was changed or cut short")
        return trace


def _refuse_giant(dataset: xr.Dataset) -> None:
    """A damaged shape must not ask for more memory than there is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if dataset.nbytes > memory:
        raise ValueError(f"its arrays claim {dataset.nbytes / 2**30:.3g} GiB, more than the memory")


def _digest(saved: xr.Dataset, told: str) -> str:
    """sha256 of the attributes and of every array by name, coordinates too."""
    parts: list[Any] = [told]
    for name, variable in sorted(saved.variables.items()):
        values = np.array(variable.values)
        if values.dtype.kind == "f":
            values[np.isnan(values)] = (
                np.nan
            )  # 0·∞ has a sign, which an array of nothing but NaN loses
        parts += [name, variable.dims, torch.from_numpy(values)]
    return fingerprint(*parts)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def _number(value: Any) -> Any:
    return float(value["float"]) if isinstance(value, dict) and set(value) == {"float"} else value
