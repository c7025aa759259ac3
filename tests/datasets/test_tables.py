"""Cells of tables: labels under each policy, numbers, and paths that stay inside."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.datasets.faults import Fault, Kind
from xrayinterp.datasets.tables import UNCERTAIN, inside, labels, number, rows

CELLS = st.dictionaries(
    st.text(min_size=1, max_size=5), st.sampled_from(["1", "1.0", "0", "0.0", "-1", "-1.0", "", " "])
)


@given(CELLS)
def test_policies_differ_on_uncertain_labels_alone(cells: dict[str, str]) -> None:
    zeros, ones, ignore = (labels(cells, policy) for policy in UNCERTAIN)
    unsure = {name for name, cell in cells.items() if cell.startswith("-1")}
    assert zeros.uncertain == ones.uncertain == ignore.uncertain == unsure
    assert zeros.unmentioned == {name for name, cell in cells.items() if not cell.strip()}
    certain = {name: int(cell.startswith("1")) for name, cell in cells.items() if name not in unsure}
    assert ignore.values == certain
    assert zeros.values == {**certain, **dict.fromkeys(unsure, 0)}
    assert ones.values == {**certain, **dict.fromkeys(unsure, 1)}


@pytest.mark.parametrize("cell", ["2", "-2", "yes", "0.5", "nan", "inf", "1,0"])
def test_what_is_no_label_is_named(cell: str) -> None:
    with pytest.raises(ValueError, match="where 1, 0, -1 or nothing belongs"):
        labels({"Mass": cell}, "zeros")


@given(st.text(alphabet="ab./\\ :~\0", max_size=12))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    folder = Path("/data/set")
    found = inside(folder, name)
    if found is not None:
        assert ".." not in found.parts
        assert found.is_relative_to(folder)


@pytest.mark.parametrize(
    ("name", "path"), [("a.png", "a.png"), ("x/a b.png", "x/a b.png"), ("x\\a.png", "x/a.png"), ("..a.png", "..a.png")]
)
def test_ordinary_names_are_kept(name: str, path: str) -> None:
    assert inside(Path("/data"), name) == Path("/data") / path


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3.0), (" 4.5 ", 4.5), ("058Y", 58.0), ("", None), ("Y", None), ("nan", None), ("1e999", None)],
)
def test_numbers(text: str, value: float | None) -> None:
    assert number(text) == value


def test_rows_carry_their_place_and_a_byte_order_mark_is_no_column(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("\ufeffid , name\n1,a\n\n2,b\n3\n", encoding="utf-8")
    found = list(rows(table, ["id", "name"]))
    assert [(row["id"], row["name"], row.where) for row in found[:2] if not isinstance(row, Fault)] == [
        ("1", "a", "t.csv, line 2"),
        ("2", "b", "t.csv, line 4"),
    ]
    assert found[2] == Fault(Kind.BAD_ROW, "t.csv, line 5", "it has 1 cells where 2 or more belong")


def test_a_table_in_latin_1_is_a_fault_and_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("id\nJosé\n".encode("latin-1"))
    fault, row = rows(tmp_path / "t.csv", ["id"])
    assert isinstance(fault, Fault)
    assert fault.kind is Kind.BAD_ENCODING
    assert not isinstance(row, Fault)
    assert row["id"] == "José"
