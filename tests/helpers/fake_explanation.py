"""Explanations made of arithmetic: no weights, no film of a person, but every identity of a real one holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xrayinterp.dissection.ablation import Baseline
from xrayinterp.errors import Code, Warned
from xrayinterp.evaluation.lamps import MapTrust, Reading
from xrayinterp.explanation import Explanation, Prediction, SaliencyMap, Severity
from xrayinterp.imaging.geometry import Fit, cut, frame
from xrayinterp.imaging.radiograph import RECIPE, Radiograph, Source, View
from xrayinterp.models.chest_model import Calibration, Card, FindingMetrics, Interval, OperatingPoint
from xrayinterp.semantics import ConceptShare, SemanticAttribution, UnitShare
from xrayinterp.semantics_earlier import LayerAttribution, LayerConcept, LayerMeasures, LayerUnit, Measured

FINDINGS = (
    "Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis", "Effusion",
    "Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia",
)  # fmt: skip
ZONES = ("A", "B", "C", "D", "E", "F")
UNIT_CONCEPTS = (
    "Effusion", "Effusion", "Effusion", "Cardiomegaly", "Cardiomegaly", "Consolidation", "Emphysema", "Left lung",
    None, None, None, None,
)  # fmt: skip
GRID = 7
SHA = "5f2b8c1d9e7a40361c4d7e0fb2a95836d1e4c7f09a8b6d5e3f1c2b4a79680d5e"

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FakeUnits:
    """Twelve units on a 7 x 7 grid: rectified maps (12, 7, 7), weights, thresholds, means over normal films, bias."""

    maps: FloatArray
    weights: FloatArray
    thresholds: FloatArray
    normal: FloatArray
    bias: float


def fake_radiograph(*, height: int = 560, width: int = 464, view: View = "AP") -> Radiograph:
    """A film of ellipses: two dark lungs, a heart, a spine, a hazy base on the image's right; taller than wide."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = y / height, x / width
    film = 0.62 + 0.25 * y

    def ellipse(cy: float, cx: float, ry: float, rx: float) -> FloatArray:
        return np.clip(1.3 - (((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2), 0.0, 0.4) / 0.4

    for cx in (0.30, 0.70):
        film -= 0.55 * ellipse(0.43, cx, 0.29, 0.15)
    film += 0.22 * ellipse(0.58, 0.55, 0.17, 0.14) + 0.10 * (np.abs(x - 0.5) < 0.035)
    film += 0.30 * ellipse(0.66, 0.70, 0.12, 0.15)
    film += 0.05 * np.sin(40 * y + 3 * np.abs(x - 0.5)) * ellipse(0.43, 0.5, 0.33, 0.40)
    film *= np.clip(12 * np.minimum(x, 1 - x), 0, 1)
    pixels = np.clip(film, 0.0, 1.0).astype(np.float32)
    warnings: tuple[Warned, ...] = (
        Warned(Code.NO_SPACING, "The file gives no pixel spacing: nothing can be measured in millimetres."),
    )
    if view == "unknown":
        warnings += (Warned(Code.VIEW_UNKNOWN, "The file does not say how the film was taken: frontal is assumed."),)
    return Radiograph(
        display=np.round(pixels * 255).astype(np.uint8),
        pixels=pixels,
        view=view,
        view_from="missing" if view == "unknown" else "header",
        spacing_mm=None,
        warnings=warnings,
        sha256=SHA,
        source=Source(
            kind="dicom", rows=2 * height, columns=2 * width, bits=12, photometric="MONOCHROME2", modality="DX",
            orientation=("L", "F"), windows=("window 2048 / 4096",), window=0,
        ),
    )  # fmt: skip


def fake_units(seed: int = 0) -> FakeUnits:
    """Blobs on the grid, each with its own place, weight and threshold."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:GRID, 0:GRID] + 0.5
    centres = np.array(
        [[5.0, 4.8], [4.6, 5.3], [5.4, 4.4], [4.1, 3.6], [4.4, 4.1], [4.2, 4.9], [2.0, 1.8], [3.0, 4.9],
         [1.0, 1.0], [6.3, 3.5], [3.1, 2.1], [2.4, 5.0]]
    )  # fmt: skip
    distance = (y - centres[:, 0, None, None]) ** 2 + (x - centres[:, 1, None, None]) ** 2
    height = rng.uniform(1.2, 2.6, size=(12, 1, 1))
    maps = height * np.exp(-distance / 2.2) + rng.uniform(0.0, 0.25, size=(12, GRID, GRID))
    weights = np.array([3.1, 2.2, 1.4, 0.6, -0.5, 1.2, -1.6, 0.5, 0.9, -0.7, 1.1, -0.8])
    normal = np.array([0.16, 0.19, 0.2, 0.3, 0.28, 0.17, 0.36, 0.3, 0.24, 0.3, 0.25, 0.27])
    return FakeUnits(maps, weights, thresholds=0.55 * maps.max(axis=(1, 2)), normal=normal, bias=-2.05)


def fake_semantic(units: FakeUnits, finding: str, *, reference: bool = True) -> SemanticAttribution:
    """The split that the units' own numbers give: concepts + unlabelled + bias = logit exactly."""
    cells = units.maps * units.weights[:, None, None] / GRID**2
    contributions = cells.sum(axis=(1, 2))
    above = np.where(units.maps > units.thresholds[:, None, None], cells, 0.0).sum(axis=(1, 2))
    expected = units.weights * units.normal
    shares = [
        _share(k, float(contributions[k]), float(above[k]), float(expected[k]) if reference else None, cells[k])
        for k in range(12)
    ]
    named = sorted({concept for concept in UNIT_CONCEPTS if concept is not None})
    concepts = sorted((_concept(name, shares) for name in named), key=_size, reverse=True)
    rest = sorted((share for share in shares if share.concept is None), key=_size, reverse=True)
    return SemanticAttribution(
        layer="norm5",
        finding=finding,
        logit=float(contributions.sum() + units.bias),
        bias=units.bias,
        unlabelled=sum(share.contribution for share in rest),
        unlabelled_above=sum(share.above for share in rest),
        concepts=tuple(concepts),
        rest=tuple(rest),
        reference_logit=float(expected.sum() + units.bias) if reference else None,
        reference_described="412 films without findings, validation split" if reference else None,
        unlabelled_contrast=sum(share.contrast or 0.0 for share in rest) if reference else None,
        residual=1.2e-7,
        contrast_residual=2.4e-7 if reference else None,
        probes=("chestx-det",),
        advice=None,
    )


def _share(k: int, contribution: float, above: float, expected: float | None, cells: FloatArray) -> UnitShare:
    row, column = np.unravel_index(int(np.abs(cells).argmax()), cells.shape)
    named = UNIT_CONCEPTS[k] is not None
    return UnitShare(
        unit=17 * k + 5,
        concept=UNIT_CONCEPTS[k],
        contribution=contribution,
        above=above,
        contrast=None if expected is None else contribution - expected,
        iou=0.16 - 0.01 * k if named else None,
        ceiling=0.94 - 0.05 * k if named else None,
        precision=0.24 - 0.01 * k if named else None,
        probe="chestx-det" if named else None,
        peak=((float(row) + 0.5) / GRID, (float(column) + 0.5) / GRID),
    )


def _concept(name: str, shares: list[UnitShare]) -> ConceptShare:
    units = sorted((share for share in shares if share.concept == name), key=_size, reverse=True)
    contrasts = [share.contrast for share in units if share.contrast is not None]
    return ConceptShare(
        concept=name,
        contribution=sum(share.contribution for share in units),
        above=sum(share.above for share in units),
        contrast=sum(contrasts) if contrasts else None,
        units=tuple(units),
    )


def _size(share: UnitShare | ConceptShare) -> float:
    return abs(share.contribution if share.contrast is None else share.contrast)


def fake_regions(units: FakeUnits) -> dict[str, npt.NDArray[np.float32]]:
    """For each concept float32 (56, 56): signed contributions of its units where they fire."""
    wide = np.kron(units.maps, np.ones((8, 8)))
    fires = wide > units.thresholds[:, None, None]
    cells = np.where(fires, wide * units.weights[:, None, None] / GRID**2, 0.0)
    return {
        name: cells[[concept == name for concept in UNIT_CONCEPTS]].sum(axis=0).astype(np.float32)
        for name in sorted({concept for concept in UNIT_CONCEPTS if concept is not None})
    }


def fake_predictions(logit: float, finding: str = "Effusion", seed: int = 0) -> tuple[Prediction, ...]:
    """Fourteen findings: flagged, not flagged, not sure, and two that are not reliably assessed."""
    rng = np.random.default_rng(seed)
    return tuple(
        _prediction(
            name, logit if name == finding else float(rng.normal(-2.0, 1.1)), weak=name in {"Hernia", "Pneumonia"}
        )
        for name in FINDINGS
    )


def _prediction(name: str, logit: float, *, weak: bool) -> Prediction:
    number = FINDINGS.index(name)
    point = OperatingPoint(
        threshold=-2.0 + 0.05 * number,
        sensitive=-2.6 + 0.05 * number,
        specific=-1.3 + 0.05 * number,
        sensitivity=0.71,
        specificity=0.74,
        chosen_on="NIH validation films",
        measured_on="NIH test films, 1 120 patients",
    )
    calibration = Calibration(
        slope=0.9, intercept=-0.2, prevalence=0.03 + 0.01 * number, ece=0.012, fitted_on="NIH validation films"
    )
    middle = 0.55 if weak else 0.72 + 0.008 * number
    return Prediction(
        finding=name,
        logit=logit,
        probability=float(1 / (1 + np.exp(-(0.9 * logit - 0.2)))),
        calibration=calibration,
        operating_point=point,
        metrics=FindingMetrics(
            auroc=Interval(middle, middle - 0.05, middle + 0.05),
            patients=9 if weak else 60 + number,
            measured_on="NIH test films, 1 120 patients",
            assessed=not weak,
        ),
        positive=None if weak else logit >= point.threshold,
        unsure=-2.6 + 0.05 * number <= logit < -1.3 + 0.05 * number,
        assessed=not weak,
    )


def fake_explanation(*, fit: Fit = "crop", reference: bool = True, seed: int = 0, **changes: Any) -> Explanation:
    """Effusion on a synthetic AP film by a model like `compact`; `changes` replace fields of the Explanation."""
    radiograph, units = fake_radiograph(), fake_units(seed)
    semantic = fake_semantic(units, "Effusion", reference=reference)
    explanation = Explanation(
        radiograph=radiograph,
        fit=fit,
        model="compact",
        model_sha256="c0ffee" + SHA[6:],
        card=_card(),
        task="findings",
        finding="Effusion",
        predictions=fake_predictions(semantic.logit, seed=seed),
        severity=None,
        semantic=semantic,
        maps=_maps(units),
        regions=fake_regions(units),
        model_view=_model_view(radiograph, fit),
        warnings=(
            *radiograph.warnings,
            Warned(Code.AP_VIEW, "AP view: heart size is overestimated."),
            Warned(
                Code.MODEL_DETAIL,
                "This model saw 128 px: small nodules, fractures and thin pneumothorax lines are beyond it.",
            ),
        ),
        provenance=_provenance(seed),
        reader={},
    )
    return replace(explanation, **changes)


def fake_trust(method: str = "gradcam_signed") -> MapTrust:
    """A strip with a reading of every state."""
    return MapTrust(
        method,
        (
            Reading("follows-weights", "good", 0.21, 0.08, "The map falls apart when the weights are destroyed."),
            Reading(
                "follows-finding",
                "by-construction",
                -1.0,
                None,
                "The map against the finding is minus this map by construction.",
                {"negated": -1.0, "negated_by_construction": True},
            ),
            Reading("stable", "doubtful", 0.66, 0.1, "The map changes somewhat.", {"shift": 5, "noise": 0.01}),
            Reading("faithful", "bad", 0.45, 0.5, "No more than chance.", {"drops": {"blur": [0.1, 0.2]}, "seed": 0}),
            Reading("covered-by-concepts", "not-measurable", None, None, "Not measurable: no atlas."),
        ),
    )


def fake_severity_explanation(*, seed: int = 0, **changes: Any) -> Explanation:
    """Global severity on the same film by a model like `brixia`: zone scores, research only, raw outputs."""
    units = fake_units(seed)
    units = replace(units, bias=4.4)
    semantic = fake_semantic(units, "global")
    zones = dict(zip(ZONES, (0.4, 1.1, 1.3, 0.2, 0.9, 2.6), strict=True))
    outputs, total = {**zones, "global": semantic.logit}, sum(zones.values())
    plain = FindingMetrics(measured_on="Brixia films, patient-level cross-validation", assessed=True)
    explanation = replace(
        fake_explanation(seed=seed),
        model="brixia",
        model_sha256="b0b0b0" + SHA[6:],
        card=_severity_card(),
        task="severity",
        finding="global",
        predictions=tuple(
            Prediction(name, value, None, None, None, plain, positive=None, unsure=False, assessed=True)
            for name, value in outputs.items()
        ),
        severity=Severity(zones=zones, total=total, interval=(max(0.0, total - 4.1), min(18.0, total + 4.1))),
        semantic=semantic,
        maps=_maps(units),
        regions=fake_regions(units),
    )
    return replace(explanation, **changes)


def _maps(units: FakeUnits) -> tuple[SaliencyMap, ...]:
    signed = (units.maps * units.weights[:, None, None]).sum(axis=0) / GRID**2
    return (
        SaliencyMap("gradcam_signed", signed.astype(np.float32), signed=True, options={"layer": "norm5"}),
        SaliencyMap("gradcam", np.maximum(signed, 0).astype(np.float32), signed=False, options={"layer": "norm5"}),
    )


def _model_view(radiograph: Radiograph, fit: Fit, size: int = 224) -> npt.NDArray[np.float32]:
    square = cut(radiograph.pixels, frame(*radiograph.shape, fit))
    rows = np.arange(size) * square.shape[0] // size
    return np.asarray(square[np.ix_(rows, rows)], dtype=np.float32)


def _provenance(seed: int) -> dict[str, Any]:
    return {
        "versions": {"xrayinterp": "0.1.0", "torch": "2.15.0", "numpy": "2.4.6", "python": "3.11.9"},
        "recipe": RECIPE,
        "seed": seed,
        "atlases": [{"probe": "chestx-det", "definition": "khakzar2021", "films": 558, "patients": 240, "seed": 0}],
    }


def _card() -> Card:
    return Card(
        title="Fourteen findings",
        summary="A small DenseNet trained on public NIH ChestX-ray14 films for this project.",
        data="8 040 frontal films of 4 400 patients, NIH Clinical Center; labels mined from reports.",
        licence="Apache-2.0",
        limits=(
            "Films were reduced to 128 px: small nodules, fractures and thin pneumothorax lines are beyond it.",
            "Labels were mined from reports and are wrong in about one case of ten.",
            "Never tested outside the hospital it was trained on.",
        ),
        sha256="c0ffee" + SHA[6:],
        tested_on="1 610 NIH test films of 1 120 patients",
        measured={"mean AUROC": 0.71},
    )


def _severity_card() -> Card:
    return Card(
        title="Severity of COVID-19 pneumonia",
        summary="Ridge regression on the pooled features of compact; zone scores A to F and their sum.",
        data="1 050 films with Brixia scores of two raters.",
        licence="CC BY-NC-SA 4.0 (data); weights non-commercial",
        limits=("Scores mean something only for COVID-19 pneumonia.", "The two raters lie 2.0 points apart."),
        sha256="b0b0b0" + SHA[6:],
        research_only=True,
        tested_on="the same films, patient-level cross-validation",
        measured={"MAE": 2.5, "MAE of the mean": 3.66},
    )


def fake_layer(layer: str = "denseblock3") -> LayerAttribution:
    """Three concepts at an earlier layer; the measures disagree about the sign of one."""
    pairs = {"Effusion": (0.40, 0.31), "Left lung": (-0.20, -0.24), "Cardiomegaly": (0.05, -0.07)}
    concepts = tuple(LayerConcept(*pair, name, 0.1 * pair[0], (i,)) for i, (name, pair) in enumerate(pairs.items()))
    unlabelled = LayerConcept(-0.9, -0.5, None, -0.2, (3, 4))
    units = tuple(
        LayerUnit(*pair, unit, name, 0.01, 0.1, 0.9, 0.2, "chestx-det", (0.7, 0.7))
        for unit, (name, pair) in enumerate(pairs.items())
    )

    def measures(baseline: Baseline, described: str | None) -> LayerMeasures:
        return LayerMeasures(baseline, described, concepts, unlabelled, Measured(-0.65, -0.4), units, 0.5)

    both = measures(Baseline.ZERO, None), measures(Baseline.NORMAL_MEAN, "412 films without findings")
    regions = {name: np.ones((112, 112), dtype=np.float32) for name in pairs}
    return LayerAttribution(layer, "Effusion", -1.0, both, regions, 16, ("chestx-det",), None)
