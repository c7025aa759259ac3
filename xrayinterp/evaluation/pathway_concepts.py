"""The concepts on a path: which units of the last map it keeps, what they are named, and what they give the logit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attribution.forward import Forward
from ..attribution.pathway_masks import PrunedForward
from ..attribution.pathways import Pathway
from ..dissection.atlas import Atlas
from ..dissection.naming import name_units
from ..errors import Code, XrayInterpError
from ..models.chest_model import ChestModel
from ..semantics import LAYER, SemanticAttribution, split


@dataclass(frozen=True)
class PathConcept:
    """The units of one concept that are on a path.

    `units`, by size of their contribution, keep at least one position of their map, and `firing` are those of them that
    keep one where they fire (above their threshold), which is where their name holds. `labelled` counts the model's
    units of this concept, on the path or not. `contribution` is what they give the pruned network's logit, `above` the
    part from where they fire.
    """

    concept: str
    units: tuple[int, ...]
    firing: tuple[int, ...]
    labelled: int
    contribution: float
    above: float

    @property
    def words(self) -> str:
        """Such as "12 of 30 effusion-like units, 3 where they fire"."""
        plural = "unit" if self.labelled == 1 else "units"
        named = f"{self.concept.lower()}-like {plural}"
        return f"{len(self.units)} of {self.labelled} {named}, {len(self.firing)} where they fire"


@dataclass(frozen=True)
class PathConcepts:
    """What a path keeps of the last map.

    `concepts` by size of contribution, those without a unit on the path left out; `unlabelled` counts the units on the
    path without a name, `units` all units on the path, `of` all units of the map. `semantic` splits the pruned
    network's logit exactly.
    """

    concepts: tuple[PathConcept, ...]
    unlabelled: int
    units: int
    of: int
    semantic: SemanticAttribution


def concepts_on_path(
    model: ChestModel, x: Tensor, finding: str, path: Pathway, atlases: Sequence[Atlas]
) -> PathConcepts:
    """Name the units that a path of one film x (1, 1, S, S) keeps in the last map.

    Raises:
        XrayInterpError: `bad-option` for a path of more films, `unknown-layer` where no ReLU site of the path is the
            last map, and what `split` raises.
    """
    if len(x) != 1 or len(path.logit) != 1:
        raise XrayInterpError(
            Code.BAD_OPTION, f"{len(path.logit)} films were given.", "Concepts are those of one film."
        )
    cut = PrunedForward(Forward(model, x), path.masks).cut()
    mask = _last_site(path, cut.maps)
    semantic = split(model, cut.maps, cut.logits.detach(), finding, atlases)
    names = name_units(model, atlases, LAYER)
    threshold = torch.from_numpy(names.threshold).to(cut.maps)[:, None, None]  # NaN where unknown: nothing is above it
    kept, firing = _units(mask[0]), _units(mask[0] & (cut.maps.detach()[0] > threshold))
    concepts = [
        PathConcept(
            share.concept,
            tuple(unit.unit for unit in share.units if unit.unit in kept),
            tuple(unit.unit for unit in share.units if unit.unit in firing),
            len(share.units),
            share.contribution,
            share.above,
        )
        for share in semantic.concepts
    ]
    on_path = sorted((one for one in concepts if one.units), key=lambda one: abs(one.contribution), reverse=True)
    return PathConcepts(tuple(on_path), len(kept - set(names.rows)), len(kept), mask.shape[1], semantic)


def _units(mask: Tensor) -> set[int]:
    """Units with any position of a mask (U, h, w)."""
    return set(mask.flatten(1).any(1).nonzero().flatten().tolist())


def _last_site(path: Pathway, maps: Tensor) -> Tensor:
    """The mask of the last ReLU site with the shape of the last map."""
    for mask in reversed(path.masks):
        if mask.shape == maps.shape:
            return mask
    raise XrayInterpError(
        Code.UNKNOWN_LAYER,
        f"No ReLU of the network gives the last map, of shape {tuple(maps.shape)}.",
        "Concepts on the path need a network whose last map comes from a ReLU.",
    )
