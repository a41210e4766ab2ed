"""The first page of a fresh server, and what every page is called."""

import pytest
from playwright.sync_api import expect
from skimage import data

pytestmark = pytest.mark.browser


def test_the_first_visitor_sees_the_photograph_while_networks_load(first_visit):
    # A visitor who comes late finds the networks loaded, and has nothing to be told.
    while_loading = [moment for moment in first_visit if not moment["ready"] and moment["said"]]
    assert all(moment["said"] == "Loading the two networks" for moment in while_loading)
    assert not while_loading or while_loading[-1]["colours"] > 1_000


def test_the_photograph_stays_where_it_was_when_the_evidence_comes(first_visit):
    drawn = [moment["place"] for moment in first_visit if moment["colours"] > 1_000]
    assert all(abs(now - last) <= 1 for place in drawn for now, last in zip(place, drawn[-1], strict=True))


def test_name_title_and_icon(still):
    tab = still()
    expect(tab.page).to_have_title("Parallax")
    expect(tab.page.get_by_role("heading", name="Parallax", level=1)).to_be_visible()
    icon = tab.page.locator("link[rel~='icon']").first.get_attribute("href")
    assert icon is not None
    assert icon.startswith("data:image/svg+xml")


def test_the_first_photograph_is_explained_without_a_click(still, explainers):
    tab = still()
    expect(tab.button("chelsea")).to_have_attribute("aria-pressed", "true")
    for run, name in (("sgd", "SGD"), ("adam", "Adam")):
        found = explainers[run](data.chelsea())
        percent = f"{100 * found.probabilities.max():.1f} %" if found.probabilities.max() < 0.9995 else "> 99.9 %"
        expect(tab.status).to_contain_text(f"{name} {found.top} {percent}")
