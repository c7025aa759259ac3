"""The shape of JSON v1: pydantic models that refuse unknown fields, NaN, infinity and parts that do not sum up."""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

SCHEMA_VERSION = "1.0"
TOLERANCE = 1e-4
"""How far the parts may be from the logit, relative to it (absolute under 1)."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """A piece of the document: no unknown fields, no NaN, no infinity, unchangeable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)


class SourceOut(_Part):
    """The file the film came from: the SHA-256 of its bytes and its size in pixels."""

    sha256: Sha256
    kind: Literal["dicom", "png", "jpeg"]
    rows: int
    columns: int


class ModelOut(_Part):
    """The model, and the SHA-256 of its weights where they are known."""

    name: str
    sha256: str | None
    task: str
    research_only: bool
    licence: str


class CalibrationOut(_Part):
    """How the probability was made: the set, its share of positive films and the calibration error left."""

    set: str
    prevalence: float
    ece: float


class AurocOut(_Part):
    """Area under the ROC curve (higher is better) with its 95 % interval over patients."""

    value: float
    low: float
    high: float
    measured_on: str


class PredictionOut(_Part):
    """One output of the model. `operating_point` and the two 90 % thresholds are logits."""

    finding: str
    logit: float
    probability: Annotated[float, Field(ge=0, le=1)] | None
    calibration: CalibrationOut | None
    operating_point: float | None
    sensitive_threshold: float | None
    specific_threshold: float | None
    positive: bool | None
    unsure: bool
    assessed: bool
    auroc: AurocOut | None


class SeverityOut(_Part):
    """Zone scores (0 to 3), their sum (0 to 18) and its 95 % interval."""

    zones: dict[str, float]
    global_: Annotated[float, Field(alias="global")]
    interval: tuple[float, float] | None


class UnitOut(_Part):
    """One unit: contribution from zero, the part of it above the unit's threshold, contrast against normal films.

    `peak` is (y, x) in [0, 1] of the model's square where the unit contributes most.
    """

    unit: int
    contribution: float
    above: float
    contrast: float | None
    iou: float | None
    ceiling: float | None
    precision: float | None
    probe: str | None
    peak: tuple[float, float]


class ConceptOut(_Part):
    """The units of one concept together."""

    concept: str
    contribution: float
    above: float
    contrast: float | None
    units: list[UnitOut]


class ReferenceOut(_Part):
    """The normal films that contrasts are taken against, their mean logit, and the contrast without a concept."""

    described: str
    logit: float
    unlabelled_contrast: float


class SemanticOut(_Part):
    """The logit over concepts: contributions + unlabelled + bias = logit; contrasts sum to logit - reference logit."""

    layer: str
    logit: float
    bias: float
    unlabelled: float
    reference: ReferenceOut | None
    concepts: list[ConceptOut]
    rest: list[UnitOut]
    probes: list[str]
    residual: float
    contrast_residual: float | None

    @model_validator(mode="after")
    def _parts_sum_to_the_logit(self) -> Self:
        total = sum(concept.contribution for concept in self.concepts) + self.unlabelled + self.bias
        _same(total, self.logit, "concepts + unlabelled + bias", "the logit")
        if self.reference is not None:
            contrast = sum(c.contrast or 0.0 for c in self.concepts) + self.reference.unlabelled_contrast
            expected = self.logit - self.reference.logit
            _same(contrast, expected, "the contrasts", "logit - reference logit", max(1.0, abs(self.logit)))
        return self


class MeasuredOut(_Part):
    """Two measures of what some units give the logit beyond a baseline; their difference is data, not an error.

    `gradient_x_activation` is the first order; `ablation` the logit minus the logit with these units at the baseline.
    """

    gradient_x_activation: float
    ablation: float
    difference: float


class LayerUnitOut(MeasuredOut):
    """One unit. `above` is the part of its gradient x activation, from zero, from where it fires."""

    unit: int
    concept: str | None
    above: float
    iou: float | None
    ceiling: float | None
    precision: float | None
    probe: str | None
    peak: tuple[float, float]


class LayerConceptOut(MeasuredOut):
    """The units of one concept together; null: those without a concept."""

    concept: str | None
    above: float
    same_sign: bool
    units: list[int]


class LayerMeasuresOut(_Part):
    """Both measures from one baseline.

    `total` is the whole layer; `unexplained` the size of its difference as a share of its larger measure.
    `rank_correlation` is Spearman's over `units`, which were taken out one by one.
    """

    baseline: Literal["zero", "normal-mean"]
    described: str | None
    concepts: list[LayerConceptOut]
    unlabelled: LayerConceptOut
    total: MeasuredOut
    unexplained: float | None
    units: list[LayerUnitOut]
    rank_correlation: Annotated[float, Field(ge=-1.000001, le=1.000001)] | None

    @model_validator(mode="after")
    def _first_orders_add_up(self) -> Self:
        parts = [*self.concepts, self.unlabelled]
        sizes = sum(abs(part.gradient_x_activation) for part in parts)
        total = sum(part.gradient_x_activation for part in parts)
        expected = self.total.gradient_x_activation
        _same(total, expected, "gradients x activation of concepts and the unlabelled", "the layer's", max(1.0, sizes))
        return self


class LayerOut(_Part):
    """The finding at a further layer. Ablations of parts need not sum to that of the whole."""

    layer: str
    probes: list[str]
    ablations: int
    measures: list[LayerMeasuresOut]


class MapOut(_Part):
    """One saliency map: the file that holds it (float32 .npy over the model's square), null where it was not saved."""

    method: str
    path: str | None
    signed: bool
    options: dict[str, JsonValue]


class TrustOut(_Part):
    """One lamp's reading of one method's map; `direction` says which values are better.

    `reference` is the same measure of something known on this film. Both are null where nothing was measurable;
    `words` say why. `details` hold the figures behind it.
    """

    method: str
    lamp: str
    state: Literal["good", "doubtful", "bad", "not-measurable", "by-construction"]
    value: float | None
    reference: float | None
    direction: Literal["higher", "lower"]
    words: str
    details: dict[str, JsonValue]


class SharesOut(_Part):
    """Shares of a map's absolute values: `lungs + heart - both + elsewhere` = 1.

    `lungs` includes the lung behind the heart, `heart` is heart and mediastinum, `both` lies in both. `area` is the
    lungs' share of what the model saw, which an even map would have in them.
    """

    lungs: float
    heart: float
    both: float
    elsewhere: float
    area: float

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _same(self.lungs + self.heart - self.both + self.elsewhere, 1.0, "the shares of a map", "the whole")
        return self


class MapPlaceOut(_Part):
    """Where one method's map lies, in words by the sides of the image; null where it has no such part."""

    method: str
    supports: str | None
    opposes: str | None
    shares: SharesOut | None
    words: str


class CardiothoracicOut(_Part):
    """Cardiothoracic ratio; widths in pixels of the film as read. `caveat` says what the view allows to conclude."""

    ratio: Annotated[float, Field(gt=0)]
    heart: float
    thorax: float
    caveat: str


class AnatomyOut(_Part):
    """Where maps and concepts lie by the segmenter of lungs, heart and mediastinum, and the cardiothoracic ratio.

    `doubt` says why the segmentation cannot be a chest: there are then no words. `concepts`: where their units fire.
    `unmeasured` says why there is no ratio.
    """

    segmenter_sha256: str | None
    research_only: bool
    licence: str
    doubt: str | None
    maps: list[MapPlaceOut]
    concepts: dict[str, str]
    cardiothoracic: CardiothoracicOut | None
    unmeasured: str | None


class GateOut(_Part):
    """The input gate: a film with a score above the threshold does not look like a frontal chest film."""

    score: float
    threshold: float
    stopped: bool


class PercentileOut(_Part):
    """Percentile of the score among the reference films, 0 to 100, with its 95 % interval. Not a sign of health."""

    value: Annotated[float, Field(ge=0, le=100)]
    low: Annotated[float, Field(ge=0, le=100)]
    high: Annotated[float, Field(ge=0, le=100)]


class PointScoreOut(_Part):
    """What one critical point gives the score, by values and by direction."""

    layer: str
    value: float
    direction: float


class UnusualnessOut(_Part):
    """How unusual the film is to a detector: the points and `offset` sum to `score`; higher is more unusual."""

    detector: str
    sha256: str | None
    score: float
    percentile: PercentileOut
    reference: str
    points: list[PointScoreOut]
    offset: float
    words: str

    @model_validator(mode="after")
    def _points_sum_to_the_score(self) -> Self:
        sizes = abs(self.offset) + sum(abs(p.value) + abs(p.direction) for p in self.points)
        total = self.offset + sum(p.value + p.direction for p in self.points)
        _same(total, self.score, "critical points + offset", "the score", max(1.0, sizes))
        return self


class NormalityOut(_Part):
    """Two different things: what the input gate says, and how unusual the film is; null where it is not known."""

    gate: GateOut | None
    unusualness: UnusualnessOut | None


class WarningOut(_Part):
    """A reservation that stays with the result."""

    code: str
    message: str


class ProvenanceOut(_Part):
    """Versions, seed and whatever else it takes to repeat the result."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False, serialize_by_alias=True)
    __pydantic_extra__: dict[str, JsonValue]

    versions: dict[str, str]
    seed: int | None


class Document(_Part):
    """An explanation of one finding on one film. Research use only, not for diagnosis.

    `layers` is there only where further layers were asked for.
    """

    schema_version: Literal["1.0"]
    source: SourceOut
    model: ModelOut
    recipe: str
    view: Literal["PA", "AP", "unknown"]
    view_from: Literal["header", "reader", "missing"]
    fit: Literal["crop", "pad"]
    finding: str
    predictions: list[PredictionOut]
    severity: SeverityOut | None
    semantic: SemanticOut
    layers: Annotated[list[LayerOut], Field(exclude_if=lambda layers: not layers)] = []
    maps: list[MapOut]
    trust: list[TrustOut]
    anatomy: AnatomyOut | None = None
    normality: NormalityOut | None = None
    warnings: list[WarningOut]
    reader: dict[str, str]
    provenance: ProvenanceOut

    def to_json(self) -> str:
        """The document as strict JSON text: keys in the schema's order, no NaN, no infinity, one final newline."""
        plain = self.model_dump(mode="json")
        return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _same(total: float, expected: float, what: str, whole: str, scale: float = 1.0) -> None:
    if abs(total - expected) > TOLERANCE * max(scale, abs(expected)):
        raise ValueError(f"{what} give {total:.6g}, {whole} is {expected:.6g}")
