"""Attribution: where in the film a logit comes from, by one call and one registry of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.chest_model import ChestModel
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

FILMS_AT_ONCE = 4
"""So many of a batch are in work together: on a DenseNet-121 at 224 px they take up to 2 GB."""


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

    `methods` are names, or names with their options; otherwise as `attribute`. FILMS_AT_ONCE are worked on together.
    """
    settings = methods if isinstance(methods, Mapping) else {method: {} for method in methods}
    order = sorted(settings, key=lambda name: method_named(name).family != "fullgrad")  # its tape serves all others
    whole = [as_target(target) for target in targets]
    Forward(model, x)  # refuses what no method explains, before the batch is taken apart
    for target in whole:
        target.each(len(x))
    found: dict[str, list[Tensor]] = {name: [] for name in settings}
    for first in range(0, max(1, len(x)), FILMS_AT_ONCE):
        part = x[first : first + FILMS_AT_ONCE]
        forward, these = Forward(model, part), [target.part(first, len(part)) for target in whole]
        for name in order:
            maps = [_full_size(native_map(forward, target, name, **settings[name]), part) for target in these]
            found[name].append(torch.stack(maps))
    return {name: torch.cat(maps, 1) for name, maps in found.items()}


def native_map(forward: Forward, target: int | Tensor | Target, method: str, **options: Any) -> Tensor:
    """The map of `attribute` at the grid where the method computes it, (N, 1, h, w).

    Maps of one Forward share its runs, also for different targets.
    """
    chosen = method_named(method)
    return chosen.function(forward, as_target(target), **chosen.settings(options))


def _full_size(values: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(values, x.shape[-2:], mode="bilinear", align_corners=False)
