"""Miniature copies of data sets in their makers' layouts, with synthetic films whose truth the tests know."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from helpers.dx_factory import Encoding, dx, to_bytes
from PIL import Image

from xrayinterp.datasets.regions import encode_runs, pack_runs

Grey = np.ndarray


def grey(seed: int, height: int = 64, width: int = 64) -> Grey:
    """A film of random grey values, uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def picture(path: Path, pixels: Grey) -> Path:
    """A PNG, or by its name a JPEG, in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}))
    return path


def dicom(path: Path, seed: int, height: int = 64, width: int = 64, **encoding: str) -> Grey:
    """A DICOM film of random grey values of 12 bits; returns them."""
    shown = np.random.default_rng(seed).integers(0, 4096, (height, width)).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_bytes(dx(shown, Encoding(**encoding))))
    return shown


def write(path: Path, head: str, rows: Iterable[Sequence[object]], *, delimiter: str = ",") -> Path:
    """A table whose head is written as it stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        handle.write(head + "\n")
        csv.writer(handle, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return path


NIH_HEAD = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NIH_ROWS = (
    ("00000001_000.png", "Cardiomegaly|Effusion", 0, 1, 58, "M", "PA", 2682, 2749, 0.143, 0.143, ""),
    ("00000001_001.png", "No Finding", 1, 1, 59, "M", "AP", 2500, 2048, 0.168, 0.168, ""),
    ("00000002_000.png", "Infiltration", 0, 2, "081Y", "F", "PA", 2500, 2048, 0.171, 0.171, ""),
)
NIH_BOXES = (
    ("00000001_000.png", "Effusion", 128.0, 256.0, 192.0, 320.0, "", "", ""),
    ("00000001_000.png", "Cardiomegaly", 0.0, 512.5, 100.0, 64.0, "", "", ""),
    ("00000002_000.png", "Infiltrate", 512.0, 512.0, 512.0, 512.0, "", "", ""),
)


def nih(root: Path) -> None:
    """Three films in two of the folders; one is 1024 pixels wide as published, two are 64."""
    write(root / "Data_Entry_2017.csv", NIH_HEAD, NIH_ROWS)
    write(root / "BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,", NIH_BOXES)
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (root / "test_list.txt").write_text("00000002_000.png\n")
    picture(root / "images_001" / "images" / "00000001_000.png", grey(1))
    picture(root / "images_001" / "images" / "00000001_001.png", grey(2))
    picture(root / "images_002" / "images" / "00000002_000.png", grey(3, 1024, 1024))


def chestx_det(root: Path) -> None:
    """A square outline with its box and a film without any in the training file, one outline of a line in the test."""
    square = [[256, 256], [511, 256], [511, 511], [256, 511]]
    train = [
        {"file_name": "36199.png", "syms": ["Effusion"], "boxes": [[256, 256, 512, 512]], "polygons": [square]},
        {"file_name": "36200.png", "syms": [], "boxes": [], "polygons": []},
    ]
    test = [
        {"file_name": "00000010_000.png", "syms": ["Nodule"], "boxes": [[0, 0, 8, 1]], "polygons": [[[0, 0], [7, 0]]]}
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "ChestX_Det_train.json").write_text(json.dumps(train))
    (root / "ChestX_Det_test.json").write_text(json.dumps(test))
    picture(root / "train_data" / "36199.png", grey(1, 1024, 1024))
    picture(root / "train_data" / "36200.png", grey(2))
    picture(root / "test_data" / "00000010_000.png", grey(3, 1024, 1024))


CHEXPERT_FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
CHEXPERT_HEAD = "Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(CHEXPERT_FINDINGS)


def chexpert_row(path: str, view: str, **labels: str) -> list[str]:
    """A row with these labels, the others blank; underscores stand for spaces."""
    stated = {name.replace("_", " "): value for name, value in labels.items()}
    side = "Lateral" if view == "lateral" else "Frontal"
    cells = [stated.get(finding, "") for finding in CHEXPERT_FINDINGS]
    return [path, "Female", "68", side, "" if view == "lateral" else view, *cells]


def chexpert(root: Path) -> None:
    """A frontal and a lateral film in train, a frontal one in valid."""
    first = "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg"
    second = "CheXpert-v1.0/train/patient00001/study1/view2_lateral.jpg"
    third = "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg"
    rows = [
        chexpert_row(first, "AP", Pleural_Effusion="1.0", Edema="-1.0", Pneumonia="0.0"),
        chexpert_row(second, "lateral", Edema="1.0"),
    ]
    write(root / "train.csv", CHEXPERT_HEAD, rows)
    write(root / "valid.csv", CHEXPERT_HEAD, [chexpert_row(third, "PA", No_Finding="1.0")])
    for seed, path in enumerate((first, second, third)):
        picture(root / path.removeprefix("CheXpert-v1.0/"), grey(seed, 40, 50))


def drawn(seed: int, height: int, width: int) -> np.ndarray:
    """A random mask."""
    return np.random.default_rng(seed).random((height, width)) < 0.3


def chexlocalize(root: Path) -> None:
    """A film in val with compressed run lengths, one in test with plain ones; labels of val beside them."""
    mask = drawn(5, 40, 50)
    compressed = {"size": [40, 50], "counts": pack_runs(encode_runs(mask))}
    empty = {"size": [40, 50], "counts": pack_runs([40 * 50])}
    val = {"patient64541_study1_view1_frontal": {"Airspace Opacity": compressed, "Pleural Effusion": empty}}
    plain = {"size": [40, 50], "counts": encode_runs(drawn(6, 40, 50))}
    test = {"patient64742_study1_view2_lateral": {"Edema": plain}}
    (root / "CheXlocalize").mkdir(parents=True, exist_ok=True)
    (root / "CheXlocalize" / "gt_segmentations_val.json").write_text(json.dumps(val))
    (root / "CheXlocalize" / "gt_segmentations_test.json").write_text(json.dumps(test))
    row = chexpert_row("CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg", "AP", Lung_Opacity="1.0")
    write(root / "CheXpert" / "val_labels.csv", CHEXPERT_HEAD, [row])
    picture(root / "CheXpert" / "val" / "patient64541" / "study1" / "view1_frontal.jpg", grey(1, 40, 50))
    picture(root / "CheXpert" / "test" / "patient64742" / "study1" / "view2_lateral.jpg", grey(2, 40, 50))


BRIXIA_HEAD = "Filename;StudyId;BrixiaScore;BrixiaScoreGlobal;ConsensusTestset;Rows;Columns;Subject;Sex"
BRIXIA_ROWS = (
    ("100.dcm", "s1", "000102", 3, 0, 64, 64, "p1", "M"),
    ("101.dcm", "s2", "333333", 18, 1, 64, 64, "p2", "F"),
    ("102.dcm", "s3", "000000", 0, 0, 64, 64, "p1", "M"),
)


def brixia(root: Path) -> None:
    """Three DICOM films, one stored with white low, one scored by consensus."""
    write(root / "metadata_global_v2.csv", BRIXIA_HEAD, BRIXIA_ROWS, delimiter=";")
    head = "Filename,ModeA,ModeB,ModeC,ModeD,ModeE,ModeF,ModeGlobal"
    write(root / "metadata_consensus_v1.csv", head, [("101.dcm", 3, 3, 3, 3, 3, 2, 17)])
    dicom(root / "dicom_clean" / "100.dcm", 1)
    dicom(root / "dicom_clean" / "101.dcm", 2, photometric="MONOCHROME1")
    dicom(root / "dicom_clean" / "102.dcm", 3)


STRUCTURE_HEAD = (
    "#,Taxonomy,Class,Template Name,File Folder,Filename,Image,Tag,Mask,Resolution,Top,Left,Width,Height,Points,"
    "Text Annotation,Minimal Top,Minimal Left,Minimal Width,Minimal Height,Attributes"
)


def structure_row(name: str, file: str, mask: str, top: int, left: int, width: int, height: int) -> list[object]:
    """A row of structure.csv."""
    at = [top, left, width, height]
    return [
        1,
        "",
        f"COVID-19 {name}",
        name,
        "",
        file,
        f"images/{file}",
        "",
        mask,
        "60x48",
        *at,
        "",
        "undefined",
        *at,
        "",
    ]


def covid_segmentation(root: Path) -> None:
    """A film with two crops and a row without a mask, another with one crop."""
    rows = [
        structure_row("Left Lung", "a.jpeg", "masks/a1.png", 5, 30, 20, 40),
        structure_row("Nosogastric Tube", "a.jpeg", "masks/a2.png", 0, 10, 4, 48),
        structure_row("Monitoring Probes", "a.jpeg", "", 0, 0, 0, 0),
        structure_row("Right Lung", "b.png", "masks/b1.png", 2, 3, 25, 30),
    ]
    write(root / "structure.csv", STRUCTURE_HEAD, rows)
    write(
        root / "metadata.csv", "patientid,finding,view,filename,license", [("7", "COVID-19", "PA", "a.jpeg", "CC BY")]
    )
    for name, seed, height, width in (("a1", 1, 40, 20), ("a2", 2, 48, 4), ("b1", 3, 30, 25)):
        picture(root / "masks" / f"{name}.png", drawn(seed, height, width).astype(np.uint8) * 255)
    picture(root / "images" / "a.jpeg", grey(1, 48, 60))
    picture(root / "images" / "b.png", grey(2, 48, 60))


COHEN_HEAD = "patientid,offset,sex,age,finding,view,modality,folder,filename,license"


def cohen(root: Path) -> None:
    """A COVID-19 film, a normal one, a lateral one, and a CT slice that is no film."""
    rows = [
        ("2", 0, "M", 65, "Pneumonia/Viral/COVID-19", "PA", "X-ray", "images", "a.jpeg", "CC BY"),
        ("3", 4, "F", "", "No Finding", "AP Supine", "X-ray", "images", "b.png", ""),
        ("4", 0, "F", 30, "todo", "L", "X-ray", "images", "c.png", "CC0"),
        ("5", 0, "F", 30, "Pneumonia", "Axial", "CT", "volumes", "d.nii.gz", "CC0"),
    ]
    write(root / "metadata.csv", COHEN_HEAD, rows)
    for seed, name in enumerate(("a.jpeg", "b.png", "c.png")):
        picture(root / "images" / name, grey(seed))


RSNA_ROWS = (
    ("aaaa", 16.0, 8.0, 32.0, 24.0, 1),
    ("aaaa", 0.0, 0.0, 4.0, 4.0, 1),
    ("bbbb", "", "", "", "", 0),
    ("cccc", "", "", "", "", 0),
)


def rsna(root: Path) -> None:
    """A film with two boxes, one normal, one neither."""
    write(root / "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", RSNA_ROWS)
    classes = [("aaaa", "Lung Opacity"), ("aaaa", "Lung Opacity"), ("bbbb", "Normal")]
    classes += [("cccc", "No Lung Opacity / Not Normal")]
    write(root / "stage_2_detailed_class_info.csv", "patientId,class", classes)
    for seed, id in enumerate(("aaaa", "bbbb", "cccc")):
        dicom(root / "stage_2_train_images" / f"{id}.dcm", seed)


def kermany(root: Path) -> None:
    """Two classes in two splits; number 1 is another child in the test folder."""
    for seed, name in enumerate(
        (
            "train/NORMAL/IM-0115-0001.jpeg", "train/PNEUMONIA/person1_bacteria_1.jpeg",
            "train/PNEUMONIA/person1_bacteria_2.jpeg", "test/NORMAL/IM-0001-0001.jpeg",
            "test/PNEUMONIA/person1_virus_6.jpeg",
        )
    ):  # fmt: skip
        picture(root / name, grey(seed, 48, 56))


OWN = """\
name: ward
title: Films of our ward
source: our ward
licence: not to be passed on
citation: none
table: films.csv
delimiter: ";"
columns: {id: nr, file: where, patient: who, split: part, view: view}
findings: [Effusion, Mass]
mask_files: {Lungs: lung mask}
annotations: {us: drawn}
boxes: {table: boxes.csv, columns: {id: film, label: what, left: x, top: y, width: w, height: h}}
"""


def own(root: Path) -> None:
    """A folder of one's own with a manifest, `ward.yaml`."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "ward.yaml").write_text(OWN)
    rows = [
        ("1", "f/1.png", "p1", "train", "PA", "1", "-1", "m/1.png", "1"),
        ("2", "f/2.dcm", "p2", "test", "AP", "", "0", "", "0"),
    ]
    write(root / "films.csv", "nr;where;who;part;view;Effusion;Mass;lung mask;drawn", rows, delimiter=";")
    write(root / "boxes.csv", "film,what,x,y,w,h", [("1", "Effusion", 4, 6, 10, 12)])
    picture(root / "f" / "1.png", grey(1, 40, 48))
    picture(root / "m" / "1.png", drawn(1, 40, 48).astype(np.uint8) * 255)
    dicom(root / "f" / "2.dcm", 2)


REPLICAS: dict[str, Callable[[Path], None]] = {
    "brixia": brixia, "chestx-det": chestx_det, "chexlocalize": chexlocalize, "chexpert": chexpert, "cohen": cohen,
    "covid-segmentation": covid_segmentation, "kermany": kermany, "nih": nih, "rsna": rsna,
}  # fmt: skip
"""Every official layout by the name of its data set."""
