"""Concept formation: the checkpoints of one training run dissected, one curve a concept.

Thresholds, labels and null are those of each checkpoint, on the same films and masks: what changes between two points
of a curve is the network.
"""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..concepts.probes import ProbeSet
from ..errors import Code, XrayInterpError
from ..models.chest_model import ChestModel
from ..models.zoo import load_model
from .atlas import Atlas
from .network import dissect
from .summary import summary

Labels = Mapping[int, tuple[str, ...]]
"""Concepts of each labelled unit."""


@dataclass(frozen=True)
class ConceptCurve:
    """One concept over the checkpoints, each a tuple of one figure a checkpoint.

    `detectors` counts units labelled against the null; `best_iou` is the highest of any unit, labelled or not.
    `detectable` is False where no unit of any checkpoint could have reached the threshold of .04.
    """

    concept: str
    detectors: tuple[int, ...]
    best_iou: tuple[float, ...]
    detectable: bool


@dataclass(frozen=True)
class Formation:
    """Curves of one layer over K checkpoints.

    `labelled` (K) counts units with any label. `kept` (K) counts those that bore one of their concepts at the
    checkpoint before as well, None at the first. `labels` (K) says which concepts each labelled unit bears.
    """

    layer: str
    probe: str
    checkpoints: tuple[str, ...]
    curves: tuple[ConceptCurve, ...]
    labelled: tuple[int, ...]
    kept: tuple[int | None, ...]
    labels: tuple[Labels, ...]
    units: int
    films: int
    patients: int

    def to_json(self) -> str:
        """Everything as JSON."""
        return json.dumps(asdict(self), allow_nan=False)


def formation(
    checkpoints: Iterable[tuple[str, ChestModel]],
    probes: ProbeSet,
    layer: str = "norm5",
    **options: Any,
) -> Formation:
    """Dissect checkpoints in the order of training.

    Args:
        checkpoints: names and models, drawn one at a time, so that only one need be in memory.
        probes: films and masks, the same for all.
        layer: the layer to follow; all checkpoints must have as many units there.
        options: as for `dissect`: permutations, splits, seed and others.

    Raises:
        XrayInterpError: `bad-option` without checkpoints or where units differ; what `dissect` raises.
    """
    named: list[tuple[str, Atlas]] = []
    for name, model in checkpoints:
        named.append((name, dissect(model, probes, (layer,), **{"reference": (), **options})))
    if not named:
        raise XrayInterpError(Code.BAD_OPTION, "There is no checkpoint to dissect.", "Name a folder that holds some.")
    return _curves(named, layer)


def _curves(named: list[tuple[str, Atlas]], layer: str) -> Formation:
    atlases = [atlas for _, atlas in named]
    counts = {len({row.unit for row in atlas.rows}) for atlas in atlases}
    if len(counts) > 1:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The checkpoints have {' and '.join(map(str, sorted(counts)))} units in {layer!r}.",
            "Dissect the checkpoints of one run.",
        )
    found = [{one.concept: one for one in summary(atlas)} for atlas in atlases]
    curves = [
        ConceptCurve(
            concept,
            tuple(of[concept].detectors for of in found),
            tuple(max(row.iou for row in atlas.rows if row.concept == concept) for atlas in atlases),
            any(of[concept].detectable for of in found),
        )
        for concept in found[0]
    ]
    labels = tuple(_labels(atlas) for atlas in atlases)
    first = atlases[0]
    return Formation(
        layer,
        first.probe,
        tuple(name for name, _ in named),
        tuple(curves),
        tuple(len(one) for one in labels),
        (None, *(_kept(before, after) for before, after in pairwise(labels))),
        labels,
        counts.pop(),
        first.provenance["films"],
        first.provenance["patients"],
    )


def _labels(atlas: Atlas) -> Labels:
    labels: dict[int, tuple[str, ...]] = {}
    for row in atlas.rows:
        if row.label:
            labels[row.unit] = (*labels.get(row.unit, ()), row.concept)
    return labels


def _kept(before: Labels, after: Labels) -> int:
    return sum(bool(set(concepts) & set(before.get(unit, ()))) for unit, concepts in after.items())


def checkpoints_in(folder: Path, like: ChestModel | None = None) -> Iterator[tuple[str, ChestModel]]:
    """Checkpoints of a folder in the order of their names: safetensors with their records, and state dicts.

    Args:
        folder: holds `NAME.safetensors` (see `models.registry.describe`) or `NAME.pt`, a state dict by `torch.save`.
        like: the model whose network state dicts are of; not needed for safetensors.

    Raises:
        XrayInterpError: `not-found` for a folder without any; `bad-option` for a state dict without `like`;
            `weights-corrupt` for one that is not of its network.
    """
    paths = sorted([*folder.glob("*.safetensors"), *folder.glob("*.pt")], key=lambda path: _natural(path.stem))
    if not paths:
        raise XrayInterpError(
            Code.NOT_FOUND,
            f"{folder} holds no checkpoint.",
            "Put NAME.safetensors with NAME.json, or NAME.pt, there, one for each step of the training run.",
        )
    for path in paths:
        yield path.stem, load_model(path) if path.suffix == ".safetensors" else _from_state_dict(path, like)


def with_weights(model: ChestModel, state: Mapping[str, Tensor], name: str) -> ChestModel:
    """The model with other weights of the same network; nothing measured of it carries over.

    Raises:
        XrayInterpError: `weights-corrupt` where the state dict is not of this network.
    """
    module = copy.deepcopy(model.module)
    try:
        module.load_state_dict(dict(state))
    except (RuntimeError, TypeError) as error:
        raise XrayInterpError(
            Code.WEIGHTS_CORRUPT,
            f"{name} is no state dict of {model.name!r}: {str(error).splitlines()[-1].strip()}",
            "Name the model that was trained.",
        ) from error
    card = replace(model.card, sha256=None, measured={})
    module = module.eval().requires_grad_(False)
    return replace(model, name=name, module=module, card=card, operating_points={}, calibrations={}, metrics={})


def _from_state_dict(path: Path, like: ChestModel | None) -> ChestModel:
    if like is None:
        raise XrayInterpError(
            Code.BAD_OPTION, f"{path} does not say what network it is of.", "Name the model that was trained."
        )
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is no state dict that torch can load safely.") from error
    return with_weights(like, state, path.stem)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts "epoch-2" before "epoch-10"."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
