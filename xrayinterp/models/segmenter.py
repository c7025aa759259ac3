"""The built-in segmenter of lungs, heart and mediastinum: its weights, its record, and one call that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import Code, XrayInterpError
from ..imaging.geometry import FloatImage, cut, frame
from ..imaging.radiograph import Radiograph
from ..paths import manifest_dir
from .documents import Sha256, Text, read_text
from .registry import builtin_dir
from .segmentation import DETAIL, STRUCTURES, Segmentation, cleaned, on_grid
from .storage import as_stored, read_weights, write_weights

if TYPE_CHECKING:
    from .unet import UNet

NAME, FOLDER = "anatomy", "segmenter"
"""The segmenter is no chest model: it lies in a folder of its own below the built-in models."""


class SegmenterRecord(BaseModel):
    """The file `anatomy.json` beside the weights: structure, SHA-256 of the weights, what was measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: tuple[int, ...] = Field(min_length=2, max_length=6)
    structures: tuple[str, ...]
    size: int = Field(ge=32, le=512)
    sha256: Sha256 | None = None
    tested_on: str = ""
    measured: Mapping[str, Any] = {}

    def to_json(self) -> str:
        """Text of the record."""
        return self.model_dump_json(indent=1) + "\n"


@dataclass(frozen=True)
class Segmenter:
    """A segmenter ready to run: `network` in eval mode, weights frozen; films are seen at `record.size` pixels."""

    network: UNet
    record: SegmenterRecord

    def scores(self, pixels: FloatImage) -> FloatImage:
        """Logits (3, DETAIL, DETAIL) over the whole film, padded to a square: pixels (H, W) in [0, 1], bone white."""
        import torch

        from .prepare import as_square, resize, to_input

        height, width = pixels.shape
        square = frame(height, width, "pad")
        x = to_input(as_square(cut(pixels, square)), size=self.record.size, detail=None, scale=1.0)
        with torch.inference_mode():
            return np.asarray(resize(self.network(x), DETAIL)[0].numpy())

    def segment(self, pixels: FloatImage) -> Segmentation:
        """Lungs, heart and mediastinum of a film: pixels (H, W) in [0, 1], bone white; nothing beyond its border."""
        height, width = pixels.shape
        square = frame(height, width, "pad")
        inside = on_grid(np.ones(pixels.shape, dtype=bool), square)
        return Segmentation(square, cleaned(np.where(inside, self.scores(pixels), -np.inf)), self.record.sha256)


def segment(radiograph: Radiograph) -> Segmentation | None:
    """Lungs, heart and mediastinum of a film by the built-in segmenter; None where its weights are not there.

    Raises:
        XrayInterpError: as `load_segmenter`.
    """
    segmenter = load_segmenter()
    return None if segmenter is None else segmenter.segment(radiograph.pixels)


def load_segmenter() -> Segmenter | None:
    """The built-in segmenter, read once; None where its weights are not there.

    Raises:
        XrayInterpError: `weights-hash` or `weights-corrupt` for damaged weights, `bad-manifest` for a damaged record.
    """
    weights = builtin_dir() / FOLDER / f"{NAME}.safetensors"
    return _loaded(weights, weights.stat().st_mtime_ns) if weights.is_file() else None


@lru_cache(maxsize=2)
def _loaded(weights: Path, _changed: int) -> Segmenter:
    from .unet import UNet

    record = read_record(weights)
    network = UNet(record.channels, len(record.structures))
    try:
        network.load_state_dict(read_weights(weights, record.sha256))
    except RuntimeError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"The weights do not fit their network: {error}.") from error
    return Segmenter(network.requires_grad_(False).eval(), record)


def read_record(weights: Path) -> SegmenterRecord:
    """The record beside a segmenter's weights.

    Raises:
        XrayInterpError: `bad-manifest` where there is none or it says nonsense.
    """
    beside = weights.with_suffix(".json")
    try:
        record = SegmenterRecord.model_validate_json(beside.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{beside} is not a segmenter's record: {error}.") from error
    if record.structures != STRUCTURES:
        raise XrayInterpError(
            Code.BAD_MANIFEST,
            f"{beside} names the outputs {', '.join(record.structures)}.",
            f"A segmenter's outputs are {', '.join(STRUCTURES)}.",
        )
    return record


def save_segmenter(folder: Path, network: UNet, facts: Mapping[str, Any]) -> Path:
    """Write a trained segmenter and its record into `folder`: kernels as float16, norms and biases as float32.

    Raises:
        XrayInterpError: `weights-corrupt` where float16 overflows.
    """
    record = SegmenterRecord(channels=network.channels, structures=STRUCTURES, **facts)
    return write_weights(folder, NAME, as_stored(NAME, network.state_dict()), record)


@lru_cache(maxsize=1)
def card() -> Text:
    """What people say of the segmenter: data, licence, limits."""
    return read_text(manifest_dir() / "segmenters" / f"{NAME}.yaml")
