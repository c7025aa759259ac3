"""Fixtures of the model tests: a cache of their own, built-in models of random weights, a small published model."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from helpers.closed_form import SMALL
from helpers.http_server import FileServer, serve
from helpers.small_models import published_network, write_small_builtin

from xrayinterp.models import registry
from xrayinterp.paths import manifest_dir

SLOTS = ("Atelectasis", "", "Effusion", "", "Mass", "Nodule")
FILE = "small-densenet.pt"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XRAYINTERP_CACHE", str(folder))
    monkeypatch.delenv("XRAYINTERP_WEIGHTS_URL", raising=False)
    return folder


@pytest.fixture
def builtin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of built-in models that holds `compact`, of random weights."""
    folder = tmp_path / "builtin"
    monkeypatch.setenv(registry.BUILTIN_ENV, str(folder))
    write_small_builtin(folder)
    return folder


@pytest.fixture(scope="session")
def theirs() -> torch.nn.Module:
    """A small DenseNet of torchxrayvision's own class, random weights and statistics."""
    return published_network(SMALL, len(SLOTS))


@pytest.fixture(scope="session")
def published(theirs: torch.nn.Module) -> dict[str, bytes]:
    """The file a publisher would put out, in both formats of torch.save."""
    formats = {}
    for name, is_zip in (("zip", True), ("legacy", False)):
        buffer = io.BytesIO()
        torch.save(theirs, buffer, _use_new_zipfile_serialization=is_zip)
        formats[name] = buffer.getvalue()
    return formats


@pytest.fixture
def small_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Manifests that know `compact` and `small`, a published model of torchxrayvision's layout."""
    folder = tmp_path / "manifests" / "models"
    folder.mkdir(parents=True)
    compact = manifest_dir() / "models" / "compact.yaml"
    (folder / "compact.yaml").write_text(compact.read_text(encoding="utf-8"), encoding="utf-8")
    manifest = {
        "kind": "torchxrayvision",
        "rank": 9,
        "title": "Small",
        "summary": "Random weights.",
        "data": "None.",
        "licence": "None.",
        "research_only": True,
        "limits": ["Knows nothing."],
        "weights": {
            "url": f"https://models.invalid/v1/{FILE}",
            "file": FILE,
            "sha256": None,
            "architecture": {"growth": 8, "blocks": [2, 2, 2, 2], "stem": 16, "bottleneck": 4},
            "size": 64,
            "scale": 1024.0,
            "slots": list(SLOTS),
            "thresholds_from": "nowhere",
            "thresholds": {"Atelectasis": 0.1, "Effusion": 0.5, "Mass": 0.2, "Nodule": 0.3},
        },
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(manifest), encoding="utf-8")
    monkeypatch.setattr(registry, "manifest_dir", lambda: folder.parent)
    return path


@pytest.fixture
def server(small_manifest: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server of the published file, to which fetches are sent."""
    with serve({FILE: published["zip"]}) as running:
        monkeypatch.setenv("XRAYINTERP_WEIGHTS_URL", running.url)
        yield running
