"""What a test can do with the Look page in one tab of a browser."""

import atexit
import base64
import io
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect

# A page is slow to come where another process keeps the cores busy; nothing here is a test of speed.
expect.set_options(timeout=30_000)

UPLOADS = tempfile.mkdtemp(prefix="parallax-uploads-")
atexit.register(shutil.rmtree, UPLOADS, ignore_errors=True)


def file_of(name: str, content: bytes) -> Path | FilePayload:
    """A file for a browser to take from the disk, as a person's: of 20 MB, Playwright's own way takes nine seconds."""
    if "/" in name:
        # No disk has such a file; a page may still be handed one.
        return FilePayload(name=name, mimeType="application/octet-stream", buffer=content)
    file = Path(tempfile.mkdtemp(dir=UPLOADS)) / name
    file.write_bytes(content)
    return file


@dataclass
class Tab:
    """One tab of a browser with the Look page."""

    page: Page
    sent: list[str | bytes] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def depth(self) -> Locator:
        return self.page.get_by_role("slider", name="Depth")

    @property
    def seen(self) -> Locator:
        return self.page.get_by_role("img", name="as the network sees it")

    @property
    def status(self) -> Locator:
        """What is read out when a photograph was explained."""
        return self.page.get_by_role("status").first

    @property
    def alert(self) -> Locator:
        return self.page.get_by_role("alert")

    @property
    def hosts(self) -> set[str]:
        """Whom it asked for something."""
        return {urlsplit(url).netloc for url in self.requests if urlsplit(url).scheme not in ("data", "blob")}

    def evidence(self, run: str) -> Locator:
        return self.page.get_by_role("img", name=f"in the {run} run")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def ready(self, photo: str = "") -> "Tab":
        """Wait until the evidence of a photograph stands."""
        expect(self.page.locator(".parallax[data-ready='1'][aria-busy='false']")).to_be_visible(timeout=90_000)
        if photo:
            expect(self.seen).to_have_attribute("aria-label", re.compile(f"^{re.escape(photo)} as the network"))
        return self

    def at(self, layer: str) -> None:
        """Wait until the evidence at a layer is drawn and nothing moves."""
        expect(self.page.locator(".parallax")).to_have_attribute("data-drawn", layer)

    def upload(self, name: str, content: bytes) -> None:
        field = self.page.locator("input[type=file]")
        # The last one's field goes when the next one stands.
        expect(field).to_have_count(1)
        field.set_input_files(file_of(name, content))


def pixels(canvas: Locator) -> np.ndarray:
    """What is on a canvas, (H, W, 3) uint8."""
    url = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def shut_out(page: Page, theme: str = "light") -> list[str]:
    """What on a page keeps somebody out or is hard on them, as axe-core finds it; in the dark only colours differ."""
    # To describe every node that is well takes twice as long as to look at all.
    options = {"resultTypes": ["violations"]} | ({"runOnly": ["color-contrast"]} if theme == "dark" else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def visit(page: Page, url: str) -> Tab:
    """Open a page and take down what it asks of the network."""
    tab = Tab(page)
    page.on("request", lambda request: tab.requests.append(request.url))
    page.on("pageerror", lambda error: tab.errors.append(str(error)))
    page.on("console", lambda message: tab.errors.append(message.text) if message.type == "error" else None)
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: tab.sent.append(frame)))
    page.goto(url)
    return tab


def leave(tab: Tab) -> None:
    """Close a page; nothing that it stored stays for the next one."""
    context = tab.page.context
    if not tab.page.is_closed():
        tab.page.evaluate("localStorage.clear()")
        tab.page.close()
    context.clear_cookies()
