"""The built-in expert and detector: what they say of themselves, and real films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import xrayinterp
from xrayinterp.anomaly import expert_files, files
from xrayinterp.anomaly.choice import expert_named
from xrayinterp.anomaly.model import AnomalyModel, load
from xrayinterp.anomaly.normals import as_images
from xrayinterp.anomaly.shelf import BUILTIN, UNUSUALNESS
from xrayinterp.datasets.films import load_films
from xrayinterp.imaging.reader import read
from xrayinterp.training.films import squares


@pytest.fixture(scope="module")
def unusualness() -> AnomalyModel:
    return load(UNUSUALNESS)


def test_names_are_there_without_torch_being_asked() -> None:
    assert UNUSUALNESS in xrayinterp.anomaly.names()
    assert xrayinterp.anomaly.load is load


def test_expert_learnt_without_labels() -> None:
    expert = expert_named("self-supervised")
    assert expert.label_informed is False
    assert len(expert.points) == 4
    assert expert_files.SHIPPED_FILE.stat().st_size < files.MAX_BYTES
    assert not any(parameter.requires_grad for parameter in expert.module.parameters())


def test_detector_says_what_normal_means_and_what_it_saw(unusualness: AnomalyModel) -> None:
    record = unusualness.record
    assert (BUILTIN / f"{UNUSUALNESS}.safetensors").stat().st_size <= files.MAX_BYTES
    assert record.normals.films == 3124
    assert record.normals.criterion == record.calibration.criterion == "no-finding"
    assert len(record.calibration.scores) == 729
    assert "NIH" in record.normals.description
    assert record.measured["attempts"]
    assert unusualness.label_informed is (record.expert.kind == "model")
    assert unusualness.text is not None
    assert "disease" not in f"{unusualness.text.title} {unusualness.text.summary}".lower()


@pytest.mark.data
def test_real_films_are_scored_as_calibrated(unusualness: AnomalyModel, data_root: Path) -> None:
    films = [f for f in load_films("nih", root=data_root, splits=["val"], min_native_width=128) if f.normal][:40]
    scores = unusualness.detector.scores(as_images(squares(films, unusualness.record.detail))).numpy()
    kept = unusualness.calibration.scores
    assert max(np.abs(kept - score).min() / abs(score) for score in scores) < 1e-3  # each is among the calibrated ones
    radiograph = read(films[0].path, view="PA")
    score = unusualness.score(radiograph)
    assert score.score == pytest.approx(scores[0], rel=1e-3)
    assert score.percentile.low < score.percentile.value < score.percentile.high
    assert score.stopped is None
    values = unusualness.map(radiograph)
    assert values.shape == (128, 128)
    assert values.min() >= 0 < values.max()
    drawn = unusualness.to_display(values, radiograph)
    assert drawn.shape == radiograph.shape
    assert np.nanmax(drawn) == pytest.approx(values.max(), rel=0.2)
