"""The Docker Space, built and run by its own commands: no engine here, so a clean environment stands for the image."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image
from playwright.sync_api import Browser

from benchmarks.browser import served
from benchmarks.server import started
from tests.explain import pictures
from tests.spaces import layers
from tests.ui.tab import visit

ROOT = Path(__file__).parents[2]
PORT = 7860
USER = 1000


@dataclass
class Recipe:
    """What a Dockerfile says, line by line.

    Attributes:
        base: the image it starts from.
        steps: COPY, RUN and USER with their arguments, in order.
        environment: all of ENV.
        health, command: HEALTHCHECK's and the image's own command.
        ports: what EXPOSE names.
    """

    base: str = ""
    steps: list[tuple[str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    health: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> "Recipe":
        image = cls()
        lines = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", file.read_text())).splitlines()
        for word, rest in (line.split(maxsplit=1) for line in lines if line.strip()):
            if word == "FROM":
                image.base = rest
            elif word == "ENV":
                image.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            elif word == "HEALTHCHECK":
                image.health = json.loads(rest.partition("CMD ")[2])
            elif word == "CMD":
                image.command = json.loads(rest)
            elif word == "EXPOSE":
                image.ports.append(int(rest))
            else:
                image.steps.append((word, rest))
        return image

    @property
    def user(self) -> str:
        """Who runs the command: the last USER."""
        return [rest for word, rest in self.steps if word == "USER"][-1]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="parallax-space-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def space(place: Path) -> Path:
    """What `make space-docker` makes."""
    folder = place / "space"
    subprocess.run(["make", "space-docker", f"SPACE={folder}"], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def image(space: Path) -> Recipe:
    return Recipe.read(space / "Dockerfile")


@dataclass
class Running:
    """The Space at work."""

    url: str
    log: Path
    health: list[str]
    environment: dict[str, str]
    pid: int


@pytest.fixture(scope="module")
def running(place: Path, space: Path, image: Recipe) -> Iterator[Running]:
    """The image's steps in a clean environment, then its command as its user, whose home is read-only by then."""
    as_user = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
    environment = _environment(place, image, as_user)
    app = place / "app"
    app.mkdir()
    somebody: dict = {}
    for word, rest in image.steps:
        if word == "COPY":
            *sources, _ = rest.split()
            for source in sources:
                subprocess.run(["cp", "-R", f"{space}/{source}", app], check=True)
        elif word == "USER":
            # Git keeps no other rights than these, whatever the checkout's umask was; a file of two names is not ours.
            ours = ["find", place, "(", "-type", "d", "-o", "-type", "f", "-links", "1", ")"]
            subprocess.run([*ours, "-exec", "chmod", "u=rwX,go=rX", "{}", "+"], check=True)
            somebody = as_user
        elif word == "RUN" and not rest.startswith("useradd"):
            _run(rest, app, environment, somebody)
    home = place / "home"
    home.chmod(0o555)
    if as_user:
        os.chown(home, 0, 0)
    log = place / "log.txt"
    log.touch(0o644)
    port = _free_port()
    command, health = (
        [word.replace(str(PORT), str(port)) for word in words] for words in (image.command, image.health)
    )
    url = f"http://127.0.0.1:{port}"
    options = {"cwd": app, "env": environment, "start_new_session": True} | as_user
    with started(command, f"{url}/_stcore/health", log, **options) as process:
        yield Running(url, log, health, environment, process.pid)


def _environment(place: Path, image: Recipe, as_user: dict) -> dict[str, str]:
    """A virtual environment on the image's Python, and the variables that the image sets.

    It begins with pip and what `requirements.txt` asks for, nothing of what tests need: an engine keeps such layers of
    its last build, and `make` has installed the same file into an empty environment. What is missing pip installs.
    """
    version = image.base.removeprefix("python:").removesuffix("-slim")
    venv = place / "venv"
    subprocess.run([_python(version, as_user), "-m", "venv", "--without-pip", venv], check=True)
    same = version == f"{sys.version_info.major}.{sys.version_info.minor}"
    layers.copy([Requirement("pip"), *(_asked_for() if same else [])], venv)
    home = place / "home"
    home.mkdir()
    if as_user:
        os.chown(home, USER, USER)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_PROXY")}
    # An image keeps no cache; here it is worth having.
    own = {name: value for name, value in image.environment.items() if name != "PIP_NO_CACHE_DIR"}
    return kept | own | {"HOME": str(home), "PATH": f"{venv}/bin:/usr/bin:/bin"}


def _asked_for() -> list[Requirement]:
    lines = [line for kind in ("", "-base") for line in (ROOT / f"requirements{kind}.txt").read_text().splitlines()]
    return [Requirement(line) for line in lines if re.match(r"\w", line)]


def _python(version: str, as_user: dict) -> str:
    """A Python of this version that the user may start: a root's own may lie where nobody else gets."""
    for name in (sys.executable, f"/usr/local/bin/python{version}", f"/usr/bin/python{version}"):
        real = os.path.realpath(name)
        try:
            found = subprocess.run([real, "--version"], capture_output=True, text=True, cwd="/", **as_user).stdout
        except OSError:
            continue
        if found.startswith(f"Python {version}."):
            return real
    pytest.skip(f"needs a Python {version} that another user may start")


def _run(line: str, folder: Path, environment: dict[str, str], somebody: dict) -> None:
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, **somebody)
    if done.returncode and re.search(r"NewConnectionError|NameResolutionError", done.stderr):
        pytest.skip("needs a package index")
    assert done.returncode == 0, done.stderr[-2_000:]


def _free_port() -> int:
    """The Space's own port, or another where that is taken."""
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", PORT))
        except OSError:
            one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_the_front_matter_is_what_a_docker_space_needs(space: Path, image: Recipe):
    _, front, _ = (space / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    said = yaml.safe_load(front)
    assert (said["sdk"], said["app_port"]) == ("docker", PORT)
    assert image.ports == [PORT]
    assert said["title"] == "Parallax"
    assert len(said["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {said["colorFrom"], said["colorTo"]} <= colours
    assert len(said["emoji"]) == 1


def test_the_folder_holds_the_app_and_nothing_else(space: Path):
    own = {"Dockerfile", "README.md", ".gitattributes"}
    app = {"app.py", "ui", "explain", "models", "assets", ".streamlit", "requirements.txt", "requirements-base.txt"}
    assert {entry.name for entry in space.iterdir()} == own | app
    assert not [*space.rglob("__pycache__"), *space.rglob("*.pyc")]


def test_nobody_runs_it_as_root_and_protection_is_off_in_the_command_only(space: Path, image: Recipe):
    assert ("RUN", f"useradd --create-home --uid {USER} user") in image.steps
    assert image.user == str(USER)
    assert image.environment["HOME"] == "/home/user"
    assert image.environment["PARALLAX_BRING"] == "0"
    assert "--server.enableXsrfProtection=false" in image.command
    assert "xsrf" not in (space / ".streamlit" / "config.toml").read_text().lower()


@pytest.mark.browser
def test_it_runs_as_its_user_and_shows_the_first_evidence(running: Running, browser: Browser):
    # By the image's own question, as an engine asks it.
    assert subprocess.run(running.health, env=running.environment).returncode == 0
    if os.geteuid() == 0:
        status = Path(f"/proc/{running.pid}/status").read_text()
        assert re.search(r"Uid:((?:\s+\d+){4})", status)[1].split() == [str(USER)] * 4  # type: ignore[index]
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    tab = visit(page, running.url).ready("chelsea")
    assert "SGD cat" in tab.status.inner_text()
    assert not tab.errors
    page.close()
    # The image has what that takes, and a Space wakes up in a moment.
    if (maps := Path(f"/proc/{running.pid}/maps")).exists():
        assert "/site-packages/tensorflow/" not in maps.read_text()
    log = running.log.read_text(errors="replace")
    assert "Traceback" not in log
    # It asks nobody on the internet for its own address.
    assert "URL: http://localhost" in log
    assert "xternal" not in log


@pytest.mark.browser
def test_an_upload_in_a_frame_of_another_site_is_taken(running: Running, browser: Browser, hub: str):
    """Without the cookie that a browser keeps back in a frame, an upload must not answer 403."""
    page = browser.new_page()
    uploads: list[int] = []
    page.on("response", lambda answer: uploads.append(answer.status) if "upload_file" in answer.url else None)
    page.goto(hub)
    inside = page.frame_locator("iframe")
    # Its field goes once while the networks load.
    inside.get_by_role("img", name="as the network sees it").wait_for(timeout=90_000)
    inside.locator("input[type=file]").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": pictures.encoded(Image.linear_gradient("L"), "PNG")}
    )
    inside.get_by_role("img", name=re.compile(r"^mine\.png as the network")).wait_for(timeout=60_000)
    assert uploads
    assert all(status < 300 for status in uploads)
    page.close()


@pytest.fixture
def hub(running: Running, tmp_path: Path) -> Iterator[str]:
    """The page of another site that frames the Space, as the Hub does: `localhost` and `127.0.0.1` are two sites."""
    frame = running.url.replace("127.0.0.1", "localhost")
    page = f'<!doctype html><iframe src="{frame}" width="1200" height="700"></iframe>'
    (tmp_path / "index.html").write_text(page)
    with served(tmp_path) as address:
        yield address
