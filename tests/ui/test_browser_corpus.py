"""Hostile names of files on the page of the real server; what is in the files is in test_corpus.py."""

import re

import pytest
from playwright.sync_api import expect

from tests.corpus import NAMES
from tests.explain import pictures

pytestmark = pytest.mark.browser


def test_a_hostile_name_is_only_a_name(look):
    tab = look()
    tab.page.evaluate("() => { globalThis.alert = () => { throw new Error('it ran'); }; }")
    for name in (name for name in NAMES if re.match(r"[<'$r\u732b]", name)):
        tab.upload(name, b"nothing of a photograph")
        shown = "".join(letter if letter.isprintable() else "?" for letter in name)
        expect(tab.alert).to_contain_text(shown[:40])
        expect(tab.page.locator("img[src=x]")).to_have_count(0)
        tab.upload("good.png", pictures.encoded(pictures.photograph(), "PNG"))
        expect(tab.alert).to_have_count(0)
        tab.ready("good.png")
