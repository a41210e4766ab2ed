"""Depth, keys and switches: what is on the canvases, and that none of it asks the server."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from skimage import data

from explain import render
from tests.ui.tab import pixels

pytestmark = pytest.mark.browser

RUNS = (("sgd", "SGD"), ("adam", "Adam"))
LAYERS = ["stem", "1a", "2a", "2b", "3a", "3b", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b", "6c", "6d", "7a", "top"]


def test_scrubbing_playing_and_switching_ask_the_server_nothing(still):
    tab = still()
    tab.depth.focus()
    drawn = set()
    for back, layer in enumerate(reversed(LAYERS)):
        tab.at(layer)
        expect(tab.depth).to_have_attribute("aria-valuetext", f"layer {layer}, {18 - back} of 18, {_cells(layer)}")
        drawn.add(pixels(tab.evidence("SGD")).tobytes())
        tab.page.keyboard.press("ArrowLeft")
    assert len(drawn) == 18
    for button in ("signed", "shared scale", "native cells", "dog", "Swap", "Labels", "More channels"):
        tab.page.get_by_role("button", name=button).click()
    tab.button("Play through the layers").click()
    tab.at("2a")
    tab.button("Pause").click()
    tab.page.wait_for_url("**channels=13")
    assert tab.sent == []
    assert tab.requests == []


def _cells(layer: str) -> str:
    side = {"s": 112, "1": 112, "2": 56, "3": 28, "4": 14, "5": 14, "6": 7, "7": 7, "t": 7}[layer[0]]
    return f"{side} by {side} cells"


def test_keys(still):
    tab = still()
    page = tab.page
    page.keyboard.press("ArrowLeft")
    tab.at("7a")
    page.keyboard.press("ArrowRight")
    tab.at("top")
    cat = page.get_by_role("group", name="Class").get_by_role("button", name="cat")
    dog = page.get_by_role("group", name="Class").get_by_role("button", name="dog")
    page.keyboard.press("2")
    expect(dog).to_have_attribute("aria-pressed", "true")
    expect(tab.evidence("SGD")).to_have_attribute("aria-label", re.compile("^Evidence for dog at layer top"))
    page.keyboard.press("1")
    expect(cat).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("l")
    expect(tab.button("Labels")).to_have_attribute("aria-pressed", "false")
    left, right = (tab.evidence(run).bounding_box()["x"] for run in ("SGD", "Adam"))
    page.keyboard.press("s")
    expect(tab.button("Swap")).to_have_attribute("aria-pressed", "true")
    assert [tab.evidence(run).bounding_box()["x"] for run in ("SGD", "Adam")] == [right, left]
    page.keyboard.press(" ")
    expect(tab.button("Pause")).to_be_visible()
    tab.at("stem")
    page.keyboard.press(" ")
    expect(tab.button("Play through the layers")).to_be_visible()


def test_keys_go_on_after_a_click_on_a_picture_or_beside_it(still):
    tab = still()
    for place, layer in ((tab.evidence("SGD"), "7a"), (tab.page.get_by_test_id("stMain"), "6d")):
        place.click(position={"x": 4, "y": 100})
        tab.page.keyboard.press("ArrowLeft")
        tab.at(layer)


def test_where_the_other_run_s_evidence_alone_is_seen_the_numbers_are_its_own(still):
    tab = still()
    left, right = (tab.page.locator(f".px-hue-{hue} .px-foot") for hue in "ab")
    own, other = left.inner_text(), right.inner_text()
    assert own != other
    tab.page.keyboard.down("b")
    expect(left).to_have_text(other, use_inner_text=True)
    expect(tab.evidence("Adam")).to_have_count(2)
    tab.page.keyboard.up("b")
    expect(left).to_have_text(own, use_inner_text=True)
    expect(tab.evidence("Adam")).to_have_count(1)


@pytest.mark.parametrize(("cells", "show"), [("smooth", "positive"), ("smooth", "signed"), ("native", "signed")])
def test_the_canvas_shows_the_maps_where_their_cells_look(still, explainers, cells, show):
    """Against the tape's maps drawn by explain.render, and against the place where a plain resize would draw them."""
    tab = still(labels=0, cells=cells, show=show)
    tab.depth.focus()
    found = {name: explainers[run](data.chelsea(), targets=["cat"]) for run, name in RUNS}
    for layer in reversed(found["SGD"].layers):
        tab.at(layer.name)
        for name, one in found.items():
            size = len(one.seen)
            canvas = _at_size(pixels(tab.evidence(name)), size)
            values = one.maps["hires_cam"][layer.name][0]
            top = float(np.abs(values).max() if show == "signed" else values.max())
            right, naive = (
                render.overlay(one.seen, render.place(values, layer.stride, at, size, cells), top, show == "signed")
                for at in (layer.offset, (layer.stride - 1) / 2)
            )
            assert np.median(np.abs(canvas - right)) <= 4, f"{name} at {layer.name} differs from explain.render"
            apart = np.abs(right.astype(int) - naive) > 20
            if layer.stride >= 8:
                away = _difference(canvas[apart], right[apart])
                assert away < 0.65 * _difference(canvas[apart], naive[apart]), f"{name} at {layer.name} is displaced"
        tab.page.keyboard.press("ArrowLeft")


def test_another_method_keeps_the_view_and_says_what_it_took(look, explainers):
    tab = look("/#layer=5c&class=cat&labels=0")
    expect(tab.page.get_by_text(re.compile(r"^HiResCAM in \d+"))).to_be_visible()
    tab.page.get_by_role("combobox", name="Method").click()
    tab.page.get_by_role("option", name="LayerCAM", exact=True).click()
    expect(tab.page.get_by_text(re.compile(r"^LayerCAM in \d+"))).to_be_visible()
    expect(tab.page).to_have_url(re.compile("method=LayerCAM.*#layer=5c&class=cat"))
    for run, name in RUNS:
        found = explainers[run](data.chelsea(), targets=["cat"], methods=["layer_cam"])
        layer = next(layer for layer in found.layers if layer.name == "5c")
        values = found.maps["layer_cam"]["5c"][0]
        field = render.place(values, layer.stride, layer.offset, len(found.seen))
        drawn = _at_size(pixels(tab.evidence(name)), len(found.seen))
        assert np.median(np.abs(drawn - render.overlay(found.seen, field, float(values.max())))) <= 4
    tab.page.reload()
    tab.ready()
    expect(tab.page.get_by_text(re.compile(r"^LayerCAM in \d+"))).to_be_visible()


def _at_size(picture: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX), float)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def test_the_photograph_is_what_the_network_saw(still, explainers):
    tab = still()
    seen = explainers["sgd"].see(data.chelsea())
    assert _difference(_at_size(pixels(tab.seen), len(seen)), seen) < 2


def test_shared_scale_pales_the_weaker_run(still):
    tab = still(labels=0)
    said = {name: tab.evidence(name).get_attribute("aria-label") or "" for _, name in RUNS}
    strengths = {name: float(words.split("strength ")[1].split(";")[0]) for name, words in said.items()}
    weaker = min(strengths, key=strengths.__getitem__)
    before = pixels(tab.evidence(weaker))
    tab.button("shared scale").click()
    tab.page.wait_for_url("**scale=shared**")
    after = pixels(tab.evidence(weaker))
    assert _colour(after) < _colour(before)


def _colour(picture: np.ndarray) -> float:
    return float(np.ptp(picture.astype(int), axis=-1).mean())


def test_the_gates_of_both_runs_stand_side_by_side(still, explainers):
    tab = still(layer="5c")
    slow = {name: explainers[run](data.chelsea(), keep=True).gates["5c"] for run, name in RUNS}
    for name, gates in slow.items():
        bars = tab.page.get_by_role("img", name=f"{name}: 672 SE gates, mean {gates.mean():.2f}")
        expect(bars).to_be_visible()
        alpha = np.array(bars.evaluate("canvas => [...canvas.getContext('2d').getImageData(0, 0, 672, 1).data]"))[3::4]
        assert np.abs(alpha / 255 - gates).max() < 0.02
    tab.depth.press("End")
    tab.at("top")
    expect(tab.page.get_by_role("img", name="no SE gates at top")).to_have_count(2)


def test_light_and_dark_follow_the_system_without_a_reload(still):
    tab = still(show="signed")
    viewer = tab.page.locator(".parallax")
    expect(viewer).to_have_attribute("data-theme", "light")
    light = pixels(tab.evidence("SGD"))
    paper = tab.page.screenshot(clip={"x": 2, "y": 300, "width": 4, "height": 4})
    tab.page.emulate_media(color_scheme="dark")
    expect(viewer).to_have_attribute("data-theme", "dark")
    dark = tab.page.screenshot(clip={"x": 2, "y": 300, "width": 4, "height": 4})
    assert np.asarray(Image.open(io.BytesIO(paper))).mean() > 240
    assert np.asarray(Image.open(io.BytesIO(dark)).convert("RGB")).mean() < 40
    assert _difference(pixels(tab.evidence("SGD")).astype(float), light) > 1
    tab.page.emulate_media(color_scheme="light")
    expect(viewer).to_have_attribute("data-theme", "light")


def test_motion_comes_to_rest_on_the_same_picture(look):
    still, moving = (look("/#labels=0", reduced_motion=choice) for choice in ("reduce", "no-preference"))
    for tab in (still, moving):
        tab.page.keyboard.press("ArrowLeft")
        tab.at("7a")
    assert _difference(pixels(still.evidence("Adam")).astype(float), pixels(moving.evidence("Adam"))) == 0
