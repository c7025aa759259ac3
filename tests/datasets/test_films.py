"""The manifest reader: what tables say, what masks hold, and what is said where they are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xrayinterp.datasets.films import load_films, load_manifest
from xrayinterp.errors import Code, XrayInterpError

HEADER = "image_id,file,source,licence,patient_id,view,sex,split,native_w,has_v7_lung,v7_valid_box,mask_file"


@pytest.fixture
def tiny_root(tmp_path: Path) -> Path:
    """A data root with three Hannover films of 6 x 4 pixels; one with a mask, one whose mask file is gone."""
    (tmp_path / "hannover" / "masks").mkdir(parents=True)
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10).save(tmp_path / "hannover" / "a.png")
    mask = np.zeros((4, 6), dtype=np.uint16)
    mask[1, 2], mask[2, 3] = 1 << 14, 1 << 3
    Image.fromarray(mask).save(tmp_path / "hannover" / "masks" / "a.png")
    rows = [
        'a,hannover/a.png,h,CC,p1,AP,M,val,640,1,"1,0,4,4",hannover/masks/a.png',
        "b,hannover/a.png,h,CC,p2,PA,F,train,90,0,,",
        "c,hannover/a.png,h,CC,p2,PA,F,train,640,1,,hannover/masks/gone.png",
    ]
    (tmp_path / "hannover.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return tmp_path


def test_a_row_becomes_a_film(tiny_root: Path) -> None:
    film = load_films("hannover", root=tiny_root)[0]
    assert (film.id, film.patient, film.split, film.view, film.sex, film.age) == ("a", "p1", "val", "AP", "M", None)
    assert (film.annotated, film.valid_box, film.native_width) == (frozenset({"V7"}), (1, 0, 4, 4), 640)
    pixels = film.pixels()
    assert (pixels.shape, pixels.dtype) == ((4, 6), np.float32)
    assert pixels[3, 5] == pytest.approx(230 / 255)


def test_a_mask_is_its_bit_alone(tiny_root: Path) -> None:
    film = load_films("hannover", root=tiny_root)[0]
    assert np.argwhere(film.mask("Lungs")).tolist() == [[1, 2]]
    assert film.masks(("Lungs", "Lungs")).shape == (2, 4, 6)


def test_splits_and_widths_select(tiny_root: Path) -> None:
    assert [f.id for f in load_films("hannover", root=tiny_root, splits=["train"])] == ["b", "c"]
    assert [f.id for f in load_films("hannover", root=tiny_root, min_native_width=128)] == ["a", "c"]


@pytest.mark.parametrize(("which", "name"), [(1, "Lungs"), (2, "Lungs"), (0, "Heart")])
def test_missing_masks_are_named(tiny_root: Path, which: int, name: str) -> None:
    film = load_films("hannover", root=tiny_root)[which]
    with pytest.raises(XrayInterpError) as caught:
        film.mask(name)
    assert caught.value.code is Code.DATA_MISSING


def test_missing_table_and_folder_and_manifest_are_named(tmp_path: Path) -> None:
    for call, code in (
        (lambda: load_films("nih", root=tmp_path), Code.DATA_MISSING),
        (lambda: load_films("nih", root=tmp_path / "nowhere"), Code.DATA_MISSING),
        (lambda: load_manifest("jsrt"), Code.BAD_OPTION),
    ):
        with pytest.raises(XrayInterpError) as caught:
            call()
        assert caught.value.code is code


def test_a_film_that_is_gone_or_deeper_than_8_bits_is_named(tiny_root: Path) -> None:
    film = load_films("hannover", root=tiny_root)[0]
    Image.fromarray(np.full((4, 6), 4095, dtype=np.uint16)).save(film.path)
    with pytest.raises(XrayInterpError, match="more than 8 bits") as caught:
        film.pixels()
    assert caught.value.code is Code.CORRUPT_PIXELS
    film.path.write_bytes(b"no picture")
    with pytest.raises(XrayInterpError) as caught:
        film.pixels()
    assert caught.value.code is Code.CORRUPT_PIXELS
    film.path.unlink()
    with pytest.raises(XrayInterpError, match="has lost its file") as caught:
        film.pixels()
    assert caught.value.code is Code.DATA_MISSING


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",has_v7_lung,", ",other,", "no column 'has_v7_lung'"),
        (",640,1,", ",wide,1,", "film a: .*'wide'"),
        ('"1,0,4,4"', '"1,0,4"', "film a: "),
    ],
)
def test_a_table_that_does_not_fit_its_manifest_is_named(tiny_root: Path, old: str, new: str, said: str) -> None:
    table = tiny_root / "hannover.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(XrayInterpError, match=said) as caught:
        load_films("hannover", root=tiny_root)
    assert caught.value.code is Code.BAD_MANIFEST


@pytest.mark.data
def test_real_tables_have_the_counted_films(data_root: Path) -> None:
    nih = load_films("nih", root=data_root)
    assert len(nih) == 8986
    assert sum("ChestX-Det" in film.annotated for film in nih) == 1245
    cohen = load_films("cohen", root=data_root)
    assert [sum(who in film.annotated for film in cohen) for who in ("GeneralBlockchain", "V7")] == [76, 176]
    assert sum(bool(film.scores) for film in cohen) == 138
    assert len(load_films("kermany", root=data_root)) == 2467


@pytest.mark.data
def test_no_patient_is_in_two_splits(data_root: Path) -> None:
    for name in ("nih", "kermany"):
        where: dict[str, set[str]] = {}
        for film in load_films(name, root=data_root):
            where.setdefault(film.patient, set()).add(film.split)
        assert all(len(splits) == 1 for splits in where.values())


@pytest.mark.data
def test_real_masks_lie_on_the_grid_of_their_film(data_root: Path) -> None:
    for name in ("nih", "cohen", "hannover"):
        for film in [f for f in load_films(name, root=data_root) if f.mask_path][:15]:
            assert film.masks(tuple(film.mask_bits)).shape == (len(film.mask_bits), *film.pixels().shape)
