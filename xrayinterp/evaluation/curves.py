"""MoRF and LeRF on one film: what the logit loses when a map's highest, or its lowest, values are filled first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ..attribution.target import Target
from ..models.chest_model import ChestModel
from .perturbation import FILLS, FRACTIONS, Deletion, Fill, at_size, by_value, mean_height, scores_after
from .similarity import Map


@dataclass(frozen=True)
class Areas:
    """Areas under the two curves in logits, averaged over the fills.

    `morf`: mean drop of the logit, most relevant first; higher is better. `lerf`: mean |change| of the logit, least
    relevant first; lower is better. Means are over fractions from 0 to the largest, by trapezia.
    """

    morf: float
    lerf: float


def areas(
    model: nn.Module | ChestModel,
    x: Tensor,
    values: Map | Tensor,
    target: Target,
    *,
    fractions: Sequence[float] = FRACTIONS,
    fills: Sequence[Fill] = FILLS,
    most: Mapping[Fill, Sequence[float]] | None = None,
    seed: int = 0,
) -> Areas:
    """Both areas of one map on one film, all forwards run together.

    Args:
        model: any module with (N, classes) outputs in eval mode, or a ChestModel.
        x: one film (1, C, H, W).
        values: the map as it is read (`similarity.as_read`), (h, w); drawn up to (H, W) bilinearly.
        target: the logit and its sign.
        fractions: shares of the film to fill, ascending.
        fills: what takes the place of pixels; areas are averaged over them.
        most: drops of the logit, most relevant first, by fill and fraction, where they are at hand: they are not run.
        seed: of the order among equal values.
    """
    highest = by_value(at_size(values, x), seed=seed)
    counts = [round(share * len(highest)) for share in fractions]
    orders = (highest[::-1],) if most is not None else (highest[::-1], highest)
    deletions = [Deletion(order[:count], fill) for order in orders for fill in fills for count in counts]
    start, *after = scores_after(model, x, [Deletion(highest[:0], FILLS[0]), *deletions], target)
    steps = (0.0, *fractions)
    drops = [[start - score for score in after[i : i + len(counts)]] for i in range(0, len(after), len(counts))]
    lerf = [mean_height(steps, (0.0, *map(abs, curve))) for curve in drops[: len(fills)]]
    descending = drops[len(fills) :] if most is None else [most[fill] for fill in fills]
    morf = [mean_height(steps, (0.0, *curve)) for curve in descending]
    return Areas(sum(morf) / len(morf), sum(lerf) / len(lerf))
