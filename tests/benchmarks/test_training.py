"""The way to a validation accuracy: which runs are compared, and what is stored."""

from benchmarks.study import read
from benchmarks.training import OURS, STUDY, THEIRS, compare


def run(name: str, seed: int, *cpu_seconds: float) -> list[dict[str, str]]:
    return [
        {"recipe": name, "seed": str(seed), "epochs": str(epoch), "cpu_seconds": f"{cpu:.1f}"}
        for epoch, cpu in enumerate(cpu_seconds, 1)
    ]


def test_of_each_recipe_the_end_of_the_middle_run_is_compared():
    ours = run(OURS, 0, 90) + run(OURS, 1, 30) + run(OURS, 2, 40, 50)
    # In digits the shortest would be the longest; its luck, and the bad luck of another, decide nothing.
    theirs = run(THEIRS, 0, 95) + run(THEIRS, 1, 100, 200, 400) + run(THEIRS, 2, 100, 300)
    rows = compare([row for pair in zip(ours, theirs, strict=False) for row in pair] + theirs[len(ours) :])
    assert [(row["recipe"], row["seed"], row["epochs"], row["times_ours"]) for row in rows] == [
        (OURS, "2", "2", "1.0"),
        (THEIRS, "2", "2", "6.0"),
    ]


def test_the_stored_table_is_that_of_the_stored_curve():
    assert read(STUDY / "table.csv") == compare(read(STUDY / "curve.csv"))
