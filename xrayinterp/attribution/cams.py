"""Class activation maps: one layer's feature maps A_k(u), weighted by their gradients g_k(u) = df/dA_k(u).

u runs over the Z positions of the layer, k over its units. `layer` None is the last map before pooling; else it is a
dissection layer of the ChestModel or a module's dotted name.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .forward import Forward
from .registry import attribution
from .target import Target

SELVARAJU = "Selvaraju et al. 2017, arXiv 1610.02391"


@attribution("gradcam_signed", family="cam", cost=1.1, signed=True, paper=SELVARAJU)
def gradcam_signed(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = sum_k w_k A_k(u), w_k = (1/Z) sum_u g_k(u); with an average-pooled linear head, sum_u M(u) + bias = f."""
    A, g = forward.map_gradient(target, layer)
    w = g.mean((2, 3))
    return torch.einsum("nk,nkhw->nhw", w, A)[:, None]


@attribution("gradcam", family="cam", cost=1.1, signed=False, paper=SELVARAJU)
def gradcam(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = max(0, sum_k w_k A_k(u)), w_k = (1/Z) sum_u g_k(u): what speaks for the target, nothing against it."""
    return gradcam_signed(forward, target, layer=layer).clamp(min=0)
