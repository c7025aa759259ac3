"""What is to be dissected, and how the films are dealt out to shards: all that a worker needs to know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..concepts.probes import ProbeFilm, ProbeSet
from ..errors import Code, XrayInterpError
from ..models.chest_model import Layer
from .maps import Reader
from .thresholds import Definition

Numbers = npt.NDArray[np.int64]


GROUPS = 2048
"""Groups of patients that are counted apart at most, so that counters stay small for any number of patients."""


@dataclass(frozen=True)
class ConceptSet:
    """One probe set's part: its name, concepts and films, as numbers into the plan's films."""

    name: str
    concepts: tuple[str, ...]
    members: Numbers


@dataclass(frozen=True)
class Plan:
    """Films that are each read once, for several concept sets and layers, in shards that lie in `folder`.

    `layers` are (name, layer) pairs; `normal` films stand for films without findings. The shard of a film, and its
    place there, are drawn from its name: the same on every machine, and the first films of a shard are a fair sample.
    """

    folder: Path
    reader: Reader
    layers: tuple[tuple[str, Layer], ...]
    films: tuple[ProbeFilm, ...]
    sets: tuple[ConceptSet, ...]
    definition: Definition
    shards: int = 1
    normal: tuple[ProbeFilm, ...] = ()

    @cached_property
    def shard_of(self) -> Numbers:
        """The shard of every film."""
        return (self._draws % self.shards).astype(np.int64)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The group of each film's patient: alone, or one of `GROUPS` drawn from the name where there are more."""
        patients = [film.patient for film in self.films]
        if len(set(patients)) <= GROUPS:
            return tuple(patients)
        return tuple(f"group {_hash(patient) % GROUPS:04}" for patient in patients)

    @property
    def accelerator(self) -> torch.device | None:
        """The device on which cells are counted as well, None where that is the processor."""
        device = self.reader.device or self.reader.model.device
        return None if device.type == "cpu" else device

    @property
    def normal_reader(self) -> Reader:
        """The model itself, also where probe films are read out of fold."""
        return replace(self.reader, model_for=None)

    @property
    def filled(self) -> list[int]:
        """The shards that have films."""
        return sorted(set(self.shard_of.tolist()))

    def of(self, shard: int) -> Numbers:
        """Numbers of a shard's films."""
        numbers = np.flatnonzero(self.shard_of == shard)
        return numbers[np.argsort(self._draws[numbers] // self.shards, kind="stable")]

    def place(self, shard: int) -> Path:
        """The folder of a shard."""
        return self.folder / f"shard-{shard:04}-of-{self.shards:04}"

    @cached_property
    def _draws(self) -> npt.NDArray[np.uint64]:
        return np.array([_hash(f"{film.dataset}/{film.id}") for film in self.films], dtype=np.uint64)

    @cached_property
    def fingerprint(self) -> str:
        """What decides the maps that are kept in the folder; two plans with the same one share them."""
        reader = self.reader
        state = hashlib.sha256()
        for name, tensor in sorted(reader.model.module.state_dict().items()):
            state.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        told = {
            "model": reader.model.name,
            "weights": state.hexdigest(),
            "input": [reader.model.size, reader.model.scale, reader.model.detail, reader.fit, reader.batch],
            "out_of_fold": reader.model_for is not None,
            "device": "cpu" if reader.device is None else str(reader.device),
            "layers": [[name, layer.path, layer.units, layer.grid] for name, layer in self.layers],
            "films": [[film.dataset, film.id, film.patient, list(film.box or ())] for film in self.films],
            "sets": [[one.name, list(one.concepts), one.members.tolist()] for one in self.sets],
            "definition": self.definition.value,
            "shards": self.shards,
            "versions": {name: version(name) for name in ("xrayinterp", "torch", "numpy")},
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def claim(self) -> None:
        """Make the folder this plan's, or go on in it.

        Raises:
            XrayInterpError: `bad-option` where the folder holds another dissection.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        note = self.folder / "plan.sha256"
        if note.is_file() and note.read_text(encoding="ascii") != self.fingerprint:
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"{self.folder} holds another dissection: other weights, films, layers, options or versions.",
                "Name another folder, or remove this one.",
            )
        note.write_text(self.fingerprint, encoding="ascii")


def films_once(sets: Sequence[ProbeSet]) -> tuple[tuple[ProbeFilm, ...], list[Numbers]]:
    """The films of several probe sets, those with the same picture once, and each set's films as numbers into them."""
    films: list[ProbeFilm] = []
    known: dict[tuple[object, ...], list[int]] = {}
    numbers = []
    for probes in sets:
        members = []
        for film in probes.films:
            alike = known.setdefault((film.dataset, film.id, film.box), [])
            same = next((i for i in alike if films[i].picture == film.picture), None)
            if same is None:
                same = len(films)
                films.append(film)
                alike.append(same)
            members.append(same)
        numbers.append(np.array(members, dtype=np.int64))
    return tuple(films), numbers


def on(device: str | torch.device | None) -> torch.device | None:
    """A device by name."""
    return None if device is None else torch.device(device)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
