"""What is done to documents, and what became of it."""

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from typing import Any, Literal

from efive.server.elastic.errors import ElasticError

Kind = Literal["index", "create", "update", "delete"]
Result = Literal["created", "updated", "deleted", "not_found", "noop"]
Source = Dictionary[str, Any]
"""A document as it was given: JSON."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One write."""

    kind: Kind
    id: str | None = None
    """None, for `index` and `create`, makes one."""
    source: Source | None = None
    """The document, for `index` and `create`."""
    doc: Source | None = None
    """For `update`: the fields to change."""
    upsert: Source | None = None
    """For `update`: the document where there is none."""
    doc_as_upsert: bool = False
    detect_noop: bool = True
    """For `update`: whether a change that changes nothing is no write."""
    if_seq_no: int | None = None
    """Write only if this is the document's number."""
    if_primary_term: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a write."""

    id: str | None
    status: int
    result: Result | None = None
    """None if it failed."""
    version: int = 0
    seq_no: int = 0
    error: ElasticError | None = None
    source: Source | None = None
    """The document as an update left it."""


def failed(id_: str | None, error: ElasticError) -> Outcome:
    """Return the outcome of a write that was refused."""
    return Outcome(id_, error.status, error=error)
