"""Files from elsewhere: good ones are read as they were written, bad ones refused before anything is made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.atlases import UNITS, counted_atlas, parquet, rewritten
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.dissection import received
from xrayinterp.dissection.atlas import Reference
from xrayinterp.dissection.received import check_units, received_atlas
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.card import Layer


def test_a_good_file_gives_the_atlas_it_holds(tmp_path: Path) -> None:
    before = counted_atlas()
    after = received_atlas(parquet(before, tmp_path), "a.parquet")
    assert after.rows == before.rows
    assert after.provenance == before.provenance
    assert all(np.array_equal(after.references[k].means, v.means) for k, v in before.references.items())


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(60) + b"PAR1", b"not parquet at all"])
def test_what_is_no_parquet_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(XrayInterpError, match=r"^x\.parquet is not an atlas") as caught:
        received_atlas(data, "x.parquet")
    assert caught.value.code is Code.BAD_MANIFEST
    assert caught.value.hint


def test_another_table_is_no_atlas(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(XrayInterpError, match="its rows or its description are missing"):
        received_atlas((tmp_path / "t.parquet").read_bytes(), "t.parquet")


@settings(max_examples=60, deadline=None)
@given(at=st.integers(4, 10_000), byte=st.integers(0, 255))
def test_a_damaged_file_is_an_atlas_or_an_error_never_a_crash(tmp_path_factory, at: int, byte: int) -> None:
    global GOOD
    GOOD = GOOD or parquet(counted_atlas(), tmp_path_factory.mktemp("good"))
    damaged = bytearray(GOOD)
    damaged[at % len(damaged)] = byte
    try:
        assert received_atlas(bytes(damaged), "x").rows
    except XrayInterpError as error:
        assert error.code in (Code.BAD_MANIFEST, Code.TOO_LARGE)


GOOD = b""


@pytest.mark.parametrize(
    "changes",
    [
        {"iou": 1.5}, {"iou": float("nan")}, {"ceiling": -0.1}, {"unit": -1}, {"threshold": float("inf")},
        {"concept": "=1+1"}, {"concept": ""}, {"concept": "x" * 200}, {"probe_seen": "perhaps"}, {"iou_crossfit": 2.0},
    ],
)  # fmt: skip
def test_a_row_that_no_dissection_gives_is_named(tmp_path: Path, changes: dict[str, object]) -> None:
    atlas = counted_atlas()
    rows = (*atlas.rows[:2], replace(atlas.rows[2], **changes), *atlas.rows[3:])
    with pytest.raises(XrayInterpError, match="row 2, ") as caught:
        received_atlas(parquet(replace(atlas, rows=rows), tmp_path), "x")
    assert caught.value.code is Code.BAD_MANIFEST


def test_a_missing_cell_is_named(tmp_path: Path) -> None:
    def drop(table: pa.Table) -> pa.Table:
        column = table.schema.get_field_index("precision")
        values = [None, *table["precision"].to_pylist()[1:]]
        return table.set_column(column, table.schema.field(column), pa.array(values, pa.float64()))

    with pytest.raises(XrayInterpError, match="precision is missing"):
        received_atlas(rewritten(parquet(counted_atlas(), tmp_path), drop), "x")


@pytest.mark.parametrize(
    "changes", [{"probe": "../../etc"}, {"probe": ""}, {"model": ""}, {"model": "m" * 99}, {"rows": ()}]
)
def test_a_description_that_is_none_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(XrayInterpError) as caught:
        received_atlas(parquet(counted_atlas(**changes), tmp_path), "x")
    assert caught.value.code is Code.BAD_MANIFEST


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_ROWS", "MOST_UNPACKED"])
def test_too_much_is_refused_with_the_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(received, limit, 10)
    with pytest.raises(XrayInterpError, match="at most 10 are read") as caught:
        received_atlas(parquet(counted_atlas(), tmp_path), "x")
    assert caught.value.code is Code.TOO_LARGE


def test_units_and_layers_must_be_the_models(tmp_path: Path) -> None:
    atlas = counted_atlas()
    fits = {name: Layer(name, 7, UNITS) for name in ("denseblock3", "norm5")}
    check_units(atlas, fits, "compact")
    with pytest.raises(XrayInterpError, match="has no layer 'denseblock3'"):
        check_units(atlas, {"norm5": fits["norm5"]}, "compact")
    with pytest.raises(XrayInterpError, match="names unit 7") as caught:
        check_units(atlas, fits | {"norm5": Layer("norm5", 7, 7)}, "compact")
    assert caught.value.code is Code.ATLAS_MISMATCH
    other = replace(atlas, references={"norm5": Reference(np.zeros(3), 1, "one")})
    with pytest.raises(XrayInterpError, match="the reference 3"):
        check_units(other, fits, "compact")
