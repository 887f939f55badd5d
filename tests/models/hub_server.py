"""A small Hugging Face hub: model info, tree, resolve with redirects of large files, ranges; faults on request."""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", "tokenizer.json", ".onnx")


@dataclass(frozen=True)
class Seen:
    """One request that reached the server."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Repo:
    """Files by commit, commits by branch or tag."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], ref: str = "main") -> str:
        """Add a commit, point `ref` at it, and return its id."""
        text = repr((sorted((p, hashlib.sha256(c).hexdigest()) for p, c in files.items()), len(self.commits)))
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = files
        self.refs[ref] = sha
        return sha


class Hub:
    """The server, its repositories, its log and its faults (all by file name)."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.seen: list[Seen] = []
        self.drop_once: dict[str, int] = {}
        """Close the connection after so many bytes, the first time the file is asked for."""
        self.down: set[str] = set()
        """Answer 500 to a GET of the file, but not to one that is to be dropped."""
        self.treeless = False
        """Refuse the listing by tree, not the model's information."""
        self.served: dict[str, bytes] = {}
        """Other bytes than the listing says."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.hub = self  # type: ignore[attr-defined]
        self.server.handle_error = lambda request, address: None  # type: ignore[method-assign]
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.cdn = f"http://localhost:{self.port}/cdn"  # another host, as on the real hub

    def __enter__(self) -> "Hub":
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering: from now on connections are refused."""
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()

    def publish(self, name: str, folder: Path, ref: str = "main") -> str:
        """Add the files below `folder` as a commit of the repository `name` and return the commit."""
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        return self.repos.setdefault(name, Repo()).commit(files, ref)

    def fetched(self) -> list[str]:
        """Names of the files whose content was asked for, in order."""
        return [s.path.rsplit("/", 1)[-1] for s in self.seen if s.method == "GET" and "/api/" not in s.path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        get = self.headers.get
        self.hub.seen.append(Seen(self.command, path, get("Range"), get("Authorization")))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            repo, what, revision = found.groups()
            self._listing(repo, what, revision)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*found.groups())
        elif found := re.fullmatch(r"/cdn/([^/]+/[^/]+)/([^/]+)/(.+)", path):
            repo, commit, name = found.groups()
            self._content(name, self.hub.repos[repo].commits[commit][name], {})
        else:
            self._say(404, b"no such page", {})

    def _find(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if repo not in self.hub.repos:
            self._say(401, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
            return None
        known = self.hub.repos[repo]
        commit = known.refs.get(revision, revision)
        if commit not in known.commits:
            self._say(404, b"", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
            return None
        return commit, known.commits[commit]

    def _listing(self, repo: str, what: str, revision: str) -> None:
        if not (found := self._find(repo, revision)):
            return
        if what == "tree" and self.hub.treeless:
            self._say(403, b"", {})
            return
        commit, files = found
        rows = []
        for name, content in files.items():
            sha256, large = hashlib.sha256(content).hexdigest(), name.endswith(LARGE)
            if what == "tree":
                lfs = {"lfs": {"oid": sha256, "size": len(content), "pointerSize": 130}} if large else {}
                rows.append({"type": "file", "path": name, "size": len(content), "oid": _git(content), **lfs})
            else:
                lfs = {"lfs": {"sha256": sha256, "size": len(content), "pointerSize": 130}} if large else {}
                rows.append({"rfilename": name, "size": len(content), "blobId": _git(content), **lfs})
        answer = rows if what == "tree" else {"_id": "1", "id": repo, "modelId": repo, "sha": commit, "siblings": rows}
        self._say(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        if not (found := self._find(repo, revision)):
            return
        commit, files = found
        headers = {"X-Repo-Commit": commit}
        if name not in files:
            self._say(404, b"", headers | {"X-Error-Code": "EntryNotFound"})
        elif name.endswith(LARGE):
            etag = f'"{hashlib.sha256(files[name]).hexdigest()}"'
            linked = {"X-Linked-Etag": etag, "X-Linked-Size": str(len(files[name]))}
            self._say(302, b"", headers | linked | {"Location": f"{self.hub.cdn}/{repo}/{commit}/{name}"})
        else:
            self._content(name, files[name], headers | {"ETag": f'"{_git(files[name])}"'})

    def _content(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        content, status = self.hub.served.get(name, content), 200
        if self.command == "GET" and name in self.hub.drop_once:
            self._say(200, content, headers, only=self.hub.drop_once.pop(name))
            return
        if self.command == "GET" and name in self.hub.down:
            self._say(500, b"the hub is down", {})
            return
        if wanted := self.headers.get("Range"):
            start, status = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]), 206
            headers = headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            content = content[start:]
        self._say(status, content, headers | {"Accept-Ranges": "bytes"})

    def _say(self, status: int, body: bytes, headers: dict[str, str], *, only: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:only])
        if only is not None:
            self.close_connection = True


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
