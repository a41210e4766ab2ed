"""Curves, Errors and About in a real browser, and the way between the pages."""

import json
import re

import pytest
from playwright.sync_api import expect

import models
from tests.ui.tab import Tab, shut_out, visit
from training.tables import STUDIES, read

pytestmark = pytest.mark.browser
THEMES = {"light": "rgb(251, 251, 249)", "dark": "rgb(17, 19, 22)"}
"""Each with its paper; a page takes on the other while it is open."""
SIZES = ((1280, 720), (390, 844))
STANDING = {"About": "pre", "Look": ".parallax[data-ready='1']", "Curves": ".pc-table", "Errors": ".pe"}
"""What stands on each page when it is ready."""


def test_one_cursor_moves_through_both_charts(page, server):
    tab = visit(page, f"{server.url}/curves")
    cursor = page.get_by_role("slider", name="Epoch")
    expect(cursor).to_have_value("3")
    rows = read(models.CHECKPOINTS / "cats_vs_dogs" / "adam" / "history.csv")
    expect(page.get_by_role("complementary", name="Recipe")).to_contain_text("Recipe of SGD and Adam")
    told = page.locator("[data-run=adam] [data-key=val_accuracy]")
    sent = len(tab.sent)
    for epoch in (3, 2, 1):
        cursor.press("ArrowLeft") if epoch < 3 else None
        share = f"{100 * float(rows[epoch - 1]['val_accuracy']):.2f} %"
        expect(told).to_have_text(share)
        expect(cursor).to_have_attribute("aria-valuetext", re.compile(rf"^Epoch {epoch}, .*Adam {re.escape(share)}"))
        expect(page.get_by_role("img", name=re.compile("Accuracy over 3 epochs"))).to_contain_text(f"Adam {share}")
    assert len(tab.sent) == sent
    # The last column is the result; on a tablet too it is in sight.
    page.set_viewport_size({"width": 1024, "height": 768})
    expect(page.get_by_role("columnheader", name="test accuracy")).to_be_in_viewport(ratio=1)
    page.reload()
    expect(cursor).to_have_value("1")
    page.get_by_role("button", name="SGD", exact=True).click()
    expect(page.get_by_role("img", name=re.compile("Accuracy"))).not_to_contain_text("SGD")


def test_the_curves_follow_an_address_that_is_pasted_into_their_tab(page, server):
    tab = visit(page, f"{server.url}/curves#epoch=1")
    cursor = page.get_by_role("slider", name="Epoch")
    expect(cursor).to_have_value("1")
    # Streamlit looks for its server below the page's own address first.
    tab.errors.clear()
    page.evaluate("location.hash = 'epoch=2&runs=adam'")
    expect(cursor).to_have_value("2")
    expect(page.get_by_role("button", name="SGD", exact=True)).to_have_attribute("aria-pressed", "false")
    # What is not known is left out, as when the page opens.
    page.evaluate("location.hash = 'epoch=9&runs=nobody'")
    expect(cursor).to_have_value("3")
    expect(page.get_by_role("button", name="SGD", exact=True)).to_have_attribute("aria-pressed", "true")
    assert tab.errors == []


def test_errors_are_those_of_the_files_and_open_on_look(page, server):
    page.goto(f"{server.url}/errors")
    summary = json.loads((models.CHECKPOINTS.parent / "studies/cats_vs_dogs_errors/summary.json").read_text())
    region = page.get_by_role("region", name="Errors")
    expect(region).to_contain_text(f"of {summary['n']} test photographs; {summary['both_wrong']} wrong in both")
    page.get_by_role("button", name=re.compile("^Exactly one wrong")).click()
    cards = region.locator(".pe-gallery > li")
    expect(cards).to_have_count(summary["one_wrong"])
    # Who comes again, or is given the address, finds the same pictures.
    expect(page).to_have_url(re.compile("#pictures=one&order=f1$"))
    page.reload()
    expect(cards).to_have_count(summary["one_wrong"])
    page.evaluate("location.hash = 'pictures=wrong'")
    expect(cards).to_have_count(summary["one_wrong"] + summary["both_wrong"])
    page.evaluate("location.hash = 'pictures=one'")
    expect(cards).to_have_count(summary["one_wrong"])
    # However long the name of a class is, its card is no wider than the others.
    cards.first.locator(".pe-truth").evaluate("one => { one.textContent = 'lobster_roll_sandwich'.repeat(3) }")
    widths = cards.evaluate_all("all => all.map(one => one.firstElementChild.scrollWidth)")
    assert max(widths) - min(widths) <= 1


@pytest.mark.data
def test_a_picture_opens_on_look_at_the_layer_where_the_runs_part(page, server, shared):
    rows = read(STUDIES / "cats_vs_dogs_errors" / "one_wrong.csv")
    # Look opens at the top by itself.
    row = next(row for row in rows if row["layer"] not in ("", "top"))
    page.goto(f"{server.url}/errors")
    page.get_by_role("button", name=re.compile("^Exactly one wrong")).click()
    card = page.get_by_role("listitem").filter(has_text=f"they part at {row['layer']}").first
    card.get_by_role("link").click()
    tab = Tab(page).ready()
    tab.at(row["layer"])
    expect(tab.depth).to_have_attribute("aria-valuetext", re.compile(f"^layer {row['layer']}"))
    expect(tab.seen).to_have_attribute("aria-label", re.compile(rf"^{re.escape(row['name'])} as the network"))


def test_one_gets_from_page_to_page_and_back_and_nobody_is_shut_out(page, server):
    """axe-core finds nothing serious on any page, large or small, in any theme; nothing is wider than the window."""
    tab = visit(page, f"{server.url}/about")
    page.locator(STANDING["About"]).first.wait_for(timeout=90_000)
    # No title stays behind at the foot of a sheet of paper, and no run's is cut by it.
    page.emulate_media(media="print")
    expect(page.locator("h2").first).to_have_css("break-after", "avoid")
    expect(page.get_by_test_id("stExpander").first).to_have_css("break-inside", "avoid")
    page.emulate_media(media="screen")
    # Streamlit looks for its server below the page's own address first.
    tab.errors.clear()
    way = page.get_by_role("link", name="Look", exact=True)
    way.focus()
    expect(way).to_have_css("outline-style", "solid")
    for title, standing in STANDING.items():
        page.get_by_role("link", name=title, exact=True).click()
        page.locator(standing).first.wait_for(timeout=90_000)
        if title in ("Curves", "Errors"):
            expect(page.get_by_role("region", name=title)).to_be_visible()
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            for theme, paper in THEMES.items():
                page.emulate_media(color_scheme=theme)
                expect(page.locator(".stApp")).to_have_css("background-color", paper)
                expect(page.locator(f"[data-theme]:not([data-theme={theme}])")).to_have_count(0)
                # Halfway from one colour to another nothing can be read.
                page.wait_for_function("document.getAnimations().every((one) => !(one instanceof CSSTransition))")
                assert shut_out(page, theme) == [], (title, theme, width)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        # In a room, where a window has twice the pixels, all of a page is twice as large.
        parts = [page.locator(one).first for one in (standing, ".parallax-brand", ".st-key-pages a")]
        heights = []
        for width in (1920, 3840):
            page.set_viewport_size({"width": width, "height": width * 9 // 16})
            heights.append([part.bounding_box()["height"] for part in parts])
        assert heights[1] == pytest.approx([2 * height for height in heights[0]], rel=0.03), title
        page.set_viewport_size({"width": 1280, "height": 720})
    page.get_by_role("link", name="Look", exact=True).click()
    tab.ready()
    assert tab.errors == []


@pytest.mark.parametrize("asked", ["by the address", "in the Runs panel"])
def test_one_task_on_every_page_until_it_is_changed_and_one_step_back_for_each_page(look, asked):
    tab = look("/?task=letters" if asked == "by the address" else "/")
    page, task = tab.page, tab.page.get_by_role("combobox", name="Task")
    if asked == "in the Runs panel":
        tab.button("Runs").click()
        task.click()
        page.get_by_role("option", name="letters").click()
        page.keyboard.press("Escape")
    expect(tab.evidence("untrained")).to_be_visible()
    # The view is written into the address a moment after it stands.
    expect(page).to_have_url(re.compile(r"/\?task=letters#layer="))
    for title in ("Curves", "About", "Errors"):
        page.get_by_role("link", name=title, exact=True).click()
        expect(page).to_have_url(re.compile(rf"/{title.lower()}\?task=letters$"))
        expect(task.or_(page.locator(STANDING["About"])).first).to_be_visible()
        if title != "About":
            expect(task).to_have_value("letters")
    for title in ("About", "Curves"):
        page.go_back()
        expect(page).to_have_url(re.compile(rf"/{title.lower()}\?task=letters$"))
        # The address is there at once, and until the page has run what is seen is the one before.
        expect(page.locator(STANDING[title]).first).to_be_visible()
    expect(task).to_have_value("letters")
    task.click()
    page.get_by_role("option", name="Cats and dogs").click()
    expect(page.get_by_role("region", name="Curves")).to_contain_text("Adam")
    page.get_by_role("link", name="Look", exact=True).click()
    expect(tab.evidence("Adam")).to_be_visible()
    assert "task=" not in page.url
    # Streamlit looks for its server below the page's own address first.
    tab.errors.clear()


def test_the_view_stays_out_of_the_next_page_s_address(look):
    tab = look("/#layer=5c")
    tab.at("5c")
    tab.depth.press("ArrowLeft")
    left = tab.page.locator(".parallax").element_handle()
    tab.page.evaluate("document.querySelector('a[href*=curves]').click()")
    expect(tab.page).to_have_url(re.compile("/curves"))
    # Longer than the viewer waits before it tells its state.
    tab.page.wait_for_timeout(600)
    assert "#" not in tab.page.url
    # It would play on, and write its layers into the address of the next one.
    tab.page.wait_for_function("viewer => !viewer.parentNode", arg=left)
