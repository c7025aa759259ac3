"""Atlases survive the disk, find their model, and say so when they do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.dissection import blob_model

from xrayinterp.dissection import io
from xrayinterp.dissection.atlas import Atlas, AtlasRow, Reference
from xrayinterp.dissection.io import atlas_folder, atlases_for, load_atlas, save_atlas
from xrayinterp.errors import Code, XrayInterpError

ROW = AtlasRow(
    layer="maps",
    unit=3,
    concept="Effusion",
    iou=0.1 + 0.2,
    precision=1 / 3,
    ceiling=0.9,
    null_p=1 / 101,
    null_high=0.05,
    ci_low=0.2,
    ci_high=0.4,
    threshold=1e-12,
    area=0.01,
    coverage=0.011,
    films=12,
    patients=7,
    probe="phantom",
    probe_seen="no",
    label=True,
    iou_crossfit=0.25,
    exemplars=("a", "b"),
)


def an_atlas(**changes: object) -> Atlas:
    rows = (ROW, replace(ROW, unit=4, concept="Mass", label=False, iou_crossfit=None, exemplars=()))
    reference = {"maps": Reference(np.array([0.1, 1 / 3, 0.0]), 7, "7 films without findings")}
    made = Atlas(
        "blobs", "0" * 64, "phantom", "khakzar2021", rows, reference, {"seed": 0, "layers": {"maps": {"x": 1}}}
    )
    return replace(made, **changes)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_round_trip_is_exact(tmp_path: Path) -> None:
    before = an_atlas()
    save_atlas(before, tmp_path / "new" / "folder" / "a.parquet")
    after = load_atlas(tmp_path / "new" / "folder" / "a.parquet", blob_model())
    assert after.rows == before.rows
    assert after.references["maps"].means.tobytes() == before.references["maps"].means.tobytes()
    assert replace(after, references={}) == replace(before, references={})
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.parquet"]


def test_one_parquet_row_a_unit_and_concept(tmp_path: Path) -> None:
    save_atlas(an_atlas(), tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.num_rows == 2 and table.column("iou").to_pylist() == [0.1 + 0.2] * 2
    assert table.column("iou_crossfit").to_pylist() == [0.25, None]


def test_same_atlas_same_bytes(tmp_path: Path) -> None:
    save_atlas(an_atlas(), tmp_path / "a.parquet")
    save_atlas(an_atlas(), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_atlas_of_other_weights_is_refused_when_asked_for(tmp_path: Path) -> None:
    save_atlas(an_atlas(), tmp_path / "a.parquet")
    with pytest.raises(XrayInterpError, match="not of 'blobs' with weights 1111") as caught:
        load_atlas(tmp_path / "a.parquet", blob_model(sha256="1" * 64))
    assert caught.value.code is Code.ATLAS_MISMATCH and "xrayinterp dissect --model blobs" in caught.value.hint


def test_atlases_are_found_by_weights_and_the_users_own_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io, "builtin_folder", lambda: tmp_path / "builtin")
    save_atlas(an_atlas(), tmp_path / "builtin" / "shipped.parquet")
    save_atlas(an_atlas(probe="lungs"), tmp_path / "builtin" / "lungs.parquet")
    save_atlas(an_atlas(model_sha256="1" * 64), tmp_path / "builtin" / "other.parquet")
    assert [a.provenance["seed"] for a in atlases_for(blob_model())] == [0, 0]
    save_atlas(an_atlas(provenance={"seed": 9}), atlas_folder() / "mine.parquet")
    assert {a.probe: a.provenance["seed"] for a in atlases_for(blob_model())} == {"phantom": 9, "lungs": 0}
    assert [a.model_sha256 for a in atlases_for(blob_model(sha256="1" * 64))] == ["1" * 64]
    assert atlases_for(blob_model(sha256="2" * 64)) == ()


def test_without_a_hash_the_name_decides() -> None:
    save_atlas(an_atlas(model_sha256=None), atlas_folder() / "mine.parquet")
    assert len(atlases_for(blob_model(sha256=None))) == 1
    assert atlases_for(replace(blob_model(sha256=None), name="another")) == ()
    assert atlases_for(blob_model()) == ()


def test_what_is_no_atlas_is_named(tmp_path: Path) -> None:
    with pytest.raises(XrayInterpError, match="no atlas at") as caught:
        load_atlas(tmp_path / "none.parquet")
    assert caught.value.code is Code.NOT_FOUND
    (tmp_path / "text.parquet").write_text("not a parquet file at all")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "table.parquet")
    save_atlas(an_atlas(), tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:-40])
    metadata = {b"xrayinterp.atlas": b'{"format": 99}'}
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata(metadata), tmp_path / "future.parquet")
    for name in ("text", "table", "cut", "future"):
        with pytest.raises(XrayInterpError, match=f"{name}.parquet is not an atlas") as caught:
            load_atlas(tmp_path / f"{name}.parquet")
        assert caught.value.code is Code.BAD_MANIFEST
