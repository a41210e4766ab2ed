"""The Chromium that benchmarks drive."""

import os
import shutil
from typing import Any


def launch(playwright: Any, *arguments: str) -> Any:
    """A Chromium without a screen: that of PARALLAX_CHROMIUM, the system's, or Playwright's own.

    Args:
        playwright: what `sync_playwright` gives.
        arguments: more words for its command line.
    """
    own = os.environ.get("PARALLAX_CHROMIUM") or shutil.which("chromium")
    always = ("--no-sandbox", "--disable-background-networking")
    return playwright.chromium.launch(executable_path=own, args=[*always, *arguments])
