"""Figures of the data at hand that a report must tell, and that its limits are filled with."""

from __future__ import annotations

from collections.abc import Mapping

from ..concepts.probes import load_probe_set
from .dissected import COVID
from .labels import healthy
from .learn import RARE
from .networks import build
from .plan import Architecture, Settings
from .samples import Samples


def facts(samples: Samples, settings: Settings, seeds: int) -> Mapping[str, str]:
    """What the limits of a study name in braces."""
    train, test = samples.nih("train"), samples.nih("test")
    scored = samples.scored
    patients = {film.patient for film in scored}
    covid = load_probe_set(COVID, root=samples.root).films
    left = [film for film in covid if film.patient not in patients]
    scored_test = [film for film in scored if film.split == "test"]
    names = {film.id for film in scored}
    counts = {name: sum(film.labels[name] for film in train) for name in train[0].labels}
    rare = [f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count < RARE * len(train)]
    told: dict[str, object] = {
        "size": settings.size,
        "seeds": seeds,
        "nih_train": f"{len(train):,}",
        "nih_train_patients": len({film.patient for film in train}),
        "nih_test": f"{len(test):,}",
        "nih_test_patients": len({film.patient for film in test}),
        "scored": len(scored),
        "scored_patients": len(patients),
        "held_out": sum(film.patient not in samples.outlined_patients for film in scored),
        "covid": len(covid),
        "covid_scored": sum(film.id in names for film in covid),
        "covid_left": len(left),
        "covid_left_patients": len({film.patient for film in left}),
        "unhealthy_scored": _share(sum(healthy(film) is False for film in scored), len(scored)),
        "unhealthy_nih": _share(sum(healthy(film) is False for film in train), len(train)),
        "scored_test": len(scored_test),
        "healthy_scored_test": sum(healthy(film) is True for film in scored_test),
        "rare": ", ".join(rare) or "none",
        "weights": f"{_weights('densenet', settings):,}",
        "weights_resnet": f"{_weights('resnet', settings):,}",
        "weights_vgg": f"{_weights('vgg', settings):,}",
    }
    return {name: str(value) for name, value in told.items()}


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.0f}"


def _weights(architecture: Architecture, settings: Settings) -> int:
    return sum(p.numel() for p in build(architecture, settings.width, 0).features.parameters())
