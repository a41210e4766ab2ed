"""What an explainer is asked for, by which names, and what it answers."""

import numpy as np
import pytest

import explain
from explain import EngineError, Explainer, LayerError, PhotoError, TargetError
from explain.formulas import FORMULAS
from explain.methods import DEFAULT
from tests.explain.kinds import PICTURES, SIZE
from tests.explain.networks import classifier, few


@pytest.fixture(scope="module")
def reference():
    model = classifier(few(SIZE))
    return model, Explainer(model)


@pytest.fixture(scope="module")
def one_logit():
    return Explainer(classifier(few(SIZE), units=1), labels=("no", "yes"), engine="openvino")


@pytest.mark.parametrize("targets", [["no"], ["yes"], ["no", "yes"], ["yes", "yes"], None])
def test_maps_of_one_logit_are_those_of_the_formulas(targets, one_logit):
    """However the engine makes them: every target's own gradient, into every formula."""
    explainer = one_logit
    found = explainer(PICTURES[0], targets=targets, methods=tuple(FORMULAS))
    kept = explainer(PICTURES[0], targets=["yes"], methods=(), keep=True).evidence
    for layer, gradient in kept.gradients.items():
        for row, target in enumerate(found.targets):
            sign = 1 if target == "yes" else -1
            for method, formula in FORMULAS.items():
                slow = formula(kept.activations[layer], sign * gradient[0])[0]
                assert np.abs(found.maps[method][layer][row] - slow).max() <= 1e-4 * np.abs(slow).max()


def test_a_list_of_targets_too_short_is_an_error(reference):
    with pytest.raises(TargetError, match="photographs 3, lists of targets 1"):
        reference[1].batch(PICTURES, targets=[[0]])


def test_one_target_a_photograph_is_enough_in_a_batch(reference):
    explainer = Explainer(reference[0], labels=("b", "i", "bi"), layers=iter(("top",)))
    found = explainer.batch(PICTURES, targets=["bi", 1, None], methods=(name for name in ("grad_cam", "layer_cam")))
    first, second, _ = ((one.targets, one.maps["layer_cam"]["top"].shape) for one in found)
    assert (first, second) == ((("bi",), (1, 16, 16)), (("i",), (1, 16, 16)))


def test_unknown_names_are_one_plain_sentence(reference):
    explainer = reference[1]
    with pytest.raises(TargetError, match="There is no class 'bird'; the classes are: 0, 1, 2"):
        explainer(PICTURES[0], targets=("bird",))
    with pytest.raises(TargetError, match="There is no class 3"):
        explainer(PICTURES[0], targets=(3,))
    with pytest.raises(TargetError, match="There is no class to be explained"):
        explainer(PICTURES[0], targets=[])
    with pytest.raises(LayerError, match="There is no layer '9z'"):
        Explainer(reference[0], layers=("9z",))
    with pytest.raises(TargetError, match="2 labels"):
        Explainer(reference[0], labels=("a", "b"))


def test_one_name_is_not_the_list_of_its_letters(reference):
    explainer = Explainer(reference[0], labels=("ant", "bee", "fly"), layers="top")
    found = explainer(PICTURES[0], targets="bee", methods="grad_cam")
    assert (found.targets, [*found.maps], [*found.maps["grad_cam"]]) == (("bee",), ["grad_cam"], ["top"])
    assert explainer(PICTURES[0], targets=1).targets == found.targets
    for lone in ("bee", 1):
        (found,) = explainer.batch(PICTURES[0], targets=lone)
        assert found.targets == ("bee",)
    with pytest.raises(TargetError, match="photographs 3, lists of targets 1"):
        explainer.batch(PICTURES, targets="bee")


def test_an_explanation_is_shown_in_a_line_and_is_one_of_a_set(reference):
    explainer = Explainer(reference[0], labels=("ant", "bee", "fly"), layers=("stem", "top"))
    found, again = (explainer(PICTURES[0], targets=("bee", "ant"), keep=True) for _ in range(2))
    shown = f"<Explanation: {found.top} {found.probabilities.max():.4f} of 3; for bee, ant: hires_cam at 2 layers>"
    assert repr(found) == shown
    assert len({found, again}) == 2 and found != again
    assert len(repr(found.evidence)) < 200


@pytest.mark.parametrize(("engine", "method"), [("openvino", "maps"), ("tensorflow", "__call__")])
def test_many_targets_are_explained_a_few_at_a_time(reference, monkeypatch, engine, method):
    """A thousand classes of a ResNet would take 18 GB of gradients together."""
    explainer, wanted = Explainer(reference[0], engine=engine, layers="top"), [0, 2, 1, 2]
    methods, asked, kind = ("hires_cam", "eigen_grad_cam"), [], type(explainer._engine)
    whole, passed = explainer(PICTURES[0], wanted, methods), getattr(kind, method)

    def noting(engine, images, rows, *more, **options):
        asked.append(rows.shape[1])
        return passed(engine, images, rows, *more, **options)

    monkeypatch.setattr(kind, method, noting)
    monkeypatch.setattr(kind, "most_targets", 3, raising=False)
    found = explainer(PICTURES[0], wanted, methods)
    assert (asked, found.targets) == ([3, 1], whole.targets)
    for name in methods:
        assert np.allclose(found.maps[name]["top"], whole.maps[name]["top"], rtol=1e-4, atol=1e-7)
    kept = explainer(PICTURES[0], wanted, methods, keep=True)
    assert kept.evidence.gradients["top"].shape[1] == 4


def test_classes_that_share_a_name_are_told_apart_by_their_numbers(reference):
    """ImageNet has two cranes, a bird and a machine: the one that is asked for by its number is not the other."""
    explainer = Explainer(reference[0], labels=("crane", "bee", "crane"), layers="top")
    assert explainer.labels == ("crane (0)", "bee", "crane (2)")
    found = explainer(PICTURES[0], targets=["crane (2)", "bee"])
    assert np.array_equal(found.maps[DEFAULT]["top"], explainer(PICTURES[0], targets=[2, 1]).maps[DEFAULT]["top"])
    with pytest.raises(TargetError, match="no class 'crane'"):
        explainer(PICTURES[0], targets="crane")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"threads": 0}, EngineError, "at least one thread, not 0"),
        ({"fit": "stretch"}, PhotoError, 'no fit "stretch"'),
        ({"source_size": 0}, PhotoError, "0 pixels"),
        ({"layers": ()}, LayerError, "no layer to be explained"),
    ],
)
def test_what_cannot_be_is_told_before_a_photograph_comes(reference, options, error, sentence):
    with pytest.raises(error, match=sentence):
        Explainer(reference[0], **options)


def test_what_is_imported_late_is_offered_too():
    assert set(explain.__all__) <= set(dir(explain))
