"""Synthetic frontal chest radiographs with exact masks: known truth for tests, and films that show the product.

A body of convex shapes and tubes (`phantom_anatomy`, `phantom_skeleton`, `phantom_vessels`) stands in a cone beam
(`phantom_rays`): 1.8 m from source to detector and front to the detector for PA, 1.05 m and back to the detector for
AP, where the heart is therefore magnified more. Path lengths along each ray are closed-form; attenuation, scatter,
photon noise and a film curve (`phantom_film`) turn them into grey values. Masks come from the same path lengths. The
patient's right is on the image left. Nothing here is measured on patients; it is for demonstration and tests only.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from PIL import Image

from ..errors import Code, XrayInterpError
from .films import BoolMask, FloatImage
from .phantom_anatomy import build_body, draw_measures, make_beam
from .phantom_film import develop, expose
from .phantom_findings import FINDINGS, Planted, as_planted
from .phantom_scene import Scene, compose

__all__ = ["EXAMPLES", "FINDINGS", "STRUCTURES", "Example", "Phantom", "Planted", "example_films", "phantom"]

STRUCTURES = (
    "Left Lung",
    "Right Lung",
    "Lungs",
    "Heart",
    "Cardiomediastinum",
    "Aortic Arch",
    "Airways",
    "Spine",
    "Ribs",
    "Clavicles",
)
"""Anatomy that every phantom has a mask of; "Lungs" includes the lung behind the heart, as do its two halves."""


@dataclass(frozen=True)
class Phantom:
    """One synthetic film.

    `pixels`: float32 (size, size) in [0, 1], bones bright. `masks`: bool (size, size) of each of STRUCTURES and of each
    finding planted. `findings`: names of what was planted. `attenuation`: the line integral along each ray to a pixel's
    centre, dimensionless, float32 (size, size), before scatter and noise. `spacing_mm`: a pixel's side at the detector.
    """

    pixels: FloatImage
    masks: Mapping[str, BoolMask]
    findings: tuple[str, ...]
    view: Literal["PA", "AP"]
    attenuation: FloatImage
    spacing_mm: float


def phantom(
    seed: int,
    *,
    size: int = 512,
    findings: Sequence[str | Planted] = (),
    view: Literal["PA", "AP"] = "PA",
    noise: bool = True,
) -> Phantom:
    """The synthetic film of body `seed`.

    The same seed gives the same body, exposure and noise whatever is planted, so two films differ by their findings
    alone; masks at another `size` are the same shapes sampled at other pixel centres.

    Args:
        seed: draws body, position, exposure and noise; at least 0.
        size: side of the film in pixels, 32 to 2048.
        findings: names from FINDINGS, or `Planted` with a side.
        view: "PA" (upright, 1.8 m) or "AP" (bedside, 1.05 m, shallower breath).
        noise: whether photon noise is added.

    Raises:
        XrayInterpError: `unknown-finding` or `bad-option`.
    """
    if seed < 0 or not 32 <= size <= 2048 or view not in ("PA", "AP"):
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"No phantom with seed {seed}, size {size} and view {view!r}.",
            "Seeds start at 0, sizes are 32 to 2048, views are PA and AP.",
        )
    planted = as_planted(findings)
    enlarged = any(one.name == "Cardiomegaly" for one in planted)
    measures = draw_measures(seed, view, enlarged_heart=enlarged)
    body, beam = build_body(measures), make_beam(measures, view, size)
    scene: Scene = compose(body, beam, planted, seed)
    draws = np.random.default_rng([seed, 2])
    contrast, darkness = draws.uniform(0.9, 1.1), draws.normal(0, 0.25)
    signal = expose(scene.attenuation, view, beam.pitch, np.random.default_rng([seed, 3]) if noise else None)
    pixels = develop(signal, scene.inside, beam.pitch, contrast=contrast, darkness=darkness)
    names = tuple(dict.fromkeys(one.name for one in planted))
    return Phantom(pixels, MappingProxyType(scene.masks), names, view, scene.attenuation, beam.pitch)


@dataclass(frozen=True)
class Example:
    """A built-in film: what it is called and how it is made."""

    title: str
    seed: int
    view: Literal["PA", "AP"]
    findings: tuple[Planted, ...] = ()
    size: int = 768

    def png(self) -> bytes:
        """The film as an 8-bit grey PNG."""
        film = phantom(self.seed, size=self.size, findings=self.findings, view=self.view)
        out = io.BytesIO()
        Image.fromarray((film.pixels * 255).round().astype(np.uint8)).save(out, format="PNG")
        return out.getvalue()


EXAMPLES = (
    Example("Synthetic film, no finding", 9, "PA"),
    Example("Synthetic film, effusion (image right)", 14, "PA", (Planted("Effusion", "image right"),)),
    Example("Synthetic film, enlarged heart, AP", 15, "AP", (Planted("Cardiomegaly"),)),
)


def example_films() -> dict[str, bytes]:
    """The built-in films as PNG bytes by title, to be opened through the usual reading path."""
    return {example.title: example.png() for example in EXAMPLES}
