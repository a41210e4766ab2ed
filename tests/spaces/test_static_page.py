"""The page of the static Space in a real browser: with the network cut, a server in trouble, and for everybody."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from benchmarks.browser import ISOLATED, served
from explain.render import percent
from tests.explain import pictures
from tests.spaces.test_static import CLOSE, EXACT
from tests.ui.tab import Tab, file_of, pixels, shut_out, visit

pytestmark = pytest.mark.browser
PREPARING = 120_000


@pytest.fixture
def visitor(new_context) -> Iterator:
    """Opens the page; whatever a test does there asks no other host and breaks nothing."""
    tabs: list[tuple[Tab, str]] = []

    def open_tab(at: str, address: str = "/", **options) -> Tab:
        context = new_context(**{"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce"} | options)
        tab = visit(context.new_page(), at + address)
        context.on("request", lambda request: tab.requests.append(request.url))
        tabs.append((tab, at))
        return tab.ready()

    yield open_tab
    for tab, at in tabs:
        assert not [error for error in tab.errors if "ERR_INTERNET_DISCONNECTED" not in error]
        assert tab.hosts == {urlsplit(at).netloc}


def _networks(page: Page) -> None:
    """Wait until both networks are there, and what they need is kept for the next visit."""
    expect(page.locator("body[data-networks='ready']")).to_be_attached(timeout=PREPARING)
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")


def _give(tab: Tab, name: str, content: bytes) -> None:
    tab.page.get_by_label("Your photograph").set_input_files(file_of(name, content))


def test_without_a_network_after_the_first_visit(static_folder, visitor, new_context, explainers):
    with served(static_folder) as address:
        tab = visitor(address, "/?photo=nowhere")
        tab.at("top")
        expect(tab.alert).to_have_text("The photograph that the address names is not here.")
        expect(tab.page).to_have_url(re.compile(r"\?photo=chelsea#"))
        _networks(tab.page)
        assert tab.page.evaluate("crossOriginIsolated") is False
        tab.page.context.set_offline(True)
    # The server is gone too. A photograph, the depths, the camera:
    content = CLOSE["coffee.jpg"]()
    _give(tab, "mine.jpg", content)
    tab.ready("mine.jpg")
    cats = tab.page.get_by_role("group", name="Class").get_by_role("button", name="cat")
    for explainer in explainers.values():
        expect(cats).to_contain_text(percent(explainer(content).probabilities[0]))
    for layer in ("7a", "6d", "6c"):
        tab.depth.press("ArrowLeft")
        tab.at(layer)
    expect(tab.page.get_by_role("group", name="Class")).to_be_visible()
    _camera(tab)
    # The next visit, still without one: from what was kept, with the headers that threads need.
    tab.page.reload()
    tab.ready()
    _networks(tab.page)
    assert tab.page.evaluate("crossOriginIsolated") is True
    _give(tab, "again.png", EXACT["chelsea.png"]())
    tab.ready("again.png")
    tab.button("china").click()
    tab.ready("china")


def _camera(tab: Tab) -> None:
    tab.page.evaluate("""() => {
      globalThis.frames = 0;
      const canvas = document.querySelector(".px-run canvas");
      let before = canvas.toDataURL();
      setInterval(() => {
        const now = canvas.toDataURL();
        frames += now !== before;
        before = now;
        document.body.dataset.moved = frames > 4;
      }, 40);
    }""")
    place = tab.page.locator(".parallax").bounding_box()
    tab.depth.press("End")
    tab.at("top")
    tab.button("Camera").click()
    tab.ready("camera")
    expect(tab.page.get_by_text("frames a second")).to_be_visible()
    expect(tab.page.locator("body[data-moved='true']")).to_be_attached()
    # Nothing has moved for it.
    assert tab.page.locator(".parallax").bounding_box() == place
    expect(tab.page.get_by_text("no SE gates at top").first).to_be_visible()
    # Another depth, another graph; the channels follow.
    tab.depth.press("Home")
    tab.at("stem")
    expect(tab.page.get_by_role("list", name="Channels of the Adam run").get_by_role("button").first).to_be_visible()
    tab.button("Keep this frame").click()
    expect(tab.button("Camera")).to_have_attribute("aria-pressed", "false")
    expect(tab.button("Keep this frame")).to_be_hidden()
    expect(tab.page.locator(".parallax[aria-busy='false']")).to_be_visible()
    tab.depth.press("End")
    tab.at("top")
    expect(tab.page.get_by_role("list", name="Channels of the SGD run").get_by_role("button").first).to_be_visible()


def test_what_a_server_in_trouble_gives_instead_is_told_and_never_kept(static_folder, new_context):
    with served(static_folder) as address:
        page = new_context(reduced_motion="reduce").new_page()
        page.route("**/space.json", lambda route: route.fulfill(status=503))
        tab = visit(page, address)
        expect(tab.alert).to_have_text("The page could not be fetched whole: check the connection and reload it.")
        expect(page.locator(".parallax[aria-busy='false']")).to_be_visible()
        page.unroute("**/space.json")
        page.route("**/*.weights", lambda route: route.fulfill(body="<p>Come again later"))
        page.goto(address)
        expect(tab.alert).to_contain_text("The two networks could not be fetched", timeout=PREPARING)
        expect(page.locator(".now")).to_have_text("")
        page.unroute("**/*.weights")
        # Nor does it help to have been kept.
        space = json.loads((static_folder / "space.json").read_text())
        kept = "([store, file]) => caches.open(store).then((store) => store.put(file, new Response('<p>')))"
        page.evaluate(kept, ["parallax / large", space["graphs"][0]["file"]])
        _give(tab, "mine.png", EXACT["chelsea.png"]())
        tab.page.locator("[aria-label^='mine.png as the network']").wait_for(timeout=PREPARING)


def test_dropped_and_pasted_photographs_the_address_and_the_way_back_for_everybody(static_folder, visitor):
    with served(static_folder, ISOLATED) as address:
        tab = visitor(address, "/?photo=coffee#layer=5c&class=dog&show=signed", bypass_csp=True)
        tab.ready("coffee")
        tab.at("5c")
        # Threads, where headers allow them.
        assert tab.page.evaluate("crossOriginIsolated") is True
        assert tab.page.evaluate("import('/crew.js').then(({ threadsFor }) => threadsFor(1))") >= 1
        heights = []
        for width in (3840, 1920, 1280):
            tab.page.set_viewport_size({"width": width, "height": width * 9 // 16})
            assert tab.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
            heights.append(tab.page.locator(".bar").bounding_box()["height"])
        # In a room, where a window has twice the pixels, what stands above the viewer is twice as large.
        assert heights == pytest.approx([2 * heights[1], heights[1], heights[1]])
        for kind in ("drop", "paste"):
            tab.page.evaluate(
                """async ([kind, content]) => {
                  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                  const all = new DataTransfer();
                  all.items.add(new File([bytes], `${kind}.png`));
                  const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
                  document.dispatchEvent(new Kind(kind, { dataTransfer: all, clipboardData: all }));
                }""",
                [kind, base64.b64encode(EXACT["chelsea.png"]()).decode()],
            )
            # Until the networks are there the sample stands.
            tab.page.locator(f"[aria-label^='{kind}.png as the network']").wait_for(timeout=PREPARING)
        expect(tab.page).to_have_url(re.compile(r"/#layer=5c&class=dog&show=signed"))
        tab.button("china").click()
        tab.ready("china")
        expect(tab.page).to_have_url(re.compile(r"\?photo=china#"))
        # One step back for each photograph that can be had again: of one's own that is the last.
        for step, photograph in (
            ("back", "paste.png"),
            ("back", "coffee"),
            ("forward", "paste.png"),
            ("forward", "china"),
        ):
            tab.page.evaluate(f"history.{step}()")
            tab.ready(photograph)
        _nobody_is_shut_out(tab)
        _files_that_are_no_photographs(tab)


def _nobody_is_shut_out(tab: Tab) -> None:
    """What axe finds in both themes, on a screen and on a phone."""
    for width, height in ((1280, 720), (390, 844)):
        tab.page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            expect(tab.page.locator(".parallax")).to_have_attribute("data-theme", scheme)
            assert shut_out(tab.page, scheme) == [], (width, scheme)
            expect(tab.page.get_by_text("no photograph leaves this device")).to_be_visible()


def _places(tab: Tab) -> list:
    """Where a run's evidence stands in windows of several sizes."""
    found = []
    for width, height in ((1280, 720), (900, 720), (390, 844)):
        tab.page.set_viewport_size({"width": width, "height": height})
        found.append(tab.evidence("Adam").bounding_box())
    return found


def _files_that_are_no_photographs(tab: Tab) -> None:
    _give(tab, "good.png", EXACT["chelsea.png"]())
    tab.ready("good.png")
    before = pixels(tab.evidence("Adam"))
    bad = ("empty.jpg", "text.jpg", "truncated.png", "bomb.png", "phone.heic")
    for name in bad:
        _give(tab, name, (pictures.BAD | pictures.ODD)[name]())
        expect(tab.alert).to_contain_text(f'"{name}"')
        said = tab.alert.inner_text()
        assert said.endswith(".") and said.count(". ") == 0
        assert np.array_equal(pixels(tab.evidence("Adam")), before)
    places = _places(tab)
    _give(tab, f"{'long' * 20}.jpg", pictures.BAD["text.jpg"]())
    expect(tab.alert).to_contain_text("longlong")
    # Said over the page, it moves nothing.
    assert _places(tab) == places
    _give(tab, "<img src=x onerror=alert(1)>.jpg", pictures.BAD["text.jpg"]())
    expect(tab.alert).to_contain_text('"<img src=x onerror=alert(1)>.jpg" cannot be read')
    for name in ("panorama.jpg", "cmyk.jpg"):
        _give(tab, name, pictures.ODD[name]())
        tab.ready(name)
        expect(tab.page.locator(".message")).to_have_text("")
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
