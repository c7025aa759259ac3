"""From a name to a ChestModel; torch is imported when a model is loaded, not when one is described."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..download import Progress
from ..errors import Code, XrayInterpError
from .layout import dissection_layers
from .registry import BUILTIN_DIR, DEFAULT_MODEL, ModelEntry, describe, model_names
from .storage import save_builtin

if TYPE_CHECKING:
    from .chest_model import ChestModel

__all__ = [
    "BUILTIN_DIR",
    "DEFAULT_MODEL",
    "ModelEntry",
    "describe",
    "load_model",
    "model_names",
    "save_builtin",
]


def load_model(name_or_path: str | Path, *, device: str = "cpu", progress: Progress | None = None) -> ChestModel:
    """A model by name, or from a safetensors file with a record (see `describe`), ready on `device`.

    torchxrayvision's models are fetched if they are not here yet, calling `progress`. Every call builds a module of its
    own; it may be called from several threads.

    Raises:
        XrayInterpError: `unknown-model`, those of `weights.fetch`, `weights-hash` and `weights-corrupt` for damaged
            files, `bad-option` for a device there is not.
    """
    from .build import build
    from .chest_model import ChestModel
    from .device import usable
    from .documents import read_record
    from .storage import read_weights
    from .weights import ensure

    weights = ensure(describe(name_or_path), progress=progress)
    entry = describe(name_or_path)  # a fetch adds to what is known
    record = read_record(weights)
    if record is None or entry.structure is None:
        raise XrayInterpError(Code.WEIGHTS_MISSING, f"The weights of {entry.name!r} went away while they were loaded.")
    structure = entry.structure
    module = build(structure.architecture, structure.columns, read_weights(weights, record.sha256))
    return ChestModel(
        name=entry.name,
        module=module.to(usable(device)),
        findings=structure.findings,
        layers=dissection_layers(structure.architecture, structure.size),
        size=structure.size,
        scale=structure.scale,
        detail=structure.detail,
        task=structure.task,
        card=entry.card,
        operating_points=entry.operating_points,
        calibrations=entry.calibrations,
        metrics=entry.metrics,
    )
