"""Detectors on disk: one safetensors file with its record in the header; nothing in it can run."""

from __future__ import annotations

import copy
import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.architectures import DenseNet
from ..models.documents import METADATA_KEY
from ..models.layout import DenseNetShape, dissection_layers
from ..models.registry import is_name
from ..paths import write_whole
from ..training.augment import Augmentation
from .calibration import Calibration
from .card import (
    AnomalyRecord,
    CalibrationRecord,
    ExpertRecord,
    NormalsRecord,
    SettingsRecord,
    record_from,
)
from .discrepancy import Weights
from .distillation import DistillationDetector
from .expert_files import at_home, expert_record, same_expert, shipped_expert, shipped_sha256
from .experts import VGG_PATHS, Expert, InputRecipe, cloner_of, densenet_expert, tensors_sha256, vgg16_features
from .fitting import Learned, Settings
from .normals import NormalSet
from .tensor_files import LARGEST as LARGEST
from .tensor_files import as_floats, fill, filled, header_text, packed, read_tensors, tensors_digest

MAX_BYTES = 5_000_000
"""Most bytes that a detector's file may have."""
RECORD_BYTES = 16_000
"""What a record takes at least, its calibration included."""


def check_plan(name: str, expert: Expert, settings: Settings, *, limit: int = MAX_BYTES) -> None:
    """Refuse, before anything is learnt, what could not be written or read again afterwards.

    Raises:
        XrayInterpError: `bad-option` for a name that no detector may have, an expert that would not be found again,
            or a file above `limit` bytes; `unknown-layer` as `Settings.points`.
    """
    if not is_name(name):
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"A detector cannot be called {name!r}.",
            "Take up to 64 letters, digits, dots, dashes and underscores, no space, a letter or digit first.",
        )
    if expert.kind == "model" and not at_home(expert.name, expert.sha256):
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The model {expert.name!r} has no name of its own here: a detector fitted to it could not be read again.",
            "Import it with `xrayinterp models import`, and give its name as the expert.",
        )
    settings.points(expert)
    cloner = cloner_of(expert, settings.cloner, seed=settings.seed)
    _check_bytes(name, expert, len(save(_packed(cloner, expert))) + RECORD_BYTES, limit)


def _check_bytes(name: str, expert: Expert, size: int, limit: int) -> None:
    if size <= limit:
        return
    hint = "Use the small cloner, or a smaller expert."
    if travels(expert):
        hint = "The expert lies in the file, too: use a smaller one, such as `random` or `self-supervised`."
    raise XrayInterpError(Code.BAD_OPTION, f"The detector {name!r} would take {size} bytes, more than {limit}.", hint)


def record_for(
    name: str,
    detector: DistillationDetector,
    normals: NormalSet,
    held_out: NormalSet,
    calibration: Calibration,
    *,
    detail: int,
    threshold: float | None = None,
    measured: Mapping[str, Any] | None = None,
) -> AnomalyRecord:
    """The record of a fitted detector; `calibration` is that of its scores of `held_out`."""
    learned, weights = detector.learned, detector.weights
    if learned is None or weights is None:
        raise XrayInterpError(Code.BAD_OPTION, "The detector has not been fitted.", "Call fit() first.")
    return AnomalyRecord(
        name=name,
        detail=detail,
        expert=expert_record(detector.expert),
        settings=_settings_record(detector.settings, detector.expert),
        balance=learned.balance,
        value=weights.value,
        direction=weights.direction,
        offset=weights.offset,
        normals=NormalsRecord(
            description=normals.description,
            criterion=normals.criterion,
            films=len(normals),
            patients=None if normals.patients is None else len(set(normals.patients)),
            digest=normals.digest,
        ),
        calibration=CalibrationRecord(
            description=held_out.description,
            criterion=held_out.criterion,
            scores=tuple(calibration.scores.tolist()),
            patients=tuple(calibration.patients.tolist()),
        ),
        curve=learned.curve,
        threshold=threshold,
        measured=measured or {},
        provenance={"xrayinterp": importlib.metadata.version("xrayinterp"), "torch": torch.__version__},
    )


def save_detector(path: Path, detector: DistillationDetector, record: AnomalyRecord, *, limit: int = MAX_BYTES) -> Path:
    """Write a fitted detector: kernels as float16, norms and biases as float32; the file appears whole or not at all.

    Raises:
        XrayInterpError: `bad-option` for a file above `limit` bytes, `weights-corrupt` where float16 overflows.
    """
    tensors = stored_tensors(detector)
    told = record.model_copy(update={"tensors_sha256": tensors_digest(tensors)})
    data = save(tensors, metadata={METADATA_KEY: told.model_dump_json()})
    _check_bytes(record.name, detector.expert, len(data), limit)
    write_whole(path, data)
    return path


def as_saved(detector: DistillationDetector) -> DistillationDetector:
    """A copy whose cloner's (and own expert's) kernels are rounded as a file stores them."""
    state, expert, learned = as_floats(stored_tensors(detector)), detector.expert, detector.learned
    if learned is not None:
        cloner = copy.deepcopy(learned.cloner).cpu()
        fill(cloner, state, "cloner.")
        learned = replace(learned, cloner=cloner)
    if travels(expert):
        module = copy.deepcopy(expert.module).cpu()
        fill(module, state, "expert.")
        expert = replace(expert, module=module, sha256=tensors_sha256(module))
    return replace(detector, expert=expert, learned=learned)


def stored_tensors(detector: DistillationDetector) -> dict[str, Tensor]:
    """What a file holds: the cloner, and the expert where it is found nowhere else."""
    if detector.learned is None:
        raise XrayInterpError(Code.BAD_OPTION, "The detector has not been fitted.", "Call fit() first.")
    return _packed(detector.learned.cloner, detector.expert)


def _packed(cloner: nn.Module, expert: Expert) -> dict[str, Tensor]:
    parts = {"cloner": cloner}
    if travels(expert):
        parts["expert"] = expert.module
    return packed(parts)


def travels(expert: Expert) -> bool:
    """Whether an expert lies in the detector's file: one that is found nowhere else."""
    return expert.kind in ("self-supervised", "random") and expert.sha256 != shipped_sha256()


def read_record(path: Path) -> AnomalyRecord:
    """The record in a detector's file.

    Raises:
        XrayInterpError: `weights-missing`, `weights-corrupt`, `bad-manifest`.
    """
    return record_from(header_text(path), path)


def load_detector(path: Path, *, device: str = "cpu") -> tuple[DistillationDetector, AnomalyRecord]:
    """A detector and its record from a file; experts that are not in it are taken from this machine or fetched.

    Raises:
        XrayInterpError: `weights-missing`, `weights-corrupt`, `weights-hash`, `bad-manifest`; those of the expert.
    """
    record = read_record(path)
    state = read_tensors(path)
    if record.tensors_sha256 != tensors_digest(state):
        raise XrayInterpError(Code.WEIGHTS_HASH, f"{path} does not hold the tensors of its record.", "Get it again.")
    settings = _settings(record.settings, path)
    values = as_floats(state)
    expert = _expert(record.expert, values, path)
    cloner = filled(lambda: cloner_of(expert, settings.cloner), values, "cloner.")
    learned = Learned(cloner.requires_grad_(False).eval(), record.balance, record.curve)
    weights = Weights(record.value, record.direction, record.offset)
    return DistillationDetector(expert, settings, device=device, learned=learned, weights=weights), record


def _expert(record: ExpertRecord, state: Mapping[str, Tensor], path: Path) -> Expert:
    recipe = InputRecipe(**record.recipe.model_dump())
    if record.kind == "model":
        return _listed(record, recipe, path)
    if record.kind == "vgg16":
        from .experts import vgg16_expert

        return same_expert(vgg16_expert(size=recipe.size), record, path)
    if record.kind == "self-supervised" and not any(name.startswith("expert.") for name in state):
        return same_expert(shipped_expert(size=recipe.size), record, path)
    told = record.label_informed
    if (shape := record.shape) is None:
        vgg = filled(vgg16_features, state, "expert.")
        own = Expert(record.name, record.kind, vgg, VGG_PATHS, recipe, told, tensors_sha256(vgg))
    else:
        size = recipe.size or 128
        _check_shape(shape, size, path)
        net = filled(lambda: DenseNet(shape, 1), state, "expert.")
        own = densenet_expert(net, record.name, record.kind, size, label_informed=told)
    return same_expert(own, record, path)


def _listed(record: ExpertRecord, recipe: InputRecipe, path: Path) -> Expert:
    from ..models.zoo import load_model
    from .experts import model_expert

    if not is_name(record.name):
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} names an expert that is no model's name: {record.name!r}.")
    return same_expert(model_expert(load_model(record.name), size=recipe.size), record, path)


def _check_shape(shape: DenseNetShape, size: int, path: Path) -> None:
    sizes = (shape.growth, shape.stem, shape.bottleneck, *shape.blocks)
    possible = 2 <= len(shape.blocks) <= 6 and min(sizes) >= 1 and max(sizes) <= 256
    if not possible or min(layer.grid for layer in dissection_layers(shape, size).values()) < 1:
        raise XrayInterpError(
            Code.BAD_MANIFEST, f"{path} names an expert of impossible size: {shape} for inputs of {size} px."
        )


def _settings_record(settings: Settings, expert: Expert) -> SettingsRecord:
    training, scoring = settings.points(expert)
    rules = None if settings.augmentation is None else asdict(settings.augmentation)
    told = {name: getattr(settings, name) for name in SettingsRecord.model_fields if name not in _RESOLVED}
    return SettingsRecord(**told, training=training, scoring=scoring, augmentation=rules)


_RESOLVED = frozenset({"training", "scoring", "augmentation"})


def _settings(record: SettingsRecord, path: Path) -> Settings:
    rules = None
    if record.augmentation is not None:
        if odd := sorted(set(record.augmentation) - {field.name for field in fields(Augmentation)}):
            raise XrayInterpError(Code.BAD_MANIFEST, f"{path} names an augmentation there is not: {odd[0]!r}.")
        rules = Augmentation(**record.augmentation)
    known = {field.name for field in fields(Settings)}
    told = {name: value for name, value in record.model_dump().items() if name in known - {"augmentation"}}
    return Settings(**told, augmentation=rules)
