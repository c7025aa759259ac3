"""Files: what is read is what was written, and what is hostile or damaged says so and runs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.anomaly import tiny_expert, waves
from safetensors.torch import load_file, safe_open, save_file

from xrayinterp.anomaly import files, tensor_files
from xrayinterp.anomaly.card import AnomalyRecord
from xrayinterp.anomaly.choice import expert_named
from xrayinterp.anomaly.distillation import DistillationDetector
from xrayinterp.anomaly.expert_weights import manifest, vgg16_state
from xrayinterp.anomaly.experts import vgg16_features
from xrayinterp.anomaly.files import load_detector, read_record
from xrayinterp.anomaly.fitting import Settings
from xrayinterp.anomaly.making import Normals, make
from xrayinterp.anomaly.model import load
from xrayinterp.anomaly.normals import NormalSet
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.documents import METADATA_KEY
from xrayinterp.training.augment import Augmentation

KEY = METADATA_KEY


def normal_set(count: int, seed: int) -> NormalSet:
    patients = tuple(f"{seed}-{i // 2}" for i in range(count))
    return NormalSet(waves(count, seed), tuple(f"{seed}-{i}" for i in range(count)), patients, "stripes", "made")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DistillationDetector, AnomalyRecord]:
    path = tmp_path_factory.mktemp("detectors") / "stripes.safetensors"
    settings = Settings(epochs=2, batch=8, fusion="standardised", augmentation=Augmentation(mirror=0.0))
    normals = Normals(normal_set(24, 1), normal_set(20, 2))
    detector, record = make("stripes", path, tiny_expert(), normals, settings, threshold_share=0.1)
    return path, detector, record


def test_a_file_brings_back_scores_maps_and_record(
    made: tuple[Path, DistillationDetector, AnomalyRecord],
) -> None:
    path, detector, record = made
    again, told = load_detector(path)
    images = waves(3, seed=5)
    assert torch.allclose(again.scores(images), detector.scores(images), rtol=1e-4)
    assert torch.allclose(again.maps(images), detector.maps(images), rtol=1e-3, atol=1e-6)
    points = detector.settings.points(detector.expert)
    assert again.settings == replace(detector.settings, training=points[0], scoring=points[1])
    assert told.model_copy(update={"tensors_sha256": None}) == record
    assert (told.normals.films, told.normals.patients, told.normals.criterion) == (24, 12, "made")
    assert len(told.curve) == 2
    assert path.stat().st_size < files.MAX_BYTES


def test_a_model_scores_a_film_and_draws_it(made: tuple[Path, DistillationDetector, AnomalyRecord]) -> None:
    path, detector, record = made
    model = load(path)
    (score,) = model.scores(waves(1, seed=5))
    assert score.score == pytest.approx(detector.scores(waves(1, seed=5)).item(), rel=1e-5)
    assert sum(p.value + p.direction for p in score.points) + score.offset == pytest.approx(score.score, abs=1e-4)
    assert score.percentile.low <= score.percentile.value <= score.percentile.high
    assert score.stopped == (score.score > (record.threshold or 0))
    square = model.prepare_pixels(np.random.default_rng(0).random((90, 70), dtype=np.float32))
    assert square.shape == (1, 1, record.detail, record.detail)
    assert model.normal == "stripes; terms standardised on 10 of them that the cloner did not see"
    assert model.label_informed is False


def test_a_file_above_the_limit_is_not_written(
    made: tuple[Path, DistillationDetector, AnomalyRecord], tmp_path: Path
) -> None:
    _, detector, record = made
    with pytest.raises(XrayInterpError, match="more than 1000"):
        files.save_detector(tmp_path / "x.safetensors", detector, record, limit=1000)
    assert not list(tmp_path.iterdir())


def changed(path: Path, out: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The file with a changed record."""
    with safe_open(path, framework="pt") as opened:
        record = json.loads(opened.metadata()[KEY])
    change(record)
    save_file(load_file(path), out, metadata={KEY: json.dumps(record)})
    return out


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(surprise=1),
        lambda r: r.pop("normals"),
        lambda r: r.update(name="../../etc/passwd"),
        lambda r: r.update(value=[1.0]),
        lambda r: r["settings"].update(scoring=[99]),
        lambda r: r["expert"]["recipe"].update(std=[0.0]),
        lambda r: r["expert"]["recipe"].update(size=10**9),
        lambda r: r["expert"]["recipe"].update(size=8),
        lambda r: (r["expert"]["recipe"].update(size=32), r["expert"]["shape"].update(blocks=[2] * 5)),
        lambda r: r["expert"]["shape"].update(growth=10**6),
        lambda r: r["calibration"].update(scores=[1.0]),
        lambda r: r["settings"]["augmentation"].update(surprise=1.0),
        lambda r: r["expert"].update(shape=None),
        lambda r: r["expert"]["recipe"].update(channels=3),
        lambda r: r["expert"].update(kind="model", name="../own.safetensors"),
    ],
)
def test_nonsense_in_a_record_is_refused(
    made: tuple[Path, DistillationDetector, AnomalyRecord], tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(XrayInterpError) as caught:
        load_detector(changed(made[0], tmp_path / "odd.safetensors", change))
    assert caught.value.code is Code.BAD_MANIFEST


def with_tensors(made: tuple[Path, DistillationDetector, AnomalyRecord], out: Path, **tensors: torch.Tensor) -> Path:
    """The file with some tensors replaced, and a record that fits them."""
    state = load_file(made[0]) | tensors
    record = made[2].model_copy(update={"tensors_sha256": None})
    if all(tensor.dtype in tensor_files.STORED for tensor in tensors.values()):
        record = made[2].model_copy(update={"tensors_sha256": tensor_files.tensors_digest(state)})
    save_file(state, out, metadata={KEY: record.model_dump_json()})
    return out


KERNEL, BIAS = "cloner.adapters.0.weight", "cloner.adapters.0.bias"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (KERNEL, lambda t: t.to(torch.bfloat16), "is torch.bfloat16"),
        (KERNEL, lambda t: t.to(torch.float8_e4m3fn), "is torch.float8_e4m3fn"),
        (KERNEL, lambda t: (0 * t).to(torch.int64), "is torch.int64"),
        (KERNEL, lambda t: t * torch.nan, "adapters.0.weight are not finite"),
        (BIAS, lambda t: t + torch.inf, "adapters.0.bias are not finite"),
        (KERNEL, lambda t: t[:1], "do not fit their network"),
    ],
)
def test_tensors_of_odd_types_values_and_shapes_are_refused(
    made: tuple[Path, DistillationDetector, AnomalyRecord],
    tmp_path: Path,
    name: str,
    change: Callable[[torch.Tensor], torch.Tensor],
    said: str,
) -> None:
    with pytest.raises(XrayInterpError, match=said) as caught:
        load_detector(with_tensors(made, tmp_path / "odd.safetensors", **{name: change(load_file(made[0])[name])}))
    assert caught.value.code is Code.WEIGHTS_CORRUPT


def test_a_header_cannot_ask_for_memory_that_its_file_does_not_fill(
    made: tuple[Path, DistillationDetector, AnomalyRecord], tmp_path: Path
) -> None:
    vast = {"growth": 256, "stem": 256, "bottleneck": 256, "blocks": [256] * 4}
    odd = changed(made[0], tmp_path / "odd.safetensors", lambda r: r["expert"]["shape"].update(vast))
    with pytest.raises(XrayInterpError) as caught:
        load_detector(odd)
    assert caught.value.code is Code.WEIGHTS_CORRUPT
    assert len(str(caught.value)) < 1000


def test_points_that_the_expert_does_not_have_are_refused(
    made: tuple[Path, DistillationDetector, AnomalyRecord], tmp_path: Path
) -> None:
    points = ["features.nowhere"] * 4
    with pytest.raises(XrayInterpError) as caught:
        load_detector(changed(made[0], tmp_path / "odd.safetensors", lambda r: r["expert"].update(points=points)))
    assert caught.value.code is Code.WEIGHTS_HASH


def test_damaged_and_hostile_files_are_refused(
    made: tuple[Path, DistillationDetector, AnomalyRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made[0]
    data = path.read_bytes()

    def code(content: bytes) -> Code:
        odd = tmp_path / "odd.safetensors"
        odd.write_bytes(content)
        with pytest.raises(XrayInterpError) as caught:
            load_detector(odd)
        return caught.value.code

    assert code(b"") is Code.WEIGHTS_CORRUPT
    assert code(data[: len(data) // 2]) is Code.WEIGHTS_CORRUPT
    assert code(b"\x80\x04cos\nsystem\n(S'true'\ntR.") is Code.WEIGHTS_CORRUPT
    flipped = bytearray(data)
    flipped[-1] ^= 0x40
    assert code(bytes(flipped)) is Code.WEIGHTS_HASH
    monkeypatch.setattr(tensor_files, "LARGEST", 1000)
    assert code(data) is Code.WEIGHTS_CORRUPT
    with pytest.raises(XrayInterpError) as caught:
        read_record(tmp_path / "none.safetensors")
    assert caught.value.code is Code.WEIGHTS_MISSING


def test_tensors_without_a_record_or_of_another_network_are_refused(
    made: tuple[Path, DistillationDetector, AnomalyRecord], tmp_path: Path
) -> None:
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(2)}, bare)
    with pytest.raises(XrayInterpError) as caught:
        load_detector(bare)
    assert caught.value.code is Code.BAD_MANIFEST
    state = load_file(made[0])
    state["cloner.adapters.0.weight"] = torch.zeros(3, 3, 1, 1, dtype=torch.float16)
    record = made[2].model_copy(update={"tensors_sha256": tensor_files.tensors_digest(state)})
    odd = tmp_path / "odd.safetensors"
    save_file(state, odd, metadata={KEY: record.model_dump_json()})
    with pytest.raises(XrayInterpError) as caught:
        load_detector(odd)
    assert caught.value.code is Code.WEIGHTS_CORRUPT


def test_an_unknown_detector_or_expert_says_what_there_is() -> None:
    with pytest.raises(XrayInterpError) as caught:
        load("unusual")
    assert caught.value.code is Code.UNKNOWN_MODEL
    with pytest.raises(XrayInterpError) as caught:
        expert_named("resnet")
    assert caught.value.code is Code.UNKNOWN_MODEL


# ---------------------------------------------------------------------------------------------------------------- vgg


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint as torchvision publishes it, of random weights and nearly no head, and a manifest that names it."""
    from xrayinterp.anomaly import expert_weights
    from xrayinterp.download import sha256_of

    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    state = {f"features.{name}": tensor for name, tensor in vgg16_features().state_dict().items()}
    file = tmp_path / "vgg16-397923af.pth"
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)}, file)
    here = manifest().model_copy(update={"weights": manifest().weights.model_copy(update={"sha256": sha256_of(file)})})
    monkeypatch.setattr(expert_weights, "manifest", lambda: here)
    return file


def test_vgg16_is_converted_once_and_kept(published: Path) -> None:
    state, sha256 = vgg16_state(published)
    published.unlink()
    again, same = vgg16_state()
    assert sha256 == same
    assert all(torch.equal(state[name], again[name]) for name in state)
    expert = expert_named("vgg16", size=64)
    assert expert.sha256 == sha256
    assert expert.label_informed is False
    assert len(expert.maps(torch.rand(1, 1, 64, 64))) == 4


def test_another_file_is_not_vgg16(published: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(published.read_bytes() + b"x")
    with pytest.raises(XrayInterpError) as caught:
        vgg16_state(other)
    assert caught.value.code is Code.WEIGHTS_HASH


def test_offline_it_says_which_file_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path))
    monkeypatch.setenv("XRAYINTERP_WEIGHTS_URL", "http://127.0.0.1:9")
    with pytest.raises(XrayInterpError) as caught:
        vgg16_state()
    assert caught.value.code is Code.WEIGHTS_OFFLINE
    assert str(tmp_path / "weights" / "vgg16-397923af.pth") in caught.value.hint
