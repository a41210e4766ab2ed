"""What Errors says of a picture is what Look says of it."""

import numpy as np
import pytest

from training.tables import STUDIES, read
from ui import photographs, runs

ROWS = 20


@pytest.mark.data
def test_errors_and_look_give_a_picture_the_same_answer(shared, monkeypatch):
    monkeypatch.setenv(photographs.FOLDER, str(shared / "data"))
    name = "cifar10/adam"
    task, run = name.split("/")
    rows = read(STUDIES / f"{task}_errors" / "one_wrong.csv")[-ROWS:]
    pictures = photographs.pictures(task, "test", tuple(row["sha256"] for row in rows))
    for row in rows:
        file, content = pictures[row["sha256"]]
        said = runs.explainer(name).probabilities(runs.read(content, file))
        assert runs.explainer(name).labels[int(np.argmax(said))] == row[run]
        assert said.max() == pytest.approx(float(row[f"{run}_probability"]), abs=1e-5)
