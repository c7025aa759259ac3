"""States of the trust strip and of the pages Compare and Pathways, without a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from helpers.page_models import FINDINGS
from streamlit.testing.v1 import AppTest

from xrayinterp.attribution import METHODS
from xrayinterp.evaluation import standing as standings
from xrayinterp.evaluation.lamps import LAMPS, UNDER_THE_STRIP
from xrayinterp.report.words import STRUCTURE
from xrayinterp.ui import paths, services

from .test_app import APP, charts, picker, png, text, upload

PATIENCE = 120
SEEDS = count(10)
"""Films of their own for every test, since all of them are one session to Streamlit."""


def pictures(at: AppTest) -> list[dict]:
    """What the grids on the page were told to draw."""
    told = [json.loads(element.proto.json) for element in at.get("bidi_component") if element.proto.json]
    return [message for message in told if "cells" in message]


def finish(at: AppTest) -> AppTest:
    """The page once nothing is under way beside it."""
    for _ in range(20):
        if "running" not in at.session_state:
            return at
        at.session_state["running"].wait(PATIENCE)
        at.run()
        if at.session_state["running"].state != "running":
            return at
    raise AssertionError("work beside the page does not end")


def said(at: AppTest) -> str:
    """The page's words, as a reader sees them."""
    return unescape(text(at))


@pytest.fixture
def opened(small_models: Path) -> AppTest:
    at = AppTest.from_file(str(APP), default_timeout=PATIENCE).run()
    at = upload(at, ("earlier.png", png(next(SEEDS))), ("later.png", png(next(SEEDS))))
    assert not at.exception
    return at


@pytest.fixture
def compare(opened: AppTest) -> AppTest:
    at = opened.switch_page("xrayinterp/ui/pages/compare.py").run()
    assert not at.exception
    return at


def view(at: AppTest, name: str) -> AppTest:
    at.session_state["case"].comparing = name
    at.session_state["comparing"] = name
    return finish(at.run())


# ----------------------------------------------------------------------------------------------------- trust strip


def test_the_strip_lights_lamp_by_lamp_and_never_without_its_line(opened: AppTest):
    assert all(lamp.title in text(opened) for lamp in LAMPS.values())
    assert UNDER_THE_STRIP in text(opened)
    at = finish(opened)
    assert not at.exception
    work = at.session_state["running"]
    assert work.state == "done"
    assert [reading.lamp for reading in work.results] == list(LAMPS)
    assert all(reading.words in said(at) for reading in work.results)
    assert 'aria-busy="false"' in text(at)


def test_a_click_ends_the_strip_of_the_former_map(opened: AppTest):
    before = opened.session_state["running"]
    at = picker(opened, "Finding to explain").select("Mass").run()
    assert not at.exception
    assert at.session_state["running"] is not before
    assert before.state in ("stopped", "done")


def test_a_strip_is_measured_once(opened: AppTest):
    at = finish(opened)
    work = at.session_state["running"]
    again = at.run().session_state["running"]
    assert again is work


def test_what_the_lamps_mean_is_told_with_their_cut_offs(opened: AppTest):
    for lamp in LAMPS.values():
        assert lamp.question in said(opened)


def test_research_maps_are_folded_by_family_and_failing_ones_say_so(
    opened: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record = {
        "default": "gradcam_signed",
        "further": ["gradcam", "gradient"],
        "described": "Measured on made-up films.",
        "fails": {"guided_backprop": ["class", "weights"]},
        "settings": {"model_sha256": services.describe("compact").card.sha256},
    }
    (tmp_path / "compact.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(standings, "MEASURED", tmp_path)
    standings.standing.cache_clear()
    at = opened.run()
    offered = [name for radio in at.radio if radio.key.startswith("research-") for name in radio.options]
    assert len(offered) == len(METHODS) - 3
    radio = next(radio for radio in at.radio if radio.key.startswith("research-propagation"))
    assert STRUCTURE in "".join(radio.proto.captions)
    at = radio.set_value("guided_backprop").run()
    standings.standing.cache_clear()
    assert not at.exception
    assert at.session_state["case"].method == "guided_backprop"
    assert "not evidence for this finding" in text(at)


# --------------------------------------------------------------------------------------------------------- compare


def test_without_a_film_both_pages_ask_for_one(small_models: Path):
    at = AppTest.from_file(str(APP), default_timeout=PATIENCE).run()
    for name in ("compare", "pathways"):
        at = at.switch_page(f"xrayinterp/ui/pages/{name}.py").run()
        assert not at.exception
        assert "Open a chest radiograph" in text(at)


def test_methods_are_drawn_on_one_film_and_can_be_chosen(compare: AppTest):
    (grid,) = pictures(compare)
    assert len(grid["films"]) == 1
    assert grid["cells"][0]["title"] == "Grad-CAM, signed"
    assert grid["cells"][0]["marked"]
    methods = next(box for box in compare.multiselect if box.label == "Methods")
    at = finish(methods.set_value(["gradient", "gradcam"]).run())
    assert [cell["title"] for cell in pictures(at)[0]["cells"]] == ["Gradient", "Grad-CAM"]
    at = methods.set_value([]).run()
    assert not at.exception
    assert "Choose methods above." in text(at)


def test_maps_are_sorted_by_what_was_measured(compare: AppTest):
    methods = next(box for box in compare.multiselect if box.label == "Methods")
    methods.set_value(["gradient", "gradcam_signed", "gradcam"])
    at = finish(compare.toggle[0].set_value(True).run())
    assert not at.exception
    cells = pictures(at)[0]["cells"]
    assert len(cells) == 3
    shares = [float(cell["note"].split("·")[-1].strip(" \u202f%")) for cell in cells if "%" in cell["note"]]
    assert shares == sorted(shares, reverse=True)
    assert all("faithful" in cell["note"] for cell in cells)


def test_two_findings_say_whether_the_map_changes(compare: AppTest):
    at = view(compare, "findings")
    assert not at.exception
    assert "The map " in text(at) or "Not measurable" in text(at)
    assert len(pictures(at)[0]["cells"]) == 3
    at = picker(at, "Beside it").select("Hernia").run()
    assert pictures(at)[0]["cells"][1]["title"] == "Hernia"


def test_randomised_depths_have_a_slider_and_a_curve(compare: AppTest):
    at = view(compare, "depth")
    assert not at.exception
    slider = at.slider[0]
    assert (slider.min, slider.max) == (0, 10)
    at = slider.set_value(4).run()
    assert pictures(at)[0]["cells"][1]["title"] == "4 blocks permuted"
    curve = charts(at)[0]["data"][0]
    assert curve["y"][0] == 1.0
    assert len(curve["x"]) == 11


def test_two_films_split_every_change_exactly(compare: AppTest):
    at = view(compare, "films")
    assert not at.exception
    assert "only you can tell" in text(at)
    assert "parts sum to it within" in text(at)
    bars = charts(at)[0]
    assert sorted(bars["data"][0]["customdata"]) == sorted(FINDINGS)
    (grid,) = pictures(at)
    assert [cell["film"] for cell in grid["cells"]] == [0, 1]
    assert len(grid["films"]) == 2


def test_a_different_view_is_warned_of(compare: AppTest):
    at = next(button for button in compare.button if button.label == "AP").click().run()
    at = view(at, "films")
    assert "The views differ" in text(at)


def test_one_film_alone_cannot_be_compared(small_models: Path):
    at = AppTest.from_file(str(APP), default_timeout=PATIENCE).run()
    at = upload(at, ("only.png", png()))
    at = view(at.switch_page("xrayinterp/ui/pages/compare.py").run(), "films")
    assert "Open a second film" in text(at)


# -------------------------------------------------------------------------------------------------------- pathways


@pytest.fixture
def pathways(opened: AppTest) -> AppTest:
    at = finish(opened.switch_page("xrayinterp/ui/pages/pathways.py").run())
    assert not at.exception
    return at


def test_a_path_is_told_in_figures_concepts_and_maps(pathways: AppTest):
    words = said(pathways)
    for wanted in ("What the path keeps", "Concepts on the path", "Do finders find the same path?",
                   "Is the path linear around this film?", "Response kept, by share removed"):  # fmt: skip
        assert wanted in words, wanted
    assert [cell["title"] for cell in pictures(pathways)[0]["cells"]] == [
        "Gradient of the whole network", "Gradient of the path",
    ]  # fmt: skip
    assert len(charts(pathways)) == 4


def test_another_sparsity_is_another_path(pathways: AppTest):
    before = pictures(pathways)[0]["cells"][1]["note"]
    slider = next(box for box in pathways.select_slider if box.label == "Share of neurons removed")
    at = finish(slider.set_value(0.5).run())
    assert not at.exception
    assert pictures(at)[0]["cells"][1]["note"] != before
    marks = [shape["x0"] for chart in charts(at) for shape in chart["layout"].get("shapes", [])]
    assert marks == [0.5]  # where the reader stands on the curves of retention


def test_stop_ends_all_that_is_left_and_continue_takes_it_up(opened: AppTest, monkeypatch: pytest.MonkeyPatch):
    go, real = Event(), paths.on_path

    def when_told(*arguments: Any) -> Iterator[Any]:
        go.wait(PATIENCE)
        yield from real(*arguments)

    monkeypatch.setattr(paths, "on_path", when_told)
    at = opened.switch_page("xrayinterp/ui/pages/pathways.py").run()
    assert "Under way: path by Taylor scores; 3 more to do" in said(at)
    first = at.session_state["running"]
    at = at.button(key="stop-work").click().run()
    go.set()
    assert not at.exception
    assert first.state == "stopped"
    assert "Stopped before it was done: path by Taylor scores; comparison of finders" in said(at)
    assert "Under way" not in said(at)
    at = finish(at.button(key="continue-work").click().run())
    assert not at.exception
    assert "What the path keeps" in said(at)
    assert "Stopped before" not in said(at)
