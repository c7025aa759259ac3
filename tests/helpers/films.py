"""Film files for tests that go from bytes to results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def film_png(path: Path, *, seed: int = 0, height: int = 160, width: int = 140) -> Path:
    """A grey PNG of soft random blobs, bright mediastinum in the middle; the folder is made."""
    rng = np.random.default_rng(seed)
    blocks = Image.fromarray(rng.integers(20, 200, (8, 7), dtype=np.uint8))
    coarse = blocks.resize((width, height), Image.Resampling.BICUBIC)
    x = np.abs(np.linspace(-1, 1, width))
    values = np.clip(np.asarray(coarse, dtype=np.float64) * 0.6 + 80 * (1 - x), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path
