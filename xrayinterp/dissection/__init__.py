"""Network dissection: which units fire where a concept is."""

from .network import dissect

__all__ = ["dissect"]
