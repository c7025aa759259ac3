"""Pasted shortcuts: things on a film that are no disease, drawn with the exact pixels they cover.

A side marker, an ECG lead, a collimated border and burnt-in text, as they look on clinical films: the first two
attenuate and take the film's blur and grain, the border is an electronic shutter, the text is written digitally. Sizes
are fractions of the film's short side. Each paste is a pure function of film and seed; place, size, tilt and brightness
vary with the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from ..datasets.films import BoolMask, FloatImage
from ..errors import Code, XrayInterpError

Point = tuple[float, float]
FINE = 4
"""Sub-pixels a side at which shapes are drawn before they are averaged to pixels."""
FAINTEST = 0.1
"""Share of a pixel below which a shape does not count as touching it."""
SMALLEST = 32
SITES: tuple[Point, ...] = ((0.24, 0.2), (0.76, 0.2), (0.17, 0.72), (0.82, 0.72), (0.63, 0.56))
"""Where electrodes sit, as (x, y) shares of the film: below both clavicles, on both flanks, beside the heart."""
NOTES = ("PORTABLE", "AP ERECT", "SUPINE", "CHEST PA", "SEMI-UPRIGHT", "AP PORTABLE", "BEDSIDE", "ERECT")
BORDERS = ("tb", "lr", "tblr", "tlr", "blr", "l", "r", "t", "b")


@dataclass(frozen=True)
class Pasted:
    """A film with a paste.

    `pixels`: float32 (H, W) in [0, 1], equal to the film wherever nothing was pasted. `mask`: bool (H, W), the pixels
    the thing covers, at least a tenth each. `reach`: pixels by which blur carries it beyond the mask, 0 for none.
    """

    pixels: FloatImage
    mask: BoolMask
    reach: int


Paste = Callable[[FloatImage, int], Pasted]


def paste(name: str, film: FloatImage, seed: int) -> Pasted:
    """The film with the shortcut `name` pasted by `seed`.

    Args:
        name: one of SHORTCUTS.
        film: float (H, W) in [0, 1], bone bright, at least 32 pixels a side.
        seed: at least 0; draws place, size, tilt, brightness and grain.

    Raises:
        XrayInterpError: `bad-option` for another name, shape, range or seed.
    """
    if name not in SHORTCUTS:
        raise XrayInterpError(Code.BAD_OPTION, f"There is no shortcut {name!r}.", f"Known: {', '.join(SHORTCUTS)}.")
    if film.ndim != 2 or min(film.shape) < SMALLEST:
        raise XrayInterpError(
            Code.BAD_OPTION, f"A film of shape {film.shape} takes no paste.", f"Sides start at {SMALLEST} pixels."
        )
    if seed < 0 or not (film.min() >= 0 and film.max() <= 1):
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"Seed {seed} and values {film.min():.3g} to {film.max():.3g} allow no paste.",
            "Seeds start at 0, films lie in [0, 1].",
        )
    return SHORTCUTS[name](np.asarray(film, dtype=np.float32), seed)


def marker(film: FloatImage, seed: int) -> Pasted:
    """A lead letter on a plastic plate beside the upper chest: R on the image left or L on the image right."""
    draw = np.random.default_rng([seed, 1])
    height, width = film.shape
    side, right = min(film.shape), bool(draw.integers(2))
    tall = side * draw.uniform(0.06, 0.09)
    inset = draw.uniform(0.06, 0.13) * width
    centre = (width - inset if right else inset, draw.uniform(0.06, 0.34) * height)
    tilt = draw.normal(0, 5) + (90 if draw.random() < 0.1 else 0)
    half = (tall * 0.55, tall * draw.uniform(0.7, 0.8))
    plate = _rectangle(film, centre, half, tilt)
    rim = plate - _rectangle(film, centre, (half[0] - side * 0.007, half[1] - side * 0.007), tilt)
    letter = _written(film, ["L" if right else "R"], centre, tall, tilt, bold=0.06)
    layers = [(plate, draw.uniform(0.1, 0.2)), (rim, draw.uniform(0.3, 0.6)), (letter, draw.uniform(0.95, 1.0))]
    return _radiographed(film, layers, draw)


def lead(film: FloatImage, seed: int) -> Pasted:
    """One or two ECG electrodes, each a faint pad with a stud and a wire that runs off the film."""
    draw = np.random.default_rng([seed, 2])
    layers: list[tuple[FloatImage, float]] = []
    for site in draw.choice(len(SITES), size=draw.integers(1, 3), replace=False):
        layers += _electrode(film, SITES[site], draw)
    return _radiographed(film, layers, draw)


def collimation(film: FloatImage, seed: int) -> Pasted:
    """A dark border with a sharp, slightly tilted edge on one to four sides: the shutter outside the exposed field."""
    draw = np.random.default_rng([seed, 3])
    height, width = film.shape
    closed = BORDERS[draw.integers(len(BORDERS))]
    cut = {edge: draw.uniform(0.05, 0.13) if edge in closed else -0.3 for edge in "tblr"}
    box = (cut["l"] * width, cut["t"] * height, (1 - cut["r"]) * width, (1 - cut["b"]) * height)
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    half = ((box[2] - box[0]) / 2, (box[3] - box[1]) / 2)
    shutter = 1 - _rectangle(film, centre, half, draw.normal(0, 0.8))
    touched = shutter > FAINTEST
    spread, reach = _blurred(np.where(touched, shutter, 0).astype(np.float32))
    dark = draw.uniform(0.0, 0.05) + draw.uniform(0.0, 0.08) * film
    return Pasted(_mixed(film, dark.astype(np.float32), spread), touched, reach)


def text(film: FloatImage, seed: int) -> Pasted:
    """One or two lines burnt into a corner, white, without the film's blur or grain."""
    draw = np.random.default_rng([seed, 4])
    height, width = film.shape
    tall = min(film.shape) * draw.uniform(0.045, 0.06)
    lines = [str(draw.choice(NOTES))]
    if draw.random() < 0.6:
        lines.append(f"{draw.integers(24):02}:{draw.integers(60):02} {draw.integers(40, 125)}KV")
    wide = max(_face(tall * FINE).getbbox(line)[2] for line in lines) / FINE
    inset, drop = (
        wide / 2 + draw.uniform(0.01, 0.05) * width,
        tall * len(lines) * 0.6 + draw.uniform(0.01, 0.05) * height,
    )
    right, low = draw.random() < 0.5, draw.random() < 0.25
    centre = (width - inset if right else inset, height - drop if low else drop)
    ink = _written(film, lines, centre, tall)
    ink = np.where(ink > FAINTEST, ink, 0).astype(np.float32)
    white = np.full_like(film, draw.uniform(0.9, 1.0))
    return Pasted(_mixed(film, white, ink), ink > 0, 0)


SHORTCUTS: Mapping[str, Paste] = MappingProxyType(
    {"marker": marker, "lead": lead, "collimation": collimation, "text": text}
)
"""Every paste by name."""


def _electrode(film: FloatImage, site: Point, draw: np.random.Generator) -> list[tuple[FloatImage, float]]:
    """Coverage and attenuation of pad, stud, clip and wire of one electrode near `site`."""
    height, width = film.shape
    side = min(film.shape)
    x, y = site[0] * width + draw.normal(0, 0.03) * width, site[1] * height + draw.normal(0, 0.03) * height
    outward = -1.0 if site[0] < 0.5 else 1.0
    if draw.random() < 0.5:  # down and off the lower edge, else off the nearer side
        end = (x + draw.uniform(-0.15, 0.15) * width, 1.05 * height)
    else:
        end = (width * (1.05 if outward > 0 else -0.05), y + draw.uniform(-0.25, 0.25) * height)
    start = (x + draw.normal(0, 0.1) * width, y + draw.uniform(0.05, 0.2) * height)
    pull = (end[0] + draw.normal(0, 0.12) * width, end[1] - draw.uniform(0.05, 0.3) * height)
    wire = _bezier(((x, y), start, pull, end))
    stud, pad = draw.uniform(0.013, 0.018) * side, draw.uniform(0.03, 0.036) * side
    return [
        (_disc(film, (x, y), pad), draw.uniform(0.08, 0.16)),
        (_disc(film, (x, y), stud), draw.uniform(0.6, 0.85)),
        (_stroke(film, wire[:6], 0.014 * side), draw.uniform(0.3, 0.5)),
        (_stroke(film, wire, draw.uniform(0.007, 0.009) * side), draw.uniform(0.4, 0.6)),
    ]


def _radiographed(film: FloatImage, layers: Sequence[tuple[FloatImage, float]], draw: np.random.Generator) -> Pasted:
    """Layers (coverage, attenuation in [0, 1]) laid over each other on the film, with its blur, white and grain."""
    through = np.ones_like(film)
    touched = np.zeros(film.shape, dtype=bool)
    for coverage, attenuation in layers:
        here = coverage > FAINTEST
        touched |= here
        through *= 1 - np.float32(attenuation) * np.where(here, coverage, 0)
    spread, reach = _blurred((1 - through).astype(np.float32))
    white = min(max(float(np.quantile(film, 0.995)) * draw.uniform(1.0, 1.1), 0.6), 1.0)
    grain = _grain(film) * draw.standard_normal(film.shape)
    return Pasted(_mixed(film, np.maximum(film, white + grain).astype(np.float32), spread), touched, reach)


def _mixed(film: FloatImage, other: FloatImage, share: FloatImage) -> FloatImage:
    """The film moved by `share` towards `other`; bit for bit the film where the share is 0."""
    out: FloatImage = np.where(share > 0, np.clip(film + share * (other - film), 0, 1), film)
    return out


def _blurred(share: FloatImage) -> tuple[FloatImage, int]:
    """`share` after the film's point spread, a Gaussian of compact support, and its reach in pixels."""
    sigma = max(0.5, min(share.shape) / 500)
    reach = int(np.ceil(2 * sigma))
    out: FloatImage = gaussian_filter(share, sigma, mode="nearest", radius=reach)
    return out, reach


def _grain(film: FloatImage) -> float:
    """Standard deviation of the film's grain, from the median difference of neighbours; at most .02."""
    return min(1.05 * float(np.median(np.abs(np.diff(film, axis=1)))), 0.02)


def _rectangle(film: FloatImage, centre: Point, half: Point, tilt: float) -> FloatImage:
    """Share of each pixel in a rectangle of half-sides `half` in pixels, turned by `tilt` degrees anticlockwise."""
    dx, dy = _offsets(film, centre)
    turn = np.deg2rad(tilt)
    u, v = dx * np.cos(turn) - dy * np.sin(turn), dx * np.sin(turn) + dy * np.cos(turn)
    inside: FloatImage = np.clip(half[0] - np.abs(u) + 0.5, 0, 1) * np.clip(half[1] - np.abs(v) + 0.5, 0, 1)
    return inside.astype(np.float32)


def _disc(film: FloatImage, centre: Point, radius: float) -> FloatImage:
    dx, dy = _offsets(film, centre)
    inside: FloatImage = np.clip(radius - np.hypot(dx, dy) + 0.5, 0, 1).astype(np.float32)
    return inside


def _offsets(film: FloatImage, centre: Point) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Distances of pixel centres from a point, to the right (1, W) and downwards (H, 1)."""
    height, width = film.shape
    return np.arange(width)[None, :] + 0.5 - centre[0], np.arange(height)[:, None] + 0.5 - centre[1]


def _stroke(film: FloatImage, points: Sequence[Point], width: float) -> FloatImage:
    canvas = _canvas(film)
    fine = [(x * FINE, y * FINE) for x, y in points]
    ImageDraw.Draw(canvas).line(fine, fill=255, width=max(round(width * FINE), 1), joint="curve")
    return _coverage(canvas)


def _written(
    film: FloatImage, lines: Sequence[str], centre: Point, tall: float, tilt: float = 0.0, bold: float = 0.0
) -> FloatImage:
    """Lines of capitals `tall` pixels high, centred; `bold` widens strokes by that share of the height."""
    canvas = _canvas(film)
    at = (centre[0] * FINE, centre[1] * FINE)
    ImageDraw.Draw(canvas).multiline_text(
        at, "\n".join(lines), fill=255, font=_face(tall * FINE), anchor="mm", align="left", spacing=tall * FINE * 0.1,
        stroke_width=round(bold * tall * FINE),
    )  # fmt: skip
    return _coverage(canvas.rotate(tilt, Image.Resampling.BILINEAR, center=at) if tilt else canvas)


@lru_cache(maxsize=256)
def _face(tall: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own face; its capitals fill 74 % of its size."""
    return ImageFont.load_default(size=round(tall * 1.35))


def _canvas(film: FloatImage) -> Image.Image:
    return Image.new("L", (film.shape[1] * FINE, film.shape[0] * FINE))


def _coverage(canvas: Image.Image) -> FloatImage:
    """Share of each film pixel that is drawn, float32 (H, W) in [0, 1]."""
    return np.asarray(canvas.reduce(FINE), dtype=np.float32) / np.float32(255)


def _bezier(control: tuple[Point, Point, Point, Point], pieces: int = 48) -> list[Point]:
    """Points along a cubic Bézier curve."""
    t = np.linspace(0, 1, pieces + 1)[:, None]
    a, b, c, d = (np.array(point) for point in control)
    curve = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t * t * (1 - t) * c + t**3 * d
    return [(float(x), float(y)) for x, y in curve]
