"""A state counts when it is whole; whatever else lies in the folder is one plain sentence."""

import errno
import shutil

import pytest

from models import graphs
from tests.training import studies
from tests.training.runs import same
from training import state
from training.objective import prepare
from training.recipe import TrainingError


@pytest.fixture
def model(tiny_network):
    """A small model as it stands in a training."""
    table = studies.recipe()
    built = graphs.build(tiny_network, 32, 1)
    prepare(built, table, table.plans["sgd"], table.stages[0], 2)
    return built


def test_a_write_that_breaks_off_leaves_the_state_before(model, tmp_path, monkeypatch):
    state.save(model, tmp_path, 1, {"seed": 0})
    weights, write = model.get_weights(), model.save_weights

    def write_half(path):
        write(path)
        path.write_bytes(path.read_bytes()[:20_000])
        raise OSError(errno.ENOSPC, "Can't synchronously write data")

    model.layers[-1].set_weights([weight + 1 for weight in model.layers[-1].get_weights()])
    monkeypatch.setattr(model, "save_weights", write_half)
    with pytest.raises(OSError, match="synchronously"):
        state.save(model, tmp_path, 2, {"seed": 0})
    assert state.last(tmp_path) == 1
    state.load(model, tmp_path, 1)
    assert same(model.get_weights(), weights, 0)
    state.clear_unfinished(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["state-001.weights.h5"]


def test_a_disk_without_room_is_not_written_to(model, tmp_path, monkeypatch):
    state.save(model, tmp_path, 1, {"seed": 0})
    needed = (tmp_path / "state-001.weights.h5").stat().st_size
    full = shutil.disk_usage(tmp_path)._replace(free=needed // 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(OSError, match="No space left") as caught:
        state.save(model, tmp_path, 2, {"seed": 0})
    assert caught.value.errno == errno.ENOSPC
    assert [file.name for file in tmp_path.iterdir()] == ["state-001.weights.h5"]


def test_a_damaged_state_is_one_sentence(model, tmp_path):
    state.save(model, tmp_path, 1, {"seed": 0})
    file = tmp_path / "state-001.weights.h5"
    file.write_bytes(file.read_bytes()[:5000])
    for attempt in (lambda: state.load(model, tmp_path, 1), lambda: state.check(tmp_path, 1, {"seed": 0})):
        with pytest.raises(TrainingError, match=r"state-001\.weights\.h5 is damaged"):
            attempt()


@pytest.mark.parametrize("content", [None, "", "epoch,loss\n1,0.5\n", "no\x00sense"])
def test_a_history_that_lacks_an_epoch_is_one_sentence(tmp_path, content):
    for name in ("history.csv", state.SO_FAR):
        if content is not None:
            (tmp_path / name).write_text(content)
        assert state.read_history(tmp_path, 0) == []
        with pytest.raises(TrainingError, match=f"{'history.csv' if content is None else name} is missing or damaged"):
            state.read_history(tmp_path, 1)


def test_only_what_is_named_as_a_state_is_one(tmp_path):
    for name in ("state-best.weights.h5", "state-002.weights.h5"):
        (tmp_path / name).touch()
    assert state.last(tmp_path) == 2
