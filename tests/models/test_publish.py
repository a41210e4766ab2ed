"""A run is published, fetched again and gives the same logits: by `models`, and by Keras alone."""

import json
import shutil

import keras
import numpy as np
import pytest
from huggingface_hub import ModelCard

from models import Card, graphs, load, save
from models import __main__ as command
from models.fingerprint import picture
from tests.models.a_hub import State, serving
from tests.models.test_main import refused
from tests.training.studies import tiny_net

SIZE = 32
RESULTS = {
    "validation": {"accuracy": 0.975, "loss": 0.0812, "n": 400},
    "best": {"val_accuracy": 0.98},
    "test": {"accuracy": 0.9612, "loss": 0.1, "n": 500, "sha256": "c0ffee"},
}
OTHERS = {"other/theirs": {"a" * 40: {"README.md": b"#"}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with everything."""
    keras.utils.set_random_seed(4)
    keras.applications.SmallNet = tiny_net
    where = tmp_path_factory.mktemp("checkpoints") / "made" / "adam"
    model = graphs.build("SmallNet", SIZE, 1)
    card = Card("made", "adam", "SmallNet", ("cat", "dog | <wolf>"), SIZE, 1, optimizer={"name": "Adam"})
    save(model, Card(**vars(card) | {"data": {"hub": "nobody/made"}, "results": RESULTS}), where)
    (where / "history.csv").write_text("epoch,loss\n")
    yield where
    del keras.applications.SmallNet


@pytest.fixture
def server(monkeypatch, tmp_path):
    with serving(State(dict(OTHERS)), monkeypatch, tmp_path / "cache") as running:
        yield running


def done(capfd, *words: object) -> str:
    """What a command that succeeds prints on stdout; the progress of an upload goes to stderr."""
    status = command.main([str(word) for word in words])
    out, error = capfd.readouterr()
    assert status == 0, error
    assert out.count("\n") == 1
    return out.strip()


def logits(model) -> np.ndarray:
    return np.asarray(model(picture(SIZE), training=False))


def test_what_is_published_is_fetched_again_with_the_same_logits(capfd, server, folder):
    name = done(capfd, "publish", folder, "somebody/run").removeprefix("made/adam is published: ")
    repo, commit = name.removeprefix("hf://").split("@")
    assert list(server.state.repositories[repo]) == [commit]
    wanted = load(folder)
    fetched = load(name)
    assert fetched.name == name
    assert fetched.card == wanted.card
    assert np.array_equal(logits(fetched.model), logits(wanted.model))
    server.stop()
    assert np.array_equal(logits(load(name).model), logits(wanted.model))


def test_keras_alone_loads_it_from_the_hub(capfd, server, folder):
    done(capfd, "publish", folder, "somebody/run")
    model = keras.saving.load_model("hf://somebody/run")
    assert np.array_equal(logits(model), logits(load(folder).model))
    # Whoever fetches it may train it further.
    assert len(model.trainable_weights) == len(graphs.build("SmallNet", SIZE, 1).trainable_weights)


def test_the_repository_holds_what_keras_writes_and_what_is_known(capfd, server, folder):
    done(capfd, "publish", folder, "somebody/run", "--private")
    assert server.state.private == {"somebody/run"}
    (files,) = server.state.repositories["somebody/run"].values()
    keras_own = {"config.json", "metadata.json", "model.weights.h5"}
    assert set(files) == keras_own | {"README.md", "card.json", "history.csv", "labels.json"}
    assert json.loads(files["metadata.json"])["keras_version"] == keras.__version__
    assert json.loads(files["config.json"])["class_name"] == "Functional"
    assert json.loads(files["labels.json"]) == ["cat", "dog | <wolf>"]
    for name in ("card.json", "history.csv", "model.weights.h5"):
        assert files[name] == (folder / name).read_bytes()


def test_the_model_card_states_the_results_of_the_splits(capfd, folder, tmp_path):
    done(capfd, "publish", folder, "somebody/run", "--dry-run", "--out", tmp_path, "--license", "apache-2.0")
    page = ModelCard.load(tmp_path / "README.md")
    assert page.data.library_name == "keras"
    assert page.data.license == "apache-2.0"
    assert page.data.datasets == ["nobody/made"]
    assert page.data.model_name == "made/adam"
    stated = {
        (one.dataset_type, one.dataset_split, one.metric_type): one.metric_value for one in page.data.eval_results
    }
    assert stated == {
        ("nobody/made", split, metric): RESULTS[split][metric]
        for split in ("validation", "test")
        for metric in ("accuracy", "loss")
    }
    # Labels are text on the page, whatever they look like.
    assert "dog \\| \\<wolf\\>" in page.text


def test_a_dry_run_asks_nobody(capfd, server, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = done(capfd, "publish", folder, "somebody/run", "--dry-run")
    assert said.startswith("out/somebody--run holds made/adam as somebody/run")
    assert (tmp_path / "out" / "somebody--run" / "model.weights.h5").is_file()
    assert not server.state.asked


def test_publishing_again_is_another_commit_of_the_same_repository(capfd, server, folder, tmp_path):
    first = done(capfd, "publish", folder, "somebody/run")
    changed = tmp_path / "adam"
    shutil.copytree(folder, changed)
    (changed / "history.csv").write_text("epoch,loss\n1,0.5\n")
    second = done(capfd, "publish", changed, "somebody/run")
    assert first != second
    commits = server.state.repositories["somebody/run"]
    assert [files["history.csv"] for files in commits.values()] == [b"epoch,loss\n", b"epoch,loss\n1,0.5\n"]


def test_only_the_repository_s_own_files_are_uploaded(capfd, server, folder, tmp_path):
    (tmp_path / "secret.txt").write_text("mine")
    done(capfd, "publish", folder, "somebody/run", "--out", tmp_path)
    (files,) = server.state.repositories["somebody/run"].values()
    assert "secret.txt" not in files


@pytest.mark.parametrize("whose", ["the run's own", "a project's", "another run's"])
def test_what_somebody_else_has_in_the_folder_stays(capfd, folder, tmp_path, whose):
    theirs = tmp_path / "theirs"
    if whose == "a project's":
        theirs.mkdir()
        (theirs / "README.md").write_text("mine")
    else:
        shutil.copytree(folder, theirs)
    source = theirs if whose == "the run's own" else folder
    if whose == "another run's":
        (theirs / "labels.json").write_text("[]")
        card = Card.read(theirs / "card.json")
        Card(**vars(card) | {"run": "sgd"}).write(theirs / "card.json")
    before = {path.name: path.read_bytes() for path in theirs.iterdir()}
    said = refused(capfd, "publish", source, "somebody/run", "--dry-run", "--out", theirs)
    assert "name another folder" in said
    assert {path.name: path.read_bytes() for path in theirs.iterdir()} == before


def test_the_same_folder_is_written_again(capfd, folder, tmp_path):
    for _ in range(2):
        done(capfd, "publish", folder, "somebody/run", "--dry-run", "--out", tmp_path / "out")


@pytest.mark.parametrize("repo", ["other/theirs", "other/new"])
def test_somebody_else_s_repository_is_one_sentence(capfd, server, folder, repo):
    assert f"{repo} on the Hub is not yours to write" in refused(capfd, "publish", folder, repo)
    assert server.state.repositories == OTHERS


def test_without_a_token_nobody_is_asked(capfd, server, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere/token")
    assert "no token" in refused(capfd, "publish", folder, "somebody/run")
    assert not server.state.asked


def test_a_token_that_the_hub_does_not_know_is_one_sentence(capfd, server, folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_stale")
    assert "does not accept your token" in refused(capfd, "publish", folder, "somebody/run")


def test_without_network_is_one_sentence(capfd, server, folder, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.stop()
    assert "cannot be reached" in refused(capfd, "publish", folder, "somebody/run")


@pytest.mark.parametrize("repo", ["run", "a/b/c", "hf://a/b", "some--body/run.."])
def test_a_malformed_repository_is_one_sentence(capfd, server, folder, repo):
    assert repo in refused(capfd, "publish", folder, repo)
    assert not server.state.repositories.keys() - OTHERS.keys()


def test_a_run_that_is_not_there_is_one_sentence(capfd, server):
    assert "There is no run or folder called 'made/nobody'" in refused(capfd, "publish", "made/nobody", "somebody/run")


def test_a_run_that_is_not_its_card_s_is_not_published(capfd, server, folder, tmp_path):
    hurt = tmp_path / "adam"
    shutil.copytree(folder, hurt)
    card = json.loads((hurt / "card.json").read_text())
    (hurt / "card.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    assert "not those of its card" in refused(capfd, "publish", hurt, "somebody/run")
    (hurt / "card.json").unlink()
    assert "has no card" in refused(capfd, "publish", hurt, "somebody/run")
    assert server.state.repositories == OTHERS
