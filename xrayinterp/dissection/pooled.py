"""What a linear head sees of a film: every unit of the last map averaged over positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track
from torch import nn

from ..datasets.films import FloatImage
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit
from ..models.chest_model import ChestModel
from ..operators.taps import feature_maps

Floats = npt.NDArray[np.float64]

LAST = "norm5"
"""The last map of the built-in networks, which their head averages."""
TOLERANCE = 1e-4
"""Largest error of logit = bias + weight . pooled, relative to max(1, |logit|)."""


class Shown(Protocol):
    """A film of any data set: pixels float32 (H, W) in [0, 1], and whose it is."""

    @property
    def id(self) -> str:
        """The film's name."""
        ...

    @property
    def patient(self) -> str:
        """Whose film it is."""
        ...

    def pixels(self) -> FloatImage:
        """The film as a picture."""
        ...


@dataclass(frozen=True)
class PooledUnits:
    """Films through a model whose head is average pooling and a linear layer.

    `values` (N, U) are the rectified map's means over positions, `logits` (N, F), `weights` (F, U), `bias` (F,), all
    float64; logits = bias + values @ weights.T to `TOLERANCE`. `films` and `patients` name the N rows.
    """

    findings: tuple[str, ...]
    films: tuple[str, ...]
    patients: tuple[str, ...]
    values: Floats
    logits: Floats
    weights: Floats
    bias: Floats


def pool_units(
    model: ChestModel,
    films: Sequence[Shown],
    layer: str = LAST,
    *,
    fit: Fit = "crop",
    batch: int = 16,
    progress: bool = True,
) -> PooledUnits:
    """Read the pooled units of films, one forward a film.

    Raises:
        XrayInterpError: `unknown-layer` where the model has no such layer or its logits are not a linear function of
            that layer's pooled map; `bad-option` without films.
    """
    weights, bias = linear_head(model, layer)
    values, logits = pooled_values(model, films, layer, fit=fit, batch=batch, progress=progress)
    names, patients = tuple(film.id for film in films), tuple(film.patient for film in films)
    read = PooledUnits(model.findings, names, patients, values, logits, weights, bias)
    _check(read, model, layer)
    return read


def pooled_values(
    model: ChestModel,
    films: Sequence[Shown],
    layer: str = LAST,
    *,
    fit: Fit = "crop",
    batch: int = 16,
    progress: bool = True,
) -> tuple[Floats, Floats]:
    """Means over positions of any layer's rectified maps, (N, U), and the logits (N, F), one forward a film.

    Raises:
        XrayInterpError: `unknown-layer`, `bad-option` without films.
    """
    path, values, logits = model.layer(layer).path, [], []
    if not films:
        raise XrayInterpError(Code.BAD_OPTION, f"{model.name!r} was given no film to read.", "Name at least one.")
    starts = range(0, len(films), batch)
    console = Console(stderr=True)
    for start in track(starts, f"{model.name}: reading films", console=console, transient=True, disable=not progress):
        x = torch.cat([model.prepare_pixels(film.pixels(), fit) for film in films[start : start + batch]])
        out, maps = feature_maps(model.module, x, [path])
        values.append(maps[path].double().mean((2, 3)).cpu().numpy())
        logits.append(out.double().cpu().numpy())
    return np.concatenate(values), np.concatenate(logits)


def linear_head(model: ChestModel, layer: str = LAST) -> tuple[Floats, Floats]:
    """Weights (F, U) and bias (F,) of the model's linear head over a layer's units, float64.

    Raises:
        XrayInterpError: `unknown-layer` where the head is no linear layer over as many units as the layer has.
    """
    head = getattr(model.module, "classifier", None)
    units = model.layer(layer).units
    if not isinstance(head, nn.Linear) or head.in_features != units:
        raise XrayInterpError(
            Code.UNKNOWN_LAYER,
            f"Model {model.name!r} has no linear head over the {units} units of {layer!r}.",
            "Name the layer that the head averages.",
        )
    count = len(model.findings)
    weights = head.weight[:count].detach().cpu().double().numpy()
    bias = np.zeros(count) if head.bias is None else head.bias[:count].detach().cpu().double().numpy()
    return weights, bias


def _check(read: PooledUnits, model: ChestModel, layer: str) -> None:
    told = read.bias + read.values @ read.weights.T
    error = float((np.abs(told - read.logits) / np.maximum(1, np.abs(read.logits))).max())
    if not error <= TOLERANCE:  # so that a NaN is caught as well
        raise XrayInterpError(
            Code.UNKNOWN_LAYER,
            f"The logits of {model.name!r} are not a linear function of {layer!r} averaged: they are missed by "
            f"{error:.3g} relative, at most {TOLERANCE:g} is allowed.",
            "Name the layer that the head averages.",
        )
