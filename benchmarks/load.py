"""How many visitors the app stands: photographs a minute, seconds to the evidence, errors, memory.

The real server on this machine, and 1, 4, 16, 32 visitors of the Look page, each of whom uploads one photograph after
another as fast as the evidence comes. They are programs that speak the page's own protocol (`benchmarks.visitor`): they
send and read what a browser would, and take little of the processor that they share with the server. Each photograph
is a JPEG of 12 megapixels, as a telephone makes it, under a name that the server has not seen: nothing comes out of a
cache.

python -m benchmarks load [--seconds 120]
"""

import asyncio
import io
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import httpx
import numpy as np

from benchmarks import machine, server
from benchmarks.errors import BenchmarkError
from benchmarks.study import STUDIES, keep
from benchmarks.visitor import Visitor, first_evidence

STUDY = STUDIES / "load"
VISITORS = (1, 4, 16, 32)
SIZE = (4032, 3024)
READY_SECONDS = 180


@dataclass
class Seen:
    """What was seen of the server with so many visitors.

    Attributes:
        seconds: of each photograph, from its first byte to the last of its evidence.
        places: the largest place in the queue that anybody was told.
        errors: what went wrong, in words.
        memory: (seconds since the start, bytes of resident memory), once a second.
        health: seconds until the server said that it is well, once a second.
        processor: seconds of processor time that the server took.
    """

    seconds: list[float] = field(default_factory=list)
    places: int = 0
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    processor: float = 0.0

    def row(self, visitors: int, lasted: float) -> dict[str, str]:
        """A line of the table; `lasted` in seconds."""
        early = [size for moment, size in self.memory if moment <= lasted / 2]
        late = [size for moment, size in self.memory if moment > lasted / 2]
        return {
            "visitors": str(visitors),
            "photographs": str(len(self.seconds)),
            "a_minute": f"{60 * len(self.seconds) / lasted:.0f}",
            "median_s": f"{np.median(self.seconds):.2f}",
            "p95_s": f"{np.percentile(self.seconds, 95):.2f}",
            "cpu_s": f"{self.processor / len(self.seconds):.2f}",
            "errors": str(len(self.errors)),
            "last_place": str(self.places),
            "health_p95_ms": f"{1000 * np.percentile(self.health, 95):.0f}",
            "peak_first_half_mb": f"{max(early) / 2**20:.0f}",
            "peak_second_half_mb": f"{max(late) / 2**20:.0f}",
        }


def main(seconds: float) -> int:
    """Measure, print and store the table; returns 1 where something went wrong, else 0."""
    photographs = _photographs()
    about = machine.describe() | {
        "seconds_for_each_number_of_visitors": seconds,
        "photograph": f"JPEG, {SIZE[0]} x {SIZE[1]} px, {len(photographs[0]) / 1e6:.1f} MB",
    }
    rows, errors = [], []
    with server.running() as app:
        asyncio.run(_ready(app.url))
        for visitors in VISITORS:
            seen = asyncio.run(_step(app, visitors, seconds, photographs))
            if not seen.seconds or not seen.health:
                raise BenchmarkError(f"Nothing came back for {visitors} visitors: {seen.errors[:1]}")
            rows.append(seen.row(visitors, seconds))
            errors += seen.errors
            print(*rows[-1].values(), *seen.errors[:3], flush=True)
    about["load_after"] = round(os.getloadavg()[0], 2)
    keep(STUDY, rows, about)
    return 1 if errors else 0


def _photographs() -> list[bytes]:
    from PIL import Image
    from skimage import data

    found = []
    for picture in (data.astronaut(), data.coffee(), data.rocket()):
        file = io.BytesIO()
        Image.fromarray(picture).resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=92)
        found.append(file.getvalue())
    return found


async def _ready(url: str) -> None:
    """Wait until networks are loaded and somebody was shown evidence."""
    async with asyncio.timeout(READY_SECONDS):
        await first_evidence(url)


async def _step(app: server.Server, visitors: int, seconds: float, photographs: list[bytes]) -> Seen:
    seen, names = Seen(), count()
    start, used = time.monotonic(), machine.processor_time(app.process.pid)
    watch = asyncio.create_task(_watch(app, seen, start))
    await asyncio.gather(*(_visit(app.url, seen, start + seconds, photographs, names) for _ in range(visitors)))
    seen.processor = machine.processor_time(app.process.pid) - used
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    return seen


async def _visit(url: str, seen: Seen, end: float, photographs: list[bytes], names: "count[int]") -> None:
    """One visitor, until the end; a photograph that is under way then does not count."""
    try:
        async with Visitor(url) as visitor:
            await visitor.open()
            while time.monotonic() < end:
                number = next(names)
                name = f"{number}.jpg"
                answer = await visitor.upload(name, photographs[number % len(photographs)])
                places = [int(words.split()[1]) for words in answer.waited]
                seen.places = max([seen.places, *places])
                if answer.photo != name or not answer.evidence or answer.alerts:
                    seen.errors.append(f"{name}: {answer.photo} {answer.alerts}")
                elif time.monotonic() < end:
                    seen.seconds.append(answer.seconds)
    except Exception as error:
        # Whatever it is, it is what a visitor would have met.
        seen.errors.append(repr(error))


async def _watch(app: server.Server, seen: Seen, start: float) -> None:
    async with httpx.AsyncClient(base_url=app.url, timeout=60, trust_env=False) as client:
        while True:
            asked = time.monotonic()
            (await client.get("/_stcore/health")).raise_for_status()
            seen.health.append(time.monotonic() - asked)
            seen.memory.append((time.monotonic() - start, machine.resident(app.process.pid)))
            await asyncio.sleep(1)
