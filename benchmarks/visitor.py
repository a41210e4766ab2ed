"""A visitor of the Look page without a browser: what Streamlit's page says to its server, said by a program.

A browser draws what it is given in milliseconds; thirty of them on the server's own two cores would measure
themselves. A visitor here opens the websocket, asks for a place for a file, puts it there, tells the uploader of it and
reads everything that comes back, byte for byte what a browser is sent.
"""

import html
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import pyarrow as pa
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.BidiComponent_pb2 import MixedData
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.errors import BenchmarkError

UPLOADER = "Your photograph"
MESSAGE = re.compile(r'<p role="(alert|status)"[^>]*>(.*?)</p>', re.DOTALL)
SECONDS = 120
"""How long a visitor waits for the next word of the server."""


@dataclass
class Answer:
    """What a page was after a question.

    Attributes:
        photo: the name of the photograph shown.
        meta: what viewer.js is told.
        alerts: sentences about what could not be done.
        waited: what was said while it was not this visitor's turn.
        seconds: from the question, an upload's first byte, to the page's last.
        size: bytes that came.
    """

    photo: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    waited: list[str] = field(default_factory=list)
    seconds: float = 0.0
    size: int = 0

    @property
    def evidence(self) -> bool:
        """Whether there is evidence of both runs, and nothing left to come."""
        return len(self.meta.get("runs", ())) == 2 and not self.meta.get("busy")


class Visitor:
    """One tab: `async with Visitor(url) as visitor: await visitor.open()`; raises what its connections raise."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=SECONDS, trust_env=False)
        self._socket: ClientConnection
        self._uploader = ""
        self._query = ""

    async def __aenter__(self) -> "Visitor":
        await self._http.get("/_stcore/health")
        token = self._http.cookies.get("_streamlit_xsrf") or ""
        self._http.headers["X-Xsrftoken"] = token
        cookies = "; ".join(f"{name}={value}" for name, value in self._http.cookies.items())
        self._socket = await connect(
            self._url.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=[Subprotocol("streamlit"), Subprotocol(token)],
            additional_headers={"Cookie": cookies},
            max_size=None,
            proxy=None,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._http.aclose()

    async def open(self, query: str = "") -> Answer:
        """Open the page at an address (`photo=chelsea`), and read it to its end."""
        self._query = query
        return await self._ask([], time.monotonic())

    async def upload(self, name: str, content: bytes) -> Answer:
        """Give the page a photograph; the page must be open."""
        started = time.monotonic()
        ask = BackMsg()
        ask.file_urls_request.request_id = name
        ask.file_urls_request.file_names.append(name)
        await self._socket.send(ask.SerializeToString())
        while not (message := await self._next()).HasField("file_urls_response"):
            pass
        place = message.file_urls_response.file_urls[0]
        put = await self._http.put(place.upload_url, files={"file": (name, content)})
        put.raise_for_status()
        state = WidgetState(id=self._uploader)
        file = state.file_uploader_state_value.uploaded_file_info.add()
        file.name, file.size, file.file_id = name, len(content), place.file_id
        file.file_urls.CopyFrom(place)
        return await self._ask([state], started)

    async def _ask(self, states: list[WidgetState], started: float) -> Answer:
        rerun = BackMsg()
        rerun.rerun_script.query_string = self._query
        rerun.rerun_script.widget_states.widgets.extend(states)
        await self._socket.send(rerun.SerializeToString())
        answer = Answer()
        while True:
            message = await self._next()
            answer.size += message.ByteSize()
            if message.HasField("delta"):
                self._read(message, answer)
            elif message.HasField("script_finished"):
                # A page that runs again at once, as while networks load, is not done.
                if message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue
                answer.seconds = time.monotonic() - started
                return answer

    def _read(self, message: ForwardMsg, answer: Answer) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "file_uploader" and element.file_uploader.label == UPLOADER:
            self._uploader = element.file_uploader.id
        elif kind == "html":
            for role, text in MESSAGE.findall(element.html.body):
                (answer.alerts if role == "alert" else answer.waited).append(html.unescape(text))
        elif kind == "bidi_component":
            answer.meta = _meta(element.bidi_component.mixed)
            answer.photo = answer.meta.get("photo", {}).get("name", "")

    async def _next(self) -> ForwardMsg:
        message = ForwardMsg()
        content = await self._socket.recv(decode=False)
        message.ParseFromString(content)
        return message


def _meta(mixed: MixedData) -> dict[str, Any]:
    """What viewer.js is told: see `ui.viewer.streamlit`."""
    (table,) = mixed.arrow_blobs.values()
    description = pa.ipc.open_stream(table.data).read_all()["blob"][-1].as_py()
    return json.loads(description) | json.loads(mixed.json)["about"]


async def first_evidence(url: str) -> None:
    """Wait until somebody who opens the page was shown evidence of both runs.

    Raises:
        BenchmarkError: if the page comes without.
    """
    async with Visitor(url) as visitor:
        answer = await visitor.open()
        if not answer.evidence:
            raise BenchmarkError(f"The first page has no evidence: {answer.alerts}")
