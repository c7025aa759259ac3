"""Exemplars show the film where the unit fires, and only names where the film is not at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.dissection import BlobNet, Drawn, blob_model, disc, disc_probes

from xrayinterp.concepts.probes import ProbeFilm, ProbeSet, load_probe_set
from xrayinterp.dissection.atlas import Atlas
from xrayinterp.dissection.exemplars import exemplars, strongest_by
from xrayinterp.dissection.io import load_atlas
from xrayinterp.dissection.network import dissect
from xrayinterp.dissection.pooled import pooled_values
from xrayinterp.dissection.shelf import builtin_folder
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model

QUICK = {"permutations": 19, "bootstraps": 10, "progress": False, "reference": ()}


@pytest.fixture(scope="module")
def probes() -> ProbeSet:
    return disc_probes(40)


@pytest.fixture(scope="module")
def atlas(probes: ProbeSet) -> Atlas:
    return dissect(blob_model(), probes, ("maps",), **QUICK)


def test_the_crop_holds_the_region_and_the_disc(atlas: Atlas, probes: ProbeSet) -> None:
    films = {film.id: film for film in probes.films}
    found = exemplars(blob_model(), atlas, "maps", 0, probes)
    assert [one.film for one in found] == list(atlas.rows[0].exemplars)
    for one in found:
        film = films[one.film]
        left, top, width, height = one.box
        part = (slice(top, top + height), slice(left, left + width))
        assert np.array_equal(one.crop, film.pixels()[part])
        assert one.region.shape == one.crop.shape and one.region.any()
        assert (one.region & film.mask("disc")[part]).sum() > 0.5 * one.region.sum()


def test_the_region_is_where_the_dissection_counted(atlas: Atlas, probes: ProbeSet) -> None:
    threshold = next(row.threshold for row in atlas.rows if row.unit == 0)
    for one in exemplars(blob_model(), atlas, "maps", 0, probes, margin=2.0):
        film = next(film for film in probes.films if film.id == one.film)
        net = BlobNet().eval()
        x = torch.from_numpy(film.pixels())[None, None] * 2 - 1
        values = torch.relu(net.conv(x) + net.place)[:, :1].detach().double()
        fires = F.interpolate(values, (64, 64), mode="bilinear", align_corners=False)[0, 0].numpy() > threshold
        assert one.box == (0, 0, 64, 64) and np.array_equal(one.region, fires)
        assert one.peak == pytest.approx(float(values.max()), abs=1e-6)


def test_contours_enclose_the_region(atlas: Atlas, probes: ProbeSet) -> None:
    for one in exemplars(blob_model(), atlas, "maps", 0, probes):
        area = sum(_shoelace(line) for line in one.contours)
        assert all(np.array_equal(line[0], line[-1]) for line in one.contours)
        assert abs(area - one.region.sum()) <= 0.5 * sum(len(line) for line in one.contours)
        rows, columns = np.nonzero(one.region)
        points = np.concatenate(one.contours)
        assert np.allclose(points.min(0), (columns.min(), rows.min()), atol=0.51)
        assert np.allclose(points.max(0), (columns.max() + 1, rows.max() + 1), atol=0.51)


def _shoelace(line: np.ndarray) -> float:
    x, y = line.T
    return abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())) / 2


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_film_that_is_no_square_is_cut_in_its_own_pixels(fit: str) -> None:
    spot = np.zeros((64, 128), dtype=bool)
    spot[:, 32:96] = disc(40, 20, 7)
    picture = np.where(spot, 0.95, 0.4).astype(np.float32)
    drawn = [Drawn(picture, {"disc": spot}), *[Drawn(np.full_like(picture, 0.4), {"disc": spot & False})] * 7]
    films = [ProbeFilm(f"f{i}", f"p{i}", "val", "d", frozenset({"disc"}), one) for i, one in enumerate(drawn)]
    wide = ProbeSet("wide", ("disc",), tuple(films))
    made = dissect(blob_model(), wide, ("maps",), fit=fit, **QUICK)
    one = exemplars(blob_model(), made, "maps", 0, wide, fit=fit)[0]
    assert one.film == "f0" and one.region.any()
    left, top, *_ = one.box
    centre = np.argwhere(one.region).mean(0) + np.array([top, left])
    assert np.abs(centre - np.argwhere(spot).mean(0)).max() < 5


def test_names_alone_without_the_films(atlas: Atlas, probes: ProbeSet) -> None:
    names = atlas.rows[0].exemplars
    bare = exemplars(blob_model(), atlas, "maps", 0)
    assert [one.film for one in bare] == list(names) and all(one.crop is None and one.contours == () for one in bare)
    some = replace(probes, films=tuple(film for film in probes.films if film.id == names[1]))
    mixed = exemplars(blob_model(), atlas, "maps", 0, some)
    assert [one.crop is not None for one in mixed] == [name == names[1] for name in names]


def strongest(model: ChestModel, layer: str, probes: ProbeSet) -> tuple[tuple[str, ...], ...]:
    return strongest_by(pooled_values(model, probes.films, layer, progress=False)[0], probes.films)


def test_strongest_films_are_those_the_atlas_names(atlas: Atlas, probes: ProbeSet) -> None:
    by_unit = strongest(blob_model(), "maps", probes)
    named = {row.unit: row.exemplars for row in atlas.rows if row.exemplars}
    assert {unit: by_unit[unit] for unit in named} == named and 0 in named
    other = [film.id for film in probes.films][:1]
    assert [one.film for one in exemplars(blob_model(), atlas, "maps", 0, probes, names=other)] == other


@pytest.mark.data
def test_a_real_unit_on_real_films(data_root: Path) -> None:
    model, probes = load_model("compact"), load_probe_set("chestx-det", root=data_root, splits=["test"], limit=12)
    shipped = load_atlas(builtin_folder() / "compact.chestx-det.parquet", model)
    row = max((row for row in shipped.rows if row.label and row.layer == "norm5"), key=lambda row: row.iou)
    names = strongest(model, "norm5", probes)[row.unit]
    found = exemplars(model, shipped, "norm5", row.unit, probes, names=names)
    assert [one.film for one in found] == list(names)
    assert found[0].region.any() and 0 <= found[0].crop.min() <= found[0].crop.max() <= 1
    assert all((one.peak > row.threshold) or not one.region.any() for one in found)


def test_what_the_atlas_does_not_know_is_named(atlas: Atlas) -> None:
    with pytest.raises(XrayInterpError, match="no unit 99 in 'maps'") as caught:
        exemplars(blob_model(), atlas, "maps", 99)
    assert caught.value.code is Code.BAD_OPTION
    with pytest.raises(XrayInterpError, match="margin of -1"):
        exemplars(blob_model(), atlas, "maps", 0, margin=-1.0)
