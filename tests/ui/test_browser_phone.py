"""A phone: everything is there, nothing sticks out, fingers hit what they aim at."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import PHONE
from ui import curves, errors

pytestmark = pytest.mark.browser


def test_nothing_sticks_out(look):
    tab = look(**PHONE)
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        expect(tab.page.locator(".parallax")).to_have_attribute("data-theme", scheme)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
        for locator in (tab.seen, tab.evidence("SGD"), tab.evidence("Adam"), tab.depth, tab.button("Upload")):
            box = locator.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
    # The buttons take two lines below the name, so that the evidence begins in the upper third.
    head = [tab.page.get_by_role("heading", name="Parallax"), tab.page.get_by_role("link", name="Look")]
    head += [tab.button(name) for name in ("Upload", "Camera", "Runs", "Bring", "Numbers")]
    for width, lines in ((360, 3), (390, 3), (1024, 1)):
        tab.page.set_viewport_size({"width": width, "height": 844})
        boxes = [one.bounding_box() for one in head]
        middles = sorted(box["y"] + box["height"] / 2 for box in boxes)
        assert 1 + sum(below - above > 20 for above, below in pairwise(middles)) == lines, width
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    # Nor does the depth control, which stays in sight, take a third of a low window.
    for size, stays in (((640, 360), "static"), ((390, 844), "sticky")):
        tab.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
        expect(tab.page.locator(".px-depth")).to_have_css("position", stays)
    place = tab.evidence("SGD").bounding_box()
    tab.upload("text.jpg", b"words")
    expect(tab.alert).to_be_visible()
    # A refused file moves nothing.
    assert tab.evidence("SGD").bounding_box() == place
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_fingers_hit_what_they_aim_at(look):
    tab = look(**PHONE)
    for name in ("Upload", "Camera", "Runs", "Numbers", "Play through the layers", "signed", "shared scale", "chelsea"):
        box = tab.button(name).bounding_box()
        assert min(box["width"], box["height"]) >= 40, name
    tab.button("coffee").tap()
    tab.ready("coffee")
    tab.button("signed").tap()
    expect(tab.page).to_have_url(re.compile("show=signed"))
    channel = tab.page.get_by_role("list", name="Channels of the Adam run").get_by_role("button").nth(1)
    channel.tap()
    number = re.match(r"Channel (\d+):", channel.get_attribute("aria-label"))[1]
    told = tab.page.get_by_text(re.compile(rf"^channel {number}: .* %, activation .* to "))
    expect(told).to_be_visible()
    # Near the finger: the photograph with the channel over it is far up.
    assert 0 < channel.bounding_box()["y"] - told.bounding_box()["y"] < 100
    tab.button("Camera").tap()
    box = tab.button("Take Photo").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    # On a board that one writes on, too.
    tab.page.set_viewport_size({"width": 3840, "height": 2160})
    assert tab.button("Runs").bounding_box()["height"] >= 80


def test_no_table_of_many_classes_makes_its_page_wider(chart):
    meta, _ = errors.contents("food101", errors.STUDIES / "food101_errors")
    page = chart("errors.js", "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })", meta)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert 0 < rightmost(page.locator(".pe-pairs .pe-count")) <= 375


def test_the_classes_come_before_a_hundred_pictures_whose_answers_are_written_out(chart):
    meta, _ = errors.contents("food101", errors.STUDIES / "food101_errors")
    page = chart("errors.js", "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })", meta)
    classes, pictures = (page.locator(place).bounding_box()["y"] for place in (".pe-classes", ".pe-gallery"))
    assert classes < pictures
    for width in (375, 1280):
        page.set_viewport_size({"width": width, "height": 720})
        cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
        assert page.locator(".pe-said, .pe-card").evaluate_all(cut) == []


def test_a_large_screen_has_large_numbers(chart):
    meta, _ = errors.contents("cifar10", errors.STUDIES / "cifar10_errors")
    page = chart("errors.js", "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })", meta)
    page.set_viewport_size({"width": 1920, "height": 1080})
    expect(page.locator(".pe-grid tbody td").first).to_have_css("font-size", "14px")


def test_what_is_said_below_curves_is_as_wide_as_they_are(chart):
    mount = "meta => mountCurves(document.querySelector('main'), { meta })"
    page = chart("curves.js", mount, curves.meta("food101"))
    page.set_viewport_size({"width": 1920, "height": 1080})
    below, above = page.locator(".pc-note > :last-child"), page.locator(".pc-left")
    ends = [one.evaluate("one => one.getBoundingClientRect().right") for one in (below, above)]
    assert ends[0] > 0.8 * ends[1]


def test_the_page_ends_where_the_errors_end(chart):
    meta, _ = errors.contents("food101", errors.STUDIES / "food101_errors")
    page = chart("errors.js", "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })", meta)
    # Where there is room, the pictures scroll by themselves; the words for screen readers among them once did not.
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(page.locator(".pe-gallery")).to_have_css("overflow-y", "auto")
    end = page.locator(".pe").evaluate("one => one.getBoundingClientRect().bottom")
    assert page.evaluate("document.documentElement.scrollHeight") <= max(720, end) + 20


def test_no_wrong_answer_is_called_certain(chart):
    meta, _ = errors.contents("food101", errors.STUDIES / "food101_errors")
    sure = [answer["probability"] for one in meta["groups"][0]["pictures"] for answer in one["answers"]]
    assert 0.995 < max(sure) < 1
    page = chart("errors.js", "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })", meta)
    told = page.locator(".pe-answer > :last-child").all_text_contents()
    assert len(told) == len(sure)
    assert f"{100 * max(sure):.1f} %" in told
    assert not {"100 %", "100.0 %"} & set(told)


def test_the_ends_of_the_difference_are_told_with_their_colours(chart):
    meta, _ = errors.contents("cats_vs_dogs", errors.STUDIES / "cats_vs_dogs_errors")
    # Of 100 cats the second run finds 20 more, of 100 dogs 10 fewer.
    for run, confusion in zip(meta["runs"], ([[70, 30], [10, 90]], [[90, 10], [20, 80]]), strict=True):
        run["confusion"] = confusion
    page = chart("errors.js", "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })", meta)
    key = page.locator(".pe-key")
    expect(key.locator("span")).to_have_text(["\u221220.0 points: more by SGD", "+20.0 points: more by Adam"])
    colours = re.findall(r"rgb\(.+?\)", key.locator("i").evaluate("one => getComputedStyle(one).backgroundImage"))
    cell = "one => getComputedStyle(one).backgroundColor"
    for text, colour in (("\u221220.0", colours[0]), ("+20.0", colours[-1])):
        assert page.locator(".pe-grid td", has_text=text).evaluate(cell) == colour
    expect(page.get_by_role("columnheader", name="F1, 90 to 100 %", exact=True)).to_be_visible()


def test_the_numbers_of_many_classes_stay_in_their_cells(chart):
    meta, _ = errors.contents("cifar10", errors.STUDIES / "cifar10_errors")
    page = chart("errors.js", "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })", meta)
    cells = page.locator(".pe-grid tbody td")
    expect(cells).to_have_count(3 * 10 * 10)
    assert cells.evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")


def test_a_tap_tells_what_is_taken_for_what(chart):
    meta, _ = errors.contents("food101", errors.STUDIES / "food101_errors")
    page = chart("errors.js", "meta => mountErrors(document.querySelector('main'), { meta, blobs: [] })", meta)
    for matrix in page.locator(".pe-matrix").all():
        matrix.locator("canvas").tap(position={"x": 1, "y": 1})
        expect(matrix.locator("figcaption")).to_contain_text("apple pie taken for apple pie", timeout=5_000)


@pytest.mark.parametrize("task", ["cats_vs_dogs", "cifar10"])
def test_no_two_runs_have_one_hue_and_one_shape(task, chart):
    meta = curves.meta(task)
    state = {"runs": [run["id"] for run in meta["runs"]]}
    page = chart(
        "curves.js", "([m, state]) => mountCurves(document.querySelector('main'), { meta: m, state })", [meta, state]
    )
    look = "one => [one.getAttribute('class').match(/px-hue-./)[0], one.querySelector('path')?.getAttribute('d') ?? '']"
    marks = [tuple(one) for one in page.locator(".pc-run .px-ring").evaluate_all(f"all => all.map({look})")]
    assert len(set(marks)) == len(marks) == len(meta["runs"])
    bear = "one => [one.getAttribute('class').match(/px-hue-./)[0], one.getAttribute('d')]"
    for plot in page.locator(".pc-plot").all():
        borne = {tuple(one) for one in plot.locator(".pc-shape").evaluate_all(f"all => all.map({bear})")}
        assert borne == {mark for mark in marks if mark[1]}


def test_no_value_beside_the_cursor_is_cut(chart):
    meta = curves.meta("cats_vs_dogs")
    state = {"runs": [run["id"] for run in meta["runs"]]}
    mount = "([meta, state]) => mountCurves(document.querySelector('main'), { meta, state })"
    page = chart("curves.js", mount, [meta, state])
    values = page.locator(".pc-value")
    expect(values).to_have_count(2 * len(meta["runs"]))
    assert 0 < rightmost(values) <= 375


def rightmost(nodes):
    return max(nodes.evaluate_all("all => all.map(one => one.getBoundingClientRect().right)"))
