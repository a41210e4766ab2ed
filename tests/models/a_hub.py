"""A small server that answers as the Hugging Face Hub does, to whoever downloads or publishes."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_secret"
OWNER = "somebody"
Commits = dict[str, dict[str, bytes]]


@dataclass
class State:
    """What the Hub holds and was asked.

    Attributes:
        repositories: `user/repo` -> commit -> file -> content; `main` is the last commit.
        revisions: names of branches and tags -> commit.
        objects: large files by sha256.
        asked: the paths of all requests, in order.
        private: repositories made for their owner alone.
        failing: content that a download breaks off at.
        answer: status, content and headers that every download gets instead of its own.
    """

    repositories: dict[str, Commits]
    revisions: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    private: set[str] = field(default_factory=set)
    failing: bytes | None = None
    answer: tuple[int, bytes, dict[str, str]] | None = None


class Hub(BaseHTTPRequestHandler):
    """The questions of a download (which commit, which files, a file) and of an upload (may I, how, here it is)."""

    state: State
    server: ThreadingHTTPServer

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.give()

    def do_HEAD(self):
        self.give()

    # -- Download ------------------------------------------------------------------------------------------------

    def give(self):
        path = self.path.partition("?")[0]
        self.state.asked.append(path)
        if self.state.answer:
            return self.send(*self.state.answer)
        api = re.fullmatch(
            r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<kind>revision|tree)/(?P<revision>[^/]+)/?)?", path
        )
        file = re.fullmatch(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", path)
        found = api or file
        commits = self.state.repositories.get(found["repo"]) if found else None
        if found is None or commits is None:
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        revision = found["revision"] or "main"
        commit = self.state.revisions.get(revision, revision)
        if commit == "main":
            commit = list(commits)[-1]
        if commit not in commits:
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        files = commits[commit]
        if file:
            if file["file"] not in files:
                return self.send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            content = files[file["file"]]
            if content == self.state.failing and self.command == "GET":
                return self.send(500, b"")
            return self.send(200, content, {"ETag": f'"{git_oid(content)}"', "X-Repo-Commit": commit})
        if api["kind"] == "tree":
            return self.say(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": git_oid(content)}
                    for name, content in files.items()
                ]
            )
        return self.say({"id": found["repo"], "sha": commit, "siblings": []})

    # -- Upload --------------------------------------------------------------------------------------------------

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        self.state.asked.append(path)
        if path == "/api/validate-yaml":
            return self.say({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.send(401, b'{"error": "Invalid credentials"}')
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        found = re.fullmatch(r"/(?:api/models/)?(?P<repo>[\w.-]+/[\w.-]+?)(?:\.git)?/(?P<what>.+)", path)
        if found is None or found["repo"] not in self.state.repositories:
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if not found["repo"].startswith(f"{OWNER}/"):
            return self.send(403, b'{"error": "Forbidden: not your repository"}')
        answers = {
            "preupload/main": self.how_to_upload,
            "info/lfs/objects/batch": self.where_to_upload,
            "commit/main": lambda asked: self.commit(found["repo"], asked),
        }
        answer = answers.get(found["what"])
        return answer(body) if answer else self.send(404, b"{}")

    def create(self, asked):
        repo = f"{asked['organization'] or OWNER}/{asked['name']}"
        if not repo.startswith(f"{OWNER}/"):
            return self.send(403, b'{"error": "You do not have the rights to create a model there"}')
        if repo in self.state.repositories:
            return self.say({"url": f"{self.address}/{repo}", "error": "You already created this repo"}, 409)
        self.state.repositories[repo] = {}
        if asked.get("private") or asked.get("visibility") == "private":
            self.state.private.add(repo)
        return self.say({"url": f"{self.address}/{repo}"})

    def how_to_upload(self, body):
        files = json.loads(body)["files"]
        return self.say(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(".h5") else "regular",
                        "shouldIgnore": False,
                    }
                    for file in files
                ]
            }
        )

    def where_to_upload(self, body):
        wanted = json.loads(body)
        assert "basic" in wanted["transfers"]
        return self.say(
            {
                "transfer": "basic",
                "objects": [
                    one | {"actions": {"upload": {"href": f"{self.address}/objects/{one['oid']}"}}}
                    for one in wanted["objects"]
                ],
            }
        )

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.state.asked.append(self.path)
        oid = self.path.removeprefix("/objects/")
        if hashlib.sha256(content).hexdigest() != oid:
            return self.send(400, b"{}")
        self.state.objects[oid] = content
        return self.send(200, b"")

    def commit(self, repo, body):
        commits = self.state.repositories[repo]
        files = dict(list(commits.values())[-1]) if commits else {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.state.objects[value["oid"]]
        commit = hashlib.sha1(body + str(len(commits)).encode()).hexdigest()
        commits[commit] = files
        url = f"{self.address}/{repo}/commit/{commit}"
        return self.say({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    # -- Answers -------------------------------------------------------------------------------------------------

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def say(self, answer, status=200):
        self.send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def send(self, status, content, headers=None):
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def git_oid(content: bytes) -> str:
    """What git calls a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server:
    """The running Hub."""

    def __init__(self, state: State):
        self.state = state
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Hub,), {"state": state}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Fall silent; a second call does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@contextmanager
def serving(state: State, monkeypatch, cache) -> Iterator[Server]:
    """A Hub that huggingface_hub takes for the real one, with an empty cache and a token of its owner's."""
    import huggingface_hub.constants as constants

    server = Server(state)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    # Its own storage speaks another protocol; LFS, which every Hub answers, carries the same files.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    try:
        yield server
    finally:
        server.stop()
