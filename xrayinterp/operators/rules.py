"""Backward rules: what a ReLU or a max pooling passes back instead of the gradient.

a >= 0 is the ReLU's output, R what arrives at it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import Code, XrayInterpError
from .tape import PoolSite, ReluRule, plain

_SMALL = 8192
"""Values below which selecting first gains nothing."""


def deconvnet(site: int, a: Tensor, R: Tensor) -> Tensor:
    """R [R > 0] (Zeiler & Fergus 2014): the ReLU is applied to what comes back, whatever went up."""
    return R.clamp(min=0)


def guided(site: int, a: Tensor, R: Tensor) -> Tensor:
    """R [R > 0] [a > 0] (Springenberg et al. 2015)."""
    return plain(site, a, R.clamp(min=0))


def rectgrad(quantile: float) -> ReluRule:
    """R [a > 0] [a R > tau], tau the `quantile` of a R over this ReLU, film by film (Kim et al. 2019).

    The floor(quantile n) lowest of n products do not pass, nor those equal to the largest of them. Where tau < 0 the
    publication lets silent neurons pass as well; here they never do, so that quantile 0 is the gradient.
    """
    return lambda site, a, R: _above(a, R, a * R, quantile)


def rectgrad_abs(quantile: float) -> ReluRule:
    """R [a > 0] [a |R| > tau]: as `rectgrad`, with what speaks against the target kept as well."""
    return lambda site, a, R: _above(a, R, (a * R).abs_(), quantile)


def proportional(site: PoolSite, R: Tensor) -> Tensor:
    """R_i = sum over windows of R z_i / sum_window z: shared by size, where the gradient gives all to the largest.

    The proportional redistribution rule of RectGrad's authors. Values below 0 count as 0, and a window without any
    value above 0 passes nothing.

    Raises:
        XrayInterpError: `unsupported-operator` for a pooling whose windows have gaps.
    """
    settings = {name: value for name, value in site.settings.items() if name not in ("dilation", "return_indices")}
    if set(_numbers(site.settings.get("dilation", 1))) != {1}:
        raise XrayInterpError(
            Code.UNSUPPORTED_OPERATOR,
            f"A max pooling of this network has dilation {site.settings['dilation']}, and no sharing rule.",
            "Use 'rectgrad', which passes the gradient there.",
        )
    mean_of = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}[site.z.ndim]
    with torch.enable_grad():
        z = site.z.detach().clamp(min=0)
        if z.is_cuda:  # PyTorch 2.11 pools padded channels-last windows wrongly backwards (its issue 188344)
            z = z.contiguous()
        mean = mean_of(z.requires_grad_(), **settings)
    (shares,) = torch.autograd.grad(mean, [z], torch.where(mean > 0, R / mean, 0))
    return z.detach() * shares


def kth_smallest(values: Tensor, k: int) -> float:
    """The k-th smallest (1 <= k <= n) of values (n,), exactly: `torch.kthvalue`, several times as fast for large n.

    A sample brackets the value; only what lies within the bracket is ordered, and a count proves that it lies there.
    """
    n = values.numel()
    if n < _SMALL:
        return values.kthvalue(k).values.item()
    sample = values[:: max(1, n // 4096)]
    slack = 4 * (len(sample) * (k / n) * (1 - k / n)) ** 0.5 + 4  # four standard deviations of the sample's own rank
    rank = len(sample) * k / n
    if k > n / 2:
        low = sample.kthvalue(max(1, int(rank - slack))).values
        upper = values[values >= low]
        missing = n - len(upper)
        return (upper if k > missing else values).kthvalue(k - missing if k > missing else k).values.item()
    high = sample.kthvalue(min(len(sample), int(rank + slack) + 1)).values
    lower = values[values <= high]
    return (lower if k <= len(lower) else values).kthvalue(k).values.item()


def _above(a: Tensor, R: Tensor, scores: Tensor, quantile: float) -> Tensor:
    """R where a > 0 and, film by film, the score exceeds the floor(quantile n)-th smallest of the film's n scores."""
    k = int(quantile * scores[0].numel())
    if k == 0:
        return plain(0, a, R)
    films = [_above_one(a[i : i + 1], R[i : i + 1], score, k) for i, score in enumerate(scores)]
    return films[0] if len(films) == 1 else torch.cat(films)


def _above_one(a: Tensor, R: Tensor, scores: Tensor, k: int) -> Tensor:
    tau = kth_smallest(scores.reshape(-1), k)
    passed: Tensor = torch.ops.aten.threshold_backward(R, scores[None], tau)  # R where scores > tau
    return passed if tau >= 0 else plain(0, a, passed)


def _numbers(value: int | Sequence[int]) -> Sequence[int]:
    return [value] if isinstance(value, int) else value
