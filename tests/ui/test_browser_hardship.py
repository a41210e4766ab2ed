"""A server whose disk is full and whose home is read-only, that is killed at work and started again."""

import re
import signal
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from skimage import data

from benchmarks import server
from benchmarks.visitor import Answer, Visitor
from tests.apart import run_apart
from tests.explain import pictures
from tests.ui.tab import visit

pytestmark = pytest.mark.browser

FULL_DISK = ("sh", "-c", 'ulimit -f 0 && exec "$@"', "sh")
"""No file can grow any more, whoever runs this."""
READ_ONLY = "/proc"
"""A home where nobody may make anything."""


@pytest.fixture(scope="module")
def large() -> bytes:
    """A photograph larger than what web servers commonly keep in memory."""
    content = pictures.encoded(pictures.Image.fromarray(data.astronaut()).resize((1600, 1600)), "PNG")
    assert 2 << 20 < len(content) < 20 << 20
    return content


@pytest.fixture
def one_run(checkpoints: Path, tmp_path: Path) -> dict[str, str]:
    """Where a server finds a single run, which it loads in half the time of two."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "letters").symlink_to(checkpoints / "letters")
    return {"PARALLAX_CHECKPOINTS": str(tmp_path / "runs")}


def test_a_full_disk_a_read_only_home_and_a_kill_at_work(page: Page, large, one_run, tmp_path):
    port, temporary = server.free_port(), tmp_path / "temporary"
    temporary.mkdir()
    places = {"HOME": READ_ONLY, "TMPDIR": str(temporary), "PARALLAX_BRING": "0"}
    with server.running(places, port=port, before=FULL_DISK) as app:
        refused, answer = run_apart(_send(app.url, large))
        assert refused == 413
        assert (answer.photo, answer.alerts, answer.evidence) == ("large.png", [], True)
        tab = visit(page, app.url).ready("chelsea")
        page.evaluate("globalThis.here = true")
        tab.upload("mine.png", large)
        tab.ready("mine.png")
        tab.upload("another.png", large + b"0")
        app.process.send_signal(signal.SIGKILL)
        app.process.wait()
        assert list(temporary.iterdir()) == []
    with server.running(one_run, port=port):
        # Photographs were in memory alone: the page begins anew, and nobody has reloaded it.
        expect(tab.seen).to_have_attribute("aria-label", re.compile("^chelsea as the network"), timeout=120_000)
        assert page.evaluate("globalThis.here")


async def _send(url: str, large: bytes) -> tuple[int, Answer]:
    """The status of a file above the limit, whatever a browser would say of it, and the answer to a photograph."""
    async with Visitor(url) as visitor:
        await visitor.open()
        with pytest.raises(httpx.HTTPStatusError) as refusal:
            await visitor.upload("enormous.png", bytes(21 << 20))
        return refusal.value.response.status_code, await visitor.upload("large.png", large)
