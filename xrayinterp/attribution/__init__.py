"""Attribution: where in the film a logit comes from, by one call and one registry of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.chest_model import ChestModel
from ..operators.batching import batched
from . import (  # noqa: F401  (importing a family registers its methods)
    baselines,
    cams,
    fullgrad,
    gradients,
    lrp,
    pathway_maps,
    perturbation,
    propagation,
    sampling,
)
from .forward import Forward
from .registry import METHODS, Method, Option, Range, attribution, method_named
from .target import Target, as_target

__all__ = [
    "METHODS",
    "Forward",
    "Method",
    "Option",
    "Range",
    "Target",
    "attribute",
    "attribute_many",
    "attribution",
    "native_map",
]

FORWARDS = 900_000_000
"""Bytes that the forwards of films in work together may take; with what their backwards add, about 2 GB."""


def attribute(
    model: nn.Module | ChestModel, x: Tensor, target: int | Tensor | Target, method: str, **options: Any
) -> Tensor:
    """Map (N, 1, H, W) of what in x moves the target logit: signed, unnormalised, on x's device and of its type.

    Args:
        model: any module with (N, classes) outputs in eval mode, or a ChestModel; it is left as it was.
        x: inputs (N, C, H, W).
        target: an output's index, a tensor of one index a sample, or `Target(index, sign=-1)` for minus a logit.
        method: a name in `METHODS`; coarser maps are drawn up to (H, W) bilinearly.
        options: the method's own.

    Raises:
        XrayInterpError: `unknown-method`, `bad-option` or `unknown-layer`, each listing what there is.
    """
    return attribute_many(model, x, [target], {method: options})[method][0]


def attribute_many(
    model: nn.Module | ChestModel,
    x: Tensor,
    targets: Sequence[int | Tensor | Target],
    methods: Sequence[str] | Mapping[str, Mapping[str, Any]],
) -> dict[str, Tensor]:
    """Maps (T, N, 1, H, W) of every method for every target; the forward and all that can be shared is shared.

    `methods` are names, or names with their options; otherwise as `attribute`. However many the films, those in work
    together take about 2 GB.
    """
    settings = methods if isinstance(methods, Mapping) else {method: {} for method in methods}
    order = sorted(settings, key=lambda name: method_named(name).family != "fullgrad")  # its tape serves all others
    whole = [as_target(target) for target in targets]
    Forward(model, x)  # refuses what no method explains, before the batch is taken apart
    for target in whole:
        target.each(len(x))
    done = 0

    def explain(part: Tensor) -> Tensor:
        """All maps of the next films, (n, methods, targets, 1, H, W)."""
        nonlocal done
        forward, these = Forward(model, part), [target.of(done, len(part)) for target in whole]
        done += len(part)
        rows = [
            torch.stack([_full_size(native_map(forward, target, name, **settings[name]), part) for target in these], 1)
            for name in order
        ]
        return torch.stack(rows, 1)

    if not settings:
        return {}
    maps = explain(x) if len(x) <= 1 else torch.stack(list(batched(explain, x, memory=FORWARDS)))
    found = {name: maps[:, number].transpose(0, 1) for number, name in enumerate(order)}
    return {name: found[name] for name in settings}


def native_map(forward: Forward, target: int | Tensor | Target, method: str, **options: Any) -> Tensor:
    """The map of `attribute` at the grid where the method computes it, (N, 1, h, w).

    Maps of one Forward share its runs, also for different targets.
    """
    chosen = method_named(method)
    return chosen.function(forward, as_target(target), **chosen.settings(options))


def _full_size(values: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(values, x.shape[-2:], mode="bilinear", align_corners=False)
