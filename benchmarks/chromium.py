"""The Chromium that benchmarks drive."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.errors import BenchmarkError


@contextmanager
def launched(*arguments: str) -> Iterator[Any]:
    """A Chromium without a screen: that of PARALLAX_CHROMIUM, the system's, or Playwright's own.

    Args:
        arguments: more words for its command line.

    Raises:
        BenchmarkError: if Playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BenchmarkError("A browser needs Playwright: pip install -r requirements-dev.txt") from None
    own = os.environ.get("PARALLAX_CHROMIUM") or shutil.which("chromium")
    always = ("--no-sandbox", "--disable-background-networking")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=own, args=[*always, *arguments])
        yield browser
        browser.close()
