"""Detectors on disk: one safetensors file with its record in the header; nothing in it can run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.architectures import DenseNet
from ..models.documents import METADATA_KEY
from ..models.layout import DenseNetShape
from ..models.storage import as_stored
from ..training.augment import Augmentation
from .calibration import Calibration
from .card import (
    AnomalyRecord,
    CalibrationRecord,
    ExpertRecord,
    NormalsRecord,
    RecipeRecord,
    SettingsRecord,
    record_from,
)
from .discrepancy import Weights
from .distillation import DistillationDetector
from .experts import Expert, InputRecipe, cloner_of, densenet_expert, vgg16_features
from .fitting import Learned, Settings
from .normals import NormalSet
from .shelf import BUILTIN

SHIPPED = "self-supervised"
SHIPPED_FILE = BUILTIN / "experts" / f"{SHIPPED}.safetensors"
MAX_BYTES = 5_000_000
"""Most bytes that a detector's file may have."""
LARGEST = 80_000_000
"""Most bytes of a file that is read: an equal-size cloner of VGG-16 at half precision fits."""


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
        expert=_expert_record(detector.expert),
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
    told = record.model_copy(update={"tensors_sha256": _digest(tensors)})
    data = save(tensors, metadata={METADATA_KEY: told.model_dump_json()})
    if len(data) > limit:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The detector {record.name!r} would take {len(data)} bytes, more than {limit}.",
            "Use the small cloner, or a smaller expert.",
        )
    _write(path, data)
    return path


def as_saved(detector: DistillationDetector) -> DistillationDetector:
    """The detector with its cloner's (and its own expert's) kernels rounded as a file stores them."""
    state = {name: tensor.float() for name, tensor in stored_tensors(detector).items()}
    learned = detector.learned
    if learned is not None:
        _load(learned.cloner, state, "cloner.")
    if travels(detector.expert):
        _load(detector.expert.module, state, "expert.")
    return detector


def stored_tensors(detector: DistillationDetector) -> dict[str, Tensor]:
    """What a file holds: the cloner, and the expert where it is found nowhere else."""
    if detector.learned is None:
        raise XrayInterpError(Code.BAD_OPTION, "The detector has not been fitted.", "Call fit() first.")
    parts: dict[str, nn.Module] = {"cloner": detector.learned.cloner}
    if travels(detector.expert):
        parts["expert"] = detector.expert.module
    return _stored(parts)


def travels(expert: Expert) -> bool:
    """Whether an expert lies in the detector's file: one that is found nowhere else."""
    return expert.kind in ("self-supervised", "random") and expert.sha256 != shipped_sha256()


def save_expert(path: Path, module: DenseNet, size: int) -> Path:
    """Write a self-supervised expert, kernels as float16; read again by `shipped_expert`."""
    state = _stored({"expert": module})
    _load(module, {name: tensor.float() for name, tensor in state.items()}, "expert.")
    record = _expert_record(densenet_expert(module, SHIPPED, "self-supervised", size))
    _write(path, save(state, metadata={METADATA_KEY: record.model_dump_json()}))
    return path


def shipped_expert(*, size: int | None = None) -> Expert:
    """The built-in self-supervised expert; `size` is the side of its input, None takes the one it learnt at.

    Raises:
        XrayInterpError: `weights-missing` where it is not in this installation; `weights-hash` where it is damaged.
    """
    record = _shipped_record()
    state = {name: tensor.float() for name, tensor in _tensors(SHIPPED_FILE).items()}
    net = DenseNet(record.shape or DenseNetShape(), 1)
    _load(net, state, "expert.")
    expert = densenet_expert(net, record.name, "self-supervised", record.recipe.size or 128)
    return _same(expert, record, SHIPPED_FILE).at_size(size or record.recipe.size)


def shipped_sha256() -> str | None:
    """SHA-256 of the built-in expert's tensors; None where it is not in this installation."""
    return _shipped_record().sha256 if SHIPPED_FILE.is_file() else None


def _shipped_record() -> ExpertRecord:
    try:
        return ExpertRecord.model_validate_json(_header(SHIPPED_FILE))
    except ValidationError as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{SHIPPED_FILE} holds no expert's record: {error}.") from error


def _stored(parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    state = {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    return {name: tensor.contiguous() for name, tensor in as_stored("The detector", kept).items()}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_bytes(data)
    fresh.replace(path)


def read_record(path: Path) -> AnomalyRecord:
    """The record in a detector's file.

    Raises:
        XrayInterpError: `weights-missing`, `weights-corrupt`, `bad-manifest`.
    """
    return record_from(_header(path), path)


def load_detector(path: Path, *, device: str = "cpu") -> tuple[DistillationDetector, AnomalyRecord]:
    """A detector and its record from a file; experts that are not in it are taken from this machine or fetched.

    Raises:
        XrayInterpError: `weights-missing`, `weights-corrupt`, `weights-hash`, `bad-manifest`; those of the expert.
    """
    record = read_record(path)
    state = _tensors(path)
    if record.tensors_sha256 != _digest(state):
        raise XrayInterpError(Code.WEIGHTS_HASH, f"{path} does not hold the tensors of its record.", "Get it again.")
    values = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    expert = _expert(record.expert, values, path)
    settings = _settings(record.settings)
    cloner = cloner_of(expert, settings.cloner)
    _load(cloner, values, "cloner.")
    learned = Learned(cloner.requires_grad_(False).eval(), record.balance, record.curve)
    weights = Weights(record.value, record.direction, record.offset)
    return DistillationDetector(expert, settings, device=device, learned=learned, weights=weights), record


def _header(path: Path) -> str:
    if not path.is_file():
        raise XrayInterpError(Code.WEIGHTS_MISSING, f"The file {path} does not exist.", "Fit a detector first.")
    if path.stat().st_size > LARGEST:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is larger than {LARGEST} bytes: it is no detector.")
    try:
        with safe_open(path, framework="numpy") as opened:
            text = (opened.metadata() or {}).get(METADATA_KEY)
    except (SafetensorError, OSError) as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is not a whole safetensors file: {error}.") from error
    if text is None:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} holds tensors, but no record of a detector.")
    return str(text)


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load

    try:
        return dict(load(path.read_bytes()))
    except SafetensorError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is not a whole safetensors file: {error}.") from error


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load(module: nn.Module, state: Mapping[str, Tensor], prefix: str) -> None:
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    counters = {name: t for name, t in module.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        module.load_state_dict({**counters, **own})
    except RuntimeError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"The weights do not fit their network: {error}.") from error


def _expert(record: ExpertRecord, state: Mapping[str, Tensor], path: Path) -> Expert:
    recipe = InputRecipe(**record.recipe.model_dump())
    if record.kind == "model":
        return _listed(record, recipe, path)
    if record.kind == "vgg16":
        from .experts import vgg16_expert

        return _same(vgg16_expert(size=recipe.size), record, path)
    if record.kind == "self-supervised" and not any(name.startswith("expert.") for name in state):
        return _same(shipped_expert(size=recipe.size), record, path)
    if record.shape is None:
        module = vgg16_features()
        _load(module, state, "expert.")
        return Expert(record.name, record.kind, module, record.points, recipe, record.label_informed, record.sha256)
    _check_shape(record.shape, path)
    net = DenseNet(record.shape, 1)
    _load(net, state, "expert.")
    expert = densenet_expert(net, record.name, record.kind, recipe.size or 128, label_informed=record.label_informed)
    return _same(expert, record, path, hashed=False)


def _listed(record: ExpertRecord, recipe: InputRecipe, path: Path) -> Expert:
    from ..models.zoo import load_model
    from .experts import model_expert

    return _same(model_expert(load_model(record.name), size=recipe.size), record, path)


def _same(expert: Expert, record: ExpertRecord, path: Path, *, hashed: bool = True) -> Expert:
    if expert.points != record.points or (hashed and expert.sha256 != record.sha256):
        raise XrayInterpError(
            Code.WEIGHTS_HASH,
            f"{path} was fitted to another {record.name!r} than the one here: SHA-256 {record.sha256}, "
            f"here {expert.sha256}.",
            "Fit the detector again.",
        )
    return expert


def _check_shape(shape: DenseNetShape, path: Path) -> None:
    sizes = (shape.growth, shape.stem, shape.bottleneck, *shape.blocks)
    if not (2 <= len(shape.blocks) <= 6 and min(sizes) >= 1 and max(sizes) <= 256):
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} names an expert of impossible size: {shape}.")


def _expert_record(expert: Expert) -> ExpertRecord:
    return ExpertRecord(
        name=expert.name,
        kind=expert.kind,
        points=expert.points,
        recipe=RecipeRecord(**asdict(expert.recipe)),
        label_informed=expert.label_informed,
        sha256=expert.sha256,
        shape=expert.shape,
    )


def _settings_record(settings: Settings, expert: Expert) -> SettingsRecord:
    training, scoring = settings.points(expert)
    rules = None if settings.augmentation is None else asdict(settings.augmentation)
    told = {name: getattr(settings, name) for name in SettingsRecord.model_fields if name not in _RESOLVED}
    return SettingsRecord(**told, training=training, scoring=scoring, augmentation=rules)


_RESOLVED = frozenset({"training", "scoring", "augmentation"})


def _settings(record: SettingsRecord) -> Settings:
    rules = None if record.augmentation is None else Augmentation(**record.augmentation)
    known = {field.name for field in fields(Settings)}
    told = {name: value for name, value in record.model_dump().items() if name in known - {"augmentation"}}
    return Settings(**told, augmentation=rules)
