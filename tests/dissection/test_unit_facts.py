"""Facts survive the disk, find their model by its weights, and say so when they do not fit; shortcuts are found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.dissection import Drawn, blob_model, disc, disc_probes
from helpers.unit_facts import some_facts

from xrayinterp.concepts.probes import ProbeFilm, ProbeSet
from xrayinterp.dissection import unit_facts as module
from xrayinterp.dissection.io import load_atlas
from xrayinterp.dissection.network import dissect
from xrayinterp.dissection.pooled import pool_units
from xrayinterp.dissection.shelf import builtin_folder, same_weights
from xrayinterp.dissection.shortcut_units import kept_in_memory, shortcut_units, shown_on
from xrayinterp.dissection.unit_facts import load_unit_facts, save_unit_facts, unit_facts_for
from xrayinterp.dissection.unit_facts_building import Materials, cohort_of
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.registry import describe
from xrayinterp.models.zoo import load_model


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "builtin_folder", lambda: tmp_path)
    return tmp_path


def test_facts_survive_the_disk_whole(tmp_path: Path) -> None:
    save_unit_facts(some_facts(), tmp_path / "new" / "a.units.json")
    save_unit_facts(some_facts(), tmp_path / "new" / "b.units.json")
    assert load_unit_facts(tmp_path / "new" / "a.units.json", blob_model()) == some_facts()
    assert (tmp_path / "new" / "a.units.json").read_bytes() == (tmp_path / "new" / "b.units.json").read_bytes()
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_facts_of_other_weights_are_refused_and_passed_over(shelf: Path) -> None:
    save_unit_facts(some_facts(), shelf / "a.units.json")
    other = blob_model(sha256="1" * 64)
    with pytest.raises(XrayInterpError, match="weights 000000000000") as caught:
        load_unit_facts(shelf / "a.units.json", other)
    assert caught.value.code is Code.ATLAS_MISMATCH
    assert unit_facts_for(other) is None
    assert unit_facts_for(blob_model()) == some_facts()
    save_unit_facts(some_facts(films=11), shelf / "a.units.json")
    found = unit_facts_for(blob_model())
    assert found is not None and found.films == 11


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [(("x", "1"), ("y", "1"), True), (("x", "1"), ("x", "2"), False), (("x", None), ("x", None), True),
     (("x", None), ("y", None), False), (("x", "1"), ("x", None), False)],
)  # fmt: skip
def test_weights_are_told_by_their_hash_and_by_name_only_without_one(
    a: tuple[str, str | None], b: tuple[str, str | None], same: bool
) -> None:
    assert same_weights(*a, *b) is same_weights(*b, *a) is same


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"format": 2}'])
def test_what_is_no_facts_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.units.json"
    path.write_text(text)
    with pytest.raises(XrayInterpError, match=r"a\.units\.json holds no unit facts") as caught:
        load_unit_facts(path)
    assert caught.value.code is Code.BAD_MANIFEST
    with pytest.raises(XrayInterpError, match="no unit facts at") as caught:
        load_unit_facts(tmp_path / "none.units.json")
    assert caught.value.code is Code.NOT_FOUND


def test_facts_of_another_format_are_refused(tmp_path: Path) -> None:
    save_unit_facts(some_facts(format=99), tmp_path / "a.units.json")
    with pytest.raises(XrayInterpError, match="format 99"):
        load_unit_facts(tmp_path / "a.units.json")


def test_a_shortcut_unit_fires_on_every_probe_set_that_shows_the_shortcut() -> None:
    assert some_facts().shortcut_units() == {"text": (3,), "marker": ()}


def test_facts_are_read_without_torch() -> None:
    heavy = {"torch", "sklearn", "pyarrow"}
    code = f"import sys, xrayinterp.dissection.unit_facts; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --------------------------------------------------------------------------------------------------- shortcut units


def test_units_that_fire_on_a_shortcut_are_listed_with_what_they_push() -> None:
    model, probes = blob_model(), disc_probes()
    model.module.classifier.weight.data[:] = 0
    model.module.classifier.weight.data[1, 0] = -5.0
    atlas = dissect(model, probes, ("maps",), permutations=40, bootstraps=100, progress=False, reference=())
    read, shown = pool_units(model, probes.films, "maps", progress=False), shown_on(probes.films, probes.concepts)
    found = {(unit.concept, unit.unit): unit for unit in shortcut_units(atlas, "maps", read, shown)}
    assert set(found) == {("disc", 0), ("hole", 1)}
    lit = found["disc", 0]
    gap = read.values[shown[:, 0], 0].mean() - read.values[~shown[:, 0], 0].mean()
    assert lit.finding == "b" and lit.push == pytest.approx(-5 * gap) and lit.push < 0
    assert found["hole", 1].push == 0 and lit.low <= lit.iou <= lit.high


def test_films_kept_in_memory_are_made_once() -> None:
    class Counting(Drawn):
        made = 0

        def pixels(self) -> np.ndarray:
            Counting.made += 1
            return self.picture

    spot = disc(20, 20, 5)
    drawn = Counting(spot.astype(np.float32), {"x": spot, "y": ~spot})
    film = ProbeFilm("a", "a", "val", "d", frozenset({"y", "x"}), drawn)
    kept = kept_in_memory(ProbeSet("p", ("y", "x"), (film,)))
    again = [kept.films[0].pixels() for _ in range(3)]
    assert Counting.made == 1 and np.array_equal(again[2], film.picture.picture)
    assert np.array_equal(kept.films[0].masks(("x", "y")), np.stack([spot, ~spot]))


# ----------------------------------------------------------------------------------------------------- what is shipped


@pytest.mark.parametrize("name", ["compact", "weak", "brixia"])
def test_what_is_shipped_fits_the_built_in_model(name: str) -> None:
    entry = describe(name)
    facts = unit_facts_for(entry)
    assert facts is not None, "run python -m xrayinterp.dissection.unit_facts"
    units = entry.layers[facts.layer].units
    assert facts.findings == entry.findings
    for table in (facts.units.mean, facts.units.contrast, facts.units.auroc):
        assert len(table) == len(entry.findings) and {len(row) for row in table} == {units}
    assert {row.finding for row in facts.causal} == set(entry.findings)
    assert all(
        0 < e.p <= 1 for row in facts.causal for e in (row.logit, row.auroc) if e is not None and e.p is not None
    )
    assert "Calcification" in {name for probe in facts.probes for name in probe.undetectable}
    text = (builtin_folder() / f"{name}.units.json").read_text(encoding="utf-8")
    assert not any(part in text for part in (".png", ".jpg", "/"))  # numbers only: no film, no patient, no path


@pytest.mark.data
def test_what_is_shipped_is_what_the_films_give(data_root: Path) -> None:
    model, materials = load_model("compact"), Materials.read(seed=0)
    facts, atlas = unit_facts_for(model), load_atlas(builtin_folder() / "compact.chestx-det.parquet", model)
    films = [film for film in materials.films if film.labels["Hernia"] or film.labels["Edema"]]
    read, cohort = pool_units(model, films, progress=False), cohort_of(model, films, materials.half)
    assert facts is not None and facts.films == len(materials.films)
    for f in (model.index("Hernia"), model.index("Edema")):
        gap = read.values[cohort.shows[:, f]].mean(0) - atlas.references["norm5"].means
        assert np.allclose(np.array(facts.units.logit[f]), -read.weights[f] * gap, rtol=1e-3, atol=1e-5)
    for half in (0, 1):
        outlined = {film.patient for film in materials.outlined(half).films}
        measured = {film.patient for film in materials.films if materials.half[film.patient] != half}
        assert outlined and measured and not outlined & measured
