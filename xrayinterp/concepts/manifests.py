"""Probe manifests: `data_manifests/probes/*.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from ..errors import Code, XrayInterpError
from ..paths import manifest_dir

Seen = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class ProbeManifest:
    """What a probe set is made of.

    `parts` lists {dataset, annotation}: all films of a data set on which that annotator drew masks. `phantom` holds
    {films, size, seed} of a generated set instead. `pastes` holds {films, size, seed} of generated films with shortcuts
    pasted on them, or {films, dataset, min_native_width, seed} for pastes on a data set's films without a finding.
    `splits` restricts the films; None takes all. `anatomy` and `seen` as in `ProbeSet`.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    concepts: tuple[str, ...]
    notes: str = ""
    parts: tuple[Mapping[str, str], ...] = ()
    phantom: Mapping[str, int] = field(default_factory=dict)
    pastes: Mapping[str, Any] = field(default_factory=dict)
    anatomy: tuple[str, ...] = ()
    splits: tuple[str, ...] | None = None
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        strangers = set(self.anatomy) - set(self.concepts)
        if strangers or sum(map(bool, (self.parts, self.phantom, self.pastes))) != 1:
            reason = (
                f"anatomy {sorted(strangers)} is no concept"
                if strangers
                else "it needs one of parts, phantom and pastes"
            )
            raise XrayInterpError(Code.BAD_MANIFEST, f"Probe manifest {self.name!r} is wrong: {reason}.")


def fitted_to(seen: Mapping[str, tuple[str, ...]], model: str, splits: Iterable[str]) -> Seen:
    """Whether a model's weights were fitted to films of these splits, by a manifest's `seen`."""
    rule = seen.get(model, seen.get("*"))
    return "unknown" if rule is None else "yes" if set(splits) & set(rule) else "no"


def probe_names() -> tuple[str, ...]:
    """Names of all probe sets, in alphabetical order."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def load_probe_manifest(name: str) -> ProbeManifest:
    """The manifest of probe set `name`.

    Raises:
        XrayInterpError: `unknown-probes` listing those there are, `bad-manifest` for a file that is none.
    """
    if name not in probe_names():
        raise XrayInterpError(
            Code.UNKNOWN_PROBES, f"There is no probe set {name!r}.", f"Known: {', '.join(probe_names())}."
        )
    path = _folder() / f"{name}.yaml"
    try:
        raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        lists = {key: tuple(raw[key]) for key in ("concepts", "parts", "anatomy", "splits") if raw.get(key) is not None}
        seen = {model: tuple(splits) for model, splits in raw.get("seen", {}).items()}
        return ProbeManifest(**{**raw, **lists, "seen": seen})
    except (TypeError, AttributeError, KeyError, yaml.YAMLError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is not a probe manifest: {error}.") from error


def _folder() -> Path:
    return manifest_dir() / "probes"
