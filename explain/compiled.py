"""Graphs on disk, so that the next process need neither compile them nor write them down again.

A file is a digest and what OpenVINO exported, or what `explain.remembered` knows of a network; its name says what it
was made from. Any file may be missing, cut off or gone at any time, and the folder may be full or read-only: that costs
time and nothing else.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("parallax")

VARIABLE = "PARALLAX_GRAPHS"
"""The environment's variable with the folder; empty, nothing is kept."""
MOST = 500_000_000
"""Bytes that all graphs together may take; one of B0 takes 33 million, and what is remembered of it 16."""
HOUR = 3600


def folder() -> Path | None:
    """The folder of this user's graphs; None where there shall or can be none."""
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE]) if os.environ[VARIABLE] else None
    with suppress(RuntimeError):  # a user without a home
        return Path.home() / ".cache" / "parallax" / "graphs"
    return None


def key(*parts: object) -> str:
    """A name for what is made from these parts: bytes, or values whose text says all about them."""
    digest = hashlib.sha256()
    for part in parts:
        part = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


@dataclass(frozen=True)
class Graphs:
    """Graphs in a folder, of which those not used for longest go when they become too many.

    Attributes:
        folder: where they are; None keeps none.
        most: bytes that they may take together.
    """

    folder: Path | None
    most: int = MOST

    def find(self, key: str) -> bytes | None:
        """What was kept under a key, whole and unchanged, or None."""
        if self.folder is None:
            return None
        file = self.folder / f"{key}.graph"
        try:
            content = memoryview(file.read_bytes())
        except OSError:
            return None
        with suppress(OSError):  # one's own or not, it can be read
            os.utime(file)
        digest, graph = content[:32], content[32:]
        return bytes(graph) if hashlib.sha256(graph).digest() == digest else None

    def keep(self, key: str, export: Callable[[], bytes]) -> None:
        """Keep what `export` gives, unless it raises RuntimeError, or the disk is full or may only be read."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Asked before the graph is exported, which takes a tenth of a second.
            number, name = tempfile.mkstemp(".unfinished", dir=self.folder)
            unfinished = Path(name)
            try:
                with os.fdopen(number, "wb") as file:
                    graph = export()
                    file.write(hashlib.sha256(graph).digest() + graph)
                # Whole or not at all, whoever else writes the same.
                unfinished.replace(self.folder / f"{key}.graph")
            finally:
                unfinished.unlink(missing_ok=True)
            self._trim()
        except (OSError, RuntimeError) as error:
            log.debug("A graph is not kept: %s", error)

    def _trim(self) -> None:
        assert self.folder is not None
        for file in self.folder.glob("*.unfinished"):
            # Of a process that was killed; a younger one may be at work.
            if file.stat().st_mtime < time.time() - HOUR:
                file.unlink(missing_ok=True)
        files = sorted(self.folder.glob("*.graph"), key=lambda file: file.stat().st_mtime)
        taken = sum(file.stat().st_size for file in files)
        for file in files:
            if taken <= self.most:
                break
            taken -= file.stat().st_size
            file.unlink(missing_ok=True)


NOWHERE = Graphs(None)
"""Keeps nothing."""
