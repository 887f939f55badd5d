"""How the cluster is: its indices in a table, its health."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from efive.errors import StoreError
from efive.server.access import Scope
from efive.server.elastic.errors import illegal
from efive.server.elastic.indices.index import Index
from efive.server.http import guarded
from efive.server.protocols.elastic.indices import named, names_of
from efive.server.protocols.elastic.wire import cluster_of, flag, reply

_RIGHT = ("pri", "rep", "docs.count", "docs.deleted", "store.size", "pri.store.size", "dataset.size")
_UNITS = ("b", "kb", "mb", "gb", "tb")
_SHORT = {
    "h": "health", "s": "status", "i": "index", "idx": "index", "id": "uuid", "dc": "docs.count", "dd": "docs.deleted",
    "ss": "store.size", "docsCount": "docs.count", "storeSize": "store.size", "p": "pri", "r": "rep",
}  # fmt: skip


def routes() -> list[Route]:
    """Return the routes of tables and of health."""
    read = Scope.SEARCH
    return [
        Route("/_cat/indices", guarded(read, indices), methods=["GET"]),
        Route("/_cat/indices/{index}", guarded(read, indices), methods=["GET"]),
        Route("/_cat/count", guarded(read, count), methods=["GET", "POST"]),
        Route("/_cat/count/{index}", guarded(read, count), methods=["GET", "POST"]),
        Route("/_cat/health", guarded(read, cat_health), methods=["GET"]),
        Route("/_cluster/health", guarded(read, health), methods=["GET"]),
        Route("/_cluster/health/{index}", guarded(read, health), methods=["GET"]),
    ]


async def indices(request: Request) -> Response:
    """List indices, their documents and their sizes."""
    rows = [await _row(request, name) for name in await names_of(request)]
    return _table(request, [row for row in rows if row is not None])


async def _row(request: Request, name: str) -> dict[str, str] | None:
    """Return what the table says of an index; None if it has been deleted meanwhile."""
    try:
        found = await cluster_of(request).indices.resolve(name, ignore_unavailable=True)
    except StoreError:  # damaged; requests that need it say how
        return {"health": "red", "status": "open", "index": name, "uuid": "", "pri": "1", "rep": "0"} | dict.fromkeys(
            ("docs.count", "docs.deleted", "store.size", "pri.store.size", "dataset.size"), ""
        )
    return await _healthy(request, found[0]) if found else None


async def _healthy(request: Request, index: Index) -> dict[str, str]:
    documents, size = await index.count(), await asyncio.to_thread(_bytes, index.folders())
    shown = _size(size, request.query_params.get("bytes"))
    return {
        "health": "green",
        "status": "open",
        "index": index.name,
        "uuid": index.uuid,
        "pri": "1",
        "rep": "0",
        "docs.count": str(documents),
        "docs.deleted": "0",
        "store.size": shown,
        "pri.store.size": shown,
        "dataset.size": shown,
    }


def _bytes(folders: Sequence[Path]) -> int:
    total = 0
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:  # tidied away meanwhile
                continue
    return total


def _size(size: int, unit: str | None) -> str:
    if unit is not None:
        if unit not in _UNITS:
            raise illegal(f"failed to parse [bytes] with value [{unit}]: one of [{', '.join(_UNITS)}] is meant")
        return str(size // 1024 ** _UNITS.index(unit))
    amount, place = float(size), 0
    while amount >= 1024 and place < len(_UNITS) - 1:
        amount, place = amount / 1024, place + 1
    return f"{amount:.1f}".removesuffix(".0") + _UNITS[place]


async def count(request: Request) -> Response:
    """Say how many documents there are."""
    total = sum([await index.count() for index in await named(request)])
    now = time.time()
    clock = time.strftime("%H:%M:%S", time.gmtime(now))
    return _table(request, [{"epoch": str(int(now)), "timestamp": clock, "count": str(total)}])


async def cat_health(request: Request) -> Response:
    """Say in a table how the cluster is."""
    number = str(len(await asyncio.to_thread(cluster_of(request).indices.names)))
    now = time.time()
    row = {
        "epoch": str(int(now)),
        "timestamp": time.strftime("%H:%M:%S", time.gmtime(now)),
        "cluster": "efive",
        "status": "green",
        "node.total": "1",
        "node.data": "1",
        "shards": number,
        "pri": number,
        "relo": "0",
        "init": "0",
        "unassign": "0",
        "pending_tasks": "0",
        "max_task_wait_time": "-",
        "active_shards_percent": "100.0%",
    }
    return _table(request, [row])


async def health(request: Request) -> Response:
    """Say how the cluster is: one node that answers is all there is."""
    if "index" in request.path_params:
        number = len(await named(request))
    else:
        number = len(await asyncio.to_thread(cluster_of(request).indices.names))
    idle = ("relocating_shards", "initializing_shards", "unassigned_shards", "unassigned_primary_shards",
            "delayed_unassigned_shards", "number_of_pending_tasks", "number_of_in_flight_fetch",
            "task_max_waiting_in_queue_millis")  # fmt: skip
    body: dict[str, Any] = {
        "cluster_name": "efive",
        "status": "green",
        "timed_out": False,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": number,
        "active_shards": number,
        **dict.fromkeys(idle, 0),
        "active_shards_percent_as_number": 100.0,
    }
    return reply(request, body)


def _table(request: Request, rows: list[dict[str, str]]) -> Response:
    """Return rows as JSON, or as text in columns."""
    columns = list(rows[0]) if rows else []
    if wanted := request.query_params.get("h"):
        columns = [_SHORT.get(name, name) for name in wanted.split(",")]
        rows = [{name: row[name] for name in columns if name in row} for row in rows]
        columns = [name for name in columns if rows and name in rows[0]]
    for key in reversed((request.query_params.get("s") or "").split(",")):
        name, _, order = key.partition(":")
        if name:
            rows.sort(key=lambda row: _ordered(row.get(_SHORT.get(name, name), "")), reverse=order == "desc")
    accepted = request.headers.get("accept", "").startswith("application/")
    if request.query_params.get("format", "json" if accepted else "text") == "json":
        return reply(request, rows)
    lines = [dict(zip(columns, columns, strict=True)), *rows] if flag(request, "v") else rows
    widths = {name: max((len(line[name]) for line in lines), default=0) for name in columns}
    text = "".join(" ".join(_cell(line[name], name, widths[name]) for name in columns).rstrip() + "\n"
                   for line in lines)  # fmt: skip
    return PlainTextResponse(text, headers={"x-elastic-product": "Elasticsearch"})


def _ordered(value: str) -> tuple[int, float, str]:
    return (0, float(value), "") if value.replace(".", "", 1).isdigit() else (1, 0.0, value)


def _cell(text: str, name: str, width: int) -> str:
    return text.rjust(width) if name in _RIGHT else text.ljust(width)
