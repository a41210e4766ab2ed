"""A Gradio Space as the Hub would run it: the assembled folder, `python app.py`, a port of its own."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server import free_port, started

ROOT = Path(__file__).parents[2]
PAIR = ("cats_vs_dogs/sgd", "cats_vs_dogs/adam")


@dataclass
class Space:
    """A running Space.

    Attributes:
        url: where it answers.
        folder: what was assembled.
        files: where it keeps what it is sent.
        log: what it printed.
        asked: what it wanted from other machines; never got.
    """

    url: str
    folder: Path
    files: Path
    log: Path
    pid: int
    asked: list[bytes]


def assemble(folder: Path) -> Path:
    """Make the Space's folder, elsewhere than where people make it."""
    command = ["make", "--silent", "space-gradio", f"SPACE={folder}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@contextmanager
def running(place: Path) -> Iterator[Space]:
    """Assemble the Space below a folder and run it until the end of the block."""
    folder, files, log = assemble(place / "space"), place / "files", place / "log.txt"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _nobody() as (elsewhere, asked):
        places = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(files), "PYTHONDONTWRITEBYTECODE": "1"}
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), elsewhere)
        environment = os.environ | places | proxies | {"NO_PROXY": "127.0.0.1,localhost"}
        environment.pop("PYTHONPATH", None)
        with started([sys.executable, "app.py"], f"{url}/config", log, cwd=folder, env=environment) as process:
            yield Space(url, folder, files, log, process.pid, asked)


@contextmanager
def _nobody() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy to everywhere that answers nothing and remembers who was asked for."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller:
                        asked.append(caller.recv(200))

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
