"""The page in headless Chromium: silent, offline, sorted, switched, printed, dark and on a phone."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.report.made_up import CARD, MANY, report
from tests.report.made_up_evaluation import evaluated

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with models of every kind, every view, groups, sites and a card."""
    out = tmp_path_factory.mktemp("browser") / "report"
    return report(out, models=MANY, evaluation=evaluated(models=MANY), cards={"mgp_tcn": CARD}).as_uri()


@pytest.fixture(scope="module")
def artefacts():
    """Where screenshots stay for those who look at a run afterwards."""
    folder = Path(os.environ.get("SEPSIS_ARTEFACTS", Path(__file__).parents[1] / "artefacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def opened(browser, address):
    """`opened(width, scheme)` -> the page and what it said and asked for."""
    pages = []

    def open_page(width=1200, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        heard = {"console": [], "errors": [], "requests": []}
        page.on("console", lambda m: heard["console"].append(m.text))
        page.on("pageerror", lambda e: heard["errors"].append(str(e)))
        page.on("request", lambda r: heard["requests"].append(r.url))
        page.goto(address)
        page.locator("#auroc-plot").scroll_into_view_if_needed()
        page.wait_for_selector("#auroc-plot .scatterlayer .trace")
        page.evaluate("scrollTo(0, 0)")
        return page, heard

    yield open_page
    for page in pages:
        page.close()


def drawn(page, plot="#auprc-plot"):
    return page.locator(f"{plot} .scatterlayer .trace").count()


def read_to_the_end(page):
    """Scroll through the page, so that every figure is drawn."""
    height = page.evaluate("document.documentElement.scrollHeight")
    for y in range(0, height, 600):
        page.evaluate(f"scrollTo(0, {y})")
        page.wait_for_timeout(30)
    for figure in page.locator(".plot").all():
        figure.locator(".scatterlayer .trace").first.wait_for(state="attached")
    page.evaluate("scrollTo(0, 0)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_says_nothing_and_asks_for_nothing_from_top_to_end(opened, address, artefacts, scheme):
    page, heard = opened(scheme=scheme)
    read_to_the_end(page)
    assert heard == {"console": [], "errors": [], "requests": [address]}
    assert page.locator(".plot").count() == 15
    assert drawn(page, "#auprc-plot") == drawn(page, "#auroc-plot") == 9  # lines, bands, and that of chance
    page.screenshot(path=artefacts / f"report_{scheme}.png", full_page=True)


def test_figures_far_below_wait_until_they_are_near(opened):
    page, _ = opened()
    assert drawn(page, "#forest-plot") == 0
    page.locator("#forest-plot").scroll_into_view_if_needed()
    page.wait_for_selector("#forest-plot .scatterlayer .trace", state="attached")


def test_the_page_forbids_itself_to_ask(opened):
    page, heard = opened()
    asked = "fetch('https://example.org/').then(() => 'answered', () => 'refused')"
    assert page.evaluate(asked) == "refused"
    assert any("Content Security Policy" in said for said in heard["console"])


@pytest.mark.parametrize("width", [390, 768, 1200])
def test_no_width_scrolls_sideways(opened, artefacts, width):
    page, _ = opened(width=width)
    read_to_the_end(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 390:
        page.screenshot(path=artefacts / "report_phone.png", full_page=True)


def test_the_figures_follow_the_scheme_of_the_reader(opened):
    page, _ = opened(scheme="light")
    tick = "getComputedStyle(document.querySelector('#auprc-plot .xtick text')).fill"
    light = page.evaluate(tick), page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    for _ in range(100):  # no wait_for_function: the page forbids eval
        if page.evaluate(tick) != light[0]:
            break
        page.wait_for_timeout(20)
    dark = page.evaluate(tick), page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light == ("rgb(89, 98, 108)", "rgb(253, 253, 251)")
    assert dark == ("rgb(164, 173, 182)", "rgb(20, 23, 26)")


def test_print_is_light_whole_and_no_wider_than_the_paper(opened, artefacts):
    page, _ = opened(width=673, scheme="dark")  # A4 less its margins
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(253, 253, 251)"
    assert all(drawn(page, f"#{plot.get_attribute('id')}") for plot in page.locator(".plot").all())
    assert page.locator("details:not([open]):not(.folded)").count() == 0
    wide = "[...document.querySelectorAll('table, .plot svg')].map(e => e.getBoundingClientRect().right)"
    assert max(page.evaluate(wide)) <= 673 + 1
    page.screenshot(path=artefacts / "report_print.png", full_page=True)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert page.locator("details[open]").count() == 0


def test_a_model_can_be_hidden_and_shown_in_every_figure(opened):
    page, heard = opened()
    read_to_the_end(page)
    button = page.get_by_role("button", name="DTW k-NN", exact=True)
    before = {name: drawn(page, name) for name in ("#auprc-plot", "#lead_time-plot", "#forest-plot")}
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    after = {name: drawn(page, name) for name in before}
    assert {name: before[name] - after[name] for name in before} == {
        "#auprc-plot": 2, "#lead_time-plot": 2, "#forest-plot": 1,
    }  # fmt: skip
    button.press("Enter")
    assert {name: drawn(page, name) for name in before} == before
    assert heard["errors"] == []


def test_a_comparator_waits_behind_its_switch_and_comes_by_key(opened):
    page, _ = opened()
    sofa = page.get_by_role("button", name="SOFA (circular)")
    assert sofa.get_attribute("aria-pressed") == "false"
    sofa.focus()
    page.keyboard.press("Space")
    assert sofa.get_attribute("aria-pressed") == "true"
    assert drawn(page) == 11


def test_a_heading_sorts_its_table_up_down_and_back(opened):
    page, _ = opened()
    table = page.locator("#auprc-by-hours-table")
    names = "t => [...t.tBodies[0].rows].map(r => r.cells[0].dataset.key)"
    values = "t => [...t.tBodies[0].rows].map(r => Number(r.cells[1].dataset.key))"
    heading = table.locator("thead th").nth(1)
    button = heading.get_by_role("button")
    first = table.evaluate(names)
    assert heading.get_attribute("aria-sort") == "none"
    button.click()
    up = table.evaluate(values)
    assert up == sorted(up)
    assert heading.get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    down = table.evaluate(values)
    assert down == sorted(up, reverse=True)
    assert len(set(down)) > 3
    assert heading.get_attribute("aria-sort") == "descending"
    button.press("Enter")
    assert table.evaluate(names) == first
    by_name = table.locator("thead th").first
    by_name.get_by_role("button").click()
    assert table.evaluate(names) == sorted(first, key=str.lower)
    assert heading.get_attribute("aria-sort") == "none"


def test_a_gap_stays_last_whichever_way_a_table_is_sorted(opened):
    page, _ = opened()
    table = page.locator("#group-auroc-table")
    groups = "t => [...t.tBodies[0].rows].map(r => r.cells[0].textContent.trim())"
    button = table.locator("thead th").nth(3).get_by_role("button")
    for _ in ("up", "down"):
        button.click()
        assert table.evaluate(groups)[-1] == "age: 80 or more"


def test_a_point_says_its_numbers_when_touched(opened):
    page, _ = opened()
    point = page.locator("#auprc-plot .scatterlayer .trace .points path").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    said = page.locator("#auprc-plot .hoverlayer .hovertext")
    said.wait_for()
    text = said.text_content()
    assert "DTW k-NN" in text
    assert "h before onset" in text
    assert "118 predictions, 29 of cases" in text


def test_the_numbers_of_a_figure_can_be_saved_from_the_page_alone(opened):
    page, _ = opened()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Numbers of AUROC by hours before onset (CSV)").click()
    saved = pd.read_csv(waiting.value.path())
    assert waiting.value.suggested_filename == "auroc.csv"
    assert list(saved.columns) == [
        "model", "horizon_h", "metric", "estimate", "low", "high", "band_low", "band_high", "n", "n_events",
    ]  # fmt: skip
    assert len(saved) == 3 * (len(MANY) + 1)  # and the band of chance


def test_figures_and_skip_link_are_reached_by_name_and_key(opened):
    page, _ = opened()
    assert page.get_by_role("img", name="Line chart of AUROC").count() == 3
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#horizon"
