"""xrayinterp: what a chest X-ray model predicts, why, and how far each explanation can be trusted. Research use only.

Everything is loaded on first use: `import xrayinterp` alone imports neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import anomaly as anomaly
    from . import attribution as attribution
    from . import concepts as concepts
    from . import datasets as datasets
    from . import dissection as dissection
    from . import imaging as imaging
    from . import models as models
    from . import operators as operators
    from . import report as report
    from . import semantics as semantics
    from . import training as training
    from .errors import Code, XrayInterpError
    from .explanation import explain, predict, trace
    from .imaging.reader import read
    from .models.registry import model_names
    from .models.zoo import load_model

    __version__: str

__all__ = ["Code", "XrayInterpError", "__version__", "explain", "load_model", "model_names", "predict", "read", "trace"]

_FUNCTIONS = {
    "Code": "errors",
    "XrayInterpError": "errors",
    "explain": "explanation",
    "predict": "explanation",
    "trace": "explanation",
    "read": "imaging.reader",
    "load_model": "models.zoo",
    "model_names": "models.registry",
}
_ROOMS = frozenset(
    {
        "anomaly",
        "attribution",
        "concepts",
        "datasets",
        "dissection",
        "imaging",
        "models",
        "operators",
        "report",
        "semantics",
        "training",
    }
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = version("xrayinterp")
    elif name in _FUNCTIONS:
        value = getattr(import_module(f".{_FUNCTIONS[name]}", __name__), name)
    elif name in _ROOMS:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS, *globals()})
