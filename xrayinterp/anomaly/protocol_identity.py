"""What a result depends on beside its settings: the images themselves, and the weights that read them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from ..errors import Code, XrayInterpError
from ..paths import whole_file
from .protocol import Task
from .protocol_family import UNTAUGHT, Family

if TYPE_CHECKING:
    from .protocol_conduct import Plan


@dataclass(frozen=True)
class Identity:
    """SHA-256: of `images` by task, side and limit; of `weights` by name, and by seed where one decides them."""

    images: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)

    def merged(self, other: Identity) -> Identity:
        """Both; `other` where both know."""
        return Identity({**self.images, **other.images}, {**self.weights, **other.weights})


def images_digest(task: Task) -> str:
    """SHA-256 over a task's pixels, patients, groups and outlines."""
    digest = hashlib.sha256()

    def add(name: str, values: np.ndarray) -> None:
        digest.update(f"{name} {values.dtype} {values.shape} ".encode())
        digest.update(np.ascontiguousarray(values).tobytes())

    def say(*words: str) -> None:
        digest.update(json.dumps(words).encode())

    say(task.name, *task.train_patients)
    add("train", task.train.numpy())
    for trial in task.trials:
        say(trial.name, *trial.patients)
        add("images", trial.images.numpy())
        add("normal", trial.normal)
        for kind, of in (("group", trial.groups), ("mask", trial.masks)):
            for name, values in of.items():
                add(f"{kind} {name}", values)
    return digest.hexdigest()


def weights_name(weights: str, seed: int) -> str:
    """What weights are known by: their name, with the seed where it decides them."""
    return f"{weights} {seed}" if weights in UNTAUGHT else weights


@lru_cache(maxsize=64)
def weights_digest(known_by: str) -> str:
    """SHA-256 of an expert's or a model's weights; see `weights_name`.

    Raises:
        XrayInterpError: those of `expert_named`.
    """
    from .choice import expert_named
    from .experts import tensors_sha256

    name, _, seed = known_by.partition(" ")
    expert = expert_named(name, seed=int(seed or 0))
    return expert.sha256 or tensors_sha256(expert.module)


def identified(
    planned: Plan, out: Path, load: Callable[[Family, str], Task], budget: float | None = None
) -> tuple[Plan, dict[str, str]]:
    """A plan that knows its images and weights, and why some could not be had, by `images_name` and `weights_name`.

    What is found is recorded in OUT/identity.json. After `budget` seconds nothing more is loaded, and what an earlier
    run recorded is believed.

    Raises:
        XrayInterpError: where no task's images can be had, the first one's reason.
    """
    begun = time.monotonic()
    images: dict[str, str] = {}
    trouble: dict[str, str] = {}
    for family, part in planned.tasks:
        if budget is None or time.monotonic() - begun <= budget:
            name = planned.images_name(family, part)
            try:
                images[name] = images_digest(load(family, part))
            except XrayInterpError as error:
                trouble[name] = f"{error.message} {error.hint}".strip()
                if len(trouble) == len(planned.tasks):
                    raise
    weights: dict[str, str] = {}
    for name in dict.fromkeys(weights_name(named.weights, cell.seed) for _, _, named, cell in planned.cells()):
        try:
            if name.strip():
                weights[name] = weights_digest(name)
        except XrayInterpError as error:
            trouble[name] = f"{error.message} {error.hint}".strip()
    return replace(planned, identity=_record(out, Identity(images, weights))), trouble


def recorded(planned: Plan, out: Path) -> Plan:
    """A plan that knows the images and weights of the last run in OUT; nothing is loaded."""
    return replace(planned, identity=_read(_file(out)))


def changes(before: Identity, now: Identity) -> list[str]:
    """A line for all images and weights that were others when they were last recorded."""
    pairs = ((before.images, now.images, "images"), (before.weights, now.weights, "weights"))
    return [
        f"{name}: other {what} than at the last run; what was measured with those is left aside"
        for old, new, what in pairs
        for name, digest in new.items()
        if old.get(name, digest) != digest
    ]


def _file(out: Path) -> Path:
    return out / "identity.json"


def _read(file: Path) -> Identity:
    if not file.is_file():
        return Identity()
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if not all(isinstance(of, dict) and all(isinstance(one, str) for one in of.values()) for of in told.values()):
            raise TypeError("a field is no table of words")
        return Identity(**told)
    except (ValueError, TypeError, AttributeError) as error:
        raise XrayInterpError(
            Code.BAD_DATA, f"{file} cannot be read: {error}.", "Delete it: the same command writes it again."
        ) from error


def _record(out: Path, found: Identity) -> Identity:
    """What is found and, where nothing was, what was recorded before; written for later."""
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / "identity.lock"):
        whole = _read(_file(out)).merged(found)
        with whole_file(_file(out)) as partial:
            partial.write_text(json.dumps({"images": whole.images, "weights": whole.weights}, indent=1) + "\n")
    return whole
