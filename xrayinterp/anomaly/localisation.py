"""Where an image is unusual: what at the input moves its score, or where the features differ. Absolute scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import Code, XrayInterpError
from ..operators import rules
from ..operators.batching import BATCH, batched
from ..operators.lean import lean_for
from ..operators.tape import record
from .discrepancy import Weights, discrepancies, positions
from .pair import Flattened, Pair

Method = Literal["gradient", "smoothgrad", "guided", "difference"]

AT_ONCE = 4
"""Images whose graphs are held at a time: on a DenseNet-121 at 224 px they take up to 2 GB."""
PLUS = ((0.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.0, 1.0, 0.0))
"""The structuring element of the opening: OpenCV's 3 x 3 "ellipse"."""


@dataclass(frozen=True)
class Localisation:
    """How a map is made.

    `method`: "gradient" |dL/dx| summed over channels; "smoothgrad" the same of the gradient averaged over `samples`
    copies in noise of deviation `noise` (max x - min x); "guided" with guided backpropagation through expert and
    cloner; "difference" squared feature differences drawn up to the image, as they are. `blur`: deviation of a Gaussian
    in pixels of the image, 0 for none. `threshold`: below it the map is 0; `opening`: what is left is opened with a
    plus. `seed`: of the noise.
    """

    method: Method = "gradient"
    blur: float = 4.0
    threshold: float | None = None
    opening: bool = False
    samples: int = 25
    noise: float = 0.05
    seed: int = 0

    @classmethod
    def of(cls, **options: Any) -> Self:
        """From options by name.

        Raises:
            XrayInterpError: `bad-option` for one there is not, and those of wrong values.
        """
        known = [field.name for field in fields(cls)]
        if odd := sorted(set(options) - set(known)):
            raise XrayInterpError(
                Code.BAD_OPTION, f"A map has no option {odd[0]!r}.", f"There are: {', '.join(known)}."
            )
        return cls(**options)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise XrayInterpError(
                Code.UNKNOWN_METHOD,
                f"There is no way of localisation called {self.method!r}.",
                f"There are: {', '.join(METHODS)}.",
            )
        whole = isinstance(self.samples, int) and self.samples >= 1
        known = self.threshold is None or math.isfinite(self.threshold)
        if not (0 <= self.blur < math.inf and whole and known and 0 <= self.noise <= 1):
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"blur {self.blur}, samples {self.samples}, noise {self.noise}, threshold {self.threshold} are out of "
                "range.",
                "blur is 0 or more, samples a whole number from 1, noise from 0 to 1, threshold a number.",
            )
        if self.opening and self.threshold is None:
            raise XrayInterpError(Code.BAD_OPTION, "An opening needs a threshold.", "Give both, or neither.")


def localise(pair: Pair, weights: Weights, images: Tensor, how: Localisation) -> Tensor:
    """Maps (N, 1, H, W) >= 0 of images (N, C, H, W), in units of the score per unit of grey, or of the features.

    Raises:
        XrayInterpError: `bad-option` for "difference" where the score has nothing that differs by position.
    """
    if not len(images):
        return images.new_empty(0, 1, *images.shape[-2:])
    make = METHODS[how.method]
    found = torch.stack(list(make(pair, weights, images, how)))
    return finished(found, how)


def finished(maps: Tensor, how: Localisation) -> Tensor:
    """Maps after blur, threshold and opening."""
    maps = blurred(maps, how.blur)
    if how.threshold is None:
        return maps
    mask = maps >= how.threshold
    return maps * (opened(mask) if how.opening else mask)


def blurred(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (N, 1, H, W), borders clamped, the kernel cut at four deviations."""
    if sigma == 0:
        return maps
    radius = max(1, round(4 * sigma))
    at = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(maps, (radius, radius, radius, radius), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def opened(mask: Tensor) -> Tensor:
    """Opening of (N, 1, H, W) masks by the plus: erosion, then dilation; beyond the border nothing is set."""
    element = torch.tensor(PLUS, device=mask.device).view(1, 1, 3, 3)
    eroded = F.conv2d(mask.float(), element, padding=1) >= element.sum()
    return F.conv2d(eroded.float(), element, padding=1) > 0


def _plain(pair: Pair, weights: Weights, images: Tensor) -> Tensor:
    """Gradients of their scores at images (N, C, H, W), through both paths."""
    with torch.inference_mode(False), torch.enable_grad(), lean_for(pair):
        leaf = images.detach().clone().requires_grad_()
        scores = weights.scores(discrepancies(*pair.maps(leaf, grad=True), pair.direction))
        return torch.autograd.grad(scores.sum(), leaf)[0]


def _ruled(pair: Pair, weights: Weights, images: Tensor) -> Tensor:
    """The same under guided backpropagation, whose rule every ReLU of both paths obeys."""
    flat = Flattened(pair)

    def score(values: Tensor) -> Tensor:
        return weights.scores(discrepancies(*flat.split(values), pair.direction)).sum()

    return record(flat, images).gradients(score, rule=rules.guided)[0]


def _arriving(at: _Gradients, pair: Pair, weights: Weights, images: Tensor, how: Localisation) -> Iterator[Tensor]:
    for part in images.split(AT_ONCE):
        yield from at(pair, weights, part).abs().sum(1, keepdim=True)


def _smoothgrad(pair: Pair, weights: Weights, images: Tensor, how: Localisation) -> Iterator[Tensor]:
    for image in images:
        copies = batched(lambda part: _plain(pair, weights, part), _noisy(image, how))
        total = torch.zeros_like(image)
        for gradient in copies:
            total += gradient
        yield (total / how.samples).abs().sum(0, keepdim=True)


def _noisy(image: Tensor, how: Localisation) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(how.seed)
    deviation = how.noise * (image.max() - image.min())
    return (image + deviation * torch.randn(image.shape, generator=generator).to(image) for _ in range(how.samples))


def _difference(pair: Pair, weights: Weights, images: Tensor, how: Localisation) -> Iterator[Tensor]:
    if pair.direction == "image" and not any(weights.value):
        raise XrayInterpError(
            Code.BAD_OPTION,
            "This score is of directions of whole maps: it has no difference at a position.",
            "Localise by gradient, or compare directions by position.",
        )

    def maps(part: Tensor) -> Tensor:
        with torch.no_grad():
            expert, cloner = pair.maps(part)
        layers = [f * (s - c).square().mean(1) for f, s, c in zip(weights.value, expert, cloner, strict=True)]
        if pair.direction == "position":
            layers += [f * positions(s, c) for f, s, c in zip(weights.direction, expert, cloner, strict=True)]
        size = part.shape[-2:]
        drawn = [F.interpolate(m[:, None], size, mode="bilinear", align_corners=False) for m in layers]
        return torch.stack(drawn).sum(0)

    for some in images.split(BATCH):
        yield from maps(some)


_Gradients = Callable[[Pair, Weights, Tensor], Tensor]
_Maker = Callable[[Pair, Weights, Tensor, Localisation], Iterator[Tensor]]

METHODS: Mapping[str, _Maker] = {
    "gradient": partial(_arriving, _plain),
    "smoothgrad": _smoothgrad,
    "guided": partial(_arriving, _ruled),
    "difference": _difference,
}
"""Ways of localisation by name."""
