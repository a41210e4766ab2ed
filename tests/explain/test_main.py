"""The command line: pictures, numbers and a manifest for every photograph; one plain sentence for every mistake."""

import hashlib
import json
import os
import re
import zipfile
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import ExifTags, Image
from skimage import data

import models
from explain import Explainer, Explanation
from explain.__main__ import _agreement, _export_parser, _target, main
from explain.methods import DEFAULT

PAIR = ["--model", "cats_vs_dogs/sgd", "--model", "cats_vs_dogs/adam"]


@pytest.fixture(scope="module", autouse=True)
def _each_run_is_loaded_once(shipped):
    """Commands of one process share what they load, with other tests too; what cannot be loaded is asked for again."""
    find = cache(models.find)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "find", lambda name: shipped.get(name) or find(name))
        patch.setattr(models, "load", models.find)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("one", "two"):
        (folder / name).mkdir()
    # Lying, as a telephone that is held upright writes it.
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.rot90(data.chelsea())).save(folder / "one" / "my cat.png", exif=exif)
    Image.fromarray(data.coffee()).save(folder / "two" / "my cat.png")
    (folder / "text.jpg").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def written(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    pictures = [str(photos / "one" / "my cat.png"), str(photos / "two" / "my cat.png")]
    assert (
        main([*pictures, *PAIR, "--out", str(out), "--method", "grad_cam", "--method", "hires_cam", "--target", "cat"])
        == 0
    )
    return out


def test_every_photograph_has_its_own_folder(written):
    assert sorted(path.name for path in written.iterdir()) == ["my-cat", "my-cat-2"]
    for folder in written.iterdir():
        assert sorted(path.name for path in folder.iterdir()) == [
            "cats_vs_dogs--adam.npz",
            "cats_vs_dogs--sgd.npz",
            "compare.png",
            "manifest.json",
        ]


def test_the_numbers_are_those_of_the_library(written, shipped):
    run = shipped["cats_vs_dogs/adam"]
    found = Explainer(run.model, labels=run.labels)(data.chelsea(), targets=("cat",), methods=("grad_cam", "hires_cam"))
    with np.load(written / "my-cat" / "cats_vs_dogs--adam.npz") as numbers:
        assert np.array_equal(numbers["seen"], found.seen)
        assert np.allclose(numbers["probabilities"], found.probabilities, atol=1e-5)
        for method, layers in found.maps.items():
            for layer, maps in layers.items():
                stored = numbers[f"{method}/{layer}/cat"]
                assert np.abs(stored - maps[0]).max() <= 1e-4 * np.abs(maps).max()
        assert len(numbers.files) == 3 + 2 * 18


def test_the_manifest_says_enough_to_make_it_again(written, shipped):
    manifest = json.loads((written / "my-cat" / "manifest.json").read_text())
    assert {name: one["sha256"] for name, one in manifest["models"].items()} == {
        name: run.card.sha256 for name, run in shipped.items()
    }
    assert manifest["targets"] == ["cat"]
    assert manifest["methods"] == ["grad_cam", "hires_cam"]
    assert len(manifest["layers"]) == 18
    assert (manifest["image"]["width"], manifest["image"]["height"]) == (451, 300)
    assert {"keras", "openvino", "numpy", "python"} <= set(manifest["versions"])


def test_the_manifest_says_where_cells_look_and_how_far_runs_agree(written, shipped):
    manifest = json.loads((written / "my-cat" / "manifest.json").read_text())
    for layer in Explainer(shipped["cats_vs_dogs/sgd"].model).layers:
        cells = manifest["cells"][layer.name]
        assert cells["shape"] == [layer.shape[0]] * 2
        assert (cells["stride"], cells["offset"]) == (layer.stride, layer.offset)
    assert [(one["runs"], one["method"], one["target"]) for one in manifest["agreement"]] == [
        (["cats_vs_dogs/sgd", "cats_vs_dogs/adam"], method, "cat") for method in ("grad_cam", "hires_cam")
    ]
    sgd, adam = (np.load(written / "my-cat" / f"cats_vs_dogs--{run}.npz") for run in ("sgd", "adam"))
    for one in manifest["agreement"]:
        for layer, told in one["layers"].items():
            key = f"{one['method']}/{layer}/cat"
            assert told == pytest.approx(np.corrcoef(sgd[key].ravel(), adam[key].ravel())[0, 1], abs=1e-5)


def test_where_a_map_is_even_no_number_says_how_far_runs_agree():
    maps = {"grad_cam": {"top": np.stack([np.ones((2, 2)), np.eye(2)])}}
    found = Explanation(np.zeros((2, 2, 3)), np.zeros(2), np.zeros(2), ("cat", "dog"), (), ("cat", "dog"), maps)
    told = json.loads(json.dumps(list(_agreement({"one": found, "two": found})), allow_nan=False))
    assert [(one["target"], one["layers"]) for one in told] == [("cat", {"top": None}), ("dog", {"top": 1})]
    assert list(_agreement({"one": found})) == []


def test_the_picture_is_a_sheet_with_colour(written):
    with Image.open(written / "my-cat" / "compare.png") as sheet:
        assert sheet.width == 2000
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    warm = (pixels[..., 0] - pixels[..., 2]) > 60
    assert warm.mean() > 0.01


def test_one_bad_picture_does_not_lose_the_others(photos, tmp_path, capsys):
    good = str(photos / "one" / "my cat.png")
    assert (
        main([str(photos / "text.jpg"), good, *PAIR[:2], "--out", str(tmp_path), "--layers", "top,5c", "--json"]) == 2
    )
    said = capsys.readouterr()
    assert "text.jpg" in said.err
    assert "Traceback" not in said.err
    lines = said.out.strip().splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["predictions"].keys() == {"cats_vs_dogs/sgd"}
    with np.load(tmp_path / "my-cat" / "cats_vs_dogs--sgd.npz") as numbers:
        assert {name.split("/")[1] for name in numbers.files if name.startswith("hires_cam")} == {"top", "5c"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nobody.jpg", *PAIR], "nobody.jpg"),
        (["text.jpg", *PAIR], "text.jpg"),
        (["one/my cat.png", "--model", "cats_vs_dogs/nobody"], "no run or folder called 'cats_vs_dogs/nobody'"),
        (["one/my cat.png", *PAIR[:2], "--layers", "9z"], "no layer '9z'"),
        (["one/my cat.png", *PAIR[:2], "--layers", ","], "no layer to be explained; the layers are: stem, 1a"),
        (["one/my cat.png", *PAIR[:2], "--target", "bird"], "no class 'bird'; the classes are: cat, dog"),
        (["one/my cat.png", *PAIR[:2], "--target", "²"], "no class '²'"),
        (["one/my cat.png", "--model", "cats_vs_dogs/sgd", "--model", "cifar10/cnn1"], "other layers"),
        (["one/my cat.png", *PAIR[:2], "--method", "tea_leaves"], "no method 'tea_leaves'"),
        (["one/my cat.png", *PAIR[:2], "--engine", "steam"], "no engine 'steam'"),
    ],
)
def test_what_cannot_be_done_is_one_plain_sentence(photos, tmp_path, capsys, words, sentence):
    assert main([str(photos / words[0]), *words[1:], "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert len([line for line in said.strip().splitlines() if line]) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--method", "tea_leaves"], ["--engine", "steam"]])
def test_a_name_that_is_none_is_told_before_anything_is_loaded(photos, tmp_path, monkeypatch, words):
    monkeypatch.delattr(models, "find")
    assert main([str(photos / "one" / "my cat.png"), *PAIR, *words, "--out", str(tmp_path)]) == 2


def save(path, bias):
    """A small network that answers so, whatever it sees."""
    steps = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((32, 32, 3)), *steps, keras.layers.Dense(len(bias))])
    model.layers[-1].set_weights([np.zeros((4, len(bias))), np.array(bias)])
    model.save(path)


def test_a_class_that_one_of_the_runs_does_not_know_is_one_sentence(photos, tmp_path, capsys):
    save(tmp_path / "three.keras", [0, 0, 5])
    save(tmp_path / "two.keras", [0, 5])
    words = ["--model", str(tmp_path / "three.keras"), "--model", str(tmp_path / "two.keras")]
    assert main([str(photos / "one" / "my cat.png"), *words, "--out", str(tmp_path / "out")]) == 2
    assert "two knows no class" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_training_that_diverged_is_one_sentence_and_leaves_no_file(photos, tmp_path, capsys):
    save(tmp_path / "net.keras", [np.nan, np.nan])
    words = ["--model", str(tmp_path / "net.keras"), "--out", str(tmp_path / "out")]
    assert main([str(photos / "one" / "my cat.png"), *words]) == 2
    assert capsys.readouterr().err.startswith("What net says of my cat.png is no number: its training diverged")
    assert not (tmp_path / "out").exists()


def test_what_another_photograph_or_run_has_written_stays(photos, tmp_path, tiny_files):
    both = [word for file in tiny_files for word in ("--model", str(file))]

    def explained(photo, *words):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
        assert main([str(photos / photo / "my cat.png"), *words, "--out", str(tmp_path)]) == 0
        return before

    (tmp_path / "my-cat").mkdir()
    (tmp_path / "my-cat" / "manifest.json").write_text("precious")
    for photo, words in (("one", both[:2]), ("two", both[:2]), ("one", both)):
        for path, content in explained(photo, *words).items():
            assert path.read_bytes() == content
    explained("two", *both[:2])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-cat", "my-cat-2", "my-cat-3", "my-cat-4"]


def test_two_models_of_one_name_are_both_explained(photos, tmp_path, tiny_files):
    models_ = [word for file in tiny_files for word in ("--model", str(file))]
    assert main([str(photos / "one" / "my cat.png"), *models_, "--out", str(tmp_path)]) == 0
    manifest = json.loads((tmp_path / "my-cat" / "manifest.json").read_text())
    assert list(manifest["predictions"]) == ["net", "net-2"]
    assert {path.name for path in (tmp_path / "my-cat").glob("*.npz")} == {"net.npz", "net-2.npz"}
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in tiny_files]
    assert [one["sha256"] for one in manifest["models"].values()] == digests


def test_slow_methods_tell_how_far_they_are(photos, tmp_path, tiny_files, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    words = ["--model", str(tiny_files[0]), "--method", "occlusion", "--out", str(tmp_path)]
    assert main([str(photos / "one" / "my cat.png"), *words]) == 0
    shown = capsys.readouterr().err.split("\r\x1b[K")
    assert re.fullmatch(r"net: \d+ of \d+ pictures asked", shown[1])
    assert shown[-1] == ""


@pytest.fixture(scope="module")
def tiny_files(tmp_path_factory):
    """Two models in files of one name."""
    files = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        steps = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
        files.append(tmp_path_factory.mktemp("net") / "net.keras")
        keras.Sequential([keras.Input((32, 32, 3)), *steps, keras.layers.Dense(2)]).save(files[-1])
    return files


@pytest.mark.parametrize(
    ("labels", "asked", "meant"),
    [(("cat", "dog"), "1", "dog"), (("1", "0"), "1", "1"), (("7", "3"), "7", "7"), (("7", "3"), "0", "7")],
)
def test_a_target_is_a_label_before_it_is_a_number(labels, asked, meant):
    assert _target(asked, labels) == meant


def _with_a_lambda(folder):
    marker = os.environ["MARKER"]
    run = keras.layers.Lambda(lambda x: (Path(marker).touch(), x)[1], output_shape=(8, 8, 3))
    layers = [keras.Input((8, 8, 3)), run, keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)]
    keras.Sequential(layers).save(folder / "theirs.keras")
    Path(marker).unlink(missing_ok=True)


def _with_a_module_beside_it(folder):
    (folder / "their_module.py").write_text("import os, pathlib\npathlib.Path(os.environ['MARKER']).touch()\n")
    net = {"module": "their_module", "class_name": "Net", "config": {}, "registered_name": "Net"}
    files = {"metadata.json": {"keras_version": keras.__version__}, "config.json": net, "model.weights.h5": {}}
    with zipfile.ZipFile(folder / "theirs.keras", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, json.dumps(content))


@pytest.mark.parametrize("harm", [_with_a_lambda, _with_a_module_beside_it])
def test_a_stranger_s_file_runs_nothing(photos, tmp_path, capsys, monkeypatch, harm):
    marker = tmp_path / "marker"
    monkeypatch.setenv("MARKER", str(marker))
    monkeypatch.syspath_prepend(tmp_path)
    harm(tmp_path)
    words = [str(photos / "one" / "my cat.png"), "--model", str(tmp_path / "theirs.keras"), "--out", str(tmp_path)]
    assert main(words) == 2
    assert not marker.exists()
    said = capsys.readouterr().err
    assert "theirs.keras" in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


def test_export_writes_a_graph_that_gives_the_logits(tmp_path, shipped):
    import onnx

    out = tmp_path / "adam.onnx"
    assert main(["export", "cats_vs_dogs/adam", "--out", str(out), "--half"]) == 0
    assert out.stat().st_size < 10e6
    graph = onnx.load(out)
    help_ = _export_parser().format_help()
    assert all(f"`{one.name}`" in help_ for one in [*graph.graph.input, graph.graph.output[0]])
    # The method that the page shows where nobody asks for another.
    assert {output.name.split("/")[0] for output in graph.graph.output} == {"logits", "gate", DEFAULT}
    assert {f"{DEFAULT}/stem", f"{DEFAULT}/5c", f"{DEFAULT}/top"} <= {output.name for output in graph.graph.output}
    assert json.loads(next(one.value for one in graph.metadata_props if one.key == "labels")) == ["cat", "dog"]


def test_export_writes_the_methods_that_are_asked_for(tmp_path, shipped):
    import onnx

    # Whatever the file is called: onnx of itself would write one like this as JSON.
    out = tmp_path / "adam.json"
    asked = ["--method", "grad_cam", "--method", "layer_cam", "--method", "grad_cam"]
    assert main(["export", "cats_vs_dogs/adam", "--out", str(out), *asked]) == 0
    kinds = {output.name.split("/")[0] for output in onnx.load_from_string(out.read_bytes()).graph.output}
    assert kinds == {"logits", "gate", "grad_cam", "layer_cam"}


@pytest.mark.parametrize(
    ("method", "sentence"), [("nonsense", "There is no method 'nonsense'"), ("occlusion", "A graph has no 'occlusion'")]
)
def test_export_says_which_methods_a_graph_cannot_have(tmp_path, shipped, capsys, method, sentence):
    out = tmp_path / "adam.onnx"
    assert main(["export", "cats_vs_dogs/adam", "--out", str(out), "--method", method]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "hires_cam" in said
    assert len(said.strip().splitlines()) == 1
    assert not out.exists()
