"""How fast the static Space is in a visitor's browser: the first evidence, a photograph, the camera.

A plain file server on this machine and a Chromium without a screen; the camera is Chromium's own test picture.
"""

import http.server
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import chromium, machine
from benchmarks.errors import BenchmarkError
from benchmarks.study import STUDIES, keep

ROOT = Path(__file__).parents[1]
STUDY = STUDIES / "browser"
LOCK = ROOT / "spaces" / "static" / "package-lock.json"
DEPTHS = ("top", "5c", "3b", "stem")
PHOTOGRAPHS = 11
WARM_UP = 2
SECONDS = 12
READY = 180_000
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""What the Hub sends with a static Space: without it a page has no threads."""

# Seconds from a dropped photograph to its evidence.
DROP = """async (name) => {
  const picture = await (await fetch("/drop.png")).blob();
  const all = new DataTransfer();
  all.items.add(new File([picture], name));
  const seen = document.querySelector(".px-seen canvas");
  const started = performance.now();
  return new Promise((done) => {
    new MutationObserver((_, observer) => {
      if (!seen.getAttribute("aria-label").startsWith(name)) return;
      observer.disconnect();
      requestAnimationFrame(() => done((performance.now() - started) / 1000));
    }).observe(seen, { attributes: true });
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: all }));
  });
}"""

# Frames drawn a second, over so many seconds; without motion the viewer draws each once.
FRAMES = """async (seconds) => {
  let count = 0;
  const observer = new MutationObserver((all) => (count += all.length));
  observer.observe(document.querySelector(".parallax"), { attributes: true, attributeFilter: ["data-drawn"] });
  const started = performance.now();
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  observer.disconnect();
  return (1000 * count) / (performance.now() - started);
}"""

STATE = """async () => {
  const { threadsFor } = await import("/crew.js");
  return { isolated: crossOriginIsolated, threads_of_each_run: threadsFor(2) };
}"""


def main() -> int:
    """Measure, print and store the table; returns the exit status.

    Raises:
        BenchmarkError: if the browser or onnxruntime-web is not installed.
    """
    from ui.viewer import static

    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with tempfile.TemporaryDirectory() as place, chromium.launched(*camera) as browser:
        folder = Path(place) / "space"
        try:
            static.assemble(folder)
        except static.SpaceError as error:
            raise BenchmarkError(str(error)) from error
        _photograph(folder / "drop.png")
        about = machine.describe()
        with served(folder, ISOLATED) as url:
            options: Any = {"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce"}
            rows, state = measure(browser.new_context(**options), url)
        about |= state | {"chromium": browser.version, "onnxruntime-web": _runtime()}
    keep(STUDY, rows, about)
    return 0


def measure(context: Any, url: str) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The rows of the table, and what the browser says of itself; `context` is a visitor who was never here."""
    rows: list[dict[str, str]] = []

    def add(what: str, value: float, unit: str = "s") -> None:
        rows.append({"what": what, "value": f"{value:.2f}" if unit == "s" else f"{value:.1f}", "unit": unit})

    page = context.new_page()
    for visit in ("first", "second"):
        page.goto(url)
        page.locator(".parallax[data-drawn]").wait_for(timeout=READY)
        add(f"{visit} visit: evidence of a sample", page.evaluate("performance.now()") / 1000)
        page.locator("body[data-networks='ready']").wait_for(timeout=READY)
        add(f"{visit} visit: both networks ready", page.evaluate("performance.now()") / 1000)
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    taken = sorted(page.evaluate(DROP, f"{number}.png") for number in range(PHOTOGRAPHS))
    add("a photograph: both runs, all layers, median", taken[PHOTOGRAPHS // 2])
    page.get_by_role("button", name="Camera").click()
    page.get_by_text("frames a second").wait_for(timeout=READY)
    for depth in DEPTHS:
        page.evaluate("(layer) => { location.hash = `layer=${layer}`; }", depth)
        page.evaluate(FRAMES, WARM_UP)
        add(f"the camera, both runs, at {depth}", page.evaluate(FRAMES, SECONDS), "frames a second")
    return rows, page.evaluate(STATE)


@contextmanager
def served(folder: Path, headers: Mapping[str, str] = {}) -> Iterator[str]:
    """Serve a folder as `python -m http.server` does, with more headers where they are given; the server's address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _photograph(path: Path) -> None:
    from PIL import Image
    from skimage import data

    Image.fromarray(data.coffee()).save(path)


def _runtime() -> str:
    return json.loads(LOCK.read_text(encoding="utf-8"))["packages"]["node_modules/onnxruntime-web"]["version"]
