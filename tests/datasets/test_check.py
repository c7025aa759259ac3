"""`data check`: a whole copy is told from a damaged one, and each kind of damage by its name, rows and remedy."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import replicas
from helpers.replicas import REPLICAS, chexpert_row, grey, picture
from PIL import Image

from xrayinterp.cli import main
from xrayinterp.datasets import check as checking
from xrayinterp.datasets.check import Report, check
from xrayinterp.datasets.faults import REMEDIES, Kind
from xrayinterp.datasets.film import Film
from xrayinterp.datasets.films import load_films
from xrayinterp.datasets.layouts import find
from xrayinterp.datasets.manifest import load_manifest, own_table
from xrayinterp.errors import XrayInterpError

Damage = Callable[[Path], object]


def checked(name: str, root: Path, *, subset: bool = True, full: bool = True) -> Report:
    found = find(load_manifest(name), root)
    assert found is not None
    return check(found, full=full, subset=subset)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def again(path: Path, line: int) -> None:
    """Doubles a line of a table."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[line]]))


def cut_off(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def head_only(path: Path) -> None:
    path.write_text(path.read_text().splitlines()[0] + "\n")


def latin(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new).encode("latin-1"))


def link_out(path: Path) -> None:
    """Puts a link in the place of a file, to where it lies now: beside the copy."""
    copy = next(parent for parent in path.parents if parent.name == "copy")
    target = copy.with_name("elsewhere.png")
    path.rename(target)
    path.symlink_to(target)


def in_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Changes what a JSON file holds: in place, or to what `change` returns."""
    found = json.loads(path.read_text())
    path.write_text(json.dumps(change(found) or found))


def editing(file: str, old: str, new: str) -> Damage:
    return lambda copy: edit(copy / file, old, new)


def doubling(file: str, line: int) -> Damage:
    return lambda copy: again(copy / file, line)


def rewriting(file: str, change: Callable[[Any], Any]) -> Damage:
    return lambda copy: in_json(copy / file, change)


def removing(file: str) -> Damage:
    return lambda copy: (copy / file).unlink()


def holding(file: str, data: bytes) -> Damage:
    return lambda copy: (copy / file).write_bytes(data)


def showing(file: str, height: int, width: int) -> Damage:
    return lambda copy: picture(copy / file, grey(1, height, width))


def short_runs(masks: Any) -> None:
    """Run lengths that end one pixel early."""
    next(iter(masks.values()))["Edema"]["counts"] = [1999]


def moved_patient(copy: Path) -> None:
    """A patient of train gets a film in valid."""
    path = "valid/patient00001/study2/view1_frontal.jpg"
    picture(copy / path, grey(9, 40, 50))
    row = chexpert_row(f"CheXpert-v1.0/{path}", "AP", Edema="1.0")
    replicas.write(copy / "valid.csv", replicas.CHEXPERT_HEAD, [row])


def moved_film(copy: Path) -> None:
    """A film of a patient of train_val is in the test list alone."""
    edit(copy / "train_val_list.txt", "00000001_001.png", "")
    edit(copy / "test_list.txt", "00000002", "00000001_001.png\n00000002")


@pytest.mark.parametrize("name", REPLICAS)
def test_a_whole_copy_is_well(tmp_path: Path, name: str) -> None:
    REPLICAS[name](tmp_path)
    report = checked(name, tmp_path)
    assert report.troubles == report.partly == ()
    assert report.well
    assert report.films == report.read > 0
    assert report.patients > 0


@pytest.mark.parametrize("name", REPLICAS)
def test_totals_stand_beside_the_published_ones(tmp_path: Path, name: str) -> None:
    REPLICAS[name](tmp_path)
    report = checked(name, tmp_path, subset=False)
    expected = load_manifest(name).published.expected
    films = next(total for total in report.totals if total.of == "films")
    assert (films.found, films.expected) == (report.films, expected.films)
    assert {trouble.kind for trouble in report.troubles} <= {Kind.COUNT}
    assert report.well == (expected.films is None)
    if expected.films is not None:
        assert f"films: {report.films} found, {expected.films} published" in report.troubles[0].examples


def test_totals_of_nih_count_labels_boxes_and_splits(tmp_path: Path) -> None:
    replicas.nih(tmp_path)
    found = {total.of: (total.found, total.expected) for total in checked("nih", tmp_path, subset=False).totals}
    assert found["patients"] == (2, 30805)
    assert found["boxes"] == (3, 984)
    assert found["films with boxes"] == (2, 880)
    assert found["split train_val"] == (2, 86524)
    assert found["label Effusion"] == (1, 13317)
    assert found["label No Finding"] == (1, 60361)
    assert found["label Hernia"] == (0, 227)
    assert found["marks of Infiltration"] == (1, 123)


ENTRIES, BOXES, FIRST = "Data_Entry_2017.csv", "BBox_List_2017.csv", "images_001/images/00000001_000.png"
DET = "ChestX_Det_train.json"
VAL, TEST = "CheXlocalize/gt_segmentations_val.json", "CheXlocalize/gt_segmentations_test.json"
VAL_FILM = "CheXpert/val/patient64541/study1/view1_frontal.jpg"
LUNG = "masks/a1.png"
SCORES, CONSENSUS = "metadata_global_v2.csv", "metadata_consensus_v1.csv"
RSNA, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
COVID = "covid-segmentation"
LAST_ROW = "Infiltration,0,2,081Y,F,PA,2500,2048,0.171,0.171,"
DOUBLE = "has more than one row"
LOST = "is none of the mask classes"

DAMAGE: list[tuple[str, Kind, str, Damage]] = [
    # missing and broken files
    ("nih", Kind.MISSING_FILM, "00000001_000.png is not there", removing(FIRST)),
    ("nih", Kind.UNREADABLE_FILM, "truncated", lambda copy: cut_off(copy / FIRST)),
    ("nih", Kind.UNREADABLE_FILM, "cannot identify", holding(FIRST, b"<html>not found</html>")),
    ("nih", Kind.UNREADABLE_FILM, "cannot be read", holding(FIRST, b"")),
    ("brixia", Kind.MISSING_FILM, "100.dcm is not there", removing("dicom_clean/100.dcm")),
    ("brixia", Kind.UNREADABLE_FILM, "film 101.dcm", lambda copy: cut_off(copy / "dicom_clean/101.dcm")),
    ("chexpert", Kind.MISSING_TABLE, "valid.csv is not there", removing("valid.csv")),
    (COVID, Kind.MISSING_MASK, "a1.png is not there", removing(LUNG)),
    (COVID, Kind.UNREADABLE_MASK, "a1.png", holding(LUNG, b"\x89PNG\r\n")),
    ("chestx-det", Kind.BAD_FILE, "it is not JSON", lambda copy: cut_off(copy / DET)),
    ("chestx-det", Kind.BAD_FILE, "it is not JSON", holding(DET, b"[" * 100_000)),
    ("chexlocalize", Kind.BAD_FILE, "it maps no film", holding(VAL, b"[1, 2]")),
    # tables
    ("nih", Kind.WRONG_COLUMNS, "no column 'Finding Labels'", editing(ENTRIES, "Finding Labels", "Labels")),
    ("nih", Kind.WRONG_COLUMNS, "no column 'Bbox [x'", editing(BOXES, "Bbox [x,y,w,h]", "x1,y1,x2,y2")),
    ("chexpert", Kind.WRONG_COLUMNS, "no column 'Path'", editing("train.csv", "Path", "path")),
    ("brixia", Kind.WRONG_COLUMNS, "no column 'BrixiaScore'", editing(SCORES, "BrixiaScore;", "Score;")),
    ("rsna", Kind.WRONG_COLUMNS, "no column 'Target'", editing(RSNA, "Target", "label")),
    ("cohen", Kind.WRONG_COLUMNS, "no column 'patientid'", editing("metadata.csv", "patientid", "Patientid")),
    (COVID, Kind.WRONG_COLUMNS, "no column 'Top'", editing("structure.csv", ",Top,", ",Up,")),
    ("chestx-det", Kind.WRONG_COLUMNS, "no 'polygons'", rewriting(DET, lambda j: j[0].pop("polygons") and j)),
    ("nih", Kind.EMPTY_TABLE, "it has no row", lambda copy: head_only(copy / ENTRIES)),
    ("rsna", Kind.EMPTY_TABLE, "it has no row", lambda copy: head_only(copy / RSNA)),
    ("chestx-det", Kind.EMPTY_TABLE, "no list of films", holding(DET, b"[]")),
    ("kermany", Kind.EMPTY_TABLE, "train/NORMAL: there is no film", removing("train/NORMAL/IM-0115-0001.jpeg")),
    ("cohen", Kind.BAD_ENCODING, "0xe9 in line 2", lambda copy: latin(copy / "metadata.csv", "CC BY", "CC libérale")),
    ("nih", Kind.BAD_ENCODING, "0xe9 in line 2", lambda copy: latin(copy / ENTRIES, ",PA,2682", ",PAé,2682")),
    ("nih", Kind.BAD_ROW, "it has 2 cells", editing(ENTRIES, LAST_ROW, "Infiltration")),
    ("nih", Kind.BAD_ROW, "not four numbers", editing(BOXES, "128.0", "left")),
    ("nih", Kind.BAD_ROW, "not four numbers", editing(BOXES, "128.0", "nan")),
    ("chestx-det", Kind.BAD_ROW, "do not fit its findings", rewriting(DET, lambda j: j[0]["boxes"].clear())),
    ("chestx-det", Kind.BAD_ROW, "nowhere near", editing(DET, "[511, 511]", "[1e999, 511]")),
    ("chexlocalize", Kind.BAD_ROW, "no run lengths", rewriting(VAL, lambda j: {k: {"Edema": {}} for k in j})),
    # values
    ("nih", Kind.OUT_OF_RANGE, "'Measles' is none", editing(ENTRIES, "Infiltration", "Measles")),
    ("nih", Kind.OUT_OF_RANGE, "No Finding stands beside", editing(ENTRIES, "No Finding", "No Finding|Mass")),
    ("nih", Kind.OUT_OF_RANGE, "'Measles' is none of the findings with", editing(BOXES, "Infiltrate", "Measles")),
    ("chexpert", Kind.OUT_OF_RANGE, "'2.0', where 1, 0, -1 or nothing", editing("train.csv", "-1.0", "2.0")),
    ("chestx-det", Kind.OUT_OF_RANGE, "'Measles' is none", editing(DET, "Effusion", "Measles")),
    ("chexlocalize", Kind.OUT_OF_RANGE, f"'Spleen' {LOST}", editing(VAL, "Airspace Opacity", "Spleen")),
    ("brixia", Kind.OUT_OF_RANGE, "'102' is not six digits 0 to 3; leading", editing(SCORES, "000102", "102")),
    ("brixia", Kind.OUT_OF_RANGE, "'000402' is not six digits", editing(SCORES, "000102", "000402")),
    ("brixia", Kind.OUT_OF_RANGE, "000102 do not add up to 4", editing(SCORES, "000102;3", "000102;4")),
    ("brixia", Kind.OUT_OF_RANGE, "a zone is not 0 to 3", editing(CONSENSUS, ",3,3,3", ",3,9,3")),
    ("rsna", Kind.OUT_OF_RANGE, "Target is '7'", editing(RSNA, "bbbb,,,,,0", "bbbb,,,,,7")),
    ("rsna", Kind.OUT_OF_RANGE, "'Normal' and 2 boxes", holding(CLASSES, b"patientId,class\naaaa,Normal\n")),
    ("rsna", Kind.OUT_OF_RANGE, "has two classes", editing(CLASSES, "cccc,", "bbbb,")),
    (COVID, Kind.OUT_OF_RANGE, f"'Spleen' {LOST}", editing("structure.csv", ",Left Lung,", ",Spleen,")),
    # rows against each other
    ("nih", Kind.DUPLICATE_ROW, f"film 00000001_000: it {DOUBLE}", doubling(ENTRIES, 1)),
    ("chexpert", Kind.DUPLICATE_ROW, DOUBLE, doubling("train.csv", 1)),
    ("rsna", Kind.DUPLICATE_ROW, "has this box before", doubling(RSNA, 1)),
    ("rsna", Kind.DUPLICATE_ROW, "stands there before", doubling(RSNA, 3)),
    ("nih", Kind.TWO_SPLITS, "patient 1: films in test and train_val", moved_film),
    ("nih", Kind.TWO_SPLITS, "is in train_val_list.txt too", editing("test_list.txt", "0", "00000001_001.png\n0")),
    ("chexpert", Kind.TWO_SPLITS, "patient patient00001: films in train and valid", moved_patient),
    ("brixia", Kind.TWO_SPLITS, "patient p1: films in test and train", editing(SCORES, "p2", "p1")),
    # boxes and masks
    ("nih", Kind.BOX_OUTSIDE, "leaves 1024 x 1024 pixels", editing(BOXES, "512.0,512.0,512.0", "512.0,512.0,600.0")),
    ("chestx-det", Kind.BOX_OUTSIDE, "at 256, 256, 1000 x 256", editing(DET, "256, 512, 512", "256, 1256, 512")),
    ("chestx-det", Kind.BOX_OUTSIDE, "an outline of Effusion", editing(DET, "[511, 511]", "[1511, 511]")),
    ("rsna", Kind.BOX_OUTSIDE, "leaves 64 x 64 pixels", editing(RSNA, "16.0,8.0,32.0", "16.0,8.0,52.0")),
    (COVID, Kind.MASK_SIZE, "9 x 40 pixels where 20 x 40 belong", showing(LUNG, 40, 9)),
    (COVID, Kind.MASK_SIZE, "a1.png has 20 x 40 pixels", editing("structure.csv", ",5,30,20,40,", ",5,50,20,40,")),
    ("chexlocalize", Kind.MASK_SIZE, "50 x 40 pixels where 25 x 20 belong", showing(VAL_FILM, 20, 25)),
    ("chexlocalize", Kind.MASK_SIZE, "fill 1999 of 2000", rewriting(TEST, short_runs)),
    # outside
    ("chexpert", Kind.OUTSIDE_ROOT, "leads out", editing("train.csv", "CheXpert-v1.0/train", "CheXpert-v1.0/../../x")),
    ("nih", Kind.OUTSIDE_ROOT, "leads out", editing(ENTRIES, "00000002_000.png", "../../x.png")),
    (COVID, Kind.OUTSIDE_ROOT, "leads out", editing("structure.csv", LUNG, "/etc/passwd")),
    ("chestx-det", Kind.OUTSIDE_ROOT, "leads out", editing(DET, "36200.png", "../36200.png")),
    ("chexlocalize", Kind.OUTSIDE_ROOT, "leads out", rewriting(TEST, lambda j: {".._.._x": {}, **j})),
    ("rsna", Kind.OUTSIDE_ROOT, "leads out", editing(RSNA, "cccc,", "../../cccc,")),
    ("cohen", Kind.OUTSIDE_ROOT, "leads out", editing("metadata.csv", "images,a.jpeg", "../images,a.jpeg")),
    ("nih", Kind.OUTSIDE_ROOT, "is a link to", lambda copy: link_out(copy / FIRST)),
    (COVID, Kind.OUTSIDE_ROOT, "is a link to", lambda copy: link_out(copy / LUNG)),
    # annotations without a film
    ("nih", Kind.UNKNOWN_FILM, "it has boxes on film 9.png", editing(BOXES, "00000002_000.png", "9.png")),
    ("brixia", Kind.UNKNOWN_FILM, "scores film 9.dcm", editing(CONSENSUS, "101.dcm", "9.dcm")),
    ("rsna", Kind.UNKNOWN_FILM, "names film dddd", editing(CLASSES, "cccc,", "dddd,Normal\ncccc,")),
]  # fmt: skip
"""Data set, kind of damage, what must be said of it, and how it is done."""

ALONG = {
    Kind.WRONG_COLUMNS: {Kind.UNKNOWN_FILM},  # of the films in the table that is not read
    Kind.EMPTY_TABLE: {Kind.UNKNOWN_FILM},
    Kind.OUT_OF_RANGE: {Kind.UNKNOWN_FILM, Kind.DUPLICATE_ROW},
    Kind.BAD_ROW: {Kind.UNKNOWN_FILM},
    Kind.OUTSIDE_ROOT: {Kind.UNKNOWN_FILM},
}
"""What a damage brings along by its nature."""


@pytest.mark.parametrize(("name", "kind", "said", "damage"), DAMAGE)
def test_each_kind_of_damage_is_named(tmp_path: Path, name: str, kind: Kind, said: str, damage: Damage) -> None:
    REPLICAS[name](tmp_path / "copy")
    damage(tmp_path / "copy")
    report = checked(name, tmp_path / "copy", subset=False)
    troubles = {trouble.kind: trouble for trouble in report.troubles}
    assert set(troubles) - {Kind.COUNT} - ALONG.get(kind, set()) == {kind}
    assert any(said in example for example in troubles[kind].examples), troubles[kind].examples
    assert troubles[kind].remedy == REMEDIES[kind]
    assert not report.well


def test_every_kind_of_damage_is_tried() -> None:
    assert {damage[1] for damage in DAMAGE} == set(Kind) - {Kind.COUNT}  # counts are tried above
    assert set(REMEDIES) == set(Kind)


def test_a_part_kept_on_purpose_is_told_and_is_no_trouble(tmp_path: Path) -> None:
    replicas.nih(tmp_path)
    (tmp_path / FIRST).unlink()
    report = checked("nih", tmp_path)
    assert report.well
    assert [(one.kind, one.count) for one in report.partly] == [(Kind.MISSING_FILM, 1)]


def test_faults_are_counted_and_three_are_shown(tmp_path: Path) -> None:
    replicas.own(tmp_path)
    rows = [(i, "f/1.png", "p", "train", "PA", "5", "0", "", "0") for i in range(10)]
    replicas.write(tmp_path / "films.csv", "nr;where;who;part;view;Effusion;Mass;lung mask;drawn", rows, delimiter=";")
    trouble = checked(str(tmp_path / "ward.yaml"), tmp_path).troubles[0]
    assert (trouble.kind, trouble.count) == (Kind.OUT_OF_RANGE, 10)
    said = "the row of film 0: Effusion is '5', where 1, 0, -1 or nothing belongs"
    assert trouble.examples[0] == f"films.csv, line 2: {said}"
    assert len(trouble.examples) == 3


def test_a_sample_is_read_where_not_all_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "SAMPLE", 5)
    picture(tmp_path / "f.png", grey(1))
    rows = [(i, "f.png", f"p{i}") for i in range(50)]
    replicas.write(tmp_path / "t.csv", "id,file,patient", rows)
    found = find(own_table("t.csv", {"id": "id", "file": "file", "patient": "patient"}), tmp_path)
    assert found is not None
    assert (check(found).films, check(found).read, check(found, full=True).read) == (50, 5, 50)
    assert check(found, seed=1) == check(found, seed=1)


def test_a_sample_is_drawn_evenly() -> None:
    rng, counts = np.random.default_rng(0), np.zeros(20)
    film = Film("0", "d", Path("x.png"), "p", "", "", "", None, 0, {}, None, None, {}, {}, "")
    for _ in range(600):
        drawn = checking._Reservoir(5, rng)
        for i in range(20):
            drawn.offer(replace(film, id=str(i)))
        counts[[int(one.id) for one in drawn.kept]] += 1
    assert np.all(np.abs(counts - 150) < 5 * np.sqrt(150 * 0.75))


def test_masks_of_bits_of_another_size_and_parts_that_leave_the_film(tmp_path: Path) -> None:
    head = "image_id,file,source,licence,patient_id,view,sex,split,native_w,has_v7_lung,v7_valid_box,mask_file"
    for name, width in (("a", 6), ("b", 9)):
        picture(tmp_path / f"{name}.png", grey(1, 4, 6))
        Image.fromarray(np.zeros((4, width), dtype=np.uint16)).save(tmp_path / f"m{name}.png")
    rows = [
        ("a", "a.png", "h", "CC", "p1", "AP", "M", "val", 640, 1, "1,0,9,4", "ma.png"),
        ("b", "b.png", "h", "CC", "p2", "AP", "M", "val", 640, 1, "", "mb.png"),
    ]
    replicas.write(tmp_path / "hannover.csv", head, rows)
    troubles = {trouble.kind: trouble.examples[0] for trouble in checked("hannover", tmp_path, full=False).troubles}
    assert troubles == {
        Kind.BOX_OUTSIDE: "film a: the part with known masks leaves the film",
        Kind.MASK_SIZE: "film b: its mask has 9 x 4 pixels, the film 6 x 4",
    }


@pytest.mark.parametrize(
    "content",
    ["", "\n", "a,b\n", "\0\0\0", '"', "nr;where\n" + ";" * 200_000, '"' + "x" * 200_000, "nr;where;who\n1;\0;x\n"],
    ids=["nothing", "blank", "other", "zeros", "quote", "wide", "long", "zero"],
)
def test_tables_of_any_content_end_in_a_report(tmp_path: Path, content: str) -> None:
    replicas.own(tmp_path)
    (tmp_path / "films.csv").write_text(content)
    assert not checked(str(tmp_path / "ward.yaml"), tmp_path).well


SPLINTERS = (
    b",",
    b"\n",
    b'"',
    b";",
    b"../",
    b"-1",
    b"9" * 30,
    b"null",
    b"{}",
    b"[]",
    b"\0",
    b"1e999",
    b"NaN",
    b"\xe9",
    b"|",
)


def garbled(data: bytes, seed: int) -> bytes:
    """A file with a few bytes changed, cut out, doubled or put in."""
    rng, found = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, how = rng.randrange(len(found) + 1), rng.random()
        if how < 0.3 and at < len(found):
            found[at] = rng.randrange(256)
        elif how < 0.5:
            del found[at : at + rng.randint(1, 30)]
        elif how < 0.8:
            found[at:at] = rng.choice(SPLINTERS)
        else:
            start = rng.randrange(len(found) + 1)
            found[at:at] = found[start : start + rng.randint(1, 60)]
    return bytes(found)


@pytest.mark.parametrize("name", [*REPLICAS, "ward.yaml"])
def test_garbled_tables_end_in_a_report_and_readers_in_a_typed_error(tmp_path: Path, name: str) -> None:
    REPLICAS.get(name, replicas.own)(tmp_path)
    manifest = load_manifest(str(tmp_path / name) if name == "ward.yaml" else name)
    tables = [path for path in sorted(tmp_path.rglob("*")) if path.suffix in (".csv", ".json", ".txt")]
    for table in tables:
        whole = table.read_bytes()
        for seed in range(6):
            table.write_bytes(garbled(whole, seed))
            found = find(manifest, tmp_path)
            assert found is None or check(found).folder == tmp_path
            with contextlib.suppress(XrayInterpError):
                assert all(film.dataset == manifest.name for film in load_films(manifest, root=tmp_path))
        table.write_bytes(whole)
    found = find(manifest, tmp_path)
    assert found is not None
    assert check(found, subset=True).well


# --------------------------------------------------------------------------------------------------- the command line


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["data", *(str(word) for word in words)])
    return int(ended.value.code or 0)


def test_check_says_all_is_well_and_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replicas.own(tmp_path)
    assert run("check", tmp_path, "--name", tmp_path / "ward.yaml", "--full") == 0
    said = capsys.readouterr()
    assert "ward: Films of our ward" in said.out
    assert "2 of 2 films were decoded" in said.out
    assert "label Mass (uncertain)  1" in said.out
    assert "All is well." in said.out
    assert said.err == ""


def test_check_names_what_is_wrong_and_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replicas.own(tmp_path)
    (tmp_path / "f" / "1.png").unlink()
    assert run("check", tmp_path, "-n", tmp_path / "ward.yaml") == 3
    said = capsys.readouterr()
    assert said.err.startswith("error [missing-film]: ward: film 1: ")
    assert REMEDIES[Kind.MISSING_FILM] in said.err
    assert run("check", tmp_path, "-n", tmp_path / "ward.yaml", "--subset") == 0
    assert "not there [missing-film]: 1" in capsys.readouterr().err


def test_check_says_where_what_is_lost_is_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replicas.nih(tmp_path)
    (tmp_path / FIRST).unlink()
    assert run("check", tmp_path) == 3
    assert "nih is had from https://nihcc.app.box.com/v/ChestXray-NIHCC" in capsys.readouterr().err


def test_check_finds_every_data_set_under_a_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, make in REPLICAS.items():
        make(tmp_path / f"a copy of {name}")
    assert run("check", tmp_path, "--subset", "--json") == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["name"] for report in reports] == sorted(REPLICAS)
    assert all(report["well"] and report["films"] for report in reports)
    assert run("check", tmp_path, "--json") == 3  # miniatures are not whole
    reports = json.loads(capsys.readouterr().out)
    assert {t["kind"] for report in reports for t in report["troubles"]} == {"count"}
    assert run("list", tmp_path, "--json") == 0
    listed = {entry["name"]: entry["folder"] for entry in json.loads(capsys.readouterr().out)}
    assert listed.pop("hannover") is None
    assert listed == {name: str(tmp_path / f"a copy of {name}") for name in REPLICAS}


def test_check_of_a_table_by_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "x.png", grey(1))
    replicas.write(tmp_path / "t.csv", "nr,where,Mass", [("1", "x.png", "1")])
    columns = ("--table", "t.csv", "-c", "id=nr", "-c", "file=where")
    assert run("check", tmp_path, *columns, "--findings", "Mass") == 0
    assert "label Mass  1" in capsys.readouterr().out
    assert run("check", tmp_path, *columns, "--findings", "Nodule") == 3
    assert "no column 'Nodule'" in capsys.readouterr().err
    replicas.write(tmp_path / "t.csv", "nr;where;Mass", [("1", "x.png", "1")], delimiter=";")
    assert run("check", tmp_path, *columns, "--delimiter", ";") == 0
    assert run("check", tmp_path, *columns, "--delimiter", "") == 2
    assert "parts no cells" in capsys.readouterr().err
    assert run("check", tmp_path, "--table", "t.csv", "-c", "nr") == 2
    assert "has no '='" in capsys.readouterr().err
    assert run("check", tmp_path, "--table", "t.csv", "-c", "id=nr") == 2
    assert run("check", tmp_path, "--table", "gone.csv", "-c", "id=nr", "-c", "file=where") == 1
    assert "looked for gone.csv" in capsys.readouterr().err


def test_nothing_there_exits_with_1_and_says_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", tmp_path) == 1
    assert "error [data-missing]: There is no data set" in capsys.readouterr().err
    assert run("check", tmp_path, "--name", "rsna") == 1
    said = capsys.readouterr().err
    assert "stage_2_train_labels.csv" in said
    assert "https://www.kaggle.com" in said
    assert run("check", tmp_path, "--name", "jsrt") == 2
    assert "Known: brixia, chestx-det" in capsys.readouterr().err
    assert run("check", tmp_path / "nowhere") == 1


def test_list_and_describe(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XRAYINTERP_DATA", raising=False)
    assert run("list") == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 11
    assert "XRAYINTERP_DATA" in said.err
    for name in (*REPLICAS, "hannover"):
        assert run("describe", name) == 0
        said = capsys.readouterr()
        for wanted in ("Source", "Licence", "Citation", "Labels", "Concepts"):
            assert f"\n{wanted}" in said.out
        assert ("\nGet it" in said.out) == ("\nFile" in said.out) == (name != "hannover")
    assert run("describe", "nih", "--json") == 0
    assert json.loads(capsys.readouterr().out)["official"]["concept_map"] == {"Infiltrate": "Infiltration"}
    assert run("describe", "jsrt") == 2


@pytest.mark.data
def test_the_real_radiographs_are_well(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", data_root, "--json") == 0
    reports = {report["name"]: report for report in json.loads(capsys.readouterr().out)}
    assert {name: report["films"] for name, report in reports.items()} == {
        "cohen": 295, "hannover": 193, "kermany": 2467, "nih": 8986,
    }  # fmt: skip
    assert all(report["layout"] == "table" and not report["troubles"] for report in reports.values())
