"""Bad files from the corpus through the page of the real server."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.corpus import NAMES, corpus
from tests.explain import pictures

pytestmark = pytest.mark.browser

EVERY = 12
"""One upload in so many goes through the page; all of them go through the library."""


def test_bad_files_get_a_picture_or_a_sentence_and_leave_the_server_as_it_was(look, server):
    tab = look()
    # The largest photograph comes first: what it takes once is not growth.
    chosen = sorted(corpus()[::EVERY], key=lambda upload: upload.name != "just small enough.png")
    memory = refused = 0
    for number, upload in enumerate(chosen):
        name = f"number {number}{Path(upload.name).suffix}"
        tab.upload(name, upload.content)
        answer = tab.alert.or_(tab.page.locator(".px-file")).filter(has_text=name)
        expect(answer.first).to_be_visible()
        if tab.alert.count():
            said = tab.alert.inner_text()
            assert re.fullmatch(rf'"{name}" [^\n]+\.', said), said
            assert said.count(". ") == 0
            refused += 1
        memory = memory or _resident(server.pid)
    assert len(chosen) > 30
    assert 10 < refused < len(chosen)
    assert _resident(server.pid) <= 1.1 * memory
    assert "Traceback" not in server.log.read_text(errors="replace")
    _a_good_one_is_shown(tab)


@pytest.mark.parametrize("name", [name for name in NAMES if re.match(r"[<'$r\u732b]", name)])
def test_a_hostile_name_is_only_a_name(look, name):
    tab = look()
    tab.page.evaluate("globalThis.alert = () => { throw new Error('it ran'); }")
    tab.upload(name, b"nothing of a photograph")
    shown = "".join(letter if letter.isprintable() else "?" for letter in name)
    expect(tab.alert).to_contain_text(shown[:40])
    expect(tab.page.locator("img[src=x]")).to_have_count(0)
    _a_good_one_is_shown(tab)


def _a_good_one_is_shown(tab) -> None:
    tab.upload("good.png", pictures.encoded(pictures.photograph(), "PNG"))
    tab.ready("good.png")
    expect(tab.alert).to_have_count(0)


def _resident(pid: int) -> int:
    """Pages of memory that a process holds."""
    file = Path(f"/proc/{pid}/statm")
    return int(file.read_text().split()[1]) if file.exists() else 1
