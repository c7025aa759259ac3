"""From attenuation along each ray to the grey values of a digital film."""

from __future__ import annotations

import numpy as np

from .phantom_rays import Floats

SOFT, SPONGY, COMPACT, PLASTIC = 0.0205, 0.0300, 0.0600, 0.0420
"""Attenuation per mm of water-like tissue, spongy and compact bone, and radio-opaque plastic, at about 60 keV."""
SCATTER = {"PA": 0.22, "AP": 0.5}
"""Scatter reaching the detector, as a multiple of the blurred primary beam; higher at the bedside (no grid)."""
PHOTONS = {"PA": 70_000.0, "AP": 40_000.0}
"""Photons a square millimetre where nothing attenuates."""


def expose(attenuation: Floats, view: str, pitch: float, rng: np.random.Generator | None) -> Floats:
    """The detector's signal, 1 where nothing attenuates: Beer-Lambert, scatter, photon noise and detector blur.

    Args:
        attenuation: line integrals, dimensionless, (H, W).
        view: "PA" or "AP".
        pitch: side of a pixel in mm.
        rng: draws the photon noise; None leaves it out.
    """
    primary = np.exp(-attenuation).astype(np.float32)
    glare = blur(np.minimum(primary, 0.25), 42 / pitch)
    signal = np.asarray(primary + SCATTER[view] * np.minimum(glare, 0.08), dtype=np.float32)
    if rng is not None:
        photons = PHOTONS[view] * pitch * pitch
        signal = np.asarray((rng.poisson(signal * photons) + 1) / photons, dtype=np.float32)
    return blur(signal, 0.28 / pitch) if pitch < 0.9 else signal


def develop(signal: Floats, inside: np.ndarray, pitch: float, *, contrast: float, darkness: float) -> Floats:
    """Grey values in [0, 1] as a digital system shows them: logarithm, mild edge enhancement, S-shaped curve.

    Args:
        signal: detector signal, (H, W).
        inside: bool (H, W), the body; the curve is fitted to what lies inside.
        pitch: side of a pixel in mm.
        contrast: steepness of the curve, about 1.
        darkness: shift of its middle towards black, in units of its width, about 0.
    """
    density = -np.log(np.maximum(signal, 1e-6))
    density = np.minimum(density, float(np.percentile(density[inside][::7], 99.5)))
    even = density - 0.42 * blur(density, 32 / pitch) + 0.5 * (density - blur(density, 9 / pitch))
    low, high = np.percentile(even[inside][::7], [3, 97])
    width = (high - low) / (4.6 * contrast)
    curve = 1 / (1 + np.exp(-(even - 0.5 * (low + high) - darkness * width) / width))
    return np.asarray(np.clip((curve - 0.04) / 0.92, 0, 1), dtype=np.float32)


def blur(image: Floats, sigma: float) -> Floats:
    """Gaussian blur with `sigma` in pixels, the border clamped."""
    margin = int(np.ceil(3 * sigma)) + 8
    padded = np.pad(image, margin, mode="edge").astype(np.float32)
    rows, columns = padded.shape
    fy, fx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]
    response = np.exp(-2 * (np.pi * sigma) ** 2 * (fy**2 + fx**2)).astype(np.float32)
    smooth = np.fft.irfft2(np.fft.rfft2(padded) * response, s=padded.shape)
    return np.asarray(smooth[margin : margin + image.shape[0], margin : margin + image.shape[1]], dtype=np.float32)


def mottle(size: int, pitch: float, rng: np.random.Generator, *, fine: float, coarse: float) -> Floats:
    """Smooth noise of unit variance with structure between `fine` and `coarse` mm, (size, size).

    Drawn on a fixed grid of 1 mm, so that it is the same tissue at every pixel size.
    """
    grid = rng.standard_normal((480, 480)).astype(np.float32)
    squared = 2 * np.pi**2 * (np.fft.fftfreq(480)[:, None] ** 2 + np.fft.rfftfreq(480)[None] ** 2)
    band = np.exp(-squared * fine**2) - np.exp(-squared * coarse**2)
    smooth = np.fft.irfft2(np.fft.rfft2(grid) * band, s=grid.shape).astype(np.float32)
    at = np.clip(((np.arange(size) + 0.5 - size / 2) * pitch + 240), 0, 478.999)
    low = at.astype(int)
    part = (at - low).astype(np.float32)
    rows = smooth[low] * (1 - part)[:, None] + smooth[low + 1] * part[:, None]
    out = rows[:, low] * (1 - part)[None] + rows[:, low + 1] * part[None]
    return np.asarray(out / smooth.std(), dtype=np.float32)
