"""The words that reports use for views, sides, places, verdicts and figures; plain, and never a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..imaging.radiograph import Radiograph
from ..models.card import readable as readable  # what is printed and shown is told by one rule

if TYPE_CHECKING:  # words are wanted before torch is there
    from ..anatomy import Anatomy
    from ..explanation import Prediction, SaliencyMap

DISCLAIMER = "Research use only. Not for diagnosis."
RESEARCH_ONLY = "Research only, non-commercial"
NO_SIDES = "those of the image; the file does not say which is the patient's left"

STRUCTURE = "Shows structure, not evidence for this finding"

_FAULTS = {"class": "the finding", "weights": "the network's weights"}
_METHODS = {
    "gradcam": "Grad-CAM", "gradcampp": "Grad-CAM++", "hirescam": "HiResCAM", "fullgrad": "FullGrad",
    "smoothgrad": "SmoothGrad", "deconvnet": "DeconvNet", "rectgrad": "RectGrad", "prunegrad": "PruneGrad",
    "rise": "RISE", "guided_backprop": "Guided backprop", "guided_gradcam": "Guided Grad-CAM",
    "ablation_cam": "Ablation-CAM", "pruned_layer_cam": "Pruned-layer CAM", "lrp_epsilon": "LRP ε",
    "lrp_zplus": "LRP z+", "lrp_alpha2beta1": "LRP α2β1", "lrp_epsilon_plus": "LRP ε+",
    "prunegrad_pgd": "PruneGrad, perturbed", "edges": "Edges of the film", "centre": "Centre of the film",
    "random": "Random blobs",
}  # fmt: skip
_VARIANTS = {"abs": "absolute", "prr": "relevance times gate"}
_FAMILIES = {
    "gradient": "Gradients", "propagation": "Altered gradients", "lrp": "Relevance propagation",
    "cam": "Class activation", "fullgrad": "Gradients of all layers", "pathway": "Critical pathways",
    "perturbation": "Covering parts up", "baseline": "Baselines without a model",
}  # fmt: skip
_VIEW = {"PA": "PA (postero-anterior)", "AP": "AP (antero-posterior)", "unknown": "not known, taken as frontal"}
_VIEW_FROM = {
    "header": "as the file says",
    "reader": "as confirmed by the reader",
    "missing": "the file does not say and nobody confirmed it",
}


def signed(value: float, digits: int = 2) -> str:
    """A figure with its sign, and a true minus: "+0.31", "−1.20", "0.00"."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def plain(value: float, digits: int = 2) -> str:
    """A figure without a plus sign, with a true minus."""
    return signed(value, digits).removeprefix("+")


def percent(share: float, digits: int = 0) -> str:
    """A share as a percentage, with a narrow space that does not break: "71 %"."""
    return f"{100 * share:.{digits}f}\u202f%"


def small(value: float) -> str:
    """A figure of any size, to three digits, as a colour bar needs: "0.21", "1.3e−5"."""
    return f"{value:.3g}".replace("e-0", "e−").replace("-", "−")


def grid(saliency: SaliencyMap) -> str:
    """The grid a map was made on: "7 × 7 cells"."""
    rows, columns = saliency.values.shape
    return f"{rows} × {columns} cells"


def method(name: str) -> str:
    """A method's name as words: "gradcam_signed" becomes "Grad-CAM, signed", "input_x_gradient" "Input × gradient"."""
    if name in _METHODS:
        return _METHODS[name]
    head, *rest = name.split("_")
    if head in _METHODS:
        return f"{_METHODS[head]}, {' '.join(_VARIANTS.get(word, word) for word in rest)}"
    return readable(name.replace("_x_", " × "))


def family(name: str) -> str:
    """What a family of methods is called."""
    return _FAMILIES.get(name, readable(name))


def structure_only(faults: Sequence[str]) -> str:
    """What must be said of a map by a method that was measured to ignore the class, the weights or both."""
    ignored = " and ".join(_FAULTS[fault] for fault in faults)
    return f"{STRUCTURE}: measured, its maps hardly change with {ignored}."


def strongest(saliency: SaliencyMap, anatomy: Anatomy | None = None) -> str:
    """Where a map is strongest, as a sentence for those who cannot see it; by its anatomy where that is known."""
    sizes = np.abs(saliency.values)
    if not sizes.any():
        return "It is zero everywhere."
    row, column = np.unravel_index(int(sizes.argmax()), sizes.shape)
    peak = (float(row) + 0.5) / sizes.shape[0], (float(column) + 0.5) / sizes.shape[1]
    if anatomy is not None and (words := anatomy.at(peak)) is not None:
        return f"It is strongest here: {words}."
    return f"It is strongest in the {place(peak)} of the square that the model saw."


ENDS = ("opposes", "supports")
"""What a negative and a positive value of a signed map mean."""


def scale(saliency: SaliencyMap, limit: float, ends: tuple[str, str] = ENDS) -> tuple[str, str]:
    """What stands at the two ends of a map's colour bar."""
    if limit == 0:
        return "", "zero everywhere"
    if not saliency.signed:
        return "0", f"{small(limit)} (unsigned)"
    return f"{ends[0]} −{small(limit)}", f"+{small(limit)} {ends[1]}"


def place(peak: tuple[float, float], anatomy: Anatomy | None = None) -> str:
    """Where a peak (y, x in [0, 1] of the model's square) lies: "image-right lower zone".

    By the film's own anatomy where it is known, else by thirds of the square.
    """
    if anatomy is not None and (words := anatomy.at(peak)) is not None:
        return words
    y, x = peak
    height = "upper" if y < 1 / 3 else "middle" if y < 2 / 3 else "lower"
    if abs(x - 0.5) < 0.08:  # about the width of the spine and mediastinum
        return f"centre, {height} zone"
    return f"image-{'left' if x < 0.5 else 'right'} {height} zone"


def view(radiograph: Radiograph) -> str:
    """The view and who said so."""
    if radiograph.view == "unknown" and radiograph.view_from == "reader":
        return "not known to the reader either, taken as frontal"
    return f"{_VIEW[radiograph.view]}, {_VIEW_FROM[radiograph.view_from]}"


def short_view(radiograph: Radiograph) -> str:
    """The view in as few words as a list has room for: "AP, confirmed"."""
    if radiograph.view == "unknown":
        return "view not known"
    return radiograph.view + {"header": ", from header", "reader": ", confirmed", "missing": ""}[radiograph.view_from]


def sides(radiograph: Radiograph, reader: Mapping[str, str]) -> str:
    """Which side of the image is the patient's left, and who said so."""
    if reader.get("side"):
        return f"{reader['side']} (entered by the reader)"
    row = radiograph.source.orientation[0][:1].upper() if radiograph.source.orientation else ""
    if row == "L":
        return "image right is the patient's left, as the file says"
    if row == "R":
        return "image right is the patient's right, as the file says: the image is mirrored"
    return NO_SIDES


def verdict(prediction: Prediction) -> str:
    """On which side of its operating point a finding lies; "not sure" between the two 90 % thresholds."""
    if not prediction.assessed:
        return "not reliably assessed"
    if prediction.positive is None:
        return "no operating point"
    if prediction.unsure:
        return "not sure"
    return "above" if prediction.positive else "below"


def auroc(prediction: Prediction) -> str:
    """The measured AUROC with its interval, or that there is none."""
    measured = prediction.metrics.auroc
    if measured is None:
        return "not measured here"
    return f"{measured.value:.2f} ({measured.low:.2f}–{measured.high:.2f})"


def why_not_assessed(prediction: Prediction) -> str:
    """What stands behind a finding that is never flagged."""
    metrics, parts = prediction.metrics, []
    if metrics.auroc is not None:
        parts.append(f"AUROC {auroc(prediction)}")
    if metrics.patients is not None:
        parts.append(f"{metrics.patients} positive patients")
    return ", ".join(parts) or "not measured"
