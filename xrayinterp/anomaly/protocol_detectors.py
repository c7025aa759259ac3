"""Detectors by name, as the protocol compares them: a method, and the expert whose features it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import Code, XrayInterpError
from .detector import Detector
from .protocol import Views

if TYPE_CHECKING:
    from .experts import Expert

DEFAULT_EXPERT = "compact"
PLAIN: Views = MappingProxyType({"own": MappingProxyType({})})
"""A detector with one kind of map."""


@dataclass(frozen=True)
class Setup:
    """What a detector is made for: expert, side of the images in pixels, seed, device; `effort` scales training."""

    expert: str
    size: int
    seed: int
    device: str = "cpu"
    effort: float = 1.0


@dataclass(frozen=True)
class DetectorMethod:
    """A way to detect: `make` gives it unfitted. `seeded`: whether a seed changes it; `reads`: whether an expert does.

    `views` are the ways its maps are made.
    """

    name: str
    title: str
    make: Callable[[Setup], Detector]
    reads: bool = True
    seeded: bool = True
    views: Views = field(default_factory=lambda: PLAIN)


@dataclass(frozen=True)
class Named:
    """A method with its expert; "" where it reads none."""

    method: DetectorMethod
    expert: str

    @property
    def name(self) -> str:
        """As on the command line: `nearest@compact`."""
        return f"{self.method.name}@{self.expert}" if self.expert else self.method.name


def detectors_named(names: Sequence[str]) -> list[Named]:
    """Detectors of names such as `nearest`, `nearest@random`, or `all` (every method with the usual expert).

    Raises:
        XrayInterpError: `bad-option` for a method or expert there is not, listing those there are.
    """
    out: dict[str, Named] = {}
    for name in names:
        word, _, expert = name.partition("@")
        if word != "all" and word not in METHODS:
            hint = f"There are: {', '.join(METHODS)}, and all."
            raise XrayInterpError(Code.BAD_OPTION, f"There is no detector {word!r}.", hint)
        if expert and expert not in EXPERTS:
            raise XrayInterpError(
                Code.BAD_OPTION, f"There is no expert {expert!r}.", f"There are: {', '.join(EXPERTS)}."
            )
        for method in METHODS.values() if word == "all" else (METHODS[word],):
            found = Named(method, (expert or DEFAULT_EXPERT) if method.reads else "")
            out[found.name] = found
    return list(out.values())


def _nearest(setup: Setup) -> Detector:
    from .baselines.nearest import NearestNeighbour

    return NearestNeighbour(_expert(setup).maps, seed=setup.seed, device=setup.device)


def _gaussian(setup: Setup) -> Detector:
    from .baselines.gaussian import GaussianPerPosition

    return GaussianPerPosition(_expert(setup).maps, seed=setup.seed, device=setup.device)


def _reconstruction(setup: Setup) -> Detector:
    from .baselines.reconstruction import Reconstruction

    return Reconstruction(steps=max(1, round(2000 * setup.effort)), seed=setup.seed, device=setup.device)


def _weak(setup: Setup) -> Detector:
    from .baselines.supervised import Supervised

    return Supervised("weak", device=setup.device)


def _expert(setup: Setup) -> Expert:
    return EXPERTS[setup.expert](setup).on(setup.device)


def _model(name: str) -> Callable[[Setup], Expert]:
    def make(setup: Setup) -> Expert:
        from ..models.zoo import load_model
        from .experts import model_expert

        return model_expert(load_model(name), size=_side(setup))

    return make


def _random(setup: Setup) -> Expert:
    """A network of the usual expert's size that learnt nothing."""
    from ..models.registry import describe
    from .experts import random_expert

    structure = describe(DEFAULT_EXPERT).structure
    return random_expert(setup.seed, size=_side(setup), shape=None if structure is None else structure.architecture)


def _vgg16(setup: Setup) -> Expert:
    from .experts import vgg16_expert

    return vgg16_expert(size=_side(setup))


def _side(setup: Setup) -> int:
    """Experts see an image no smaller than 64 pixels, or their last maps would be single cells."""
    return max(64, setup.size)


EXPERTS: Mapping[str, Callable[[Setup], Expert]] = MappingProxyType(
    {"compact": _model("compact"), "random": _random, "vgg16": _vgg16}
)
"""Experts by name."""

METHODS: Mapping[str, DetectorMethod] = MappingProxyType(
    {
        method.name: method
        for method in (
            DetectorMethod("nearest", "nearest normal patch (PatchCore-like)", _nearest),
            DetectorMethod("gaussian", "Gaussian per position (PaDiM-like)", _gaussian),
            DetectorMethod("reconstruction", "small autoencoder", _reconstruction, reads=False),
            DetectorMethod("weak", "supervised: model `weak`, told of findings", _weak, reads=False, seeded=False),
        )
    }
)
"""Every method by name."""
