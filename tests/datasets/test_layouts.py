"""Every official layout, in miniature, read through the public reader against what was put there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import replicas
from helpers.replicas import REPLICAS, drawn, grey
from PIL import Image

from xrayinterp.concepts.probes import load_probe_set, mask_grid
from xrayinterp.datasets.films import Film, iter_films, load_films, load_manifest
from xrayinterp.datasets.manifest import manifest_names, own_table
from xrayinterp.datasets.regions import Polygon, union
from xrayinterp.datasets.tables import UNCERTAIN, Uncertain
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.reader import read

Made = Callable[[str], Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A folder with the replica of a data set."""

    def make(name: str) -> Path:
        REPLICAS[name](tmp_path)
        return tmp_path

    return make


def by_id(films: list[Film]) -> dict[str, Film]:
    return {film.id: film for film in films}


def test_every_manifest_says_what_a_stranger_needs() -> None:
    assert set(REPLICAS) | {"hannover"} == set(manifest_names())
    for name in manifest_names():
        manifest = load_manifest(name)
        assert manifest.name == name
        assert all((manifest.title, manifest.source, manifest.licence, manifest.citation))
        if name == "hannover":
            continue
        official = manifest.published
        assert official.layout == name
        assert official.files
        assert "https://" in official.get
        assert set(official.label_map.values()) <= {*official.findings, "No Finding"}
        assert set(official.concept_map.values()) <= set(official.masks)
        assert set(official.expected.labels) <= {*official.findings, "No Finding"}
        assert set(official.expected.masks) <= set(official.masks)


def test_published_totals_add_up() -> None:
    nih = load_manifest("nih").published.expected
    assert sum(nih.splits.values()) == nih.films == 112120
    assert sum(nih.masks.values()) == nih.boxes == 984
    brixia = load_manifest("brixia").published.expected
    assert sum(brixia.scores.values()) == brixia.films == 4695
    mean = sum(int(score) * films for score, films in brixia.scores.items()) / 4695
    assert mean == pytest.approx(8.3012, abs=5e-5)
    chexpert = load_manifest("chexpert").published.expected
    assert sum(chexpert.splits.values()) == chexpert.films == 224316 - 668
    assert sum(load_manifest("covid-segmentation").published.expected.masks.values()) == 588
    det = load_manifest("chestx-det").published.expected
    assert sum(det.splits.values()) == det.films == 3578


@pytest.mark.parametrize("name", REPLICAS)
def test_pixels_and_masks_of_every_film_share_a_grid(made: Made, name: str) -> None:
    for film in load_films(name, root=made(name), laterals=True):
        pixels = film.pixels()
        assert pixels.dtype == np.float32
        assert 0 <= pixels.min() < pixels.max() <= 1
        assert film.dataset == name
        if film.annotated:
            masks = film.masks(tuple(film.mask_bits))
            assert masks.dtype == bool
            assert masks.shape == (len(film.mask_bits), *pixels.shape)


@pytest.mark.parametrize("name", REPLICAS)
@pytest.mark.parametrize("place", ["copy", "data/release"])
def test_a_copy_may_lie_two_folders_below_the_root(tmp_path: Path, name: str, place: str) -> None:
    REPLICAS[name](tmp_path / place)
    assert load_films(name, root=tmp_path) == load_films(name, root=tmp_path / place)


@pytest.mark.parametrize("name", REPLICAS)
def test_films_come_one_at_a_time_and_are_the_same(made: Made, name: str) -> None:
    root = made(name)
    stream = iter_films(name, root=root)
    films = load_films(name, root=root)
    assert next(stream) == films[0]
    assert list(stream) == films[1:]


def test_nih(made: Made) -> None:
    first, second, third = load_films("nih", root=made("nih"))
    assert (first.id, first.patient, first.split) == ("00000001_000", "1", "train_val")
    assert (first.view, first.sex) == ("PA", "M")
    assert (first.age, first.native_width, third.age, third.split) == (58.0, 2682, 81.0, "test")
    assert {name for name, value in first.labels.items() if value} == {"Cardiomegaly", "Effusion"}
    assert len(first.labels) == 14
    assert [film.normal for film in (first, second, third)] == [False, True, False]
    assert np.array_equal(np.rint(first.pixels() * 255), grey(1))
    assert first.annotated == {"NIH boxes"}
    assert second.annotated == frozenset()
    with pytest.raises(XrayInterpError, match="has no masks"):
        second.masks(("Effusion",))


def test_nih_boxes_are_in_the_frame_of_1024_whatever_the_size_of_the_film(made: Made) -> None:
    small, _, large = load_films("nih", root=made("nih"))
    effusion = np.zeros((64, 64), dtype=bool)
    effusion[16:36, 8:20] = True  # left 128, top 256, width 192, height 320, sixteen to one
    assert np.array_equal(small.mask("Effusion"), effusion)
    assert np.array_equal(small.box_masks(("Effusion",))[0], effusion)
    assert not small.mask("Mass").any()
    infiltration = np.zeros((1024, 1024), dtype=bool)
    infiltration[512:, 512:] = True
    assert np.array_equal(large.mask("Infiltration"), infiltration)


def test_nih_also_with_all_films_in_one_folder_and_the_newer_table(made: Made) -> None:
    root = made("nih")
    before = [film.pixels() for film in load_films("nih", root=root)]
    (root / "images").mkdir()
    for path in list(root.glob("images_*/images/*.png")):
        path.rename(root / "images" / path.name)
    text = (root / "Data_Entry_2017.csv").read_text().replace("Patient Gender", "Patient Sex")
    (root / "Data_Entry_2017_v2020.csv").write_text(text)
    films = load_films("nih", root=root)
    assert films[0].sex == "M"
    assert all(np.array_equal(film.pixels(), old) for film, old in zip(films, before, strict=True))


def test_chestx_det(made: Made) -> None:
    first, second, third = load_films("chestx-det", root=made("chestx-det"))
    square = np.zeros((1024, 1024), dtype=bool)
    square[256:512, 256:512] = True
    assert np.array_equal(first.mask("Effusion"), square)
    assert np.array_equal(first.box_masks(("Effusion",))[0], square)
    assert (first.split, third.split, third.patient) == ("train", "test", "10")
    assert (first.labels["Effusion"], first.labels["Nodule"]) == (1, 0)
    assert not second.masks(tuple(second.mask_bits)).any()  # looked at, and free of all
    assert second.annotated == {"ChestX-Det"}
    assert np.argwhere(third.mask("Nodule")).tolist() == [[0, x] for x in range(8)]


@pytest.mark.parametrize(("policy", "edema"), [("zeros", 0), ("ones", 1), ("ignore", None)])
def test_chexpert_policies_for_uncertain_labels(made: Made, policy: Uncertain, edema: int | None) -> None:
    assert policy in UNCERTAIN
    first, third = load_films("chexpert", root=made("chexpert"), uncertain=policy)
    assert first.labels.get("Edema") == edema
    assert first.uncertain == {"Edema"}
    assert (first.labels["Effusion"], first.labels["Pneumonia"], first.labels["Fracture"]) == (1, 0, 0)
    assert "Fracture" in first.unmentioned
    assert not first.unmentioned & {"Pneumonia", "Edema", "Effusion"}
    assert (first.normal, third.normal) == (False, True)


def test_chexpert(made: Made) -> None:
    root = made("chexpert")
    assert [film.view for film in load_films("chexpert", root=root)] == ["AP", "PA"]
    films = load_films("chexpert", root=root, laterals=True)
    assert [film.view for film in films] == ["AP", "lateral", "PA"]
    assert [film.split for film in films] == ["train", "train", "valid"]
    assert (films[0].patient, films[0].sex, films[0].age) == ("patient00001", "F", 68.0)
    assert films[0].id == "patient00001_study1_view1_frontal"
    assert len(films[0].labels) == 13
    assert load_films("chexpert", root=root, splits=["valid"])[0].patient == "patient64541"


def test_chexlocalize(made: Made) -> None:
    root = made("chexlocalize")
    films = by_id(load_films("chexlocalize", root=root, laterals=True))
    val, test = films["patient64541_study1_view1_frontal"], films["patient64742_study1_view2_lateral"]
    assert np.array_equal(val.mask("Lung Opacity"), drawn(5, 40, 50))
    assert not val.mask("Effusion").any()
    assert np.array_equal(test.mask("Edema"), drawn(6, 40, 50))
    assert (val.split, val.view, val.labels["Lung Opacity"], val.labels["Effusion"]) == ("val", "AP", 1, 0)
    assert (test.patient, test.view, dict(test.labels)) == ("patient64742", "lateral", {})
    assert len(load_films("chexlocalize", root=root)) == 1


def test_brixia(made: Made) -> None:
    root = made("brixia")
    first, second, third = load_films("brixia", root=root)
    assert first.scores == {"reporting": (0, 0, 0, 1, 0, 2)}
    assert second.scores == {"reporting": (3,) * 6, "consensus": (3, 3, 3, 3, 3, 2)}
    assert [film.split for film in (first, second, third)] == ["train", "test", "train"]
    assert [film.normal for film in (first, second, third)] == [False, False, True]
    assert first.patient == third.patient == "p1"
    assert first.native_width == 64


def test_dicom_films_are_read_as_the_reader_reads_them_whatever_their_polarity(made: Made) -> None:
    root = made("brixia")
    for film, seed in zip(load_films("brixia", root=root), (1, 2, 3), strict=True):
        shown = np.random.default_rng(seed).integers(0, 4096, (64, 64))
        assert np.array_equal(film.pixels(), read(film.path).pixels)
        assert np.allclose(film.pixels(), shown / 4095, atol=2e-3)  # also the one stored with white low


def test_covid_segmentation(made: Made) -> None:
    first, second = load_films("covid-segmentation", root=made("covid-segmentation"))
    lung, tube = np.zeros((48, 60), dtype=bool), np.zeros((48, 60), dtype=bool)
    lung[5:45, 30:50], tube[:, 10:14] = drawn(1, 40, 20), drawn(2, 48, 4)
    assert np.array_equal(first.mask("Left Lung"), lung)
    assert np.array_equal(first.mask("Nasogastric Tube"), tube)
    assert not first.mask("Monitoring Probes").any()
    assert second.mask("Right Lung").sum() == drawn(3, 30, 25).sum()
    assert first.annotated == {"GeneralBlockchain"}
    assert (first.patient, first.view, first.licence, second.patient) == ("7", "PA", "CC BY", "b.png")


def test_cohen(made: Made) -> None:
    root = made("cohen")
    first, second = load_films("cohen", root=root)
    assert first.labels == {"Pneumonia": 1, "COVID-19": 1}
    assert second.labels == {"Pneumonia": 0, "COVID-19": 0}
    assert (first.normal, second.normal, first.licence, second.licence) == (False, True, "CC BY", "not stated")
    assert (first.patient, first.age, second.age, second.view) == ("2", 65.0, None, "AP Supine")
    unread = load_films("cohen", root=root, laterals=True)[2]
    assert (unread.labels, unread.normal, unread.view) == ({}, None, "lateral")


def test_cohens_table_beside_other_annotations_is_not_the_collection(made: Made) -> None:
    with pytest.raises(XrayInterpError) as caught:
        load_films("cohen", root=made("covid-segmentation"))
    assert caught.value.code is Code.DATA_MISSING


def test_rsna(made: Made) -> None:
    first, second, third = load_films("rsna", root=made("rsna"))
    expected = np.zeros((64, 64), dtype=bool)
    expected[8:32, 16:48] = expected[:4, :4] = True
    assert np.array_equal(first.mask("Lung Opacity"), expected)
    assert [film.labels["Pneumonia"] for film in (first, second, third)] == [1, 0, 0]
    assert [film.normal for film in (first, second, third)] == [False, True, False]
    assert not second.mask("Lung Opacity").any()


def test_masks_of_a_large_dicom_film_lie_on_its_reduced_grid(tmp_path: Path) -> None:
    replicas.rsna(tmp_path)
    replicas.dicom(tmp_path / "stage_2_train_images" / "aaaa.dcm", 9, 1200, 1600)
    film = load_films("rsna", root=tmp_path)[0]
    (height, width), shape = film.grids()
    assert ((height, width), shape) == ((1200, 1600), (768, 1024))
    assert film.pixels().shape == shape
    rows, columns = (np.arange(768) + 0.5) * 1200 / 768, (np.arange(1024) + 0.5) * 1600 / 1024
    inside = (rows[:, None] >= 8) & (rows[:, None] < 32) & (columns >= 16) & (columns < 48)
    inside |= (rows[:, None] < 4) & (columns < 4)
    assert np.array_equal(film.mask("Lung Opacity"), inside)


def test_kermany(made: Made) -> None:
    films = load_films("kermany", root=made("kermany"))
    assert [film.labels["Pneumonia"] for film in films] == [0, 1, 1, 0, 1]
    assert [film.split for film in films] == ["train"] * 3 + ["test"] * 2
    children = [film.patient for film in films]
    assert children[1] == children[2]
    assert children[4] != children[1]  # person1 of the test folder is another child


def test_a_folder_of_ones_own_by_manifest(tmp_path: Path) -> None:
    replicas.own(tmp_path)
    first, second = load_films(str(tmp_path / "ward.yaml"), root=tmp_path, uncertain="ones")
    assert (first.id, first.patient, first.split, first.view) == ("1", "p1", "train", "PA")
    assert first.labels == {"Effusion": 1, "Mass": 1}
    assert first.uncertain == {"Mass"}
    assert second.unmentioned == {"Effusion"}
    assert np.array_equal(first.mask("Lungs"), drawn(1, 40, 48))
    assert first.box_masks(("Effusion",))[0].sum() == 10 * 12
    assert (first.annotated, second.annotated) == ({"us"}, frozenset())
    assert np.array_equal(second.pixels(), read(tmp_path / "f" / "2.dcm").pixels)


def test_a_folder_of_ones_own_by_the_names_of_its_columns(tmp_path: Path) -> None:
    replicas.own(tmp_path)
    columns = {"id": "nr", "file": "where", "patient": "who"}
    films = load_films(own_table("films.csv", columns, ["Mass"], delimiter=";"), root=tmp_path)
    assert [(film.id, film.patient, film.labels) for film in films] == [
        ("1", "p1", {"Mass": 0}),
        ("2", "p2", {"Mass": 0}),
    ]
    for wrong, said in (({"id": "nr"}, "'file' is not named"), ({**columns, "colour": "x"}, "'colour' is none")):
        with pytest.raises(XrayInterpError, match=said) as caught:
            own_table("films.csv", wrong)
        assert caught.value.code is Code.BAD_OPTION


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "a/../../x.png", "..\\x.png", "C:\\x.png", "a\0.png"])
def test_readers_refuse_files_outside_the_data_set(tmp_path: Path, path: str) -> None:
    replicas.own(tmp_path)
    table = tmp_path / "films.csv"
    table.write_text(table.read_text().replace("f/1.png", path))
    with pytest.raises(XrayInterpError, match="leads out of the data set's folder") as caught:
        load_films(str(tmp_path / "ward.yaml"), root=tmp_path)
    assert caught.value.code is Code.BAD_MANIFEST
    assert "line 2" in caught.value.message


@pytest.mark.parametrize("name", [name for name in REPLICAS if name not in ("cohen", "kermany", "nih")])
def test_what_is_not_there_is_named_with_where_to_get_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(XrayInterpError, match=f"data describe {name}") as caught:
        load_films(name, root=tmp_path)
    assert caught.value.code is Code.DATA_MISSING
    assert load_manifest(name).title in caught.value.message


def test_ones_own_table_comes_before_the_official_layout(tmp_path: Path, made: Made) -> None:
    root = made("kermany")
    (root / "kermany.csv").write_text(
        "image_id,file,patient_id,view,split,native_w,licence,Pneumonia\nx,train/NORMAL/IM-0115-0001.jpeg,p,AP,val,56,CC,0\n"
    )
    assert [film.id for film in load_films("kermany", root=root)] == ["x"]


@pytest.mark.data
def test_outlines_fill_as_masks_that_were_prepared_elsewhere(data_root: Path) -> None:
    """Published ChestX-Det outlines, filled here, against the stored masks made of them by other means."""
    import gzip
    import json

    source = data_root / "nih_polygons.json.gz"
    if not source.is_file():
        pytest.skip("needs the published outlines")
    outlines = json.loads(gzip.decompress(source.read_bytes()))
    films = [film for film in load_films("nih", root=data_root) if film.id in outlines and film.native_width >= 512]
    agreement = []
    for film in films[:40]:
        with Image.open(film.path) as image:
            grid = image.height, image.width
        for name in {entry["label"] for entry in outlines[film.id]}:
            mine = [Polygon(tuple(map(tuple, e["polygon"]))) for e in outlines[film.id] if e["label"] == name]
            ours, theirs = union(mine, (1024, 1024), grid), film.mask(name)
            if theirs.sum() >= 200:
                agreement.append((ours & theirs).sum() / (ours | theirs).sum())
    assert len(agreement) >= 20
    assert np.median(agreement) > 0.97
    assert min(agreement) > 0.85


@pytest.mark.data
def test_prepared_boxes_lie_on_their_films(data_root: Path) -> None:
    films = [film for film in load_films("nih", root=data_root) if film.boxes]
    assert len(films) == 73
    assert sum(len(boxes) for film in films for boxes in film.boxes.values()) == 78
    for film in films:
        stored, _ = film.grids()
        assert all(box.inside(stored) for boxes in film.boxes.values() for box in boxes)


@pytest.mark.parametrize(
    ("probes", "name", "films"),
    [
        ("chestx-det-official", "chestx-det", 3), ("covid-segmentation-official", "covid-segmentation", 2),
        ("chexlocalize", "chexlocalize", 1), ("rsna", "rsna", 3),
    ],
)  # fmt: skip
def test_official_layouts_serve_as_probe_sets(made: Made, probes: str, name: str, films: int) -> None:
    found = load_probe_set(probes, root=made(name))
    assert len(found.films) == films
    assert found.seen_by("compact") == "unknown"
    shown = {concept for concept, count in found.counts.items() if count.films}
    drawn_on = {mark for film in load_films(name, root=made(name)) for mark in film.mask_bits if film.mask(mark).any()}
    assert shown == drawn_on != set()
    assert mask_grid(found.films[0], found.concepts, "crop", 8).shape == (len(found.concepts), 8, 8)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{id: nr,", "{number: nr,", "names 'number'"),
        ('delimiter: ";"', 'delimiter: ""', "delimiter"),
        ("left: x, ", "", "left"),
        ("findings: [Effusion, Mass]", "findings: 3", "not iterable"),
        ("name: ward", "colour: red", "colour"),
        ("name: ward", "name: ward\nofficial: {layout: moon, get: nowhere, files: {}}", "unknown layout 'moon'"),
        (replicas.OWN, "- a list\n", "not a data manifest"),
        (replicas.OWN, "a: [", "not a data manifest"),
    ],
)
def test_a_manifest_that_is_none_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    replicas.own(tmp_path)
    assert old in replicas.OWN
    (tmp_path / "ward.yaml").write_text(replicas.OWN.replace(old, new))
    (tmp_path / "films.csv").unlink()
    with pytest.raises(XrayInterpError, match=said) as caught:
        load_films(str(tmp_path / "ward.yaml"), root=tmp_path)
    assert caught.value.code is Code.BAD_MANIFEST
