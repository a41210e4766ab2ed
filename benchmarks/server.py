"""The app as `streamlit run app.py` starts it, for as long as something measures it."""

import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError

ROOT = Path(__file__).parents[1]
START_SECONDS = 90


@dataclass(frozen=True)
class Server:
    """A running app: where it answers, and its process."""

    url: str
    process: subprocess.Popen


@contextmanager
def running(
    environment: Mapping[str, str] = {}, log: Path | None = None, port: int = 0, before: Sequence[str] = ()
) -> Iterator[Server]:
    """Run the app on a port of this machine until the end of the block.

    Args:
        environment: variables beside this process's own.
        log: the file for what it prints; nothing keeps it otherwise.
        port: where it listens; a free one by default.
        before: words before the command, such as those of a program that starts it.

    Raises:
        BenchmarkError: if it does not answer within START_SECONDS.
    """
    port = port or free_port()
    command = [*before, sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}"]
    url = f"http://127.0.0.1:{port}"
    log = log or Path(os.devnull)
    with started(command, f"{url}/_stcore/health", log, cwd=ROOT, env=os.environ | environment) as process:
        yield Server(url, process)


@contextmanager
def started(command: Sequence[str], url: str, log: Path, **options: Any) -> Iterator[subprocess.Popen]:
    """Run a command until the end of the block, which begins once an address answers.

    Raises:
        BenchmarkError: if it does not within START_SECONDS.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, **options)
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(url):
            if time.monotonic() > end or process.poll() is not None:
                said = log.read_text(errors="replace")
                raise BenchmarkError(f"The app does not start: see what `{shlex.join(command)}` says.\n{said}".rstrip())
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port of this machine where nobody listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False
