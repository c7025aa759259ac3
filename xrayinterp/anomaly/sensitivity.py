"""Does the map of unusualness follow what its cloner learned? The lamp `follows-weights` for that map."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..evaluation.lamps import LAMPS, MapTrust, Reading
from ..evaluation.similarity import spearman
from ..imaging.geometry import FloatImage
from ..imaging.radiograph import Radiograph
from .distillation import DistillationDetector
from .model import AnomalyModel
from .normality import detector
from .shelf import UNUSUALNESS, USUAL_WAY

LAMP = "follows-weights"
DRAWS = 3


def follows_weights(model: AnomalyModel, radiograph: Radiograph, *, way: str = USUAL_WAY, seed: int = 0) -> Reading:
    """The lamp's reading: Spearman's rho between the film's map and those of cloners whose weights were permuted.

    Weights are permuted within their tensors, in all layers, DRAWS times; the expert, which was not learnt here, stays.
    """
    image = model.prepare(radiograph)
    own = _map(model.detector, image, way)
    rhos = [spearman(own, _map(other, image, way)) for other in permuted(model.detector, seed)]
    known = [rho for rho in rhos if rho is not None]
    details = {"way": way, "seed": seed, "draws": DRAWS, "rhos": rhos}
    if not known:
        return Reading(LAMP, "not-measurable", None, None, "The map is the same everywhere.", details)
    value = sum(known) / len(known)
    words = (
        f"Spearman's rho {value:.2f} with maps made after what the detector had learned was destroyed, "
        f"{len(known)} times."
    )
    return Reading(LAMP, LAMPS[LAMP].state(value), value, None, words, details)


def unusualness_trust(radiograph: Radiograph, *, seed: int = 0) -> tuple[MapTrust, ...]:
    """The strip of the built-in detector's usual map, which has this one lamp; none where there is no detector."""
    model = detector()
    return () if model is None else (MapTrust(UNUSUALNESS, (follows_weights(model, radiograph, seed=seed),)),)


def permuted(detector: DistillationDetector, seed: int) -> Iterator[DistillationDetector]:
    """The detector with the weights of its cloner permuted, DRAWS times."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(DRAWS):
        learned = detector.learned
        if learned is None:
            return
        cloner = copy.deepcopy(learned.cloner)
        _permute(cloner, generator)
        yield replace(detector, learned=replace(learned, cloner=cloner))


def _permute(module: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for tensor in module.parameters():
            order = torch.randperm(tensor.numel(), generator=generator)
            tensor.copy_(tensor.flatten()[order].view_as(tensor))


def _map(detector: DistillationDetector, image: Tensor, way: str) -> FloatImage:
    return detector.maps(image, method=way)[0, 0].numpy()
