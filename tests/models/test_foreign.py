"""A stranger's model runs nothing and takes no more than it may: each hostile file gets one sentence."""

import io
import json
import os
import resource
import struct
import zipfile

import h5py
import keras
import numpy as np
import pytest

from models import ModelError, foreign, load
from models.fingerprint import picture
from tests.training.studies import tiny_net

SIZE = 32
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


@pytest.fixture(scope="module")
def model():
    """The tutorial's: a network in a network."""
    keras.utils.set_random_seed(5)
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    backbone = tiny_net(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), backbone, *layers], name="mine")


@pytest.fixture(scope="module")
def members(model, tmp_path_factory):
    """The three files of a good `.keras`, and its description as JSON."""
    path = tmp_path_factory.mktemp("good") / "mine.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def config(members):
    return json.loads(members[CONFIG])


@pytest.fixture
def packed(tmp_path):
    """Writes a `.keras` of the files given."""

    def write(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED):
        path = tmp_path / "theirs.keras"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    return write


def refused(path) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0
    return sentence


def logits(model) -> np.ndarray:
    return np.asarray(model(picture(SIZE), training=False))


def test_a_good_file_and_a_good_folder_give_the_model(model, members, packed, tmp_path):
    assert np.array_equal(logits(load(packed(members)).model), logits(model))
    folder = tmp_path / "folder"
    keras.saving.save_model(model, folder, zipped=False)
    run = load(folder)
    assert np.array_equal(logits(run.model), logits(model))
    assert run.labels == ("0", "1", "2")
    (folder / "labels.json").write_text('["cat", "dog", "wolf"]')
    assert load(folder).labels == ("cat", "dog", "wolf")
    (folder / "labels.json").write_text('["cat", "dog"]')
    assert load(folder).labels == ("0", "1", "2")


def test_a_lambda_is_named_and_not_run(tmp_path, monkeypatch):
    path = tmp_path / "theirs.keras"
    run = keras.layers.Lambda(lambda x: (__import__("os").environ.update(PARALLAX_RAN="1"), x)[1])
    layers = [run, keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)]
    keras.Sequential([keras.Input((8, 8, 3)), *layers]).save(path)
    monkeypatch.delenv("PARALLAX_RAN")
    assert "its Lambda is a program" in refused(path)
    assert "PARALLAX_RAN" not in os.environ


@keras.saving.register_keras_serializable("Theirs")
class Strange(keras.layers.Layer):
    """A layer of somebody's own, registered under its name."""

    def call(self, x):
        return x


def test_a_layer_of_their_own_is_named(tmp_path):
    path = tmp_path / "theirs.keras"
    layers = [Strange(), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)]
    keras.Sequential([keras.Input((8, 8, 3)), *layers]).save(path)
    assert "its Strange is not of Keras" in refused(path)


GADGETS = {
    "a function of Keras": {"module": "keras.utils", "class_name": "function", "config": "get_file"},
    "a function of the system": {"module": "builtins", "class_name": "function", "config": "eval"},
    "a class of the system": {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}},
    "a switch": {"module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization"},
    "a lambda": {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
    "a file": {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
    "a model that lies elsewhere": {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/"}},
    "a pickle": {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "gASVAA=="}},
}


@pytest.mark.parametrize("gadget", GADGETS)
def test_what_is_no_layer_is_refused(members, config, packed, gadget):
    config["config"]["layers"].insert(1, GADGETS[gadget] | {"registered_name": None})
    refused(packed(members | {CONFIG: json.dumps(config).encode()}))
    activated = json.loads(members[CONFIG])
    activated["config"]["layers"][-1]["config"]["activation"] = GADGETS[gadget]
    refused(packed(members | {CONFIG: json.dumps(activated).encode()}))


def wide() -> dict:
    network = small(keras.layers.Dense(3))
    config = keras.saving.serialize_keras_object(network)
    config["config"]["layers"][-1]["config"]["units"] = 2_000_000_000
    return config


def small(*layers, side: int = SIZE) -> keras.Model:
    return keras.Sequential([keras.Input((side, side, 3)), *layers])


def described(*layers, side: int = SIZE) -> dict:
    return keras.saving.serialize_keras_object(small(*layers, side=side))


def tiled(times: int) -> dict:
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.ops.tile(image, (1, 1, 1, times)))
    return keras.saving.serialize_keras_object(keras.Model(image, x))


ABSURD = {
    "weights; 150,000,000 are the most": wide,
    "maps of 90,000 x 90,000; 1,024 is the most": lambda: described(keras.layers.ReLU(), side=90_000),
    "maps of 28,800 x 28,800; 1,024 is the most": lambda: described(keras.layers.UpSampling2D(900)),
    "numbers; 33,554,432 are the most": lambda: described(keras.layers.Flatten(), keras.layers.RepeatVector(90_000)),
    "a layer of 276,480,000 numbers": lambda: tiled(90_000),
}


@pytest.mark.parametrize("sentence", ABSURD)
def test_an_absurd_network_is_refused_before_it_takes_memory(model, members, packed, sentence):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sentence in refused(packed(members | {CONFIG: json.dumps(ABSURD[sentence]()).encode()}))
    # Nothing of it waits to be built with the next model.
    assert np.array_equal(logits(load(packed(members)).model), logits(model))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_networks_in_networks_that_are_called_twice_each_are_counted(members, config, packed):
    inner = config
    for _ in range(40):
        call = {**inner, "inbound_nodes": [{"args": []}, {"args": []}]}
        inner = {"module": "keras.src.models.functional", "class_name": "Functional", "config": {"layers": [call]}}
    assert "parts; 20,000 are the most" in refused(packed(members | {CONFIG: json.dumps(inner).encode()}))


def test_a_description_without_end_is_refused(members, packed):
    assert "without running its code" in refused(packed(members | {CONFIG: b"[" * 200_000}))
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    assert "without running its code" in refused(packed(members | {CONFIG: deep}))
    assert "described by 9 MB" in refused(packed(members | {CONFIG: b" " * 9_000_000}, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("name", [CONFIG, METADATA, WEIGHTS])
def test_an_archive_that_says_it_unpacks_to_gigabytes_is_not_unpacked(members, packed, name):
    path = packed(members)
    content = bytearray(path.read_bytes())
    # The sizes of a member in the archive's directory, which come before its name.
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(name.encode()))
    struct.pack_into("<I", content, entry + 24, 3_000_000_000)
    path.write_bytes(content)
    assert "3.0 GB; 1 GB is the most" in refused(path) or "described by 3.0 GB" in refused(path)


def test_weights_that_unpack_to_gigabytes_are_not_read(members, packed):
    bomb = io.BytesIO()
    with h5py.File(bomb, "w") as file:
        file.create_dataset("layers/dense/vars/0", (1 << 20, 1 << 20), "float32", chunks=(1024, 1024))
    assert len(bomb.getvalue()) < 10_000
    assert "would unpack to 4,398.0 GB" in refused(packed(members | {WEIGHTS: bomb.getvalue()}))


def test_weights_that_lie_in_another_file_are_not_read(members, packed, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["vars/0"] = np.ones((8, 3), "float32")
    linked = io.BytesIO()
    with h5py.File(linked, "w") as file:
        file["layers/dense"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")
    refused(packed(members | {WEIGHTS: linked.getvalue()}))


def test_files_that_belong_to_no_network_are_named(members, packed):
    assert "holds more than a network: assets/a.txt" in refused(packed(members | {"assets/a.txt": b"a"}))
    assert "holds more than a network: ../a" in refused(packed(members | {"../a": b"a"}))


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_file_that_lacks_a_part_says_which(members, packed, name):
    files = {other: content for other, content in members.items() if other != name}
    assert f"holds no {name}" in refused(packed(files))


def test_what_is_no_archive_is_one_sentence(members, packed, tmp_path):
    for content in (b"", b"not a model", b"\x89HDF\r\n\x1a\n" + bytes(64)):
        path = tmp_path / "fake.keras"
        path.write_bytes(content)
        assert "is damaged, or was not written by Keras" in refused(path)


def test_files_cut_short_or_with_flipped_bits_are_refused_or_are_models(members, packed):
    path = packed(members)
    whole = path.read_bytes()
    random = np.random.default_rng(2)
    for _ in range(12):
        cut = path.with_name("cut.keras")
        cut.write_bytes(whole[: random.integers(1, len(whole))])
        refused(cut)
        flipped = bytearray(whole)
        for place in random.integers(0, len(whole), 20):
            flipped[place] ^= 1 << int(random.integers(8))
        cut.write_bytes(flipped)
        try:
            assert logits(load(cut).model).shape == (1, 3)
        except ModelError as error:
            assert str(error).endswith(".")


@pytest.mark.parametrize(
    "change", [{"units": 10**12}, {"input_size": 10**6}, {"architecture": "efficientnet"}, {"head": {"weights": "a"}}]
)
def test_a_card_s_network_is_built_only_where_it_fits(tmp_path, change):
    known = {"task": "made", "run": "a", "architecture": "EfficientNetB0", "labels": ["a", "b"]}
    (tmp_path / "card.json").write_text(json.dumps(known | {"input_size": SIZE, "units": 1} | change))
    (tmp_path / WEIGHTS).touch()
    assert "made/a cannot be built" in refused(tmp_path)


def test_a_repository_on_the_hub_is_not_trusted_more(monkeypatch, tmp_path, members):
    from models import hub

    for name, content in members.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(hub, "snapshot", lambda _: tmp_path)
    assert load("hf://somebody/run").name == "hf://somebody/run"
    monkeypatch.setattr(foreign, "MOST_BYTES", 1_000)
    with pytest.raises(ModelError, match="1 GB is the most"):
        load("hf://somebody/run")
