"""Which models there are and what is known of each without loading it; never imports torch."""

from __future__ import annotations

import difflib
import hashlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import Code, XrayInterpError
from ..paths import cache_dir, manifest_dir
from .card import Calibration, Card, FindingMetrics, Layer, OperatingPoint
from .documents import Manifest, Record, Remote, Structure, Task, Text, read_manifest, read_record
from .layout import dissection_layers

DEFAULT_MODEL = "compact"
BUILTIN_DIR = Path(__file__).parent / "builtin"
BUILTIN_ENV = "XRAYINTERP_BUILTIN"

Kind = Literal["builtin", "torchxrayvision", "imported", "file"]


@dataclass(frozen=True)
class ModelEntry:
    """A model as the list of models shows it.

    `available`: its weights are on this machine, at `weights`; for torchxrayvision's models that is the safetensors
    file which `weights.fetch` makes of `download` (the file name) at `url`. `structure` is None where a built-in model
    is absent. `hash_note` says what `card.sha256` is worth. Points, calibrations and metrics as in `ChestModel`.
    """

    name: str
    kind: Kind
    card: Card
    weights: Path
    available: bool
    hash_note: str
    structure: Structure | None = None
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    metrics: Mapping[str, FindingMetrics] = field(default_factory=dict)
    remote: Remote | None = None

    @property
    def findings(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self.structure.findings if self.structure else ()

    @property
    def task(self) -> Task:
        """Whether the outputs are findings or severity scores."""
        return self.structure.task if self.structure else "findings"

    @property
    def layers(self) -> dict[str, Layer]:
        """Dissection layers by name, first to last."""
        return dissection_layers(self.structure.architecture, self.structure.size) if self.structure else {}

    @property
    def url(self) -> str | None:
        """Where the weights are published."""
        return self.remote.url if self.remote else None

    @property
    def download(self) -> str | None:
        """Name of the published file."""
        return self.remote.file if self.remote else None

    @property
    def default(self) -> bool:
        """Whether this is the model used where none is named."""
        return self.name == DEFAULT_MODEL


def builtin_dir() -> Path:
    """The folder of built-in weights: the package's own, or the one named by XRAYINTERP_BUILTIN."""
    return Path(os.environ.get(BUILTIN_ENV) or BUILTIN_DIR)


def weights_dir() -> Path:
    """The per-user folder of fetched and imported weights (created)."""
    path = cache_dir() / "weights"
    path.mkdir(exist_ok=True)
    return path


def model_names() -> tuple[str, ...]:
    """Names of all models: those of the manifests in their order, then the user's imported ones."""
    known = _manifests()
    imported = sorted(p.stem for p in weights_dir().glob("*.safetensors") if p.stem not in known)
    return (*known, *imported)


def describe(name: str | Path) -> ModelEntry:
    """All that is known of a model by its name, or of a safetensors file by its path, without torch.

    A file must bring a record (see `documents.Record`): `<name>.json` beside it, or the same JSON in its header under
    the key "xrayinterp". At least: architecture {growth, blocks, stem, bottleneck}, findings, size, scale.

    Raises:
        XrayInterpError: `unknown-model`, `weights-missing`, `weights-corrupt` or `bad-manifest`.
    """
    manifests = _manifests()
    if isinstance(name, str) and name in manifests:
        manifest = read_manifest(manifests[name])
        return _builtin(name, manifest) if manifest.weights is None else _published(name, manifest, manifest.weights)
    if isinstance(name, str) and is_name(name):
        imported = weights_dir() / f"{name}.safetensors"
        if imported.is_file():
            return _file(name, imported, "imported")
    if isinstance(name, Path) or name.endswith(".safetensors"):
        return _file(Path(name).stem, Path(name), "file")
    raise _unknown(name)


def record_of(weights: Path) -> Record:
    """The record that a person's safetensors file must bring; see `describe`.

    Raises:
        XrayInterpError: `weights-missing`, `weights-corrupt`, or `bad-manifest` where there is no record.
    """
    if not weights.is_file():
        raise XrayInterpError(Code.WEIGHTS_MISSING, f"The file {weights} does not exist.")
    record = read_record(weights)
    if record is None:
        raise XrayInterpError(
            Code.BAD_MANIFEST,
            f"{weights} does not say what network it holds.",
            f"Put {weights.stem}.json beside it: architecture, findings, size and scale; the record of the built-in "
            f"model, {BUILTIN_DIR / DEFAULT_MODEL}.json, is an example.",
        )
    return record


def cached_record(weights: Path) -> Record | None:
    """The record of converted weights; None where either is absent or unreadable, so that they are fetched again."""
    try:
        return read_record(weights) if weights.is_file() else None
    except XrayInterpError:
        return None


def is_name(text: str) -> bool:
    """Whether `text` may name a model: letters, digits, dots, dashes; never a path."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text) is not None and not text.endswith(".safetensors")


def is_listed(name: str) -> bool:
    """Whether a manifest bears this name."""
    return name in _manifests()


def _manifests() -> dict[str, Path]:
    paths = (manifest_dir() / "models").glob("*.yaml")
    return {p.stem: p for p in sorted(paths, key=lambda p: (read_manifest(p).rank, p.stem))}


def _card(text: Text, record: Record | None, sha256: str | None) -> Card:
    return Card(
        title=text.title,
        summary=text.summary.strip(),
        data=text.data.strip(),
        licence=text.licence.strip(),
        limits=text.limits,
        sha256=sha256,
        research_only=text.research_only,
        tested_on=record.tested_on if record else "",
        measured=record.measured if record else {},
    )


def _builtin(name: str, manifest: Manifest) -> ModelEntry:
    weights = builtin_dir() / f"{name}.safetensors"
    record = read_record(weights)
    note = "Built in; checked against its record at every load."
    return _entry(name, "builtin", weights, record, manifest, record.sha256 if record else None, note)


def _file(name: str, weights: Path, kind: Kind) -> ModelEntry:
    record = record_of(weights)
    note = "The user's own file; its SHA-256 is taken as it is."
    sha256 = record.sha256 or hashlib.sha256(weights.read_bytes()).hexdigest()
    text = record.text or Text(title=name, limits=("Its maker states no limits.",))
    return _entry(name, kind, weights, record, text, sha256, note)


def _entry(
    name: str, kind: Kind, weights: Path, record: Record | None, text: Text, sha256: str | None, note: str
) -> ModelEntry:
    return ModelEntry(
        name=name,
        kind=kind,
        card=_card(text, record, sha256),
        weights=weights,
        available=record is not None and weights.is_file(),
        hash_note=note,
        structure=record,
        operating_points=record.operating_points if record else {},
        calibrations=record.calibrations if record else {},
        metrics=record.metrics if record else {},
    )


def _published(name: str, manifest: Manifest, remote: Remote) -> ModelEntry:
    weights = weights_dir() / f"{name}.safetensors"
    record = cached_record(weights)
    origin = record.origin if record else None
    points = {
        finding: OperatingPoint(threshold=math.log(p / (1 - p)), chosen_on=remote.thresholds_from)
        for finding, p in remote.thresholds.items()
    }
    return ModelEntry(
        name=name,
        kind="torchxrayvision",
        card=_card(manifest, record, origin.sha256 if origin else remote.sha256),
        weights=weights,
        available=record is not None,
        hash_note=_hash_note(remote, origin.sha256 if origin else None),
        structure=remote.structure,
        operating_points=points,
        metrics={finding: FindingMetrics() for finding in remote.structure.findings},
        remote=remote,
    )


def _hash_note(remote: Remote, fetched: str | None) -> str:
    if remote.sha256:
        return "Checked against the published SHA-256."
    if fetched:
        return "Recorded when this machine first fetched the file: no SHA-256 is published for it."
    return "No SHA-256 is published for this file: it is recorded at the first fetch."


def _unknown(name: str) -> XrayInterpError:
    names = model_names()
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    if name.endswith((".pt", ".pth", ".pkl")):
        guess = f"Weights in a pickle are imported first: xrayinterp models import {name}. "
    return XrayInterpError(
        Code.UNKNOWN_MODEL, f"There is no model called {name!r}.", f"{guess}There are: {', '.join(names)}."
    )
