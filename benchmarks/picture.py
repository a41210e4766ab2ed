"""Take the README's picture: the app itself, in a browser, at one layer of a photograph that scikit-image ships."""

from pathlib import Path

from benchmarks import chromium, server

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "look.png"
VIEW = "/?photo=chelsea#layer=6d&class=cat&show=positive&scale=own&cells=smooth&fade=0&labels=1&swap=0&channels=12"


def main() -> int:
    """Start the app, wait for the evidence, and write the picture; returns the exit status."""
    with chromium.launched() as browser, server.running() as app:
        page = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1.5)
        page.goto(app.url + VIEW)
        page.locator('.parallax[data-drawn="6d"]').wait_for(timeout=120_000)
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
    print(f"{PICTURE.relative_to(ROOT)} is written")
    return 0
