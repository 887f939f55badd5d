"""Model repositories: folders or web servers with models as Elasticsearch packs them."""

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from efive.server.elastic.errors import ElasticError, illegal

_BLOCK = 1 << 20
_METADATA = 1 << 20
_VOCABULARY = 20 << 20
_SECONDS = 60
"""Until a server answers, or sends the next bytes."""
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Package:
    """One model of a repository."""

    repository: str
    package_id: str
    metadata: dict[str, Any]
    size: int
    sha256: str
    vocabulary_file: str


def configured() -> str | None:
    """Return the address that the server's environment has, for servers that are told no other."""
    return os.environ.get("EFIVE_MODEL_REPOSITORY") or None


def base_of(address: str) -> str:
    """Return a repository's address, ending in a slash.

    Raises:
        ElasticError: for an address that is none.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"file", "http", "https"}:
        raise illegal(f"the model repository [{address}] must be an address of the form file://, http:// or https://")
    if parts.query or parts.fragment or (parts.scheme == "file" and parts.netloc not in {"", "localhost"}):
        raise illegal(f"the model repository [{address}] must be a plain folder: no query, no fragment, no other host")
    return address if address.endswith("/") else f"{address}/"


def find(repository: str, package_id: str) -> Package | None:
    """Return a repository's package, or None where it has none of that id.

    Raises:
        ElasticError: if the repository cannot be read, or its description of the package cannot be.
    """
    base = base_of(repository)
    found = _small(base, f"{package_id}.metadata.json", _METADATA)
    if found is None:
        return None
    try:
        metadata = json.loads(found)
        stated = metadata["packaged_model_id"]
        size, sha256 = metadata["size"], metadata["sha256"]
        vocabulary = metadata.get("vocabulary_file") or f"{package_id}.vocab.json"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise illegal(f"Failed to parse package [{package_id}]: {error!r}") from None
    if stated != package_id:
        raise ElasticError(500, "status_exception", f"Invalid package name [{stated}]; expected [{package_id}]")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise illegal(f"Invalid package size [{size}]")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise illegal(f"Invalid package sha256 [{sha256}]")
    if not isinstance(vocabulary, str) or not _FILE.fullmatch(vocabulary) or not vocabulary.endswith(".json"):
        raise illegal(f"Invalid vocabulary file [{vocabulary}]: a file beside the model that ends in .json")
    return Package(base, package_id, metadata, size, sha256.lower(), vocabulary)


def fetch(package: Package, folder: Path) -> None:
    """Put a package's model and vocabulary into a folder as `definition.pt` and `vocabulary.json`.

    Raises:
        ElasticError: if a file is missing or not what the description says.
    """
    vocabulary = _small(package.repository, package.vocabulary_file, _VOCABULARY)
    if vocabulary is None:
        raise illegal(f"Failed to find vocabulary file [{package.vocabulary_file}] of package [{package.package_id}]")
    (folder / "vocabulary.json").write_bytes(vocabulary)
    name, digest, size = f"{package.package_id}.pt", hashlib.sha256(), 0
    with _open(package.repository, name) as source, (folder / "definition.pt").open("wb") as target:
        if source is None:
            raise illegal(f"Failed to find [{name}] of package [{package.package_id}]")
        while (block := _read(source, _BLOCK, f"{package.repository}{name}")) and size <= package.size:
            digest.update(block)
            target.write(block)
            size += len(block)
    if size != package.size:
        raise illegal(f"Model size mismatch of [{name}]: expected [{package.size}] bytes, the repository has [{size}]")
    if digest.hexdigest() != package.sha256:
        raise illegal(f"Model sha256 checksums of [{name}] do not match: expected [{package.sha256}]")


def _small(base: str, name: str, most: int) -> bytes | None:
    with _open(base, name) as source:
        if source is None:
            return None
        content = _read(source, most + 1, f"{base}{name}")
    if len(content) > most:
        raise illegal(f"[{name}] has more than {most} bytes")
    return content


@contextmanager
def _open(base: str, name: str) -> Iterator[IO[bytes] | None]:
    """Open a file of a repository; None if it has none of that name."""
    if not _FILE.fullmatch(name):
        raise illegal(f"[{name}] is no file of a model repository")
    source = None
    try:
        source = _local(base, name) if base.startswith("file:") else _remote(base, name)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 404:
            raise illegal(f"the model repository answers {error.code} for [{base}{name}]") from None
    except FileNotFoundError:
        pass
    except (OSError, ValueError, HTTPException) as error:
        raise _unreadable(f"{base}{name}", error) from None
    with source or nullcontext() as opened:
        yield opened


def _read(source: IO[bytes], most: int, address: str) -> bytes:
    try:
        return source.read(most)
    except (OSError, ValueError, HTTPException) as error:
        raise _unreadable(address, error) from None


def _unreadable(address: str, error: Exception) -> ElasticError:
    return illegal(f"the model repository cannot be read at [{address}]: {error}")


def _local(base: str, name: str) -> IO[bytes]:
    folder = Path(unquote(urlsplit(base).path)).resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise illegal(f"[{name}] leads out of the model repository")
    return path.open("rb")


def _remote(base: str, name: str) -> IO[bytes]:
    opened: IO[bytes] = urllib.request.build_opener(_NeverElsewhere).open(f"{base}{name}", timeout=_SECONDS)
    return opened


class _NeverElsewhere(urllib.request.HTTPRedirectHandler):
    """A repository that sends us elsewhere is refused: only the address that was set is trusted."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,  # noqa: ARG002
        headers: HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        """Refuse."""
        fp.close()
        raise illegal(f"the model repository redirects [{req.full_url}] ({code}); redirects are not followed")
