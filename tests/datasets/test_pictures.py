"""Public sets of pictures in miniature, read through the reader against what was put there; and damaged ones."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from helpers.picture_replicas import PICTURE_REPLICAS, coloured, square
from helpers.replicas import grey, picture, write

from xrayinterp.datasets.pictures import (
    Picture,
    load_picture_set,
    load_pictures,
    picture_parts,
    picture_sets,
)
from xrayinterp.errors import Code, XrayInterpError


@pytest.fixture(autouse=True)
def own_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR-10's published sums are of the whole files: here those of the miniature count."""
    checked = torchvision.datasets.CIFAR10

    def whole(self: torchvision.datasets.CIFAR10) -> bool:
        folder = Path(self.root) / self.base_folder
        self.train_list = [[name, _md5(folder / name)] for name, _ in checked.train_list]
        self.test_list = [[name, _md5(folder / name)] for name, _ in checked.test_list]
        self.meta = {**checked.meta, "md5": _md5(folder / "batches.meta")}
        return all(md5 for _, md5 in self.train_list)

    monkeypatch.setattr(checked, "_check_integrity", whole)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else ""


def made(name: str, root: Path) -> list[Picture]:
    PICTURE_REPLICAS[name](root)
    return load_pictures(name, root=root, part="bottle")


def refused(code: Code, name: str, root: Path, part: str = "bottle") -> XrayInterpError:
    with pytest.raises(XrayInterpError) as caught:
        for found in load_pictures(name, root=root, part=part):
            found.mask()
    assert caught.value.code is code
    return caught.value


def test_every_manifest_says_what_a_stranger_needs() -> None:
    assert set(picture_sets()) == set(PICTURE_REPLICAS)
    for name in picture_sets():
        manifest = load_picture_set(name)
        assert manifest.name == name
        assert all((manifest.title, manifest.source, manifest.licence, manifest.citation, manifest.get, manifest.files))
        assert bool(manifest.normal) != (manifest.layout == "torchvision")


@pytest.mark.parametrize("name", PICTURE_REPLICAS)
def test_pictures_are_read_in_a_fixed_order_and_share_no_patient_between_splits(tmp_path: Path, name: str) -> None:
    found = made(name, tmp_path)
    again = load_pictures(name, root=tmp_path, part="bottle")
    assert [one.id for one in again] == [one.id for one in found]
    assert len({(one.split, one.label, one.id) for one in found}) == len(found)
    splits: dict[str, set[str]] = {}
    for one in found:
        splits.setdefault(one.patient, set()).add(one.split)
        pixels = one.pixels()
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert one.mask().shape == pixels.shape[:2]
        assert one.mask().any() == bool(one.masks)
    shared = {patient for patient, where in splits.items() if len(where) > 1}
    assert shared == ({"230"} if name == "retinal-oct" else set())


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mnist", {("train", None): 40, ("test", None): 20}),
        ("fashion-mnist", {("train", None): 40, ("test", None): 20}),
        ("cifar10", {("train", None): 50, ("test", None): 10}),
        ("mvtec", {("train", True): 4, ("test", True): 2, ("test", False): 4}),
        ("retinal-oct", {("train", True): 5, ("train", False): 12, ("test", True): 4, ("test", False): 12}),
        ("head-ct", {("", True): 5, ("", False): 5}),
        ("brain-mri", {("", True): 10, ("", False): 5}),
        ("folder", {("", True): 10, ("", False): 5}),
    ],
)
def test_what_is_normal(tmp_path: Path, name: str, counts: dict[tuple[str, bool | None], int]) -> None:
    assert Counter((one.split, one.normal) for one in made(name, tmp_path)) == counts


def test_digits_keep_their_pixels_and_classes(tmp_path: Path) -> None:
    found = made("mnist", tmp_path)
    assert [one.label for one in found[:12]] == [*"012345678901"]
    expected = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    assert np.array_equal(found[7].pixels()[..., 1], expected[7])


def test_cifar_keeps_colours(tmp_path: Path) -> None:
    first = made("cifar10", tmp_path)[0]
    expected = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)[0]
    assert first.label == "airplane"
    assert np.array_equal(first.pixels(), expected.reshape(3, 32, 32).transpose(1, 2, 0))


def test_masks_beside_and_in_folders_are_joined(tmp_path: Path) -> None:
    found = {one.id: one for one in made("mvtec", tmp_path)}
    assert np.array_equal(found["test/broken/000.png"].mask(), square(0) > 0)
    assert np.array_equal(found["test/broken/001.png"].mask(), (square(8) | square(16)) > 0)
    assert np.array_equal(found["test/dirty/001.png"].mask(), (square(0) | square(8)) > 0)
    assert not found["test/good/000.png"].masks


def test_parts_are_what_lies_there(tmp_path: Path) -> None:
    PICTURE_REPLICAS["mvtec"](tmp_path)
    assert picture_parts("mvtec", root=tmp_path) == ("bottle", "screw")
    assert picture_parts("retinal-oct", root=tmp_path) == ()
    assert len(picture_parts("fashion-mnist", root=tmp_path)) == 10


def test_a_patient_of_retinal_oct_is_in_its_name(tmp_path: Path) -> None:
    found = made("retinal-oct", tmp_path)
    assert {one.patient for one in found if one.label == "NORMAL"} == {"130", "131", "230", "231"}


def test_splits_of_a_folder_are_kept(tmp_path: Path) -> None:
    for name in ("train/normal", "test/normal", "test/odd"):
        picture(tmp_path / name / "a.png", coloured(0))
    found = load_pictures("folder", root=tmp_path)
    assert [(one.split, one.label) for one in found] == [("train", "normal"), ("test", "normal"), ("test", "odd")]


def test_films_of_the_chest_are_not_taken_for_an_eye(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("NORMAL", "PNEUMONIA"):
            picture(tmp_path / "chest_xray" / split / name / "a.jpeg", grey(0, 20, 30))
    told = refused(Code.DATA_MISSING, "retinal-oct", tmp_path)
    assert "CNV and DME and DRUSEN and NORMAL" in str(told)


@pytest.mark.parametrize("name", PICTURE_REPLICAS)
def test_nothing_there_says_what_to_put_where(tmp_path: Path, name: str) -> None:
    told = refused(Code.DATA_MISSING, name, tmp_path)
    assert str(tmp_path) in told.message
    assert next(iter(load_picture_set(name).files)) in told.hint
    assert "Nothing is downloaded" in told.hint
    assert list(tmp_path.iterdir()) == []


def test_a_mask_that_lacks_is_named(tmp_path: Path) -> None:
    PICTURE_REPLICAS["mvtec"](tmp_path)
    home = tmp_path / "mvtec_anomaly_detection/bottle"
    (home / "ground_truth/broken/000_mask.png").unlink()
    assert "broken/000.png has no mask" in refused(Code.DATA_MISSING, "mvtec", tmp_path).message
    shutil.rmtree(home / "ground_truth")
    assert not any(one.masks for one in load_pictures("mvtec", root=tmp_path, part="bottle"))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    PICTURE_REPLICAS["mvtec"](tmp_path)
    mask = tmp_path / "mvtec_anomaly_detection/bottle/ground_truth/broken/000_mask.png"
    picture(mask, square(0, 32))
    assert "32 x 32" in refused(Code.BAD_DATA, "mvtec", tmp_path).message


def test_a_mask_of_another_picture_is_not_taken(tmp_path: Path) -> None:
    PICTURE_REPLICAS["mvtec"](tmp_path)
    truth = tmp_path / "mvtec_anomaly_detection/bottle/ground_truth/broken"
    (truth / "000_mask.png").rename(truth / "0001_mask.png")
    refused(Code.DATA_MISSING, "mvtec", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"no picture"])
def test_a_damaged_picture_is_named(tmp_path: Path, content: bytes) -> None:
    PICTURE_REPLICAS["folder"](tmp_path)
    (tmp_path / "cracked/0.png").write_bytes(content)
    assert "cracked/0.png" in refused(Code.CORRUPT_PIXELS, "folder", tmp_path).message


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    PICTURE_REPLICAS["folder"](tmp_path)
    picture(tmp_path / "cracked/0.png", grey(0).astype(np.uint16) * 256)
    assert "more than 8 bits" in refused(Code.CORRUPT_PIXELS, "folder", tmp_path).message


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    PICTURE_REPLICAS["folder"](tmp_path)
    (tmp_path / "normal/.hidden.png").write_bytes(b"")
    (tmp_path / "normal/Thumbs.db").write_bytes(b"")
    (tmp_path / "normal/folder.png").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(load_pictures("folder", root=tmp_path)) == 15


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("kept", [0, 10, 500])
def test_a_cut_off_file_is_told(tmp_path: Path, name: str, kept: int) -> None:
    PICTURE_REPLICAS[name](tmp_path)
    file = next(tmp_path.rglob("train-images-idx3-ubyte"))
    file.write_bytes(file.read_bytes()[:kept])
    assert "cannot be read" in refused(Code.BAD_DATA, name, tmp_path).message


def test_more_labels_than_pictures_are_told(tmp_path: Path) -> None:
    from helpers.picture_replicas import idx

    PICTURE_REPLICAS["mnist"](tmp_path)
    idx(tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte", np.zeros(21, dtype=np.uint8))
    assert "20 pictures and 21 labels" in refused(Code.BAD_DATA, "mnist", tmp_path).message


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        (("x", 1), Code.BAD_DATA, "id 'x'"),
        ((1, "maybe"), Code.BAD_DATA, "label 'maybe'"),
        ((999, 1), Code.DATA_MISSING, "999.png"),
        (("../../etc/passwd", 1), Code.BAD_DATA, "passwd"),
    ],
)
def test_rows_that_name_nothing_are_refused(tmp_path: Path, row: tuple[object, object], code: Code, said: str) -> None:
    PICTURE_REPLICAS["head-ct"](tmp_path)
    write(tmp_path / "archive/labels.csv", "id, hemorrhage", [(1, 0), row])
    assert said in refused(code, "head-ct", tmp_path).message


def test_a_table_without_its_column_is_refused(tmp_path: Path) -> None:
    PICTURE_REPLICAS["head-ct"](tmp_path)
    write(tmp_path / "archive/labels.csv", "id,blood", [(1, 0)])
    assert "hemorrhage" in refused(Code.BAD_MANIFEST, "head-ct", tmp_path).message


@pytest.mark.parametrize("text", ["", "name: x", "name: [", "- a"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(XrayInterpError) as caught:
        load_picture_set(str(file))
    assert caught.value.code is Code.BAD_MANIFEST


def test_an_unknown_manifest_names_those_there_are() -> None:
    with pytest.raises(XrayInterpError, match="cifar10") as caught:
        load_picture_set("cifar")
    assert caught.value.code is Code.BAD_OPTION
