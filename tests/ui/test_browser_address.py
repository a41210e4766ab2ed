"""The address holds the whole view, the Runs panel, and runs that cannot be shown."""

import re
from urllib.parse import urlencode

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.ui.tab import pixels

pytestmark = pytest.mark.browser


def test_the_address_gives_the_same_view_again(look):
    tab = look("/?photo=flower")
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "2", "s"):
        tab.page.keyboard.press(key)
    for name in ("signed", "shared scale", "native cells"):
        tab.button(name).click()
    tab.at("6c")
    expect(tab.page).to_have_url(re.compile(r"\?photo=flower#layer=6c&class=dog&show=signed&scale=shared&cells=native"))
    views = [pixels(tab.evidence(run)) for run in ("SGD", "Adam")]
    tab.page.reload()
    again = tab.ready("flower")
    other = look(tab.page.url.removeprefix(tab.page.url.split("/?")[0]))
    for one in (again, other):
        one.at("6c")
        for view, run in zip(views, ("SGD", "Adam"), strict=True):
            # Lines are drawn by the graphics library, which may round a pixel otherwise.
            assert np.mean(pixels(one.evidence(run)) != view) < 1e-3


def test_what_the_server_does_keeps_the_view(look):
    tab = look("/#layer=5c&class=dog&show=signed")
    tab.button("Runs").click()
    tab.page.get_by_role("combobox", name="Right").click()
    tab.page.get_by_role("option", name="SGD", exact=True).click()
    # Until the other side has changed in sight, too, whoever clicks again still sends its old run.
    expect(tab.page.get_by_role("combobox", name="Left")).to_have_value("Adam")
    expect(tab.page).to_have_url(re.compile(r"\?right=SGD&left=Adam#layer=5c&class=dog&show=signed"))
    tab.page.keyboard.press("Escape")
    tab.button("coffee").click()
    tab.ready("coffee")
    tab.at("5c")
    expect(tab.page).to_have_url(re.compile(r"right=SGD&left=Adam&photo=coffee#layer=5c&class=dog&show=signed"))
    expect(tab.evidence("SGD")).to_have_attribute("aria-label", re.compile("^Evidence for and against dog at layer 5c"))


def test_another_hash_in_the_same_tab_is_followed(still):
    tab = still(layer="5c")
    tab.depth.press("ArrowLeft")
    expect(tab.page).to_have_url(re.compile("#layer=5b&"))
    tab.page.evaluate("location.hash = 'layer=3a&class=dog'")
    tab.at("3a")
    expect(tab.evidence("SGD")).to_have_attribute("aria-label", re.compile("^Evidence for dog at layer 3a"))


def test_until_a_class_is_chosen_it_is_the_likeliest_of_each_photograph(look):
    tab = look()
    for photo, key, label, said in (
        ("chelsea", "", "cat", "#layer=top&show="),
        ("flower", "", "dog", "#layer=top&show="),
        ("flower", "1", "cat", "#layer=top&class=cat&show="),
        ("china", "", "cat", "#layer=top&class=cat&show="),
    ):
        tab.button(photo).click()
        tab.ready(photo)
        if key:
            tab.page.keyboard.press(key)
        expect(tab.evidence("SGD")).to_have_attribute("aria-label", re.compile(f"vidence for {label} at layer top"))
        expect(tab.page).to_have_url(re.compile(rf"photo={photo}{said}"))


def test_naming_what_is_shown_anyway_costs_nothing_of_what_the_address_says_besides(look):
    words = {"task": "Cats and dogs", "left": "sgd", "right": "adam", "method": "HiResCAM"}
    tab = look(f"/?{urlencode(words)}#layer=5c&class=dog&show=signed")
    tab.at("5c")
    expect(tab.evidence("SGD")).to_have_attribute("aria-label", re.compile("dog at layer 5c"))
    expect(tab.page).to_have_url(re.compile("#layer=5c&class=dog&show=signed"))


def test_a_photograph_that_is_there_already_keeps_the_view(look):
    tab = look("/#layer=5c&class=dog")
    expect(tab.page).to_have_url(re.compile("#layer=5c&class=dog&show="))
    # Longer than the viewer waits before it tells its state.
    tab.page.wait_for_timeout(600)
    tab.button("chelsea").click()
    expect(tab.page).to_have_url(re.compile(r"photo=chelsea#layer=5c&class=dog&show="))


def test_strange_words_in_the_address_give_the_default(look):
    tab = look(
        "/?photo=../../etc/passwd&task=unknown&left=nobody&right=%3Cb%3E#layer=9z&class=cow&show=loud&channels=x"
    )
    tab.ready("chelsea")
    tab.at("top")
    for run in ("SGD", "Adam"):
        expect(tab.evidence(run)).to_have_attribute("aria-label", re.compile("^Evidence for cat at layer top"))
    expect(tab.alert).to_contain_text("The photograph that the address names is not here: this is chelsea.")
    expect(tab.alert).to_contain_text("The run that the address names is not here: <b>.")
    expect(tab.page).not_to_have_url(re.compile("photo="))


def test_whoever_writes_the_words_of_the_address_leaves_the_view_in_it(look):
    tab = look("/?photo=gone.png&left=nobody#layer=5c&class=dog&show=signed")
    tab.at("5c")
    view = "#layer=5c&class=dog&show=signed&"
    expect(tab.page).to_have_url(re.compile(rf"/{view}"))
    # At once, so that neither a reload nor the way back finds the address without it while a network loads.
    assert view in tab.page.evaluate("history.pushState({}, '', '/?photo=coffee'); location.href")


def test_swapped_runs_keep_their_colours(look, still):
    tabs = still(), look("/?left=adam&right=sgd")
    places = [[tab.evidence(run).bounding_box()["x"] for run in ("SGD", "Adam")] for tab in tabs]
    assert places[0] == places[1][::-1]
    for tab in tabs:
        expect(tab.page.locator("figure.px-hue-a")).to_contain_text("SGD")
        expect(tab.page.locator("figure.px-hue-b")).to_contain_text("Adam")


def test_a_damaged_run_is_named_and_the_other_goes_on(look):
    tab = look("/?right=adam-damaged")
    expect(tab.alert).to_contain_text("Adam damaged cannot be shown")
    expect(tab.alert).not_to_contain_text("Traceback")
    expect(tab.evidence("SGD")).to_be_visible()
    tab.button("china").click()
    tab.ready("china")
    expect(tab.alert).to_contain_text("Adam damaged cannot be shown")


def test_two_damaged_runs_leave_the_photograph(look):
    tab = look("/?left=adam-damaged&right=adam-damaged", wait=False)
    expect(tab.alert).to_contain_text("Adam damaged cannot be shown")
    expect(tab.seen).to_be_visible()


def test_a_task_of_many_classes_shows_the_likeliest_ten(look):
    tab = look("/?task=letters")
    expect(tab.page.get_by_role("group", name="Class").get_by_role("button")).to_have_count(10)
    expect(tab.page.get_by_role("img", name="in the untrained run")).to_be_visible()


def test_the_task_can_be_changed_and_back(look):
    tab = look()
    for task, run in (("letters", "untrained"), ("Cats and dogs", "Adam")):
        tab.button("Runs").click()
        tab.page.get_by_role("combobox", name="Task").click()
        tab.page.get_by_role("option", name=task).click()
        expect(tab.evidence(run)).to_be_visible()
        tab.page.keyboard.press("Escape")
    expect(tab.alert).to_have_count(0)
