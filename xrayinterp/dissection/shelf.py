"""Where what was measured of a model's units lies, and which weights it belongs to; free of torch."""

from __future__ import annotations

from pathlib import Path


def builtin_folder() -> Path:
    """Where the shipped atlases and unit facts lie."""
    return Path(__file__).parent / "builtin"


def same_weights(model: str, sha256: str | None, other: str, other_sha256: str | None) -> bool:
    """Made of the same weights; where neither has a hash, of a model of the same name."""
    return sha256 == other_sha256 and (sha256 is not None or model == other)


def short_hash(sha256: str | None) -> str:
    """A hash as errors tell it."""
    return "of no recorded hash" if sha256 is None else f"{sha256[:12]}…"
