"""The app in Chromium: real files dropped on it, nothing leaves this machine, keyboard and screen reader can use it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from helpers.atlases import counted_atlas, parquet
from helpers.dx_factory import Encoding, dx, to_bytes
from helpers.fake_explanation import fake_radiograph
from helpers.gate_pictures import chest_png, photograph_png
from helpers.http_server import serve
from helpers.page_server import serving
from pydicom.data import get_testdata_file
from pypdf import PdfReader

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = pytest.mark.browser

BASELINE = Path(__file__).with_name("axe_baseline.json")
LOCAL = {"localhost", "127.0.0.1", ""}
PATIENCE_MS = 120_000
WEIGHTS = "nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
FOCUSED = """() => {
  let e = document.activeElement;
  while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
  if (!e) return '';
  return [e.getAttribute('name'), e.className.baseVal ?? e.className, e.getAttribute('aria-label'),
    e.textContent.slice(0, 60)].join(' ');
}"""
"""What has the focus, in words, also inside the viewer."""


def chromium_path() -> str | None:
    """A Chromium of this machine, else the one that Playwright installed (None)."""
    named = os.environ.get("XRAYINTERP_CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def slow_publisher() -> Iterator[str]:
    """An address of weights that take half a minute to arrive."""
    with serve({WEIGHTS: bytes(20_000_000)}) as publisher:
        publisher.pause = 0.1
        yield publisher.url


@pytest.fixture(scope="module")
def server(page_home: Path, slow_publisher: str) -> Iterator[str]:
    """The app on a free port, with small models."""
    with serving(
        XRAYINTERP_BUILTIN=str(page_home / "builtin"),
        XRAYINTERP_CACHE=str(page_home / "cache"),
        XRAYINTERP_WEIGHTS_URL=slow_publisher,
    ) as address:
        yield address


@pytest.fixture(scope="module")
def whole_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app as it is installed: the built-in models, gate and detector."""
    with serving(XRAYINTERP_CACHE=str(tmp_path_factory.mktemp("cache"))) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no Chromium here: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, server: str) -> Iterator[Any]:
    """A fresh session; whatever it asks of another machine, and any error it meets, fails the test."""
    with visiting(chromium, server) as page:
        yield page


@pytest.fixture
def whole_page(chromium: Any, whole_server: str) -> Iterator[Any]:
    """The same of the app as it is installed."""
    with visiting(chromium, whole_server) as page:
        yield page


@contextmanager
def visiting(chromium: Any, address: str) -> Iterator[Any]:
    """A fresh session at an address, watched."""
    context = chromium.new_context(viewport={"width": 1680, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    hosts: set[str] = set()
    errors: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
    page.on("websocket", lambda socket_: hosts.add(urlsplit(socket_.url).hostname or ""))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.get_by_role("heading", name="Open a chest radiograph").wait_for()
    settled(page)
    yield page
    context.close()
    assert hosts <= LOCAL, f"asked {hosts - LOCAL}"
    assert errors == []


def settled(page: Any) -> None:
    """Until the server has nothing more to say about the last action."""
    page.wait_for_timeout(400)
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def go(page: Any, name: str) -> None:
    """To another page, until nothing of the one before is left to be clicked."""
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_url(re.compile(r"\d/(read)?$" if name == "Read" else f"/{name.lower()}$"))
    settled(page)


def unfold(part: Any, words: str) -> None:
    """Open a panel and let it come to rest: a press on what still moves goes down on one thing and up on another."""
    summary = part.get_by_text(words)
    summary.click()
    summary.page.wait_for_timeout(800)


def drop(page: Any, name: str, data: bytes) -> None:
    page.locator('input[type="file"]').first.set_input_files({"name": name, "mimeType": "", "buffer": data})


def opened(page: Any) -> Any:
    """The viewer, once a film is on screen and explained to the last panel."""
    page.locator(".st-key-semantics").wait_for()
    page.locator(".st-key-export-json").wait_for()
    page.locator("canvas.film[aria-label]").wait_for()
    settled(page)
    return page.locator("canvas.film")


def picture(canvas: Any) -> list[int]:
    """Mean grey at nine places of the canvas."""
    return canvas.evaluate(
        """c => { const x = c.getContext('2d'); const out = [];
        for (const v of [.25, .5, .75]) for (const u of [.35, .5, .65]) {
          const d = x.getImageData(c.width * u - 4, c.height * v - 4, 8, 8).data;
          let s = 0; for (let i = 0; i < d.length; i += 4) s += d[i]; out.push(Math.round(s / 64)); }
        return out; }"""
    )


@pytest.fixture
def synthetic() -> bytes:
    """A MONOCHROME1 DICOM of a synthetic film."""
    return to_bytes(dx(fake_radiograph().display.astype("uint16") * 16, Encoding("MONOCHROME1"), ViewPosition="PA"))


@pytest.mark.data
def test_a_real_radiograph_is_shown_and_explained(page: Any, data_root: Path):
    film = next((data_root / "hannover").glob("*/*.*"), None) or next((data_root / "nih").glob("*/*.*"))
    drop(page, film.name, film.read_bytes())
    canvas = opened(page)
    assert max(picture(canvas)) > 40
    assert "logit is made of" in page.locator(".st-key-semantics").inner_text().lower()


def test_a_monochrome1_dicom_is_shown_the_right_way_round(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    canvas = opened(page)
    upper_left, _, _, _, middle, *_ = picture(canvas)
    assert middle > upper_left  # the spine is brighter than the lung
    assert page.locator('.st-key-toolbar [value*="PA, from header"], .st-key-toolbar :text("PA, from header")').count()


def test_a_ct_slice_and_a_text_file_are_refused_in_words(page: Any):
    drop(page, "slice.dcm", Path(get_testdata_file("CT_small.dcm")).read_bytes())
    page.get_by_role("alert").get_by_text("not-a-radiograph").wait_for()
    assert "CT" in page.get_by_role("alert").first.inner_text()
    settled(page)
    drop(page, "notes.txt", b"not a picture")
    page.get_by_role("alert").get_by_text("not-an-image").wait_for()
    assert "notes.txt" in page.get_by_role("alert").first.inner_text()
    assert page.locator("canvas.film").count() == 0


def test_the_map_is_off_until_asked_and_one_click_hides_it(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    canvas = opened(page)
    before = picture(canvas)
    button = page.locator('button[name="map"]')
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert picture(canvas) != before
    button.click()
    assert picture(canvas) == before


def test_lungs_and_heart_are_outlined_on_demand(page: Any):
    page.get_by_role("button", name="enlarged heart, AP").click()
    canvas = opened(page)
    assert "Cardiothoracic ratio" in page.locator(".st-key-anatomy").inner_text()
    button = page.locator('button[name="anatomy"]')
    assert button.get_attribute("aria-pressed") == "false"
    before = canvas.evaluate("c => c.toDataURL()")
    button.click()
    assert canvas.evaluate("c => c.toDataURL()") != before
    canvas.press("a")
    assert button.get_attribute("aria-pressed") == "false"
    assert canvas.evaluate("c => c.toDataURL()") == before


def test_window_zoom_and_invert_ask_nothing_of_the_server_and_survive_another_finding(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    canvas = opened(page)
    before = picture(canvas)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator('input[name="white"]').fill("140")
    assert sum(picture(canvas)) > sum(before)
    page.locator('button[name="invert"]').click()
    canvas.hover()
    page.mouse.wheel(0, -400)
    page.locator('button[name="frame"]').click()
    assert sent == []
    assert page.locator(".st-key-semantics").count() == 1
    page.get_by_role("combobox", name="Finding to explain").click()
    page.get_by_role("option", name="Explain: Mass").click()
    page.get_by_role("heading", name="What the Mass logit is made of").wait_for()
    settled(page)
    assert page.locator('input[name="white"]').input_value() == "140"
    assert page.locator('button[name="invert"]').get_attribute("aria-pressed") == "true"


def test_a_click_on_a_line_explains_that_finding(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    box = page.locator(".st-key-findings .js-plotly-plot").first.bounding_box()
    heading = page.locator(".st-key-semantics h2").inner_text()
    page.mouse.click(box["x"] + 40, box["y"] + 48)
    playwright.expect(page.locator(".st-key-semantics h2")).not_to_have_text(heading)


def test_an_earlier_layer_is_measured_and_a_pick_outlines_its_units(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    panel = page.locator(".st-key-semantics")
    panel.get_by_text("Block 3").click()
    panel.get_by_text("is not explained").wait_for()
    settled(page)
    box = panel.locator(".js-plotly-plot").first.bounding_box()
    page.mouse.click(box["x"] + 40, box["y"] + 20)
    page.locator('canvas.film[aria-label*="-like units fire"]').wait_for()
    panel.get_by_text("Last layer (exact)").click()
    panel.get_by_text("parts sum to it").wait_for()


def test_every_control_is_reached_by_keyboard(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    canvas = opened(page)
    seen: list[str] = []
    for _ in range(120):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
    everything = "\n".join(seen)
    for wanted in ("film", "black", "white", "preset", "invert", "map", "Finding to explain", "Outline on the film"):
        assert wanted in everything, f"{wanted} is not reached"
    for wanted in ("Models", "Open films", "Grad-CAM", "Export PDF", "JSON"):
        assert wanted in everything, f"{wanted} is not reached"
    canvas.focus()
    page.keyboard.press("m")
    assert page.locator('button[name="map"]').get_attribute("aria-pressed") == "true"
    page.keyboard.press("i")
    assert page.locator('button[name="invert"]').get_attribute("aria-pressed") == "true"


def test_pictures_and_charts_have_words(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    canvas = opened(page)
    assert canvas.get_attribute("aria-label").startswith("Chest radiograph, PA view")
    page.locator(".st-key-findings .js-plotly-plot").first.wait_for()
    words = page.locator(".stPlotlyChart").evaluate_all("all => all.map(e => e.outerHTML)")
    assert words
    assert all("Bar chart of" in html for html in words)


def test_a_fetch_can_be_cancelled_and_keeps_what_arrived(page: Any, page_home: Path):
    page.get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Fetch nih").click()
    page.get_by_text("of 20.0").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel").wait_for(state="detached")
    settled(page)
    assert page.get_by_text("Traceback").count() == 0
    part = page_home / "cache" / "weights" / f"{WEIGHTS}.part"
    size = part.stat().st_size
    assert 0 < size < 20_000_000
    page.wait_for_timeout(500)
    assert part.stat().st_size == size
    shutil.rmtree(part.parent)


def test_exports_arrive_with_the_strip_that_is_on_the_page(page: Any, synthetic: bytes):
    drop(page, "secret-name.dcm", synthetic)
    opened(page)
    page.locator('ul.xi-lamps[aria-busy="false"]').wait_for()
    with page.expect_download() as pdf:
        page.get_by_role("button", name="Export PDF").click()
    pages = PdfReader(pdf.value.path()).pages
    printed = " ".join(" ".join(one.extract_text().split()) for one in pages)
    assert "How far the map can be trusted" in printed
    assert "Not measured for this map" not in printed
    with page.expect_download() as document:
        page.get_by_role("button", name="JSON", exact=True).click()
    text = Path(document.value.path()).read_text(encoding="utf-8")
    assert json.loads(text)["schema_version"] == "1.0"
    assert "secret-name" not in text + pdf.value.suggested_filename + document.value.suggested_filename


def test_the_strip_keeps_its_place_while_it_is_measured(page: Any, synthetic: bytes):
    page.evaluate(
        """() => { window.heights = [];
        setInterval(() => {
          const strip = document.querySelector('.st-key-trust');
          const controls = /Stop measuring|Measured on this film: about/;
          if (strip && strip.querySelector('ul.xi-lamps') && controls.test(strip.innerText))
            window.heights.push(strip.getBoundingClientRect().height);
        }, 50); }"""
    )
    drop(page, "film.dcm", synthetic)
    page.get_by_text("Measured on this film: about").wait_for()
    page.wait_for_timeout(500)
    heights = page.evaluate("window.heights")
    assert max(heights) - min(heights) <= 40  # two lines: without room kept, 150 px and the hand misses


def research_page(page: Any, name: str) -> None:
    """Go to a page about the film, and wait for its first pictures."""
    page.get_by_role("link", name=name.capitalize()).click()
    page.get_by_role("heading", name=name.capitalize(), exact=True).wait_for()
    page.locator("figure canvas.film").nth(1).wait_for()
    page.get_by_text("Under way").wait_for(state="detached")
    settled(page)


def test_the_strip_lights_up_and_a_click_need_not_wait_for_it(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    page.locator("ul.xi-lamps").wait_for()
    page.get_by_role("combobox", name="Finding to explain").click()
    page.get_by_role("option", name="Explain: Mass").click()
    page.get_by_role("heading", name="What the Mass logit is made of").wait_for()
    page.locator('ul.xi-lamps[aria-busy="false"]').wait_for()
    lamps = page.locator("ul.xi-lamps > li").all_inner_texts()
    assert len(lamps) == 5
    words = ("Good", "Doubtful", "Poor", "Not measurable", "By construction")
    assert all(any(word in lamp for word in words) for lamp in lamps)
    assert page.get_by_text("These lamps judge the map, not the finding.").is_visible()
    page.get_by_role("button", name="What the lamps mean").click()
    page.get_by_text("Does the map change when what the model learned is destroyed?").wait_for()


def test_maps_beside_each_other_zoom_together(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    research_page(page, "compare")
    films = page.locator("figure canvas.film")
    page.mouse.move(0, 0)
    before = [picture(films.nth(n)) for n in (0, 1)]
    page.locator(".cells").focus()
    for _ in range(4):
        page.keyboard.press("+")
    zoomed = [picture(films.nth(n)) for n in (0, 1)]
    assert all(now != then for now, then in zip(zoomed, before, strict=True))
    page.keyboard.press("0")
    assert [picture(films.nth(n)) for n in (0, 1)] == before
    assert all(films.nth(n).get_attribute("aria-label") for n in range(films.count()))


def test_a_wheel_scrolls_past_maps_that_nobody_clicked(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    research_page(page, "compare")
    film = page.locator("figure canvas.film").first
    film.hover()
    before = picture(film)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(300)
    assert picture(film) == before
    film.click()
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(300)
    assert picture(film) != before


def test_a_pathway_is_found_and_told(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    research_page(page, "pathways")
    for heading in ("What the path keeps", "Concepts on the path", "Do finders find the same path?",
                    "Response kept, by share removed", "Is the path linear around this film?"):  # fmt: skip
        page.get_by_role("heading", name=heading).wait_for()
    settled(page)
    charts = page.locator(".stPlotlyChart").evaluate_all("all => all.map(e => e.outerHTML)")
    assert len(charts) == 4
    assert all("chart of" in html or "Matrix of" in html for html in charts)


def view_of(page: Any, name: str) -> None:
    """Another view of the page Compare, with its pictures."""
    choice = page.get_by_role("radio", name=name)
    choice.click()
    playwright.expect(choice).to_be_checked()
    page.locator("figure canvas.film").nth(1).wait_for()
    settled(page)


def test_two_findings_stand_beside_their_difference(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    research_page(page, "compare")
    view_of(page, "Two findings")
    page.get_by_text("difference, cell by cell").wait_for()
    captions = page.locator("figure figcaption").all_inner_texts()
    assert len(captions) == 3
    assert "more for the first" in captions[2]
    assert page.get_by_text("rank correlation").count() or page.get_by_text("Not measurable").count()


def test_a_slider_goes_through_randomised_depth(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    research_page(page, "compare")
    page.get_by_role("radio", name="Randomised network").click()
    page.get_by_role("heading", name="Likeness to the trained network's map").wait_for()
    settled(page)
    before = picture(page.locator("figure canvas.film").nth(1))
    slider = page.get_by_role("slider", name="Blocks of weights permuted")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    page.get_by_text("4 blocks permuted").wait_for()
    settled(page)
    assert picture(page.locator("figure canvas.film").nth(1)) != before
    assert page.get_by_text("over 10 depths").count() or page.get_by_text("Not measurable").count()


def test_two_films_differ_by_concepts_with_their_reservations(page: Any, synthetic: bytes):
    earlier = to_bytes(dx(fake_radiograph(height=500).display.astype("uint16") * 16, ViewPosition="AP"))
    films = [("later.dcm", synthetic), ("earlier.dcm", earlier)]
    page.locator('input[type="file"]').first.set_input_files(
        [{"name": name, "mimeType": "", "buffer": data} for name, data in films]
    )
    opened(page)
    research_page(page, "compare")
    view_of(page, "Two films")
    page.get_by_role("heading", name="Change of each logit").wait_for()
    page.get_by_text("The views differ").wait_for()
    assert page.locator("figure canvas.film").count() == 2
    assert page.get_by_text("parts sum to it within").count() == 1


def test_a_slow_map_comes_while_the_film_is_read(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    canvas = opened(page)
    unfold(page, "Research maps")
    page.get_by_text("RISE", exact=True).click()
    page.locator('input[name="white"]').fill("140")  # the film's window, whatever is under way
    page.get_by_text("RISE was not measured on this film").wait_for()  # its strip is asked for, since it takes long
    settled(page)
    assert page.locator('input[name="white"]').input_value() == "140"
    before = picture(canvas)
    page.locator('button[name="map"]').click()
    page.get_by_text(re.compile(r"RISE · \d+ × \d+ cells")).wait_for()
    assert picture(canvas) != before


def concepts_page(page: Any) -> None:
    """Go to the page Concepts, which needs no film."""
    go(page, "Concepts")
    page.get_by_role("heading", name="Concepts", exact=True).wait_for()
    page.locator(".st-key-atlas-counts .js-plotly-plot").wait_for()
    settled(page)


def unit_list(page: Any) -> Any:
    """The list of units, drawn."""
    page.get_by_role("radio", name="Units").click()
    page.locator(".st-key-unit-card").wait_for()
    table = page.locator('[data-testid="stDataFrame"]')
    table.locator("canvas").first.wait_for()
    settled(page)
    return table


def test_concepts_lead_from_the_inventory_to_a_unit(page: Any):
    concepts_page(page)
    box = page.locator(".st-key-atlas-fits .js-plotly-plot").bounding_box()
    page.mouse.click(box["x"] + 60, box["y"] + 16)
    page.locator(".st-key-unit-card").get_by_text("It fires where").wait_for()
    page.get_by_role("combobox", name="Concept", exact=True).wait_for()
    words = page.locator(".st-key-concepts .stPlotlyChart").evaluate_all("all => all.map(e => e.outerHTML)")
    assert words
    assert all("chart of" in html for html in words)


def test_a_unit_is_opened_from_the_list(page: Any):
    concepts_page(page)
    table = unit_list(page)
    before = page.locator(".st-key-unit-card h2").inner_text()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 260, box["y"] + 35 + 35 * 3 + 16)
    playwright.expect(page.locator(".st-key-unit-card h2")).not_to_have_text(before)
    page.get_by_role("combobox", name="Used for").wait_for(state="detached")  # nothing was measured of this model
    with page.expect_download() as taken:
        page.get_by_role("button", name="List as CSV").click()
    assert (
        len(Path(taken.value.path()).read_text(encoding="utf-8").splitlines()) == 1 + 24
    )  # a head, and twelve units at each of two layers


def test_an_atlas_file_is_looked_through_shown_and_closed(page: Any, tmp_path: Path):
    concepts_page(page)
    opener = page.get_by_role("button", name="Open an atlas file")
    opener.click()
    drop(page, "notes.parquet", b"no atlas")
    page.get_by_role("alert").get_by_text("bad-manifest").wait_for()
    settled(page)
    if not page.locator('input[type="file"]').count():
        opener.click()
    drop(page, "theirs.parquet", parquet(counted_atlas(model="theirs"), tmp_path))
    page.get_by_text("Of a model not here: theirs").wait_for()
    page.get_by_text("6 of the 8 units of the last layer").wait_for()
    settled(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Close the file").click()
    page.get_by_text("Of a model not here").wait_for(state="detached")


def test_a_unit_of_a_film_leads_to_its_card_and_back(page: Any, synthetic: bytes):
    drop(page, "film.dcm", synthetic)
    opened(page)
    unfold(page.locator(".st-key-semantics"), "Strongest units")
    link = page.locator('.st-key-semantics [data-testid="stPageLink"] a').first
    number = re.search(r"Unit (\d+)", link.inner_text())
    link.click()
    page.locator(".st-key-unit-card h2").get_by_text(f"Unit {number.group(1)} ").wait_for()
    settled(page)
    go(page, "Read")
    opened(page)  # the film is still there


def test_a_photograph_is_stopped_until_the_reader_asks(whole_page: Any):
    page = whole_page
    drop(page, "photo.png", photograph_png())
    page.get_by_role("heading", name="This does not look like a frontal chest radiograph").wait_for()
    page.locator("canvas.film[aria-label]").wait_for()  # the picture itself is there to be looked at
    settled(page)
    assert page.locator(".st-key-findings").count() == 0
    assert page.locator(".st-key-ask-view").count() == 0
    assert violations(page) == {}
    go(page, "Compare")
    page.get_by_role("button", name="Show anyway").wait_for()
    go(page, "Read")
    page.get_by_role("button", name="Show anyway").click()
    opened(page)
    assert "no score on it means anything" in page.locator(".st-key-shown-anyway").inner_text()
    page.get_by_role("button", name="Open films").click()
    unfold(page, "Files of this session: 1 warned")
    page.get_by_role("cell", name=re.compile("looks-unlike-chest")).wait_for()
    settled(page)
    page.keyboard.press("Escape")
    drop_further(page, "another.png", photograph_png(300))
    page.get_by_role("button", name="Show anyway").wait_for()  # each film is asked for by itself


def test_a_chest_film_passes_and_has_its_percentile_and_map(whole_page: Any):
    page = whole_page
    drop(page, "film.png", chest_png())
    canvas = opened(page)
    assert page.locator(".st-key-gate").count() == 0
    line = page.locator(".st-key-unusualness").inner_text()
    assert re.search(r"percentile of the No Finding reference\. Not a sign of health\.", line)
    before = picture(canvas)
    page.locator(".st-key-methods").get_by_text("Unusualness").click()
    page.locator('[data-text="map"]').get_by_text("Unusualness · Difference").wait_for()
    assert picture(canvas) != before  # shown without a second click
    page.get_by_role("button", name="Measure whether this map").click()
    page.get_by_text("Follows the weights").wait_for()
    settled(page)


def test_the_page_anomaly_shows_where_how_much_and_against_what(whole_page: Any):
    page = whole_page
    drop(page, "film.png", chest_png())
    opened(page)
    go(page, "Anomaly")
    page.locator(".st-key-card-normal").wait_for()
    page.locator('[data-text="map"]').get_by_text("Unusualness · Difference").wait_for()
    settled(page)
    assert "Not a sign of health." in page.locator(".st-key-card-unusual").inner_text()
    assert "frontal films without findings" in page.locator(".st-key-card-normal").inner_text()
    area = page.get_by_text(re.compile("Outlined, after an opening|Nothing on this film reaches")).inner_text()
    slider = page.get_by_role("slider", name="Outline from")
    slider.focus()
    for _ in range(6):
        slider.press("ArrowLeft")
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=area)
    page.get_by_role("radio", name="Gradient").click()
    page.locator('[data-text="map"]').get_by_text("Unusualness · Gradient").wait_for()
    page.get_by_text("Much of this map is the same for every film").wait_for()
    settled(page)
    assert "disease" not in page.locator('[data-testid="stMain"]').inner_text().lower()
    assert violations(page) == {}


def drop_further(page: Any, name: str, data: bytes) -> None:
    """One more film, by the toolbar."""
    page.get_by_role("button", name="Open films").click()
    page.locator('input[type="file"]').first.wait_for(state="attached")
    drop(page, name, data)


@pytest.mark.parametrize(
    "state", ["empty", "film", "models", "compare", "findings", "depth", "pathways", "concepts", "units", "beside"]
)
def test_no_new_accessibility_violations(page: Any, synthetic: bytes, state: str):
    if state == "film":
        drop(page, "film.dcm", synthetic)
        opened(page)
    if state in ("compare", "findings", "depth", "pathways"):
        drop(page, "film.dcm", synthetic)
        opened(page)
        research_page(page, "pathways" if state == "pathways" else "compare")
    if state in ("findings", "depth"):
        view_of(page, "Two findings" if state == "findings" else "Randomised network")
    if state == "models":
        page.get_by_role("link", name="Models").click()
        page.get_by_role("heading", name="Models", exact=True).wait_for()
        settled(page)
    if state in ("concepts", "units", "beside"):
        concepts_page(page)
    if state == "units":
        unit_list(page)
    if state == "beside":
        page.get_by_role("radio", name="Two models").click()
        page.get_by_text("No other atlas is here").wait_for()
        settled(page)
    assert violations(page) == {}


def violations(page: Any) -> dict[str, list[str]]:
    """What axe finds beyond the known, by rule."""
    found = axe.Axe().run(page).response["violations"]
    known = json.loads(BASELINE.read_text(encoding="utf-8"))
    new = {
        violation["id"]: [node["html"] for node in violation["nodes"] if not is_known(violation["id"], node, known)]
        for violation in found
    }
    return {rule: nodes for rule, nodes in new.items() if nodes}


def is_known(rule: str, node: dict[str, Any], known: dict[str, list[str]]) -> bool:
    return any(part in node["html"] for part in known.get(rule, []))
