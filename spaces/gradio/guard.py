"""What keeps a server whole among strangers: a largest size of what they send or name, a longest life of what stays."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import safehttpx
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse


class Limit:
    """ASGI middleware: no request's body may be larger than `most` bytes, whatever it says of itself."""

    def __init__(self, app: Any, most: int) -> None:
        self._app, self._most = app, most
        self._sentence = f"What was sent has more than {most // 1_000_000} MB: make it smaller first."

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"")
        if said.isdigit() and int(said) > self._most:
            await PlainTextResponse(self._sentence, 413)(scope, receive, send)
            return
        left = self._most

        async def counted() -> Any:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, self._sentence)
            return message

        await self._app(scope, counted, send)


MOST_REDIRECTS = 3
MOST_SECONDS = 20


class FetchError(Exception):
    """Nothing can be had from an address; the message is one plain sentence."""


async def fetch(address: str, most: int) -> bytes:
    """What lies at a public address.

    Args:
        address: http or https.
        most: the most bytes that are read.

    Raises:
        FetchError: if the address is not public, does not answer in time, or has more than that.
    """
    try:
        async with asyncio.timeout(MOST_SECONDS):
            url = httpx.URL(address)
            for _ in range(1 + MOST_REDIRECTS):
                content, url = await _read(url, most)
                if content is not None:
                    return content
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, UnicodeError) as error:
        raise FetchError("The address gives no photograph: send the file itself.") from error
    raise FetchError("The address leads on and on to others: send the file itself.")


async def _read(url: httpx.URL, most: int) -> tuple[bytes | None, httpx.URL]:
    """The content at an address, or None and the address that it leads on to."""
    # The address that was looked at is the one that is asked: a second look might find another.
    transport = safehttpx.AsyncSecureTransport(await _public(url.host))
    async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", url) as answer:
        if answer.has_redirect_location:
            return None, url.join(answer.headers["location"])
        answer.raise_for_status()
        content = bytearray()
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > most:
                raise FetchError(f"The file has more than {most // 1_000_000} MB: make it smaller first.")
        return bytes(content), url


async def _public(host: str) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(host, None)
    for *_, place in found:
        if safehttpx.is_public_ip(str(place[0])):
            return str(place[0])
    raise FetchError("The address is not a public one: send the file itself.")


def sweep(folder: Path, seconds: float) -> None:
    """Remove, from now on and every minute, what has lain in a folder for longer than `seconds`.

    Gradio deletes the files that it remembers; those of a server that was killed, of a data: URL and of a cancelled
    upload, and all empty folders, it does not.
    """

    def go_on() -> None:
        while True:
            _remove_older(folder, time.time() - seconds)
            time.sleep(60)

    threading.Thread(target=go_on, name="sweep", daemon=True).start()


def _remove_older(folder: Path, moment: float) -> None:
    # Deepest first, so that an emptied folder goes in the same round.
    for path in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):
        try:
            if path.lstat().st_mtime > moment:
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        except OSError:
            # In use, not empty, or gone already.
            continue
