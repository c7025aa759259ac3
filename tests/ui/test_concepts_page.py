"""The page Concepts without a browser: inventory, search, card, two models, atlases from files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers.atlases import UNITS, counted_atlas, parquet
from helpers.dissection import Drawn
from helpers.unit_facts import INTERVAL, some_facts
from streamlit.testing.v1 import AppTest

from xrayinterp.concepts.probes import ProbeFilm, ProbeSet
from xrayinterp.dissection.io import atlas_folder
from xrayinterp.dissection.unit_facts import CausalEffect, Effect, UnitFigures
from xrayinterp.dissection.unit_index import unit_entries
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.ui import services
from xrayinterp.ui.concepts_inventory import list_units
from xrayinterp.ui.concepts_units import CSV, to_csv

from .test_app import APP, charts, picker, png, text, upload

PATIENCE = 120


@pytest.fixture
def home(small_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The small models with a cache of this test's own."""
    shutil.copytree(small_models / "cache", tmp_path / "cache")
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    yield tmp_path


@pytest.fixture
def concepts(home: Path) -> AppTest:
    at = AppTest.from_file(str(APP), default_timeout=PATIENCE).run()
    at = at.switch_page("xrayinterp/ui/pages/concepts.py").run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    return unescape(text(at))


def view(at: AppTest, name: str) -> AppTest:
    at.session_state["case"].look.go(view=name)
    at = at.run()
    assert not at.exception
    return at


def give(at: AppTest, name: str, data: bytes) -> AppTest:
    at.file_uploader[0].set_value((name, data, "application/octet-stream"))
    at = at.run()
    assert not at.exception
    return at


def of_compact(**changes: object):
    return counted_atlas(model_sha256=services.describe("compact").card.sha256, **changes)


def press(at: AppTest, label: str) -> AppTest:
    at = next(button for button in at.button if button.label == label).click().run()
    assert not at.exception
    return at


def test_the_inventory_needs_no_film(concepts: AppTest):
    words = said(concepts)
    assert "12 of the 12 units of the last layer answer to a concept" in words
    assert "Research use only. Not for diagnosis." in words
    counts, fits = charts(concepts)
    assert sorted(counts["data"][0]["customdata"])[0] == "denseblock3\tCardiomegaly"
    assert "norm5\tCardiomegaly" in counts["data"][0]["customdata"]
    assert len(fits["data"][0]["customdata"]) == 4
    assert concepts.session_state["case"].films == []


def test_a_model_without_an_atlas_says_how_to_make_one(concepts: AppTest):
    at = picker(concepts, "Model").select("brixia").run()
    assert not at.exception
    assert "xrayinterp dissect --model brixia" in text(at)


def test_a_click_on_a_bar_lists_the_units_behind_it(concepts: AppTest):
    list_units(concepts.session_state["case"], "norm5\tEffusion")  # what the chart calls
    at = concepts.run()
    assert not at.exception
    assert at.session_state["case"].look.view == "units"
    table = at.dataframe[0].value
    assert set(table["Concept"]) == {"Effusion"}
    assert len(table) == 3


def test_units_are_searched_sorted_and_taken_along(concepts: AppTest, home: Path):
    at = give(view(concepts, "units"), "mine.parquet", parquet(of_compact(), home))
    assert "7 of 16 units" in said(at)
    at = next(box for box in at.checkbox if box.label == "Detectors only").uncheck().run()
    assert "16 of 16 units" in said(at)
    assert set(at.dataframe[0].value["Layer"]) == {"Dense block 3", "Last layer"}
    at = picker(at, "Layer").select("denseblock3").run()
    assert len(at.dataframe[0].value) == UNITS
    at = picker(at, "Sorted by").select("unit").run()
    assert list(at.dataframe[0].value["Unit"]) == list(range(UNITS))
    at = at.number_input[0].set_value(0.05).run()
    assert list(at.dataframe[0].value["Unit"]) == [0]
    assert not at.exception
    assert [button.proto.label for button in at.get("download_button")] == ["List as CSV"]


def test_the_list_as_csv_has_all_digits():
    entries = unit_entries(counted_atlas())
    lines = to_csv(entries, None).splitlines()
    assert lines[0] == ",".join(CSV)
    assert len(lines) == 1 + len(entries)
    assert lines[1].startswith("denseblock3,0,Effusion,,Effusion,0.1,")


def test_a_unit_is_chosen_from_the_keyboard_and_told_in_full(concepts: AppTest):
    at = view(concepts, "units")
    at = picker(at, "Unit").select(("norm5", 4)).run()
    assert not at.exception
    words = said(at)
    assert "Unit 4 · effusion-like, last layer" in words
    assert "IoU 0.10 (95 % 0.08 to 0.12) of at most 0.50" in words
    assert "Not measured: head use and causal effects of compact are not here." in words


def test_what_the_model_uses_a_unit_for(concepts: AppTest, monkeypatch: pytest.MonkeyPatch):
    rows = tuple(tuple(0.1 * f - 0.02 * u for u in range(12)) for f in (1, 2))
    units = UnitFigures(rows, rows, rows, rows, rows, rows)
    effect = Effect(INTERVAL, 0.01, -0.1, 0.1, 0.002)
    causal = CausalEffect("Effusion", "chestx-det", "Effusion", (3, 3), effect, INTERVAL, effect, 1.0)
    facts = some_facts(layer="norm5", findings=("Effusion", "Mass"), units=units, causal=(causal,))
    monkeypatch.setattr("xrayinterp.ui.atlas_services.facts_of", lambda model: facts)
    at = picker(view(concepts, "units"), "Unit").select(("norm5", 4)).run()
    assert not at.exception
    words = said(at)
    assert "Without all effusion-like units, on films with effusion: logit +0.300" in words
    assert "random units +0.010, p 0.002" in words
    assert "+0.0200" in words  # this unit alone
    assert any(sorted(c["data"][0]["customdata"]) == ["Effusion", "Mass"] for c in charts(at))
    at = picker(at, "Used for").select("Mass").run()
    assert at.session_state["case"].look.order == "use"
    at = next(box for box in at.checkbox if box.label == "Fires on shortcuts").check().run()
    assert list(at.dataframe[0].value["Unit"]) == [3]
    assert "Shortcut: it fires on burnt-in text" in said(at)


def test_a_good_file_is_shown_kept_and_then_belongs_to_the_model(concepts: AppTest, home: Path):
    at = give(concepts, "mine.parquet", parquet(of_compact(), home))
    assert "6 of the 8 units of the last layer" in said(at)
    assert "kept for this session only" in said(at)
    assert not (atlas_folder() / "compact.drawn.parquet").exists()
    at = press(at, "Keep for compact")
    assert "atlas-mismatch" in said(at)  # the model has other units
    assert not (atlas_folder() / "compact.drawn.parquet").exists()
    layers = services.describe("compact").layers
    fitting = of_compact()
    fitting = replace(
        fitting, rows=tuple(row for row in fitting.rows if row.layer == "norm5"),
        references={"norm5": replace(fitting.references["norm5"], means=np.full(layers["norm5"].units, 0.3))},
    )  # fmt: skip
    at = press(give(at, "fits.parquet", parquet(fitting, home)), "Keep for compact")
    assert (atlas_folder() / "compact.drawn.parquet").is_file()
    assert "Kept for compact as compact.drawn.parquet." in said(at)
    assert "6 of the 8 units" in said(at)


def test_a_foreign_atlas_is_shown_as_of_a_model_not_here(concepts: AppTest, home: Path):
    at = give(concepts, "theirs.parquet", parquet(counted_atlas(model="theirs"), home))
    assert "Of a model not here: theirs, weights 000000000000" in said(at)
    assert "6 of the 8 units" in said(at)
    assert not [button for button in at.button if button.label.startswith("Keep")]
    at = view(at, "units")
    assert "where the unit fires cannot be drawn" in said(at)
    at = press(at, "Close the file")
    assert "theirs" not in said(at)
    assert at.session_state["case"].atlases == []


@pytest.mark.parametrize("data", [b"PAR1 no", b"", pa.BufferOutputStream().getvalue().to_pybytes() + b"x" * 99])
def test_a_broken_file_is_refused_and_the_page_stays(concepts: AppTest, data: bytes):
    at = give(concepts, "<b>.parquet", data)
    assert "xi-problem" in text(at)
    assert "bad-manifest" in text(at)
    assert "&lt;b&gt;.parquet" in text(at)
    assert "12 of the 12 units" in said(at)
    assert at.session_state["case"].atlases == []


def test_two_atlases_stand_beside_each_other(concepts: AppTest, home: Path):
    at = give(concepts, "mine.parquet", parquet(of_compact(), home))
    other = counted_atlas({"norm5": {"Cardiomegaly": 1}}, model="theirs")
    at = view(give(at, "theirs.parquet", parquet(other, home)), "beside")
    words = said(at)
    assert "Effusion: compact has 3 units, 2 of them beyond chance over all units; theirs has none." in words
    at = picker(at, "Beside it").select("compact/chestx-det").run()
    assert not at.exception
    assert "The probe films differ" in said(at)
    assert "Nothing, with these films." in said(at)


def test_a_link_from_a_film_leads_to_the_unit(home: Path):
    at = AppTest.from_file(str(APP), default_timeout=PATIENCE).run()
    at = upload(at, ("film.png", png(77)))
    assert not at.exception
    links = [link.proto for link in at.get("page_link") if "unit=" in str(link.proto)]
    assert links
    assert "Unit " in links[0].label
    at.query_params["unit"], at.query_params["layer"] = "7", "norm5"
    at.query_params["probe"] = "chestx-det"
    at = at.switch_page("xrayinterp/ui/pages/concepts.py").run()
    assert not at.exception
    assert at.session_state["case"].look.unit == 7
    assert "Unit 7 · emphysema-like" in said(at)


@pytest.fixture
def few_films(monkeypatch: pytest.MonkeyPatch) -> ProbeSet:
    """Three films in the place of the probe set."""
    rng = np.random.default_rng(0)
    films = tuple(
        ProbeFilm(f"film-{n}", f"p{n}", "probe", "drawn", frozenset(), Drawn(rng.random((96, 96), np.float32), {}))
        for n in range(3)
    )
    probes = ProbeSet("chestx-det", ("Effusion",), films)
    monkeypatch.setattr("xrayinterp.ui.atlas_services.probed", lambda atlas: probes)
    return probes


def test_the_strongest_films_are_found_on_request_and_outlined(concepts: AppTest, few_films: ProbeSet):
    at = view(concepts, "units")
    assert "one reading of 3 films" in said(at)
    at = press(at, "Find the strongest films")
    for _ in range(20):
        at.session_state["running"].wait(PATIENCE)
        at = at.run()
        assert not at.exception
        if "cut out around the largest region" in said(at):
            break
    assert sorted(caption for one in at.image for caption in one.captions) == ["film-0", "film-1", "film-2"]


def test_films_that_are_not_here_are_told_of(concepts: AppTest, monkeypatch: pytest.MonkeyPatch):
    def absent(atlas):
        raise XrayInterpError(Code.DATA_MISSING, "No films.", "Set XRAYINTERP_DATA.")

    monkeypatch.setattr("xrayinterp.ui.atlas_services.probed", absent)
    at = view(concepts, "units")
    assert "No pictures: the films of chestx-det are not on this machine. Set XRAYINTERP_DATA." in said(at)
