"""The collections of the server as people see them."""

from dataclasses import dataclass
from pathlib import Path

from efive.errors import EfiveError
from efive.search.collection import Collection
from efive.search.documents import Document
from efive.search.folder import Folder, settings_of
from efive.search.searching import Hit
from efive.server.service import Service

_AROUND = 20_000
"""Characters of a document that are shown on each side of a passage."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One collection in a list."""

    name: str
    documents: int = 0
    passages: int = 0
    bytes: int = 0
    model: str = ""
    """What its model was called when it was made."""
    space: str = ""
    """Fingerprint of its space."""
    vectors: str = ""
    window: int = 0
    calibration: str = ""
    """How confidences were fitted, in words; empty where they were not."""
    fault: str = ""
    """Why nothing more is known of it."""


def uploads(service: Service, name: str) -> Path:
    """Return the folder of the files that were uploaded into a collection."""
    return service.home / "console" / "uploads" / name


async def summaries(service: Service) -> list[Summary]:
    """Describe all collections, by name; of those that cannot be read, say why."""
    collections = service.collections
    return await collections.run(lambda: [_summary(collections.path(name), name) for name in collections.names()])


async def summary(service: Service, name: str) -> Summary:
    """Describe one collection."""
    path = service.collections.path(name)
    return await service.collections.run(lambda: _summary(path, name))


def _summary(path: Path, name: str) -> Summary:
    try:
        settings = settings_of(Folder(path).generation())
        with Collection.open(path, create=False) as collection:
            stats = collection.stats()
    except EfiveError as error:
        return Summary(name, fault=str(error))
    fitted = stats.calibration.describe() if stats.calibration else ""
    return Summary(
        name, stats.documents, stats.passages, stats.bytes, settings.model, stats.space.fingerprint, stats.vectors,
        stats.window, fitted,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """A document around one of its passages."""

    title: str
    before: str
    passage: str
    behind: str
    cut: bool
    """Whether the document is longer than what is here."""
    metadata: dict[str, str]


async def document_of(service: Service, name: str, hit: Hit) -> Opened | None:
    """Return the document of a hit around its passage; None if it has gone since."""
    collection = await service.collections.open(name)
    found = await service.collections.run(lambda: collection.get([hit.document]))
    return around(found[0], hit, service, name) if found else None


def around(document: Document, hit: Hit, service: Service, name: str) -> Opened:
    """Cut a document around a passage of it, so that a page can show it."""
    start, end = hit.passage.start, hit.passage.end
    least, most = max(0, start - _AROUND), end + _AROUND
    text = document.text
    return Opened(
        place(hit, service, name),
        text[least:start],
        text[start:end],
        text[end:most],
        least > 0 or most < len(text),
        {key: ", ".join(value) if isinstance(value, list) else str(value) for key, value in document.metadata.items()},
    )


def place(hit: Hit, service: Service, name: str) -> str:
    """Return where a hit is: its file, without the folder of uploads, and line, page or record."""
    return hit.place(uploads(service, name).resolve())
