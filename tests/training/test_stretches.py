"""Where the epochs of a training ran."""

from types import SimpleNamespace
from typing import Any

from training import stretches


def test_epochs_alike_are_one_stretch_and_every_change_is_said_once(monkeypatch):
    ran: list[dict[str, Any]] = []
    for machine, mixed, epochs in (("a", True, 2), ("b", True, 1), ("a", False, 1), ("a", True, 1)):
        monkeypatch.setattr(stretches, "machine", lambda machine=machine: machine)
        for _ in range(epochs):
            ran = stretches.lengthen(ran, SimpleNamespace(mixed=mixed))
    assert [one["epochs"] for one in ran] == [2, 1, 1, 1]
    assert stretches.machines(ran) == "a; b"
    assert stretches.precision(ran) == "mixed_bfloat16 to epoch 3, float32 to epoch 4, mixed_bfloat16 to epoch 5"
    assert stretches.flags(ran) == (
        " --mixed  # from epoch 4 on --resume without --mixed  # from epoch 5 on --resume with --mixed"
    )
    assert (stretches.precision(ran[2:3]), stretches.flags(ran[2:3])) == ("float32", "")
