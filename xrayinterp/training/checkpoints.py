"""Where training runs keep what they have reached."""

from __future__ import annotations

from pathlib import Path

from ..paths import cache_dir


def training_folder() -> Path:
    """Checkpoints and logs of training runs: in the user's cache, so that a run survives a fresh checkout."""
    return cache_dir() / "training"
