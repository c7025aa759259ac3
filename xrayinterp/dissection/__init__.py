"""Network dissection: which units fire where a concept is. `dissect` is loaded on first use, and torch with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .network import dissect

__all__ = ["dissect"]


def __getattr__(name: str) -> Any:
    if name != "dissect":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .network import dissect

    return dissect
