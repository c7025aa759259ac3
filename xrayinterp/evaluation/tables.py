"""Comparisons of methods as Markdown: one row a method, each mean with its interval over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..models.card import Interval
from .journal import Row
from .lamps import LampWorth, Outcome
from .measures import METRICS
from .summary import RIVAL, Summary, by_finding, summarise

OUTCOMES: Mapping[Outcome, str] = {
    "pointing": "maps whose peak hits the outline from others",
    "planted": "maps whose peak hits the planted cause from others",
    "correct": "right predictions from wrong ones",
}
_ARROWS = {"higher": "↑", "lower": "↓"}


def document(
    rows: Sequence[Row], summaries: Sequence[Summary], worth: Sequence[LampWorth], settings: Mapping[str, Any]
) -> str:
    """The whole report of a comparison."""
    films = len({row.film for row in rows})
    patients = len({row.patient for row in rows})
    splits = ", ".join(sorted({row.split for row in rows}))
    sha = settings["model_sha256"]
    weights = "random weights" if sha is None else f"weights {sha[:12]}"
    lines = [
        f"# Attribution methods on {settings['model']}",
        "",
        f"{films} films of {patients} patients (probe set {settings['probes']}, split {splits}); seed "
        f"{settings['seed']}, {weights}. Means with 95 % intervals over patients. "
        f"Stars: differs from `{RIVAL}`, which looks at no film, on the same films (sign flips over patients, Holm "
        "over methods; * p < 0.05, ** p < 0.01). ✗: the lamp is red at this mean.",
        "",
        *comparison(summaries),
    ]
    flagged = [row for row in rows if row.flagged and METRICS[row.metric].outlined]
    if flagged:
        lines += ["", "## Localisation where the model flags the finding", "", *comparison(summarise(flagged))]
    if any(row.metric == "pointing" for row in rows):
        lines += ["", "## Pointing game by finding", "", *finding_table(rows, "pointing")]
    for outcome, words in OUTCOMES.items():
        if any(w.maps for w in worth if w.outcome == outcome):
            lines += ["", f"## Does a lamp tell {words}?", "", *worth_table(worth, outcome)]
    return "\n".join(lines) + "\n"


def comparison(summaries: Sequence[Summary]) -> list[str]:
    """Lines of the main table."""
    metrics = [metric for metric in METRICS.values() if any(s.metric == metric.name for s in summaries)]
    cells = {(s.method, s.metric): s for s in summaries}
    head = ["method", *(f"{metric.name} {_ARROWS[metric.direction]}" for metric in metrics)]
    body = [
        [method, *(_cell(cells.get((method, metric.name))) for metric in metrics)]
        for method in dict.fromkeys(s.method for s in summaries)
    ]
    notes = [f"- `{m.name}`: {m.title}; {m.unit}, {m.direction} is better" for m in metrics]
    return [*markdown(head, body), "", *notes]


def finding_table(rows: Sequence[Row], metric: str) -> list[str]:
    """Lines of a table of one measure, findings by methods."""
    cells = by_finding(rows, metric)
    methods = list(dict.fromkeys(method for _, method in cells))
    head = ["finding", "films", *methods]
    body = []
    for finding in dict.fromkeys(finding for finding, _ in cells):
        here = [cells.get((finding, method)) for method in methods]
        films = max(summary.asked for summary in here if summary is not None)
        body.append([finding, str(films), *(figure(s.mean) if s is not None else "" for s in here)])
    return markdown(head, body)


def worth_table(worth: Sequence[LampWorth], outcome: Outcome) -> list[str]:
    """Lines of a table of lamps as judges: AUROC, and of how many maps how many were good."""
    chosen = {(w.method, w.lamp): w for w in worth if w.outcome == outcome}
    lamps = list(dict.fromkeys(lamp for _, lamp in chosen))
    body = [
        [method or "all together", *(_judged(chosen.get((method, lamp))) for lamp in lamps)]
        for method in dict.fromkeys(method for method, _ in chosen)
    ]
    return markdown(["method", *lamps], body)


def figure(interval: Interval | None) -> str:
    """A mean with its interval: "0.42 (0.35 to 0.48)"."""
    if interval is None:
        return "not measurable"
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [_line(head), _line(["---"] * len(head)), *(_line(row) for row in body)]


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return ""
    stars = "" if summary.p is None else "**" if summary.p < 0.01 else "*" if summary.p < 0.05 else ""
    fault = " ✗" if summary.state == "bad" else ""
    part = "" if summary.measured == summary.asked else f" [{summary.measured} of {summary.asked}]"
    return f"{figure(summary.mean)}{stars.replace('*', chr(92) + '*')}{fault}{part}"


def _judged(worth: LampWorth | None) -> str:
    if worth is None or worth.auroc is None:
        return ""
    return f"{figure(worth.auroc)} [{worth.hits} of {worth.maps}]"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
