"""What a person takes away: the picture and the numbers."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

pytestmark = pytest.mark.browser


def test_the_numbers_are_those_of_explain(look, explainers):
    tab = look()
    with tab.page.expect_download() as download:
        tab.button("Numbers").click()
    assert download.value.suggested_filename == "parallax-chelsea.npz"
    with np.load(download.value.path()) as numbers:
        for run, explainer in explainers.items():
            found = explainer(data.chelsea(), targets=["cat", "dog"])
            assert np.array_equal(numbers["seen"], found.seen)
            name = f"cats_vs_dogs/{run}"
            np.testing.assert_allclose(numbers[f"{name}/logits"], found.logits, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(numbers[f"{name}/probabilities"], found.probabilities, atol=1e-4)
            for layer, maps in found.maps["hires_cam"].items():
                for target, values in zip(found.targets, maps, strict=True):
                    ours = numbers[f"{name}/hires_cam/{layer}/{target}"]
                    np.testing.assert_allclose(ours, values, atol=2e-3 * np.abs(values).max())
        assert len(numbers.files) == 1 + 2 * (2 + 18 * 2)


def test_the_picture_is_what_is_shown(still):
    tab = still(layer="6d", labels=0)
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Download what is shown as PNG").click()
    assert download.value.suggested_filename == "parallax-chelsea-6d-cat.png"
    picture = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
    assert picture.shape[1] > 2 * picture.shape[0]
    third = picture.shape[1] // 3
    colour = [np.ptp(picture[:, k * third : (k + 1) * third], axis=-1).mean() for k in range(3)]
    assert colour[0] > colour[1] > 1
    assert colour[2] > 1


def test_the_picture_of_a_map_without_evidence_has_no_key_to_nothing(still):
    def below(label: str) -> np.ndarray:
        """How colourful the lines below the pictures are, where words are grey."""
        tab = still(layer="top", **{"class": label})
        assert (label == "dog") == tab.page.get_by_text("No evidence for dog at top").first.is_visible()
        with tab.page.expect_download() as download:
            tab.page.get_by_role("button", name="Download what is shown as PNG").click()
        picture = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
        return np.ptp(picture[int(0.845 * len(picture)) :], axis=-1).max()

    assert below("cat") > 50
    assert below("dog") < 10
