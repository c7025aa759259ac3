"""The geometry of the two charts, as numbers: where bars, bands and ticks begin and end. Page and print draw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .words import readable

if TYPE_CHECKING:  # charts are wanted before torch is there
    from ..explanation import Prediction
    from ..semantics import Change, SemanticAttribution

Kind = Literal["concept", "unlabelled", "bias"]


@dataclass(frozen=True)
class Span:
    """A piece of a bar from `start` to `end` in logits; solid where the units fire, hatched elsewhere."""

    start: float
    end: float
    solid: bool


@dataclass(frozen=True)
class ShareBar:
    """One row of the concept chart, in logits: its value, what of it comes from above the thresholds, and its pieces.

    `value` is the contrast against normal films or the contribution from zero, whichever the chart shows. Where the two
    pieces have opposite signs they lie on both sides of zero, and `value` is their sum.
    """

    label: str
    kind: Kind
    value: float
    contribution: float
    above: float
    units: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class FindingBar:
    """One row of the findings chart, in shares [0, 1] of the row's width; 0.5 is the operating point.

    `band` is the stretch between the two 90 % thresholds, None where they are not known.
    """

    finding: str
    value: float
    band: tuple[float, float] | None


def share_bars(semantic: SemanticAttribution, *, from_zero: bool = False) -> tuple[ShareBar, ...]:
    """Rows of the concept chart: concepts in the order given, the unlabelled rest, and from zero the bias.

    Without a reference the chart is always from zero, since there is nothing to contrast against.
    """
    from_zero = from_zero or semantic.reference_logit is None
    rows = [
        _bar(c.concept, "concept", c.contribution, c.above, None if from_zero else c.contrast, len(c.units))
        for c in semantic.concepts
    ]
    contrast = None if from_zero else semantic.unlabelled_contrast
    rows.append(_bar("", "unlabelled", semantic.unlabelled, semantic.unlabelled_above, contrast, 0))
    if from_zero:
        rows.append(_bar("", "bias", semantic.bias, semantic.bias, None, 0))
    return tuple(rows)


def change_bars(change: Change) -> tuple[ShareBar, ...]:
    """Rows of the concept chart for a change between two films: concepts in the order given, then the unlabelled."""
    rows = [_bar(c.concept, "concept", c.change, c.above, None, len(c.units)) for c in change.concepts]
    return (*rows, _bar("", "unlabelled", change.unlabelled, change.unlabelled_above, None, 0))


def share_label(bar: ShareBar) -> str:
    """What a row of the concept chart is called."""
    named = {"unlabelled": "No concept", "bias": "Bias"}
    return named.get(bar.kind) or f"{readable(bar.label)}-like"


def reach(bars: Iterable[ShareBar]) -> float:
    """The largest distance from zero that any bar reaches, in logits; 1 for an empty chart."""
    ends = [abs(edge) for bar in bars for span in bar.spans for edge in (span.start, span.end)]
    return max(ends, default=0.0) or 1.0


def finding_bars(predictions: Sequence[Prediction]) -> tuple[FindingBar, ...]:
    """Rows of the findings chart, in the order given; findings without an operating point have none.

    All rows share one scale, logits from the row's operating point, which lies in the middle.
    """
    known = [(p, p.operating_point) for p in predictions if p.operating_point is not None]
    distances = [
        abs(value - point.threshold)
        for prediction, point in known
        for value in (prediction.logit, point.sensitive, point.specific)
        if value is not None
    ]
    half = 1.05 * max(distances, default=1.0) or 1.0

    def share(value: float, threshold: float) -> float:
        return 0.5 + 0.5 * (value - threshold) / half

    rows = []
    for prediction, point in known:
        band = None
        if point.sensitive is not None and point.specific is not None:
            low, high = sorted((point.sensitive, point.specific))
            band = share(low, point.threshold), share(high, point.threshold)
        rows.append(FindingBar(prediction.finding, share(prediction.logit, point.threshold), band))
    return tuple(rows)


def _bar(label: str, kind: Kind, contribution: float, above: float, contrast: float | None, units: int) -> ShareBar:
    value = contribution if contrast is None else contrast
    return ShareBar(label, kind, value, contribution, above, units, _spans(value, above))


def _spans(value: float, above: float) -> tuple[Span, ...]:
    """`above` solid from zero; the rest hatched, beyond it or, with the opposite sign, on the other side of zero."""
    rest = value - above
    start = above if above * rest >= 0 else 0.0
    pieces = (Span(0.0, above, solid=True), Span(start, start + rest, solid=False))
    return tuple(piece for piece in pieces if piece.start != piece.end)
