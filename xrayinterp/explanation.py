"""explain(): a radiograph and a model become an explanation that says how far it can be trusted."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from .anatomy import Anatomy, anatomy_of
from .anomaly.gate import with_warning
from .anomaly.normality import Normality, normality_of
from .anomaly.sensitivity import LAMP as WEIGHTS
from .anomaly.sensitivity import unusualness_trust
from .attribution import Forward, native_map
from .attribution.registry import method_named
from .dissection.atlas import Atlas
from .dissection.io import atlases_for
from .dissection.naming import name_units
from .errors import Code, Warned, XrayInterpError
from .evaluation.lamps import MapTrust, lamps_named
from .evaluation.trust import map_trust
from .imaging.geometry import Fit, Frame, frame
from .imaging.radiograph import Radiograph
from .models.chest_model import Card, ChestModel
from .models.prediction import Prediction, Severity, default_finding, predictions, severity
from .models.segmentation import Segmentation
from .models.segmenter import segment
from .models.zoo import load_model
from .semantics import LAYER, SemanticAttribution, concept_regions, split
from .semantics_earlier import LayerAttribution, attribute_layer

__all__ = [
    "Explanation",
    "Prediction",
    "SaliencyMap",
    "Severity",
    "Trace",
    "at_layer",
    "explain",
    "predict",
    "saliency",
    "trace",
]


@dataclass(frozen=True)
class SaliencyMap:
    """One method's map for the finding: float32 (h, w) over the model's square, signed and unnormalised."""

    method: str
    values: npt.NDArray[np.float32]
    signed: bool
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Explanation:
    """What the model predicts on one film and why; everything a page, a PDF or a row needs.

    `regions` maps a concept to float32 (8h, 8w) over the model's square: the signed contributions of its units where
    they fire (above their thresholds), 0 elsewhere. `model_view` is the input the model saw, float32 (S, S) in [0, 1].
    `reader` holds what a reader typed in (reference, comment, side). `provenance` holds versions, hashes, recipe, seed.
    `trust` holds the trust strip of each map and `layers` the attribution at further layers; empty where not asked for.
    `anatomy` says where maps and concepts lie and how wide the heart is; None where it was not asked for or the
    segmenter's weights are not there. `normality` holds what the input gate says of the film and how unusual it is;
    None where it was not asked for.
    """

    radiograph: Radiograph
    fit: Fit
    model: str
    model_sha256: str | None
    card: Card
    task: str
    finding: str
    predictions: tuple[Prediction, ...]
    severity: Severity | None
    semantic: SemanticAttribution
    maps: tuple[SaliencyMap, ...]
    regions: Mapping[str, npt.NDArray[np.float32]]
    model_view: npt.NDArray[np.float32]
    warnings: tuple[Warned, ...]
    provenance: Mapping[str, Any]
    reader: Mapping[str, str]
    trust: tuple[MapTrust, ...] = ()
    anatomy: Anatomy | None = None
    layers: tuple[LayerAttribution, ...] = ()
    normality: Normality | None = None


@dataclass(frozen=True, eq=False)
class Trace:
    """One forward of one film through one model: what all its findings share.

    `forward` ran the model once, up to and including its head's graph; each further finding costs the head's backward.
    `logits`: (1, F). `maps`: (1, U, h, w), the rectified map that the head pools.
    """

    radiograph: Radiograph
    model: ChestModel
    fit: Fit
    forward: Forward

    @classmethod
    def of(cls, radiograph: Radiograph, model: ChestModel, fit: Fit) -> Trace:
        """Run the model once."""
        forward = Forward(model, model.prepare(radiograph, fit))
        forward.cut()
        return cls(radiograph, model, fit, forward)

    @cached_property
    def atlases(self) -> tuple[Atlas, ...]:
        """What is known of the model's units: the atlases shipped or made for it, read once."""
        return atlases_for(self.model)

    @property
    def logits(self) -> Tensor:
        """Raw outputs, without a graph."""
        return self.forward.cut().logits.detach()

    @property
    def maps(self) -> Tensor:
        """The dissected map, without a graph."""
        return self.forward.cut().maps.detach()


def trace(radiograph: Radiograph, model: ChestModel | str, fit: Fit = "crop") -> Trace:
    """Run a film through a model once; hand the result to `explain` for every finding asked of it."""
    return Trace.of(radiograph, _resolved(model), fit)


def predict(radiograph: Radiograph, model: ChestModel | str, fit: Fit = "crop") -> tuple[Prediction, ...]:
    """What the model says of one film, finding by finding in the model's order.

    Args:
        radiograph: as `xrayinterp.read` gives it.
        model: a ChestModel or the name of one.
        fit: the centre square of the film (`crop`), or the whole film padded with black.
    """
    chosen = _resolved(model)
    return predictions(chosen, chosen.logits(chosen.prepare(radiograph, fit)))


def explain(
    radiograph: Radiograph,
    model: ChestModel | str,
    finding: str | None = None,
    methods: Sequence[str] = ("gradcam_signed",),
    *,
    fit: Fit = "crop",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    reader: Mapping[str, str] | None = None,
    trace: Trace | None = None,
    atlases: Sequence[Atlas] | None = None,
    trust: Sequence[str] | bool = False,
    anatomy: Segmentation | bool = True,
    layers: Sequence[str] = (),
    normality: Normality | bool = True,
) -> Explanation:
    """Predict one film and explain one finding: its maps, and its logit split exactly over concepts.

    Args:
        radiograph: as `xrayinterp.read` gives it.
        model: a ChestModel or the name of one.
        finding: an output of the model; None takes `default_finding`.
        methods: names in `xrayinterp.attribution.METHODS`; maps keep their native grid.
        fit: the centre square of the film (`crop`), or the whole film padded with black.
        options: options by method.
        seed: for methods that draw at random.
        reader: what a reader typed in: reference, comment, side.
        trace: what `trace` made of the same film, model and fit: a further finding does not run the model again.
        atlases: what is known of the model's units; None takes those shipped or made for it.
        trust: measure the trust strip of every map: True for all lamps, or names in `evaluation.lamps.LAMPS`. Costs
            about 60 forwards a map of a single-pass method.
        anatomy: where lungs and heart lie on the film: True has it segmented, at the cost of about one forward.
        layers: dissection layers at which concepts are also measured by gradient x activation and ablation.
        normality: True asks the input gate, which warns of a film that looks like no frontal chest film and hinders
            nothing, and how unusual the film is, at the cost of about three forwards.

    Raises:
        XrayInterpError: `unknown-model`, `unknown-finding`, `unknown-method`, `bad-option`, `unknown-layer`; `internal`
            where the parts of the logit do not add up to it.
    """
    chosen = _resolved(model)
    settings = _settings(methods, options or {})
    lamps = [lamp.name for lamp in lamps_named(None if trust is True else trust or ())]
    if finding is not None:
        chosen.index(finding)  # a misspelt finding or layer is refused before the model runs
    for layer in layers:
        chosen.layer(layer)
    run = Trace.of(radiograph, chosen, fit) if trace is None else _matching(trace, radiograph, chosen, fit)
    known = run.atlases if atlases is None else tuple(atlases)
    predicted = predictions(chosen, run.logits)
    target = default_finding(chosen, predicted) if finding is None else finding
    semantic = split(chosen, run.maps, run.logits, target, known)
    maps = tuple(saliency(run, target, method, values) for method, values in settings.items())
    regions = concept_regions(chosen, run.maps, target, known)
    found = normality if isinstance(normality, Normality) else normality_of(radiograph) if normality else None
    warned = with_warning(radiograph, None if found is None else found.gate).warnings
    return Explanation(
        radiograph=radiograph,
        fit=fit,
        model=chosen.name,
        model_sha256=chosen.card.sha256,
        card=chosen.card,
        task=chosen.task,
        finding=target,
        predictions=predicted,
        severity=severity(chosen, predicted),
        semantic=semantic,
        maps=maps,
        regions=regions,
        model_view=((run.forward.x[0, 0] / chosen.scale + 1) / 2).clamp(0, 1).cpu().numpy(),
        warnings=(*warned, *_warnings(radiograph, chosen)),
        provenance=_provenance(run, known, settings, seed),
        reader=dict(reader or {}),
        trust=(
            *(
                map_trust(run, target, method, values, seed=seed, lamps=lamps, semantic=semantic)
                for method, values in settings.items()
                if lamps
            ),
            *(unusualness_trust(radiograph, seed=seed) if found is not None and WEIGHTS in lamps else ()),
        ),
        anatomy=_anatomy(radiograph, frame(*radiograph.shape, fit), maps, regions, anatomy),
        layers=tuple(at_layer(run, target, layer, known) for layer in dict.fromkeys(layers)),
        normality=found,
    )


def at_layer(run: Trace, finding: str, layer: str, atlases: Sequence[Atlas] | None = None) -> LayerAttribution:
    """What concepts of one layer give a finding on a traced film, by gradient x activation and ablation.

    Raises:
        XrayInterpError: `unknown-finding`, `unknown-layer`, `atlas-mismatch`, `unsupported-operator`.
    """
    names = name_units(run.model, run.atlases if atlases is None else atlases, layer)
    return attribute_layer(run.forward, run.model, finding, layer, names)


def saliency(run: Trace, finding: str, method: str, options: Mapping[str, Any] | None = None) -> SaliencyMap:
    """One method's map for a finding on a traced film, at the grid where the method computes it.

    Raises:
        XrayInterpError: `unknown-finding`, `unknown-method`, `bad-option`, `unknown-layer`.
    """
    chosen = method_named(method)
    settings = chosen.settings(options or {})
    values = native_map(run.forward, run.model.index(finding), method, **settings)
    return SaliencyMap(method, values[0, 0].float().cpu().numpy(), chosen.signed, settings)


def _anatomy(
    radiograph: Radiograph,
    square: Frame,
    maps: Sequence[SaliencyMap],
    regions: Mapping[str, npt.NDArray[np.float32]],
    wanted: Segmentation | bool,
) -> Anatomy | None:
    segmentation = wanted if isinstance(wanted, Segmentation) else segment(radiograph) if wanted else None
    if segmentation is None:
        return None
    return anatomy_of(segmentation, square, [(m.method, m.values, m.signed) for m in maps], regions)


def _resolved(model: ChestModel | str) -> ChestModel:
    return load_model(model) if isinstance(model, str) else model


def _settings(methods: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    unused = [method for method in options if method not in methods]
    if unused:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"Options are given for {', '.join(unused)}, which is not asked for.",
            "Add it to `methods`.",
        )
    return {method: method_named(method).settings(options.get(method, {})) for method in methods}


def _matching(trace: Trace, radiograph: Radiograph, model: ChestModel, fit: Fit) -> Trace:
    """The trace, if it is one of this film, model and fit; the view may have been corrected since."""
    if trace.radiograph.sha256 != radiograph.sha256 or trace.model is not model or trace.fit != fit:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The trace is of another film, model or fit ({trace.model.name!r}, {trace.fit}).",
            "Make one with `trace(radiograph, model, fit)`.",
        )
    return trace


def _warnings(radiograph: Radiograph, model: ChestModel) -> list[Warned]:
    """Reservations that hold for this film with this model, beside those of the file itself."""
    found = []
    if radiograph.view == "AP":
        found.append(Warned(Code.AP_VIEW, "AP view: heart size is overestimated."))
    if model.detail is not None:
        lost = "small nodules, fractures and thin pneumothorax lines are beyond it"
        found.append(Warned(Code.MODEL_DETAIL, f"This model saw {model.detail} px: {lost}."))
    return found


def _provenance(
    run: Trace, atlases: Sequence[Atlas], settings: Mapping[str, Mapping[str, Any]], seed: int
) -> dict[str, Any]:
    """What it takes to get the same explanation again."""
    packages = ("xrayinterp", "torch", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "recipe": run.radiograph.recipe,
        "source_sha256": run.radiograph.sha256,
        "model": run.model.name,
        "model_sha256": run.model.card.sha256,
        "device": str(run.forward.x.device),
        "fit": run.fit,
        "layer": LAYER,
        "methods": {method: dict(values) for method, values in settings.items()},
        "atlases": [_atlas_provenance(atlas) for atlas in atlases],
        "seed": seed,
    }


_OF_ATLASES = ("films", "patients", "tail", "min_iou", "permutations", "max_p", "out_of_fold", "seed", "versions")


def _atlas_provenance(atlas: Atlas) -> dict[str, Any]:
    """Which probe set and rules named the units; what an atlas measured of them stays in the atlas."""
    told = {key: atlas.provenance[key] for key in _OF_ATLASES if key in atlas.provenance}
    return {"probe": atlas.probe, "definition": atlas.definition, **told}
