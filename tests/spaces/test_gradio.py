"""The Gradio Space for programs and agents: the real client over HTTP, the real MCP client."""

import asyncio
import base64
import concurrent.futures
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CallToolResult, ImageContent, TextContent
from packaging.requirements import Requirement
from PIL import Image

from tests.apart import run_apart
from tests.corpus import corpus
from tests.explain import pictures
from tests.memory import resident
from tests.spaces.gradio_space import PAIR, ROOT, Space

CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)
LAYERS = "stem 1a 2a 2b 3a 3b 4a 4b 4c 5a 5b 5c 6a 6b 6c 6d 7a top".split()


@pytest.fixture(scope="module")
def client(space: Space) -> Client:
    downloads = space.files.parent / "downloads"
    patient = {"timeout": 60}
    return Client(space.url, verbose=False, analytics_enabled=False, download_files=downloads, httpx_kwargs=patient)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photographs") / "a harbour.jpg"
    path.write_bytes(pictures.encoded(pictures.photograph(400, 300), "JPEG", quality=95))
    return path


@pytest.fixture(scope="module")
def library(explainers: dict, photograph: Path) -> Callable:
    """What the library itself says of the photograph, as `library(run, targets)`."""
    return lambda name, targets=None: explainers[name](photograph, targets=targets)


# -- The folder ------------------------------------------------------------------------------------------------


def test_the_front_matter_is_what_the_hub_wants(space):
    _, front, _ = (space.folder / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["sdk"] == "gradio"
    assert (space.folder / facts["app_file"]).is_file()
    assert facts["python_version"] == "3.11"
    assert len(facts["short_description"]) <= 60
    (gradio,) = [one for one in _requirements(space.folder / "requirements.txt") if one.name == "gradio"]
    assert gradio.extras == {"mcp"}
    assert gradio.specifier.contains(facts["sdk_version"])
    assert gradio.specifier.contains(version("gradio"))


def test_the_requirements_are_those_of_the_project(space):
    files = [ROOT / f"requirements{kind}.txt" for kind in ("", "-base", "-dev")]
    project = {one.name: one for file in files for one in _requirements(file)}
    for one in _requirements(space.folder / "requirements.txt"):
        assert one.specifier == project[one.name].specifier, one.name


def _requirements(file: Path) -> list[Requirement]:
    lines = [line for line in file.read_text().splitlines() if re.match(r"\w", line)]
    return [Requirement(line) for line in lines]


def test_the_folder_holds_no_leftovers_and_nothing_that_needs_large_file_storage(space):
    for path in space.folder.rglob("*"):
        assert path.name != "__pycache__"
        assert path.is_dir() or path.stat().st_size < 10_000_000, path


# -- /predict and /explain -------------------------------------------------------------------------------------


def test_predict_says_what_the_library_says(client, photograph, library):
    found = client.predict(handle_file(photograph), list(PAIR), api_name="/predict")
    assert list(found) == list(PAIR)
    for name, answer in found.items():
        truth = library(name)
        assert list(answer) == list(truth.labels)
        np.testing.assert_allclose(list(answer.values()), truth.probabilities, atol=1e-5)


def test_explain_gives_the_librarys_maps_for_the_layers_and_targets_asked_for(client, photograph, library):
    asked = (handle_file(photograph), list(PAIR), ["top", "5c"], ["dog", "cat"])
    probabilities, npz, picture = client.predict(*asked, api_name="/explain")
    assert Path(npz).name == "a harbour.npz"
    numbers = dict(np.load(npz))
    maps = {f"{run}/hires_cam/{layer}/{target}" for run in PAIR for layer in ("5c", "top") for target in ("cat", "dog")}
    others = {f"{run}/{kind}" for run in PAIR for kind in ("logits", "probabilities")}
    assert set(numbers) == maps | others | {"seen"}
    for name in PAIR:
        truth = library(name, ("cat", "dog"))
        np.testing.assert_array_equal(numbers["seen"], truth.seen)
        np.testing.assert_allclose(numbers[f"{name}/logits"], truth.logits, atol=1e-5)
        np.testing.assert_allclose(list(probabilities[name].values()), truth.probabilities, atol=1e-5)
        for layer in ("5c", "top"):
            for row, target in enumerate(("cat", "dog")):
                value = numbers[f"{name}/hires_cam/{layer}/{target}"]
                np.testing.assert_allclose(value, truth.maps["hires_cam"][layer][row], atol=1e-5)
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("RGB")).std() > 10


def test_with_nothing_said_the_pair_is_explained_at_every_layer_for_the_class_that_the_first_sees(
    client, photograph, library
):
    probabilities, npz, _ = client.predict(handle_file(photograph), api_name="/explain")
    assert list(probabilities) == list(PAIR)
    top = library(PAIR[0]).top
    maps = {key for key in np.load(npz).files if "/hires_cam/" in key}
    assert maps == {f"{run}/hires_cam/{layer}/{top}" for run in PAIR for layer in LAYERS}


def test_nothing_else_can_be_called(client, photograph):
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/predict", "/explain"}
    for number, endpoint in client.endpoints.items():
        if endpoint.api_name not in ("/predict", "/explain"):
            with pytest.raises((AppError, ValueError)):
                client.predict(fn_index=number)


def test_what_waits_is_told_its_place(client, photograph):
    jobs = [client.submit(handle_file(photograph), api_name="/predict") for _ in range(12)]
    places = set()
    while not all(job.done() for job in jobs):
        places |= {(status.rank, status.queue_size) for status in (job.status() for job in jobs)}
        time.sleep(0.02)
    assert all(set(job.result()) == set(PAIR) for job in jobs)
    assert any(rank is not None and rank > 0 and length > rank for rank, length in places)


# -- What is wrong gets a sentence -----------------------------------------------------------------------------

LOCAL = {"path": "http://127.0.0.1:1/photo.jpg", "meta": {"_type": "gradio.FileData"}}
BAD = {
    "no photograph": ((None,), "There is no photograph: send one."),
    "a number": ((5,), "The photograph must be a file, or the address of one."),
    "a file without its mark": (({"path": "/etc/hostname"},), "The photograph must be a file, or the address of one."),
    "a private address": (
        ({"path": "http://127.0.0.1:1/a.jpg", "meta": {"_type": "gradio.FileData"}},),
        "not a public",
    ),
    "an unknown run": ((True, ["cats_vs_dogs/nadam"]), "There is no run 'cats_vs_dogs/nadam'; the runs here are: "),
    "a folder as a run": ((True, ["../../tmp"]), "There is no run '../../tmp'"),
    "a run on the Hub": ((True, ["hf://user/repo"]), "There is no run 'hf://user/repo'"),
    "runs that are no names": ((True, [{"name": "sgd"}]), "The runs must be a list of names."),
    "an unknown layer": ((True, [], ["9z"]), "There is no layer '9z'; the layers are: stem, 1a"),
    "an unknown class": (
        (True, [], [], ["<b>bird</b>"]),
        "There is no class '<b>bird</b>'; the classes are: cat, dog.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_question_gets_one_plain_sentence(client, photograph, case):
    arguments, sentence = BAD[case]
    arguments = (handle_file(photograph) if arguments[0] is True else arguments[0], *arguments[1:])
    _refused(client, arguments, sentence)


@pytest.mark.parametrize("name", pictures.BAD)
def test_a_bad_photograph_gets_one_plain_sentence(client, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pictures.BAD[name]())
    _refused(client, (handle_file(path),), f'"{name}"')


def _refused(client: Client, arguments: tuple, sentence: str) -> None:
    with pytest.raises(AppError) as refusal:
        client.predict(*arguments, api_name="/explain")
    said = str(refusal.value)
    assert sentence in said
    assert said.endswith(".")
    assert said.count(". ") == 0
    assert "\n" not in said


def test_many_bad_files_leave_the_server_as_it_was(space, client, photograph, tmp_path):
    before = client.predict(handle_file(photograph), api_name="/predict")
    paths = []
    # The largest photograph comes early: what it takes once is not growth. The reader, which all share, has all of
    # them; Gradio takes long for a file.
    for upload in sorted(corpus(), key=lambda upload: upload.name != "just small enough.png")[::8]:
        paths.append(tmp_path / upload.name)
        paths[-1].write_bytes(upload.content)
    answered = 0
    memory = 0
    for chunk in range(0, len(paths), 10):
        some = paths[chunk : chunk + 10]
        jobs = [client.submit(handle_file(path), api_name="/predict") for path in some]
        for path, job in zip(some, jobs, strict=True):
            refusal = job.exception()
            if isinstance(refusal, CANCELLED):
                # The client drops what it waits for when a busy machine is silent for too long.
                job = client.submit(handle_file(path), api_name="/predict")
                refusal = job.exception()
            if refusal is None:
                assert set(job.result()) == set(PAIR)
                answered += 1
            else:
                assert isinstance(refusal, AppError)
                assert re.fullmatch(r"[^\n]+\.", str(refusal)), refusal
                assert str(refusal).count(". ") == 0
                assert "our side" not in str(refusal)
        memory = memory or resident(space.pid)
    assert len(paths) > 35
    assert 7 < answered < len(paths) - 20
    assert resident(space.pid) <= 1.1 * memory
    assert client.predict(handle_file(photograph), api_name="/predict") == before
    assert "Traceback" not in space.log.read_text(errors="replace")


def test_a_file_of_the_server_is_not_a_photograph(space):
    secret = space.folder.parent / "secret.png"
    secret.write_bytes(pictures.encoded(pictures.photograph(), "PNG"))
    sent = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [sent, list(PAIR)]}).encode()
    said = _post(f"{space.url}/gradio_api/run/predict", body)
    assert said[0] >= 400
    assert b"probabilities" not in said[1] and b"cat" not in said[1].replace(b"cats_vs_dogs", b"")
    assert b"Traceback" not in said[1]


def test_a_body_larger_than_a_photograph_is_refused_before_it_is_sent(space):
    connection = HTTPConnection(space.url.removeprefix("http://"))
    connection.putrequest("POST", "/gradio_api/run/predict")
    connection.putheader("Content-Length", "28000000")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert answer.read() == b"What was sent has more than 26 MB: make it smaller first."
    connection.close()


def test_a_file_larger_than_a_photograph_may_be_is_refused(client, tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(20_100_000))
    with pytest.raises(Exception, match=r"(?i)exceed|size|larger|413"):
        client.predict(handle_file(path), api_name="/predict")


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


# -- Agents ----------------------------------------------------------------------------------------------------


def _ask(space: Space, ask: Callable) -> object:
    async def session() -> object:
        async with (
            streamablehttp_client(f"{space.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as agent,
        ):
            await agent.initialize()
            return await ask(agent)

    return run_apart(session())


def _tool(space: Space, name: str, **arguments: object) -> CallToolResult:
    found = _ask(space, lambda agent: agent.call_tool(name, arguments))
    assert isinstance(found, CallToolResult)
    return found


def _data_url(content: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()


def test_agents_find_two_tools_and_what_they_are_for(space):
    tools = {tool.name: tool for tool in _ask(space, lambda agent: agent.list_tools()).tools}
    assert set(tools) == {"predict", "explain"}
    assert tools["predict"].description.startswith("Say what each training of the network sees in a photograph")
    assert tools["explain"].description.startswith("Show where each training of the network looks in a photograph")
    fields = tools["explain"].inputSchema["properties"]
    assert list(fields) == ["photograph", "runs", "layers", "targets"]
    assert all(field["description"] for field in fields.values())
    assert fields["layers"]["items"]["enum"] == LAYERS
    assert set(PAIR) <= set(fields["runs"]["items"]["enum"])
    assert tools["explain"].inputSchema["required"] == ["photograph"]


def test_an_agent_gets_probabilities_numbers_and_a_picture(space, photograph, library):
    content = _data_url(photograph.read_bytes())
    (text,) = _tool(space, "predict", photograph=content, runs=[PAIR[1]]).content
    assert isinstance(text, TextContent)
    assert f"{float(library(PAIR[1]).probabilities[0]):.5f}"[:6] in text.text
    found = _tool(space, "explain", photograph=content, layers=["top"])
    assert not found.isError
    assert any(isinstance(part, ImageContent) and part.mimeType == "image/png" for part in found.content)
    (npz,) = [part.text for part in found.content if isinstance(part, TextContent) and part.text.endswith(".npz")]
    with urllib.request.urlopen(npz) as answer:
        assert answer.read(2) == b"PK"


def test_an_agents_mistake_gets_a_sentence(space):
    found = _tool(space, "predict", photograph=_data_url(b"nothing of a photograph"))
    assert found.isError
    (text,) = found.content
    assert isinstance(text, TextContent)
    assert text.text.endswith("choose a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF file.")
