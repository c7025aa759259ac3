"""Options under which a test that runs every attribution method is quick."""

from __future__ import annotations

from typing import Any

from xrayinterp.attribution import METHODS

EXPLAINING = tuple(name for name, method in METHODS.items() if method.family != "baseline")
"""Methods that run the model."""

_QUICK: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"steps": 9},
    "occlusion": {"window": 60, "stride": 50},
    "prunegrad_pgd": {"steps": 4},
    "rise": {"masks": 30},
    "smoothgrad": {"samples": 4},
}


def quick(method: str) -> dict[str, Any]:
    """The method's options for a test of what holds whatever they are."""
    return _QUICK.get(method, {})
