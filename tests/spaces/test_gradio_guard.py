"""What keeps the Gradio Space whole: addresses, bodies, leftovers."""

import gzip
import importlib.util
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType

import pytest

from tests.apart import run_apart
from tests.spaces.gradio_space import ROOT

PAGES = {
    "/photo.jpg": (200, {}, b"a photograph"),
    "/moved": (302, {"Location": "/photo.jpg"}, b""),
    "/round": (302, {"Location": "/round"}, b""),
    "/away": (302, {"Location": "http://10.0.0.1/photo.jpg"}, b""),
    "/large": (200, {}, bytes(2_000)),
    "/bomb": (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(1_000_000))),
    "/missing": (404, {}, b"no"),
}


@pytest.fixture(scope="module")
def guard() -> ModuleType:
    spec = importlib.util.spec_from_file_location("guard", ROOT / "spaces" / "gradio" / "guard.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """A server on this machine."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = PAGES[self.path]
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def public(guard, monkeypatch) -> None:
    """This machine counts as public, and others as before."""
    monkeypatch.setattr(guard.safehttpx, "is_public_ip", lambda place: place == "127.0.0.1")


def _fetch(guard: ModuleType, address: str) -> bytes:
    return run_apart(guard.fetch(address, 1_000))


@pytest.mark.parametrize("path", ["/photo.jpg", "/moved"])
def test_what_lies_at_an_address_is_fetched(guard, elsewhere, public, path):
    assert _fetch(guard, elsewhere + path) == b"a photograph"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/round", "The address leads on and on to others: send the file itself."),
        ("/away", "The address is not a public one: send the file itself."),
        ("/large", "The file has more than 0 MB: make it smaller first."),
        ("/bomb", "The file has more than 0 MB: make it smaller first."),
        ("/missing", "The address gives no photograph: send the file itself."),
    ],
)
def test_what_cannot_be_had_gets_a_sentence(guard, elsewhere, public, path, sentence):
    with pytest.raises(guard.FetchError) as refusal:
        _fetch(guard, elsewhere + path)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "169.254.169.254", "[::1]", "0.0.0.0"])
def test_this_machine_and_its_neighbours_are_not_asked(guard, host):
    with pytest.raises(guard.FetchError, match="not a public one"):
        _fetch(guard, f"http://{host}:9/photo.jpg")


def test_a_nonsensical_address_gets_a_sentence(guard):
    for address in ("http://", "http://a b/", "http://\x00/", "http://" + "a" * 300 + "/"):
        with pytest.raises(guard.FetchError):
            _fetch(guard, address)


def _body(guard: ModuleType, parts: list[bytes], headers: dict[bytes, bytes]) -> tuple[int, bytes]:
    """What comes back from an app that reads its whole body, behind a limit of ten bytes."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    async def call() -> tuple[int, bytes]:
        left = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        left.append({"type": "http.request", "body": b"", "more_body": False})
        sent: list[dict] = []

        async def receive() -> dict:
            return left.pop(0)

        async def send(message: dict) -> None:
            sent.append(message)

        app = guard.Limit(Starlette(routes=[Route("/", echo, methods=["POST"])]), most=10)
        scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers.items()), "query_string": b""}
        await app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)

    return run_apart(call())


def test_a_body_within_the_limit_passes(guard):
    assert _body(guard, [b"12345", b"67890"], {b"content-length": b"10"}) == (200, b"1234567890")


@pytest.mark.parametrize("headers", [{b"content-length": b"11"}, {b"content-length": b"5"}, {}])
def test_a_larger_body_is_refused_whatever_it_says_of_itself(guard, headers):
    status, said = _body(guard, [b"12345", b"678901"], headers)
    assert status == 413
    assert said.endswith(b"make it smaller first.")


def test_what_has_lain_long_is_swept_and_what_is_new_stays(guard, tmp_path):
    old, new = tmp_path / "old" / "photo.jpg", tmp_path / "new" / "photo.jpg"
    for path in (old, new):
        path.parent.mkdir()
        path.write_bytes(b"")
    (tmp_path / "link").symlink_to(ROOT / "README.md")
    before = time.time() - 1_000
    for path in (old, old.parent, tmp_path / "link"):
        os.utime(path, (before, before), follow_symlinks=False)
    guard._remove_older(tmp_path, time.time() - 500)
    assert not old.exists() and new.exists()
    assert not (tmp_path / "link").is_symlink() and (ROOT / "README.md").is_file()
    os.utime(old.parent, (before, before))
    guard._remove_older(tmp_path, time.time() - 500)
    assert not old.parent.exists() and new.parent.is_dir()
