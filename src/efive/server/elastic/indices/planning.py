"""What a batch of operations will write: versions, conflicts, merged updates, checked fields. It writes nothing."""

import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from typing import Any

import orjson

from efive.server.elastic.errors import ElasticError, illegal, invalid_action, unsupported, version_conflict
from efive.server.elastic.indices.mapping import Mapping
from efive.server.elastic.indices.operations import Operation, Outcome, Result, Source, failed
from efive.server.elastic.indices.values import Values, values_of

PRIMARY_TERM = 1
_LONGEST_ID = 512
_TOGETHER = 500
"""Ids that are looked up by one statement."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as an index has it, or will have it."""

    id: str
    source: bytes | None
    """JSON; None: it is deleted."""
    version: int
    seq_no: int

    def document(self) -> Source:
        """Return the source, read."""
        found: Source = orjson.loads(self.source or b"{}")
        return found


@dataclass(frozen=True, slots=True)
class Change:
    """What one document will be."""

    stored: Stored
    values: Values
    """What is kept of its fields; nothing if it is deleted."""


@dataclass(slots=True)
class Plan:
    """What a batch will do."""

    mapping: Mapping
    seq_no: int
    """The next one."""
    outcomes: list[Outcome] = field(default_factory=list)
    """Of each operation, if nothing fails from now on."""
    changes: dict[str, Change] = field(default_factory=dict)
    """By id: the last state of every document that changes."""

    def refuse(self, errors: Dictionary[str, ElasticError]) -> None:
        """Let the documents of these ids fail after all."""
        self.changes = {id_: change for id_, change in self.changes.items() if id_ not in errors}
        self.outcomes = [
            failed(each.id, errors[each.id])
            if each.error is None and each.id is not None and each.id in errors
            else each
            for each in self.outcomes
        ]


def plan(connection: sqlite3.Connection, mapping: Mapping, seq_no: int, operations: Sequence[Operation]) -> Plan:
    """Return what operations will do, one after the other."""
    known = lookup(connection, [each.id for each in operations if each.id])
    planning = _Planning(Plan(mapping, seq_no), known)
    for each in operations:
        planning.add(each)
    return planning.plan


def lookup(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Stored]:
    """Return documents, and the marks that deleted ones have left, by id."""
    found: dict[str, Stored] = {}
    for group in groups(list(dict.fromkeys(ids))):
        asked = ",".join("?" * len(group))
        for columns in ("id, NULL, version, seq_no FROM deleted", "id, source, version, seq_no FROM document"):
            rows = connection.execute(f"SELECT {columns} WHERE id IN ({asked})", group)
            found |= {row[0]: Stored(*row) for row in rows}
    return found


def groups(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield ids in groups that one statement can ask for."""
    for start in range(0, len(ids), _TOGETHER):
        yield ids[start : start + _TOGETHER]


class _Planning:
    """Adds one operation after the other to a plan."""

    def __init__(self, plan: Plan, known: dict[str, Stored]) -> None:
        self.plan = plan
        self._known = known

    def add(self, operation: Operation) -> None:
        """Plan an operation; what is wrong with it is its outcome."""
        try:
            _check(operation)
            id_ = operation.id or secrets.token_urlsafe(15)
            old = self._known.get(id_)
            self._check_seq_no(operation, id_, old)
            outcome = self._planned(operation, id_, old)
        except ElasticError as error:
            outcome = failed(operation.id, error)
        self.plan.outcomes.append(outcome)

    def _check_seq_no(self, operation: Operation, id_: str, old: Stored | None) -> None:
        wanted, term = operation.if_seq_no, operation.if_primary_term
        if wanted is None:
            return
        asked = f"[{id_}]: version conflict, required seqNo [{wanted}], primary term [{term}]."
        if old is None or (old.source is None and operation.kind != "delete"):
            raise version_conflict(f"{asked} but no document was found")
        if (old.seq_no, PRIMARY_TERM) != (wanted, term):
            raise version_conflict(
                f"{asked} current document has seqNo [{old.seq_no}] and primary term [{PRIMARY_TERM}]"
            )

    def _planned(self, operation: Operation, id_: str, old: Stored | None) -> Outcome:
        there = old is not None and old.source is not None
        match operation.kind:
            case "delete":
                return self._change(id_, None, "deleted" if there else "not_found", old)
            case "update":
                return self._update(operation, id_, old)
            case "create" if old is not None and there:
                raise version_conflict(
                    f"[{id_}]: version conflict, document already exists (current version [{old.version}])"
                )
        return self._change(id_, operation.source or {}, "updated" if there else "created", old)

    def _update(self, operation: Operation, id_: str, old: Stored | None) -> Outcome:
        if old is None or old.source is None:
            new = operation.doc if operation.doc_as_upsert else operation.upsert
            if new is None:
                raise ElasticError(404, "document_missing_exception", f"[{id_}]: document missing")
            return self._change(id_, new, "created", old)
        before = old.document()
        after = merged(before, operation.doc or {})
        if operation.detect_noop and _same(before, after):
            return Outcome(id_, 200, "noop", old.version, old.seq_no, source=before)
        return self._change(id_, after, "updated", old)

    def _change(self, id_: str, source: Source | None, result: Result, old: Stored | None) -> Outcome:
        raw = None if source is None else encoded(source)
        mapping, values = (self.plan.mapping, Values()) if source is None else values_of(self.plan.mapping, source, id_)
        new = Stored(id_, raw, 1 if old is None else old.version + 1, self.plan.seq_no)
        self.plan.mapping = mapping
        self.plan.seq_no += 1
        self.plan.changes[id_] = Change(new, values)
        self._known[id_] = new
        status = {"created": 201, "not_found": 404}.get(result, 200)
        return Outcome(id_, status, result, new.version, new.seq_no, source=source)


def _check(operation: Operation) -> None:
    id_ = operation.id
    if id_ == "":
        raise illegal("if _id is specified it must not be empty")
    if id_ is not None and len(id_.encode(errors="surrogatepass")) > _LONGEST_ID:
        size = len(id_.encode(errors="surrogatepass"))
        raise illegal(f"id [{id_}] is too long, must be no longer than {_LONGEST_ID} bytes but was: {size}")
    if id_ is None and operation.kind in {"update", "delete"}:
        raise invalid_action("id is missing")
    if (operation.if_seq_no is None) != (operation.if_primary_term is None):
        given = "unassigned" if operation.if_seq_no is None else "set"
        raise invalid_action(f"ifSeqNo is {given}, but primary term is [{operation.if_primary_term or 0}]")
    if operation.kind == "update" and operation.doc is None:
        if operation.upsert is None or operation.doc_as_upsert:
            raise invalid_action("script or doc is missing")
        raise unsupported("an update without [doc]")


def merged(old: Source, changes: Source) -> dict[str, Any]:
    """Return a document with the fields of another in it; objects are merged, all else is replaced."""
    found = dict(old)
    for name, value in changes.items():
        before = found.get(name)
        both = isinstance(before, dict) and isinstance(value, dict)
        found[name] = merged(before, value) if both and before is not None else value
    return found


def _same(left: Source, right: Source) -> bool:
    """Compare documents as JSON: 1, 1.0 and true are three."""
    return encoded(left, ordered=True) == encoded(right, ordered=True)


def encoded(source: Source, *, ordered: bool = False) -> bytes:
    """Return a document as JSON.

    Raises:
        ElasticError: if it is nested so deeply, or has a number so large, that no answer could hold it.
    """
    try:
        return _inside_an_answer(source, ordered=ordered)
    except TypeError:  # too deep, or a whole number of more than 64 bits, which orjson reads as a float
        pass
    try:
        raw = json.dumps(source, sort_keys=ordered, ensure_ascii=False).encode(errors="surrogatepass")
        _inside_an_answer(orjson.loads(raw))
    except orjson.JSONDecodeError:
        raise ElasticError(400, "document_parsing_exception", "the document has a number that no float has") from None
    except (TypeError, RecursionError):
        reason = "the document's objects and lists are nested too deeply: 240 levels are possible"
        raise ElasticError(400, "document_parsing_exception", reason) from None
    return raw


def _inside_an_answer(source: Source, *, ordered: bool = False) -> bytes:
    """Return JSON that orjson, which goes 254 levels down, can still write as a part of something."""
    raw = orjson.dumps([[[[[[[[[[source]]]]]]]]]], option=orjson.OPT_SORT_KEYS if ordered else None)
    return raw[10:-10]
