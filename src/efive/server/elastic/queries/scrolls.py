"""Scrolls: all hits of a search, page by page, in the order that they had at the beginning."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from efive.server.access import ANYBODY, Caller
from efive.server.elastic.errors import ElasticError, illegal
from efive.server.elastic.indices.index import Index
from efive.server.elastic.queries.requests import parse_search
from efive.server.elastic.queries.searching import Ranked, answer, fetch, rank

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

_MOST = 500
_LONGEST = 24 * 3600.0


@dataclass(slots=True)
class _Scroll:
    found: Ranked
    at: int
    until: float
    """Seconds of the monotonic clock."""


class Scrolls:
    """The scrolls that are under way. Used on the event loop.

    What is kept of one are the places and scores of its hits, 20 bytes each, and the values of fields that it is sorted
    by. Documents are read when their page comes: those that were removed meanwhile are left out, others are as they are
    by then.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Scroll] = {}

    async def open(
        self, cluster: "Cluster", indices: Sequence[Index], body: dict[str, Any], keep: float, caller: Caller = ANYBODY
    ) -> dict[str, Any]:
        """Answer a search with its first page, and the `_scroll_id` that the next one is asked for by.

        Args:
            cluster: whose endpoints embed.
            indices: that are searched.
            body: of the search.
            keep: seconds until the next page must have been asked for.
            caller: who asks.

        Raises:
            ElasticError: if too many are open, or for what cannot be used.
        """
        begun, asked = time.perf_counter(), parse_search(body)
        if asked.offset:
            raise illegal("using [from] is not allowed in a scroll context")
        if asked.after is not None:
            raise illegal("[search_after] cannot be used in a scroll context")
        if not asked.size:
            raise illegal("[size] cannot be [0] in a scroll context")
        until = _until(keep)
        self._expire()
        if len(self._open) >= _MOST:
            raise ElasticError(
                429, "too_many_scroll_contexts_exception",
                f"Trying to create too many scroll contexts. Must be less than or equal to: [{_MOST}]. Clear those "
                "that are read to the end, or let them end sooner.",
            )  # fmt: skip
        found = await rank(cluster, indices, replace(asked, count=None), caller)  # clients count down from the total
        id_ = secrets.token_urlsafe(24)
        self._open[id_] = _Scroll(found, asked.size, until)
        hits = await fetch(found.page(0, asked.size))
        return {"_scroll_id": id_, **answer(found, hits, begun)}

    async def next(self, id_: str, keep: float | None) -> dict[str, Any]:
        """Answer with the next page; behind the last one, pages are empty.

        Raises:
            ElasticError: if there is no such scroll any more.
        """
        begun = time.perf_counter()
        self._expire()
        scroll = self._open.get(id_)
        if scroll is None:
            raise ElasticError(404, "search_context_missing_exception", f"No search context found for id [{id_}]")
        if keep is not None:
            scroll.until = _until(keep)
        size, total = scroll.found.search.size, len(scroll.found.hits)
        hits: list[dict[str, Any]] = []
        while not hits and scroll.at < total:  # a page all of whose documents were removed is not the end
            start, scroll.at = scroll.at, min(scroll.at + size, total)
            hits = await fetch(scroll.found.page(start, scroll.at))
        return {"_scroll_id": id_, **answer(scroll.found, hits, begun)}

    def close(self, ids: Sequence[str] | None = None) -> int:
        """End some scrolls, or all; return how many there were."""
        named = list(self._open) if ids is None else ids
        return sum(self._open.pop(id_, None) is not None for id_ in named)

    def _expire(self) -> None:
        now = time.monotonic()
        for id_ in [id_ for id_, scroll in self._open.items() if scroll.until < now]:
            del self._open[id_]


def _until(keep: float) -> float:
    if keep <= 0:
        raise illegal("[scroll] must be longer than 0")
    if keep > _LONGEST:
        raise illegal(f"Keep alive for request ({keep:g}s) is too large. It must be less than (1d).")
    return time.monotonic() + keep
