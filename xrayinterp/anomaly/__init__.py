"""Anomaly detection: an expert's features, cloned on normal images; where they differ, an image is unusual.

`load("unusualness").score(radiograph)` and `.map(radiograph)` are the short way. What is found is unusual against the
normals a detector was fitted on, which is no statement about disease.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .detector import Detector
    from .distillation import DistillationDetector
    from .fitting import Settings
    from .model import AnomalyModel, Score, load
    from .shelf import names

__all__ = ["AnomalyModel", "Detector", "DistillationDetector", "Score", "Settings", "load", "names"]

_WHERE = {
    "AnomalyModel": "model",
    "Detector": "detector",
    "DistillationDetector": "distillation",
    "Score": "model",
    "Settings": "fitting",
    "load": "model",
    "names": "shelf",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
