"""The corpus of bad files through the real server, as a browser would send them, and what the server does with each."""

import re
from pathlib import Path

from benchmarks.visitor import Answer, Visitor
from tests.apart import run_apart
from tests.corpus import corpus
from tests.explain import pictures
from tests.memory import resident


def test_bad_files_of_every_kind_get_a_picture_or_a_sentence_and_leave_the_server_as_it_was(server):
    # The largest photograph comes first: what it takes once is not growth. The reader has all (tests/explain); what the
    # page does with its answer a fifth of every kind shows.
    uploads = sorted(corpus(), key=lambda upload: upload.name != "just small enough.png")[::5]
    answers, memory = run_apart(
        _send(server, [(f"{n}{Path(u.name).suffix}", u.content) for n, u in enumerate(uploads)])
    )
    assert len(answers) - 2 > 60
    first, *answers, last = answers
    refused = 0
    for number, (upload, answer) in enumerate(zip(uploads, answers, strict=True)):
        name = f"{number}{Path(upload.name).suffix}"
        assert answer.evidence
        if answer.photo == name:
            assert answer.alerts == []
            continue
        assert len(answer.alerts) == 1
        assert re.fullmatch(rf'"{re.escape(name)}" [^\n]+\.', answer.alerts[0]), answer.alerts
        assert answer.alerts[0].count(". ") == 0
        refused += 1
    assert 36 < refused < len(answers) - 9
    assert (last.photo, last.alerts) == ("good.png", [])
    # The same photograph has the same evidence as before all this.
    assert [run["probabilities"] for run in last.meta["runs"]] == [run["probabilities"] for run in first.meta["runs"]]
    assert memory[-1] <= 1.1 * memory[0]
    assert "Traceback" not in server.log.read_text(errors="replace")


async def _send(server, files: list[tuple[str, bytes]]) -> tuple[list[Answer], list[int]]:
    """What the page answers to each file, a good one before and after them, and pages of memory now and then."""
    good = pictures.encoded(pictures.photograph(), "PNG")
    answers, memory = [], []
    async with Visitor(server.url) as visitor:
        await visitor.open()
        for number, (name, content) in enumerate([("good.png", good), *files, ("good.png", good)]):
            answers.append(await visitor.upload(name, content))
            if number % 25 == 24 or number > len(files):
                memory.append(resident(server.pid))
    return answers, memory
