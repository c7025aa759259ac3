"""Attribution: where in the film a logit comes from, by one call and one registry of methods."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..models.chest_model import ChestModel
from . import cams, gradients  # noqa: F401  (importing a family registers its methods)
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
    "attribution",
    "native_map",
]


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
    return F.interpolate(
        native_map(Forward(model, x), target, method, **options),
        x.shape[-2:],
        mode="bilinear",
        align_corners=False,
    )


def native_map(forward: Forward, target: int | Tensor | Target, method: str, **options: Any) -> Tensor:
    """The map of `attribute` at the grid where the method computes it, (N, 1, h, w).

    Maps of one Forward share its runs, also for different targets.
    """
    chosen = method_named(method)
    return chosen.function(forward, as_target(target), **chosen.settings(options))
