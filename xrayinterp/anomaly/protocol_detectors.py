"""Detectors by name, as the protocol compares them: a method, and the expert whose features it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import Code, XrayInterpError
from ..models.registry import model_names
from .baselines.features import usual_blur
from .detector import Detector
from .protocol import Views

if TYPE_CHECKING:
    from .experts import Expert

DEFAULT_EXPERT = "compact"
SMALLEST = 64
BATCH = 64
STEPS = 1000
"""Steps of a training at an effort of 1; the autoencoder, whose steps are cheap, takes twice as many.

A step takes BATCH images or, where there are few, an eighth of them.
"""


@dataclass(frozen=True)
class Setup:
    """What a detector is made for: expert, side of the images in pixels, how many `normals` there are to learn from,
    seed, device; `effort` scales training.
    """

    expert: str
    size: int
    normals: int
    seed: int
    device: str = "cpu"
    effort: float = 1.0


def _ways(size: int, *names: str) -> Views:
    """Ways of localisation, blurred as the baselines are."""
    return {name: {"method": name, "blur": usual_blur(size)} for name in names}


def _plain(size: int) -> Views:
    return {"own": {}}


def _gradient(size: int) -> Views:
    return _ways(size, "gradient")


def _few(size: int) -> Views:
    return _ways(size, "gradient", "difference")


def _all(size: int) -> Views:
    return _ways(size, "gradient", "smoothgrad", "guided", "difference")


@dataclass(frozen=True)
class DetectorMethod:
    """A way to detect: `make` gives it unfitted, `views` the ways its maps are made at a side in pixels.

    `reads`: whether it reads an expert; `model`: the chest model whose answers it gives, "" for none; `seeded`: whether
    a seed changes it; `films`: whether it is for chest films alone. `version` goes up where a change of code changes
    its results, so that earlier ones are not taken for these.
    """

    name: str
    title: str
    make: Callable[[Setup], Detector]
    reads: bool = True
    seeded: bool = True
    films: bool = False
    views: Callable[[int], Views] = _plain
    model: str = ""
    version: int = 1


@dataclass(frozen=True)
class NamedDetector:
    """A method with its expert; "" where it reads none."""

    method: DetectorMethod
    expert: str

    @property
    def name(self) -> str:
        """As on the command line: `nearest@compact`."""
        return f"{self.method.name}@{self.expert}" if self.expert else self.method.name

    @property
    def weights(self) -> str:
        """The expert or model whose weights it uses; "" for none."""
        return self.expert or self.method.model


def experts() -> tuple[str, ...]:
    """Names of experts: those that are no chest models, then every model."""
    from .choice import NAMES

    return (*NAMES, *model_names())


LEARNED = MappingProxyType(
    {
        "vgg16": "photographs of ImageNet",
        "self-supervised": "films without labels",
        "random": "nothing",
        "random-vgg16": "nothing",
    }
)
"""What experts that are no chest models learned from."""


def learned_from(expert: str) -> str:
    """What an expert learned from; one that was told of findings is marked label-informed."""
    return LEARNED.get(expert, "labels of radiographs (label-informed)") if expert else ""


def detectors_named(names: Sequence[str]) -> list[NamedDetector]:
    """Detectors of names such as `nearest`, `nearest@random`, or `all` and `all@random` (every method).

    Raises:
        XrayInterpError: `bad-option` for a method or expert there is not, listing those there are; for an expert of a
            method that reads none.
    """
    out: dict[str, NamedDetector] = {}
    for name in names:
        word, _, expert = name.partition("@")
        if word != "all" and word not in METHODS:
            hint = f"There are: {', '.join(METHODS)}, and all."
            raise XrayInterpError(Code.BAD_OPTION, f"There is no detector {word!r}.", hint)
        if expert and expert not in experts():
            raise XrayInterpError(
                Code.BAD_OPTION, f"There is no expert {expert!r}.", f"There are: {', '.join(experts())}."
            )
        if expert and word != "all" and not METHODS[word].reads:
            raise XrayInterpError(Code.BAD_OPTION, f"{word!r} reads no expert.", f"Say {word!r} instead of {name!r}.")
        for method in METHODS.values() if word == "all" else (METHODS[word],):
            found = NamedDetector(method, (expert or DEFAULT_EXPERT) if method.reads else "")
            out[found.name] = found
    return list(out.values())


def expert_of(setup: Setup) -> Expert:
    """The expert for images of that side; none smaller than 64 pixels, or its last maps would be single cells."""
    from .choice import expert_named

    return expert_named(setup.expert, size=max(SMALLEST, setup.size), seed=setup.seed).on(setup.device)


def _distillation(*, last: bool = False, **changes: Any) -> Callable[[Setup], Detector]:
    """The published form with these settings changed; `last`: of the last critical point alone."""

    def make(setup: Setup) -> Detector:
        from .distillation import DistillationDetector
        from .fitting import Settings

        expert = expert_of(setup)
        batch = min(BATCH, max(8, setup.normals // 8), setup.normals)
        epochs = STEPS * setup.effort / (setup.normals // batch)
        settings = Settings(**{**changes, "epochs": max(2, round(epochs)), "batch": batch, "seed": setup.seed})
        if last:
            settings = settings.last_only(expert)
        return DistillationDetector(expert, settings, device=setup.device)

    return make


def _nearest(setup: Setup) -> Detector:
    from .baselines.nearest import NearestNeighbour

    return NearestNeighbour(expert_of(setup).maps, seed=setup.seed, device=setup.device)


def _gaussian(setup: Setup) -> Detector:
    from .baselines.gaussian import GaussianPerPosition

    return GaussianPerPosition(expert_of(setup).maps, seed=setup.seed, device=setup.device)


def _reconstruction(setup: Setup) -> Detector:
    from .baselines.reconstruction import Reconstruction

    return Reconstruction(steps=max(1, round(2 * STEPS * setup.effort)), seed=setup.seed, device=setup.device)


def _centre(setup: Setup) -> Detector:
    from .baselines.centre import Centre

    return Centre()


def _weak(setup: Setup) -> Detector:
    from .baselines.supervised import Supervised

    return Supervised("weak", device=setup.device)


METHODS: Mapping[str, DetectorMethod] = MappingProxyType(
    {
        method.name: method
        for method in (
            DetectorMethod("distillation", "values and directions at all critical points", _distillation(), views=_all),
            DetectorMethod(
                "last-layer", "distillation of the last critical point alone", _distillation(last=True), views=_few
            ),
            DetectorMethod("value", "distillation of values alone", _distillation(terms="value"), views=_few),
            DetectorMethod(
                "direction",
                "distillation of directions alone",
                _distillation(terms="direction"),
                views=_gradient,  # of directions of whole maps no position has a difference of its own
            ),
            DetectorMethod(
                "standardised",
                "distillation, terms in deviations of held-out normals",
                _distillation(fusion="standardised"),
                views=_few,
            ),
            DetectorMethod(
                "position",
                "distillation, directions compared at every position",
                _distillation(direction="position"),
                views=_few,
            ),
            DetectorMethod(
                "position-standardised",
                "both of these",
                _distillation(direction="position", fusion="standardised"),
                views=_few,
            ),
            DetectorMethod(
                "equal", "distillation, a cloner as large as the expert", _distillation(cloner="equal"), views=_few
            ),
            DetectorMethod("nearest", "nearest normal patch (PatchCore-like)", _nearest, version=3),
            DetectorMethod("gaussian", "Gaussian per position (PaDiM-like)", _gaussian, version=2),
            DetectorMethod("centre", "control that looks at no image", _centre, reads=False, seeded=False),
            DetectorMethod("reconstruction", "small autoencoder", _reconstruction, reads=False, version=2),
            DetectorMethod(
                "weak",
                "supervised: model `weak`, told of findings",
                _weak,
                reads=False,
                seeded=False,
                films=True,
                model="weak",
            ),
        )
    }
)
"""Every method by name."""
