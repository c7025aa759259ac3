"""What a printed report says: an explanation as plain data (text, shares of a bar, picture names) for the template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..anomaly.gate_record import WARNING
from ..explanation import Explanation, Prediction
from ..models import segmenter
from . import (
    anatomy_words,
    colours,
    content_findings,
    content_layers,
    content_semantic,
    content_trust,
    normality_words,
    words,
)

GENERAL_LIMITS = (
    "A map shows which parts of the film the score was made of. "
    "It does not show where disease is, nor that there is any.",
    "A concept's name says where its units tended to fire on films with outlines drawn by readers. "
    "It does not say that the concept is on this film.",
    "A high or a low score is neither proof nor exclusion. Labels, patients and machines elsewhere may differ.",
)


def content(explanation: Explanation) -> dict[str, Any]:
    """The report's text and figures as JSON-ready data; pictures are added by `pdf`."""
    severity = explanation.severity is not None
    return {
        "title": words.readable(explanation.finding),
        "heading": f"What the model says of {words.readable(explanation.finding).lower()}",
        "disclaimer": words.DISCLAIMER,
        "research_only": words.RESEARCH_ONLY if explanation.card.research_only else None,
        "sha256": explanation.radiograph.sha256,
        "stopped": WARNING.message if WARNING in explanation.warnings else None,
        "summary": _summary(explanation),
        "facts": _facts(explanation),
        "reader": _reader(explanation.reader),
        "warnings": [
            *(warning.message for warning in explanation.warnings if warning != WARNING),
            *content_trust.cautions(explanation),
        ],
        "severity": content_findings.severity(explanation),
        "findings": None if severity else content_findings.findings(explanation),
        "glance": [] if severity else content_findings.at_a_glance(explanation.predictions),
        "shares": content_semantic.shares(explanation.semantic),
        "units": content_semantic.units(explanation.semantic, explanation.anatomy),
        "layers": [
            content_layers.table(found, measures) for found in explanation.layers for measures in found.measures
        ],
        "trust": content_trust.trust(explanation),
        "card": _card(explanation),
        "limits": [*explanation.card.limits, *_grid_limit(explanation), *GENERAL_LIMITS],
        "provenance": _provenance(explanation),
        "colours": {
            "supports": colours.SUPPORTS_PRINT,
            "opposes": colours.OPPOSES_PRINT,
            "unnamed": colours.UNNAMED_PRINT,
        },
    }


def _summary(explanation: Explanation) -> str:
    prediction = next(p for p in explanation.predictions if p.finding == explanation.finding)
    name = words.readable(explanation.finding)
    if explanation.severity is not None:
        return (
            f"{name}: {words.plain(explanation.severity.total, 1)} of 18, the sum of six zones. Explained below is the "
            f"model's own output, {words.plain(prediction.logit)}. Scores are not probabilities."
        )
    point = prediction.operating_point
    if point is None:
        return f"{name}: logit {words.signed(prediction.logit)}. Without an operating point nothing is flagged."
    where = f"logit {words.signed(prediction.logit)}, operating point {words.signed(point.threshold)}"
    if WARNING in explanation.warnings:
        return f"{name}: {where}. The input gate stopped this film: no probability is given."
    if not prediction.assessed:
        return (
            f"{name}: {where}. Not reliably assessed ({words.why_not_assessed(prediction)}): explained, never flagged."
        )
    said = {
        "above": "above its operating point",
        "below": "below its operating point",
        "not sure": "not sure: between the thresholds of 90 % sensitivity and 90 % specificity",
    }[words.verdict(prediction)]
    return " ".join(
        part for part in (f"{name}: {said} ({where}).", _probability(prediction), _at_point(prediction)) if part
    )


def _probability(prediction: Prediction) -> str:
    calibration = prediction.calibration
    if prediction.probability is None or calibration is None:
        return ""
    return (
        f"Calibrated probability {prediction.probability:.2f}, where {words.percent(calibration.prevalence, 1)} of "
        "films have the finding."
    )


def _at_point(prediction: Prediction) -> str:
    point = prediction.operating_point
    if point is None or point.sensitivity is None or point.specificity is None:
        return ""
    where = f" ({point.measured_on})" if point.measured_on else ""
    return (
        f"At this point the model flagged {words.percent(point.sensitivity)} of the films with the finding "
        f"and cleared {words.percent(point.specificity)} of those without{where}."
    )


def _facts(explanation: Explanation) -> list[list[str]]:
    film = explanation.radiograph
    source = film.source
    height, width = film.shape
    anatomy = anatomy_words.lines(explanation)
    saw = "the whole film, padded to a square"
    if explanation.fit == "crop":
        saw = "the whole film" if height == width else "the square inside the frame; what lies outside had no influence"
    origin = " ".join(part for part in (source.modality, source.photometric) if part)
    window = f", shown with {source.windows[source.window]}" if source.windows and source.window is not None else ""
    return [
        ["Film", f"{source.kind.upper()}, {source.columns} × {source.rows} px, {source.bits} bit, {origin}{window}"],
        ["View", words.view(film)],
        ["Sides", words.sides(film, explanation.reader)],
        ["Model", f"{explanation.card.title} ({explanation.model})"],
        ["Model saw", saw],
        *([["Anatomy", " ".join(anatomy)]] if anatomy else []),
        *normality_words.facts(explanation.normality),
        *_places(explanation),
    ]


def _places(explanation: Explanation) -> list[list[str]]:
    """Where the first map lies; further maps say it beneath them."""
    anatomy = explanation.anatomy
    place = anatomy.of(explanation.maps[0].method) if anatomy and explanation.maps else None
    return [["Map", anatomy_words.map_line(place)]] if place else []


def _reader(reader: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the reader entered, one entry a field, line by line; the reference first."""
    return [
        {"label": words.readable(key), "lines": value.splitlines()}
        for key, value in sorted(reader.items(), key=lambda item: item[0] != "reference")
        if key != "side" and value.strip()
    ]


def _card(explanation: Explanation) -> list[list[str]]:
    card = explanation.card
    rows = [
        ["Model", f"{card.title} ({explanation.model})"],
        ["In short", card.summary],
        ["Trained on", card.data],
        ["Tested on", card.tested_on or "not measured here"],
        ["Licence", card.licence],
        ["Weights SHA-256", explanation.model_sha256 or "not known"],
    ]
    if explanation.anatomy is not None:
        terms = segmenter.card()
        rows += [["Anatomy by", f"{terms.title}. {terms.data}"], ["Its licence", terms.licence]]
    return [row for row in rows if row[1]]


def _grid_limit(explanation: Explanation) -> list[str]:
    if not explanation.maps:
        return []
    cells, side = explanation.maps[0].values.shape[0], explanation.model_view.shape[0]
    return [
        f"The map has {words.grid(explanation.maps[0])}: one cell covers {side / cells:.0f} of the {side} px that the "
        "model saw. Nothing finer can be read from it."
    ] if cells < side else []  # fmt: skip


def _provenance(explanation: Explanation) -> list[list[str]]:
    rows = [["Film SHA-256", explanation.radiograph.sha256]]
    for saliency in explanation.maps:
        options = ", ".join(f"{key} {_flat(value)}" for key, value in saliency.options.items() if value is not None)
        rows.append([f"Map {saliency.method}", options or "default options"])
    rows.append(
        ["Concepts", f"layer {explanation.semantic.layer}; probes {', '.join(explanation.semantic.probes) or 'none'}"]
    )
    told = ("methods", "source_sha256", "model_sha256", "layer", "atlases")  # in the rows above and below, or the card
    rows += [
        [words.readable(str(key)), _flat(value)] for key, value in explanation.provenance.items() if key not in told
    ]
    return rows + [[f"Atlas {one['probe']}", _atlas(one)] for one in explanation.provenance.get("atlases", ())]


def _atlas(made: Mapping[str, Any]) -> str:
    """How units were named, in a line."""
    rules = {
        "films": "{} films",
        "patients": "of {} patients",
        "tail": "regions of the top {}",
        "min_iou": "IoU above {}",
        "max_p": "p up to {}",
        "permutations": "over {} permutations",
        "seed": "seed {}",
    }
    parts = [text.format(made[key]) for key, text in rules.items() if key in made]
    parts += ["each film by the model that had not seen it"] if made.get("out_of_fold") else []
    return ", ".join([*parts, f"definition {made['definition']}"]).replace(" films, of", " films of")


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(_flat(item) for item in value) or "none"
    return "none" if value is None else str(value)
