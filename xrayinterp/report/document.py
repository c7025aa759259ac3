"""JSON v1: an explanation as a strict, validated document that a machine can read years later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..anatomy import MapPlace
from ..anomaly.normality import Normality
from ..errors import Code, XrayInterpError
from ..evaluation.lamps import LAMPS, Reading
from ..explanation import Explanation, Prediction, SaliencyMap
from ..models import segmenter
from ..semantics import ConceptShare, SemanticAttribution, UnitShare
from ..semantics_earlier import LayerAttribution, LayerMeasures, Measured
from . import anatomy_words, normality_words
from .schema import SCHEMA_VERSION, Document, LayerUnitOut, MeasuredOut, UnitOut

__all__ = ["Document", "read_document", "schema", "to_document"]


def to_document(explanation: Explanation, map_paths: Mapping[str, str | Path] | None = None) -> Document:
    """An explanation as a document.

    Args:
        explanation: what `explain` made.
        map_paths: for each method, the file in which its map was saved, as the document should name it.

    Raises:
        XrayInterpError: `internal` where a figure is not finite or the parts do not sum to the logit.
    """
    paths = map_paths or {}
    film = explanation.radiograph
    fields = {
        "schema_version": SCHEMA_VERSION,
        "source": {
            "sha256": film.sha256,
            "kind": film.source.kind,
            "rows": film.source.rows,
            "columns": film.source.columns,
        },
        "model": _model(explanation),
        "recipe": film.recipe,
        "view": film.view,
        "view_from": film.view_from,
        "fit": explanation.fit,
        "finding": explanation.finding,
        "predictions": [_prediction(prediction) for prediction in explanation.predictions],
        "severity": _severity(explanation),
        "semantic": _semantic(explanation.semantic),
        "layers": [_layer(found) for found in explanation.layers],
        "maps": [_map(saliency, paths.get(saliency.method)) for saliency in explanation.maps],
        "trust": [_trust(strip.method, reading) for strip in explanation.trust for reading in strip.readings],
        "anatomy": _anatomy(explanation),
        "normality": _normality(explanation.normality),
        "warnings": [{"code": str(warning.code), "message": warning.message} for warning in explanation.warnings],
        "reader": dict(explanation.reader),
        "provenance": {"seed": None, "versions": {}, **_plain(explanation.provenance)},
    }
    return _validated(fields)


def read_document(text: str | bytes) -> Document:
    """A document read back from JSON text.

    Raises:
        XrayInterpError: `bad-option` where the text is not a document of this version, or its parts do not sum up.
    """
    try:
        return Document.model_validate_json(text)
    except ValidationError as error:
        raise XrayInterpError(
            Code.BAD_OPTION, f"This is not an explanation, JSON version 1: {_first(error)}."
        ) from error


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Document.model_json_schema(mode="serialization"),
    }


def _validated(fields: Mapping[str, Any]) -> Document:
    try:
        return Document.model_validate(fields)
    except ValidationError as error:
        raise XrayInterpError(
            Code.INTERNAL,
            f"The explanation cannot be written as JSON: {_first(error)}.",
            "No document was written; report this with the file's SHA-256.",
        ) from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in problem["loc"]) or "document"
    return f"{where}: {problem['msg']}"


def _model(explanation: Explanation) -> dict[str, Any]:
    return {
        "name": explanation.model,
        "sha256": explanation.model_sha256,
        "task": explanation.task,
        "research_only": explanation.card.research_only,
        "licence": explanation.card.licence,
    }


def _prediction(prediction: Prediction) -> dict[str, Any]:
    point, calibration, auroc = prediction.operating_point, prediction.calibration, prediction.metrics.auroc
    return {
        "finding": prediction.finding,
        "logit": prediction.logit,
        "probability": prediction.probability,
        "calibration": calibration
        and {"set": calibration.fitted_on, "prevalence": calibration.prevalence, "ece": calibration.ece},
        "operating_point": point and point.threshold,
        "sensitive_threshold": point and point.sensitive,
        "specific_threshold": point and point.specific,
        "positive": prediction.positive,
        "unsure": prediction.unsure,
        "assessed": prediction.assessed,
        "auroc": auroc
        and {
            "value": auroc.value,
            "low": auroc.low,
            "high": auroc.high,
            "measured_on": prediction.metrics.measured_on,
        },
    }


def _severity(explanation: Explanation) -> dict[str, Any] | None:
    severity = explanation.severity
    if severity is None:
        return None
    return {"zones": dict(severity.zones), "global": severity.total, "interval": severity.interval}


def _semantic(semantic: SemanticAttribution) -> dict[str, Any]:
    reference = None
    if semantic.reference_logit is not None:
        reference = {
            "described": semantic.reference_described or "",
            "logit": semantic.reference_logit,
            "unlabelled_contrast": semantic.unlabelled_contrast,
        }
    return {
        "layer": semantic.layer,
        "logit": semantic.logit,
        "bias": semantic.bias,
        "unlabelled": semantic.unlabelled,
        "reference": reference,
        "concepts": [_concept(share) for share in semantic.concepts],
        "rest": [_unit(share) for share in semantic.rest],
        "probes": list(semantic.probes),
        "residual": semantic.residual,
        "contrast_residual": semantic.contrast_residual,
    }


def _concept(share: ConceptShare) -> dict[str, Any]:
    return {
        "concept": share.concept,
        "contribution": share.contribution,
        "above": share.above,
        "contrast": share.contrast,
        "units": [_unit(unit) for unit in share.units],
    }


def _unit(share: UnitShare) -> dict[str, Any]:
    return {name: getattr(share, name) for name in UnitOut.model_fields}


def _layer(found: LayerAttribution) -> dict[str, Any]:
    return {
        "layer": found.layer,
        "probes": list(found.probes),
        "ablations": found.ablations,
        "measures": [_measures(measures) for measures in found.measures],
    }


def _measures(measures: LayerMeasures) -> dict[str, Any]:
    further = set(LayerUnitOut.model_fields) - set(MeasuredOut.model_fields)
    concepts = [
        _measured(concept)
        | {
            "concept": concept.concept,
            "above": concept.above,
            "same_sign": concept.same_sign,
            "units": list(concept.units),
        }
        for concept in (*measures.concepts, measures.unlabelled)
    ]
    return {
        "baseline": str(measures.baseline),
        "described": measures.described,
        "concepts": concepts[:-1],
        "unlabelled": concepts[-1],
        "total": _measured(measures.total),
        "unexplained": measures.unexplained,
        "units": [_measured(unit) | {name: getattr(unit, name) for name in further} for unit in measures.units],
        "rank_correlation": measures.rank_correlation,
    }


def _measured(part: Measured) -> dict[str, Any]:
    return {"gradient_x_activation": part.gradient, "ablation": part.ablation, "difference": part.difference}


def _map(saliency: SaliencyMap, path: str | Path | None) -> dict[str, Any]:
    return {
        "method": saliency.method,
        "path": None if path is None else Path(path).as_posix(),
        "signed": saliency.signed,
        "options": _plain(saliency.options),
    }


def _trust(method: str, reading: Reading) -> dict[str, Any]:
    return {
        "method": method,
        "lamp": reading.lamp,
        "state": reading.state,
        "value": reading.value,
        "reference": reading.reference,
        "direction": LAMPS[reading.lamp].direction,
        "words": reading.words,
        "details": _plain(reading.details),
    }


def _anatomy(explanation: Explanation) -> dict[str, Any] | None:
    anatomy = explanation.anatomy
    if anatomy is None:
        return None
    ratio, terms = anatomy.cardiothoracic, segmenter.card()
    return {
        "segmenter_sha256": anatomy.segmentation.model_sha256,
        "research_only": terms.research_only,
        "licence": terms.licence,
        "doubt": anatomy.doubt,
        "maps": [_place(place) for place in anatomy.maps],
        "concepts": dict(anatomy.concepts),
        "cardiothoracic": ratio
        and {**asdict(ratio), "ratio": ratio.ratio, "caveat": anatomy_words.CAVEATS[explanation.radiograph.view]},
        "unmeasured": anatomy.unmeasured,
    }


def _normality(found: Normality | None) -> dict[str, Any] | None:
    if found is None:
        return None
    gate, unusual = found.gate, found.unusualness
    return {
        "gate": gate and {**asdict(gate), "stopped": gate.stopped},
        "unusualness": unusual and {**asdict(unusual), "words": normality_words.percentile_line(unusual)},
    }


def _place(place: MapPlace) -> dict[str, Any]:
    return {
        "method": place.method,
        "supports": place.supports,
        "opposes": place.opposes,
        "shares": place.shares and asdict(place.shares),
        "words": anatomy_words.map_line(place),
    }


def _plain(value: Any) -> Any:
    """Any option or provenance value as JSON knows it: numpy scalars and arrays unpacked, the unknown as its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, (str, bool, int, float)) or value is None:
        return str(value) if isinstance(value, str) else value  # an enumeration of strings becomes its text
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, bytes):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [_plain(item) for item in items]
    return str(value)
