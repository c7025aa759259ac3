"""Class activation maps: one layer's feature maps A_k(u), weighted by their gradients g_k(u) = df/dA_k(u).

u runs over the Z positions of the layer, k over its units; A_k(u) >= 0. `layer` None is the last map before pooling;
else it is a dissection layer of the ChestModel or a module's dotted name. All need one forward and the backward of what
lies above the layer, which they share. Those that make every weight positive lose what speaks against the finding, and
their maps of different findings are nearly alike.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..operators import rules
from .forward import Forward
from .registry import attribution
from .target import Target

SELVARAJU = "Selvaraju et al. 2017, arXiv 1610.02391"
KHAKZAR = "Khakzar, Baselizadeh & Navab 2020, arXiv 2012.00362"
CHATTOPADHAY = "Chattopadhay et al. 2018, arXiv 1710.11063"
DRAELOS = "Draelos & Carin 2020, arXiv 2011.08891"

POLE = 0.1
"""Least magnitude of the denominator 2 + S_k g_k(u) of Grad-CAM++, which vanishes at S_k g_k(u) = -2."""


@attribution("gradcam_signed", family="cam", cost=1.1, signed=True, linear=True, paper=SELVARAJU)
def gradcam_signed(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = sum_k w_k A_k(u), w_k = (1/Z) sum_u g_k(u); with an average-pooled linear head, sum_u M(u) + bias = f."""
    A, g = forward.map_gradient(target, layer)
    return _weighted(g.mean((2, 3)), A)


@attribution("gradcam", family="cam", cost=1.1, signed=False, paper=SELVARAJU)
def gradcam(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = max(0, sum_k w_k A_k(u)), w_k = (1/Z) sum_u g_k(u): what speaks for the target, nothing against it."""
    return gradcam_signed(forward, target, layer=layer).clamp(min=0)


@attribution("gradcam_positive", family="cam", cost=1.1, signed=False, paper=KHAKZAR)
def gradcam_positive(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = max(0, sum_k w_k A_k(u)), w_k = (1/Z) sum_u max(0, g_k(u)): units that speak against it have no weight."""
    A, g = forward.map_gradient(target, layer)
    return _weighted(g.clamp(min=0).mean((2, 3)), A).clamp(min=0)


@attribution("gradcam_abs", family="cam", cost=1.1, signed=False, paper=KHAKZAR)
def gradcam_abs(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = max(0, sum_k w_k A_k(u)), w_k = (1/Z) sum_u |g_k(u)|: for and against count alike."""
    A, g = forward.map_gradient(target, layer)
    return _weighted(g.abs().mean((2, 3)), A).clamp(min=0)


@attribution("gradcampp", family="cam", cost=1.1, signed=False, paper=CHATTOPADHAY)
def gradcampp(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = max(0, sum_k w_k A_k(u)), w_k = sum_u alpha_k(u) max(0, g_k(u)), alpha_k(u) = 1 / (2 + S_k g_k(u)).

    S_k = sum_u A_k(u); alpha_k(u) = 0 where g_k(u) = 0. With an average-pooled linear head, S_k g_k is the unit's
    contribution to the logit.
    """
    A, g = forward.map_gradient(target, layer)
    return _weighted((_alpha(A, g) * g.clamp(min=0)).sum((2, 3)), A).clamp(min=0)


@attribution("gradcampp_signed", family="cam", cost=1.1, signed=True, paper=KHAKZAR)
def gradcampp_signed(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = sum_k w_k A_k(u), w_k = sum_u alpha_k(u) g_k(u), alpha_k(u) = 1 / (2 + S_k g_k(u)), S_k = sum_u A_k(u).

    As `gradcampp` without its two rectifiers. Where |2 + S_k g_k(u)| < 0.1, it is taken as 0.1 with its sign: alpha
    is singular where a unit speaks against the target by 2 logits, and negative beyond.
    """
    A, g = forward.map_gradient(target, layer)
    return _weighted((_alpha(A, g) * g).sum((2, 3)), A)


@attribution("hirescam", family="cam", cost=1.1, signed=True, linear=True, paper=DRAELOS)
def hirescam(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = sum_k g_k(u) A_k(u): where the gradient is even, as under average pooling, equal to `gradcam_signed`."""
    A, g = forward.map_gradient(target, layer)
    return (g * A).sum(1, keepdim=True)


@attribution("hirescam_positive", family="cam", cost=1.1, signed=False, paper=KHAKZAR)
def hirescam_positive(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = sum_k max(0, g_k(u) A_k(u))."""
    A, g = forward.map_gradient(target, layer)
    return (g * A).clamp(min=0).sum(1, keepdim=True)


@attribution("hirescam_abs", family="cam", cost=1.1, signed=False, paper=KHAKZAR)
def hirescam_abs(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = sum_k |g_k(u) A_k(u)|."""
    A, g = forward.map_gradient(target, layer)
    return (g * A).abs().sum(1, keepdim=True)


@attribution("guided_gradcam", family="cam", cost=3.4, signed=True, paper=SELVARAJU)
def guided_gradcam(forward: Forward, target: Target, *, layer: str | None = None) -> Tensor:
    """M(u) = L(u) R_c(u), L the map of `gradcam` drawn up to the film, R_c that of guided backpropagation there.

    c is the channel with the largest |R_c(u)|. The fine lines are guided backpropagation's, which hardly depends on the
    finding; only the coarse window L does.
    """
    R = forward.input_gradient(target, rules.guided)
    largest = R.gather(1, R.abs().argmax(1, keepdim=True))
    window = F.interpolate(gradcam(forward, target, layer=layer), R.shape[-2:], mode="bilinear", align_corners=False)
    return window * largest


def _weighted(w: Tensor, A: Tensor) -> Tensor:
    """sum_k w_k A_k(u), (N, 1, h, w)."""
    return torch.einsum("nk,nkhw->nhw", w, A)[:, None]


def _alpha(A: Tensor, g: Tensor) -> Tensor:
    """g^2 / (2 g^2 + S g^3) without its common factor, which underflows for small gradients; kept off the pole."""
    denominator = 2 + A.sum((2, 3), keepdim=True) * g
    sign = torch.where(denominator < 0, -1, 1)
    return torch.where(g == 0, 0, sign / denominator.abs().clamp(min=POLE))
