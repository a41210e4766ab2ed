"""A server of the app, and a browser to visit it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.server import running
from tests.ui.tab import Tab, leave, visit

ROOT = Path(__file__).parents[2]
PAIR = ("sgd", "adam")
LETTERS = ("<b>A</b>", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L")
"""Classes of a task that nobody has trained for: more than fit on a page, and one that looks like HTML."""
LOG = pytest.StashKey[Path]()
FAILED = pytest.StashKey[bool]()
VIEW = {"layer": "top", "class": "cat", "show": "positive", "scale": "own", "cells": "smooth"}
VIEW |= {"fade": 0, "labels": 1, "swap": 0, "channels": 12}
"""The view that the page opens with, every word of its address."""
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


@dataclass
class Server:
    """A running app."""

    url: str
    log: Path
    pid: int


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped pair, a third run whose weights are cut short, and an untrained task of twelve classes."""
    from models import Card, graphs, save

    folder = tmp_path_factory.mktemp("checkpoints")
    for run in PAIR:
        shutil.copytree(ROOT / "assets" / "checkpoints" / "cats_vs_dogs" / run, folder / "cats_vs_dogs" / run)
    damaged = folder / "cats_vs_dogs" / "adam-damaged"
    shutil.copytree(folder / "cats_vs_dogs" / "adam", damaged)
    weights = damaged / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:100_000])
    card = Card("letters", "untrained", "EfficientNetB0", LETTERS, 64, len(LETTERS), {"dropout": 0.2})
    model = graphs.build("EfficientNetB0", 64, len(LETTERS))
    # The first class, the one that looks like HTML, is always among those that the page shows.
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel, bias + (np.arange(len(LETTERS)) == 0)])
    save(model, card, folder / "letters" / "untrained")
    return folder


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, checkpoints: Path
) -> Iterator[Server]:
    """The app as `streamlit run app.py` starts it, on a port of its own."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    log.touch()
    request.session.stash[LOG] = log
    samples = tmp_path_factory.mktemp("samples")
    Image.new("RGB", (60, 40), "teal").save(samples / "<i>teal & co.png")
    (samples / "broken.jpg").write_bytes(b"nothing of a photograph")
    places = {"PARALLAX_CHECKPOINTS": str(checkpoints), "PARALLAX_SAMPLES": str(samples)}
    data = Path(os.environ.get("PARALLAX_DATA_ROOT", ROOT.parent / "shared")) / "data"
    places["PARALLAX_DATA"] = str(data) if data.is_dir() else ""
    with running(places, log) as app:
        yield Server(app.url, log, app.process.pid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    log = item.session.stash.get(LOG, None)
    item.stash[FAILED] = report.failed or item.stash.get(FAILED, False)
    if report.failed and log is not None:
        report.sections.append(("The app's log", log.read_text(errors="replace")[-4_000:]))
    return report


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    """The system's Chromium, for Playwright may have none of its own; its camera shows a test picture."""
    finder = [ROOT / "tests" / "find_browser.sh", Path(sys.executable).parent]
    found = subprocess.run(finder, capture_output=True, text=True).stdout.strip()
    if not found:
        pytest.skip("needs Chromium: name one in PARALLAX_CHROMIUM, see tests/find_browser.sh")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    # A page of a test lives for a second: what its scripts only might need is not compiled ahead.
    arguments = ["--no-sandbox", "--disable-background-networking", "--js-flags=--max-lazy", *camera]
    return browser_type_launch_args | {"executable_path": found, "args": arguments}


@pytest.fixture(scope="session")
def visitor(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Visitors by what their browsers are like. One who comes back has the page's files, but nothing that it stored.

    To unpack and compile a page's scripts takes longer than most of what tests do there.
    """
    known: dict[str, BrowserContext] = {}

    def find(**options) -> BrowserContext:
        options = {"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce"} | options
        name = repr(sorted(options.items()))
        if name not in known:
            known[name] = browser.new_context(**options)
        return known[name]

    yield find
    for context in known.values():
        context.close()


@pytest.fixture
def look(server: Server, first_visit: list[dict], visitor: Callable) -> Iterator[Callable[..., Tab]]:
    """Opens the Look page at an address; whatever a test does there asks no other host and breaks nothing."""
    tabs: list[Tab] = []

    def open_tab(address: str = "/", wait: bool = True, **options) -> Tab:
        tab = visit(visitor(**options).new_page(), server.url + address)
        tabs.append(tab)
        return tab.ready() if wait else tab

    yield open_tab
    for tab in tabs:
        leave(tab)
    for tab in tabs:
        assert not tab.errors
        assert tab.hosts == {urlsplit(server.url).netloc}


@pytest.fixture(scope="session")
def resting() -> Iterator[list[Tab]]:
    """The tab that tests hand to each other through `still`."""
    tabs: list[Tab] = []
    yield tabs
    for tab in tabs:
        leave(tab)


@pytest.fixture
def still(
    request: pytest.FixtureRequest, server: Server, first_visit: list[dict], visitor: Callable, resting: list[Tab]
) -> Iterator[Callable[..., Tab]]:
    """The Look page with the view that words of its address ask for, in a tab that is opened once for many tests.

    For what a page does by itself: these tests ask the server nothing. Who fails leaves the next one a new tab.
    """
    tab = resting.pop() if resting else visit(visitor().new_page(), server.url).ready("chelsea")

    def show(**view) -> Tab:
        # As one who has clicked nothing yet.
        tab.page.evaluate("document.activeElement?.shadowRoot?.activeElement?.blur(); document.activeElement?.blur()")
        # At once, so that no word of the last test's view, which the page writes a moment later, comes in between.
        tab.page.evaluate(
            """hash => {
              history.replaceState(history.state, "", `#${hash}`);
              dispatchEvent(new HashChangeEvent("hashchange"));
            }""",
            urlencode(VIEW | view),
        )
        tab.at(view.get("layer", "top"))
        for kept in (tab.sent, tab.requests, tab.errors):
            kept.clear()
        return tab

    yield show
    if request.node.stash.get(FAILED, False):
        leave(tab)
        return
    resting.append(tab)
    assert not tab.errors
    assert tab.sent == []
    assert tab.hosts <= {urlsplit(server.url).netloc}


@pytest.fixture(scope="session")
def first_visit(server: Server, browser: Browser) -> list[dict]:
    """What the first visitor of a fresh server sees, ten times a second until the evidence is there."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.add_init_script("""
      globalThis.moments = [];
      const timer = setInterval(() => {
        const hosts = [...document.querySelectorAll("*")].map((node) => node.shadowRoot ?? node);
        const viewer = hosts.map((node) => node.querySelector(":scope > .parallax, .parallax")).find(Boolean);
        if (!viewer) return;
        const canvas = viewer.querySelector("canvas");
        const { width, height } = canvas;
        const data = width && height ? canvas.getContext("2d").getImageData(0, 0, width, height).data : [];
        const place = canvas.getBoundingClientRect();
        moments.push({
          said: viewer.querySelector("[role=status]").textContent,
          // Of some pixels: to look at all of them takes from what they are waiting for.
          colours: new Set(new Uint32Array(data.buffer ?? 0).filter((_, pixel) => pixel % 31 === 0)).size,
          place: [place.x, place.y, place.width, place.height].map(Math.round),
          ready: viewer.dataset.ready === "1",
        });
        if (moments.at(-1).ready) clearInterval(timer);
      }, 100);
    """)
    visit(page, server.url).ready()
    moments = page.evaluate("moments")
    page.close()
    return moments


@pytest.fixture(scope="session")
def explainers() -> dict:
    """The shipped pair, explained by the library: what the page must show."""
    import models
    from explain import Explainer, remember

    found = {run: models.find(f"cats_vs_dogs/{run}") for run in PAIR}
    return {name: Explainer(remember(run), labels=run.labels, threads=1) for name, run in found.items()}


@pytest.fixture
def chart(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Mounts a chart on a narrow phone, without a server: the one of the tests knows few runs."""
    from ui.charts import streamlit as charts
    from ui.viewer import bundle

    page = browser.new_page(**PHONE | {"viewport": {"width": 375, "height": 812}})

    def mount(file: str, script: str, meta: dict[str, Any]) -> Page:
        page.set_content('<meta name="viewport" content="width=device-width"><main></main>')
        page.add_style_tag(content=charts.STYLE)
        page.add_script_tag(type="module", content=f"{bundle.script(charts.HERE / file)}\nglobalThis.mount = {script}")
        page.wait_for_function("'mount' in globalThis")
        page.evaluate("meta => { mount(meta) }", meta)
        return page

    yield mount
    page.close()
