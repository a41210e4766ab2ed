"""On a large screen, on paper, and where a system allows no colours but its own."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from ui import curves, errors

pytestmark = pytest.mark.browser

MOUNT_CURVES = "meta => mountCurves(document.querySelector('main'), { meta })"
MOUNT_ERRORS = "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })"


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (2560, 1440), (3840, 2160)])
def test_the_pictures_take_what_a_large_screen_has(still, width, height):
    page = still().page
    page.set_viewport_size({"width": width, "height": height})
    frame = page.locator(".parallax").bounding_box()
    assert frame["width"] > 0.96 * width
    assert frame["y"] + frame["height"] <= height
    page.set_viewport_size({"width": 1280, "height": 720})


def test_no_agreement_sticks_out_of_the_frame(still):
    page = still().page
    # As a wide font would have it.
    right = """one => {
      one.style.letterSpacing = "12px";
      const text = document.createRange();
      text.selectNodeContents(one);
      const { right } = text.getBoundingClientRect();
      one.style.letterSpacing = "";
      return right;
    }"""
    frame = page.locator(".px-body").bounding_box()
    assert page.locator(".px-agreement").evaluate(right) <= frame["x"] + frame["width"] + 0.5


def test_a_dark_page_is_printed_black_on_white_without_what_takes_a_hand(still):
    tab = still()
    axis = tab.page.locator(".px-axis")
    before = axis.bounding_box()["width"]
    tab.page.emulate_media(color_scheme="dark", media="print")
    for part in (tab.page.locator(".stApp"), tab.page.locator(".parallax")):
        expect(part).to_have_css("background-color", "rgb(255, 255, 255)")
        expect(part).to_have_css("color", "rgb(20, 24, 29)")
    for name in ("Upload", "Runs", "Play through the layers", "Swap", "More channels", "coffee"):
        expect(tab.button(name)).to_be_hidden()
    for part in (tab.evidence("SGD"), tab.seen, tab.page.get_by_text("chelsea", exact=True), tab.button("signed")):
        expect(part).to_be_visible()
    assert axis.bounding_box()["width"] > before
    tab.page.emulate_media(color_scheme="light", media="screen")
    expect(tab.page.locator(".parallax")).to_have_attribute("data-theme", "light")


def test_charts_are_printed_whole_and_large_enough(chart):
    page = chart("curves.js", MOUNT_CURVES, curves.meta("cifar10"))
    page.set_viewport_size({"width": 1280, "height": 720})
    page.wait_for_function("document.querySelector('.pc-plot').viewBox.baseVal.width > 400")
    # A page that is printed is not drawn anew; a copy is not either.
    page.evaluate("document.querySelector('main').replaceChildren(document.querySelector('.pc').cloneNode(true))")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})
    sizes = page.locator(".pc-tick").evaluate_all("all => all.map(one => 13 * one.getScreenCTM().a)")
    assert min(sizes) > 8
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    meta, _ = errors.contents("food101", errors.STUDIES / "food101_errors")
    page = chart("errors.js", MOUNT_ERRORS, meta)
    # As wide as a sheet that lies.
    page.set_viewport_size({"width": 1047, "height": 718})
    assert page.locator(".pe-gallery").bounding_box()["width"] > 1000
    for part in (".pe-classes", ".pe-gallery"):
        assert page.locator(part).evaluate("one => one.scrollHeight <= one.clientHeight"), part
    # What names the pictures does not stay alone at the foot of a sheet, which may end above a padding.
    expect(page.get_by_role("group", name="Pictures")).to_have_css("break-after", "avoid")
    expect(page.locator(".pe-gallery")).to_have_css("padding-top", "0px")


def test_confusion_is_printed_in_the_colours_of_a_light_page(chart):
    page = chart("errors.js", MOUNT_ERRORS, errors.contents("cifar10", errors.STUDIES / "cifar10_errors")[0])
    middle = page.locator(".pe-grid").last.locator("tbody td").first
    light = colour(middle)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".pe")).to_have_attribute("data-theme", "dark")
    assert colour(middle) != light
    page.evaluate(
        "addEventListener('beforeprint', () => { document.title = document.querySelector('.pe').dataset.theme })"
    )
    page.pdf()
    assert page.title() == "light"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert colour(middle) == light
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert colour(middle) != light


def test_colours_that_say_something_are_left_by_a_system_with_its_own(still, chart):
    tab = still()
    tab.page.emulate_media(forced_colors="active")
    sliders, bars = tab.page.locator(".px-blend-range"), tab.page.locator(".px-run .px-bar i")
    assert shades(sliders) > 1
    assert len({colour(bars.nth(run)) for run in (0, 1)}) == 2
    tab.page.emulate_media(forced_colors="none")
    page = chart("errors.js", MOUNT_ERRORS, errors.contents("cifar10", errors.STUDIES / "cifar10_errors")[0])
    page.emulate_media(forced_colors="active")
    assert len({colour(cell) for cell in page.locator(".pe-grid").last.locator("tbody td").all()[:20]}) > 3


def shades(node):
    """How many colours a node shows."""
    return len(np.unique(np.asarray(Image.open(io.BytesIO(node.screenshot())).convert("RGB")).reshape(-1, 3), axis=0))


def colour(node):
    """What is behind a node's text, as it is shown."""
    return node.evaluate("one => getComputedStyle(one).background")
