"""The page in headless Chromium: silent, offline, in both schemes and at phone width."""

import shutil

import pytest

from tests.report.made_up import report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return report(tmp_path_factory.mktemp("browser") / "report").as_uri()


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
        page.wait_for_selector("#auroc-plot .scatterlayer .trace")
        return page, heard

    yield open_page
    for page in pages:
        page.close()


def drawn(page, plot="#auprc-plot"):
    return page.locator(f"{plot} .scatterlayer .trace").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_says_nothing_and_asks_for_nothing(opened, address, scheme):
    page, heard = opened(scheme=scheme)
    assert heard == {"console": [], "errors": [], "requests": [address]}
    assert drawn(page, "#auprc-plot") == drawn(page, "#auroc-plot") == 4


def test_the_page_forbids_itself_to_ask(opened):
    page, heard = opened()
    asked = "fetch('https://example.org/').then(() => 'answered', () => 'refused')"
    assert page.evaluate(asked) == "refused"
    assert any("Content Security Policy" in said for said in heard["console"])


@pytest.mark.parametrize("width", [390, 768, 1200])
def test_no_width_scrolls_sideways(opened, width):
    page, _ = opened(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


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


def test_print_is_light_even_for_a_dark_screen(opened):
    page, _ = opened(scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(253, 253, 251)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"


def test_a_model_can_be_hidden_and_shown_in_both_figures(opened):
    page, heard = opened()
    button = page.get_by_role("button", name="DTW k-NN")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert drawn(page, "#auprc-plot") == drawn(page, "#auroc-plot") == 3
    button.press("Enter")
    assert drawn(page) == 4
    assert heard["errors"] == []


def test_figures_and_skip_link_are_reached_by_name_and_key(opened):
    page, _ = opened()
    assert page.get_by_role("img", name="Line chart of AUROC").count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
