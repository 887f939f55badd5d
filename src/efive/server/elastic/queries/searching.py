"""Searches, from the body of a request to the body of the answer.

Every search has two phases, as in Elasticsearch: what matches is found in all indices and ranked, then the documents
of the page are read. A document that is removed between the two is left out.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from efive.inputs import Role
from efive.server.access import ANYBODY, Caller
from efive.server.elastic.indices.index import Index
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries import aggregations, sorting, values
from efive.server.elastic.queries.aggregations import Column
from efive.server.elastic.queries.evaluation import Embedded, Evaluation
from efive.server.elastic.queries.expanding import wanted
from efive.server.elastic.queries.fetching import Fetching, stored
from efive.server.elastic.queries.highlighting import Highlighter
from efive.server.elastic.queries.matches import Rows, contained
from efive.server.elastic.queries.plan import BY_DOCUMENT, BY_SCORE, Leaf, Search, leaves
from efive.server.elastic.queries.ranking import Hits, IndexMatches, LeafMatches, at_least, ranked
from efive.server.elastic.queries.requests import parse_search
from efive.server.elastic.queries.retriever_parsing import any_ranking
from efive.server.elastic.queries.tree import Query

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster
    from efive.vectors import Floats


@dataclass(frozen=True, slots=True)
class Ranked:
    """All that a search has found, in order, before its documents are read."""

    search: Search
    hits: Hits
    sorts: list[tuple[Any, ...]] | None
    """What each hit is sorted by; None where that is its score or its place alone."""
    indices: Sequence[Index]
    named: Sequence[dict[str, Rows]]
    newest: Sequence[int]
    embedded: Embedded
    total: int
    highest: np.float32 | None
    aggregations: dict[str, Any] | None = None

    def page(self, start: int, end: int) -> "Ranked":
        """Return some of its hits."""
        at = np.arange(start, min(end, len(self.hits)))
        sorts = None if self.sorts is None else self.sorts[start:end]
        return replace(self, hits=self.hits.take(at), sorts=sorts)


async def search(
    cluster: "Cluster", indices: Sequence[Index], body: dict[str, Any], caller: Caller = ANYBODY
) -> dict[str, Any]:
    """Answer a search.

    Args:
        cluster: whose endpoints embed.
        indices: that are searched.
        body: of the request.
        caller: who asks, for limits.

    Raises:
        ElasticError: naming what cannot be used.
    """
    begun = time.perf_counter()
    asked = parse_search(body)
    found = await rank(cluster, indices, asked, caller)
    hits = await fetch(found.page(asked.offset, asked.offset + asked.size))
    return answer(found, hits, begun)


def answer(found: Ranked, hits: list[dict[str, Any]], begun: float) -> dict[str, Any]:
    """Return the body of an answer with a page of hits."""
    shown: dict[str, Any] = {"max_score": found.highest, "hits": hits}
    most = found.search.count
    if most != 0:
        beyond = most is not None and found.total > most
        shown = {"total": {"value": most if beyond else found.total, "relation": "gte" if beyond else "eq"}, **shown}
    took = int(1000 * (time.perf_counter() - begun))
    body = {"took": took, "timed_out": False, "_shards": shards(len(found.indices)), "hits": shown}
    return body if found.aggregations is None else {**body, "aggregations": found.aggregations}


def shards(number: int) -> dict[str, int]:
    """Return what answers say about shards; an index has one."""
    return {"total": number, "successful": number, "skipped": 0, "failed": 0}


async def matching(cluster: "Cluster", index: Index, query: dict[str, Any], caller: Caller = ANYBODY) -> list[str]:
    """Return the ids of the documents that match a query, JSON, in the order in which they came into the index.

    Raises:
        ElasticError: naming what cannot be used.
    """
    leaf = any_ranking({"query": query})
    embedded = await embed(cluster, [index], _queries(Search(leaf)), caller)

    def work(reading: Reading) -> list[str]:
        rows = _one_leaf(Evaluation(reading, embedded), leaf)
        return values.ids_of(reading.database, rows.tolist())

    return await index.read(work)


async def count(
    cluster: "Cluster", indices: Sequence[Index], body: dict[str, Any], caller: Caller = ANYBODY
) -> dict[str, Any]:
    """Answer how many documents match the `query` of a body; without one, all do.

    Raises:
        ElasticError: naming what cannot be used.
    """
    leaf = any_ranking(body)
    embedded = await embed(cluster, indices, _queries(Search(leaf)), caller)
    found = await asyncio.gather(
        *(index.read(lambda reading: len(_one_leaf(Evaluation(reading, embedded), leaf))) for index in indices)
    )
    return {"count": sum(found), "_shards": shards(len(indices))}


def _one_leaf(evaluation: Evaluation, leaf: Any) -> Rows:  # noqa: ANN401 - a Leaf
    assert isinstance(leaf, Leaf)
    assert leaf.query is not None
    return evaluation.matches(leaf.query, scoring=False).rows


async def embed(
    cluster: "Cluster", indices: Sequence[Index], queries: Iterable[Query], caller: Caller = ANYBODY
) -> Embedded:
    """Return the vectors of all texts that queries compare by their meaning, each text embedded once per model."""
    asked = {each for query in queries for index in indices for each in wanted(query, index.mapping)}
    by_name: dict[str, list[str]] = {}
    for name, text in sorted(asked):
        by_name.setdefault(name, []).append(text)
    found: dict[tuple[str, str], Floats] = {}
    for name, texts in by_name.items():
        deployment = await cluster.deployment(name)
        result = await cluster.embed(deployment, texts, Role.QUERY, caller)
        found |= {(name, text): vector for text, vector in zip(texts, result.vectors, strict=True)}
    return found


def _queries(asked: Search) -> list[Query]:
    own = [query for leaf, _ in leaves(asked.ranking, asked.depth) for query in leaf.queries]
    highlighted = [each.query for each in asked.shown.highlights if each.query is not None]
    return [*own, *highlighted, *([] if asked.filter is None else [asked.filter])]


async def rank(cluster: "Cluster", indices: Sequence[Index], asked: Search, caller: Caller = ANYBODY) -> Ranked:
    """Return all hits of a search in their order."""
    embedded = await embed(cluster, indices, _queries(asked), caller)
    found = await asyncio.gather(*(index.read(lambda reading: _found(reading, asked, embedded)) for index in indices))
    hits, counted = await asyncio.to_thread(_matched, asked, found)
    ordered = await asyncio.to_thread(_ordered, asked, indices, found, hits, counted, embedded)
    return replace(ordered, aggregations=await _aggregate(asked, indices, counted)) if asked.aggregations else ordered


async def _aggregate(asked: Search, indices: Sequence[Index], matched: Hits) -> dict[str, Any]:
    fields = aggregations.fields_of(asked.aggregations)

    def columns(place: int) -> Awaitable[dict[str, Column]]:
        return indices[place].read(lambda reading: {each: aggregations.column(reading, place, each) for each in fields})

    found = await asyncio.gather(*map(columns, range(len(indices))))
    return await asyncio.to_thread(aggregations.aggregated, asked.aggregations, matched, found)


def _found(reading: Reading, asked: Search, embedded: Embedded) -> IndexMatches:
    """Return what a search finds in one index."""
    evaluation = Evaluation(reading, embedded, asked.depth)
    scoring = asked.scored or not isinstance(asked.ranking, Leaf) or asked.least is not None
    found = []
    for leaf, size in leaves(asked.ranking, asked.depth):
        own, query = replace(evaluation, size=size), None
        if leaf.query is not None:
            query = own.matches(leaf.query, scoring=scoring or leaf.least is not None)
        found.append(LeafMatches(query, tuple(own.matches(each) for each in leaf.knn)))
    allowed = None if asked.filter is None else evaluation.matches(asked.filter, scoring=False).rows
    sorts = [sorting.values_of(reading, key) for key in asked.sort]
    (newest,) = reading.database.execute("SELECT ifnull(max(seq_no), -1) FROM document").fetchone()
    return IndexMatches(found, allowed, sorts, newest, evaluation.named)


def _matched(asked: Search, found: Sequence[IndexMatches]) -> tuple[Hits, Hits]:
    """Return the hits, and all that totals and aggregations count."""
    by_leaf = [[each.leaves[n] for each in found] for n in range(len(leaves(asked.ranking, asked.depth)))]
    hits, counted = ranked(asked.ranking, by_leaf, asked.depth)
    return at_least(hits, asked.least), at_least(counted, asked.least)


def _allowed(found: Sequence[IndexMatches], hits: Hits) -> Hits:
    """Return what the search's last filter lets through."""
    for place, each in enumerate(found):
        if each.allowed is not None:
            hits = hits.take(np.flatnonzero((hits.places != place) | contained(hits.rows, each.allowed)))
    return hits


def _ordered(
    asked: Search, indices: Sequence[Index], found: Sequence[IndexMatches], hits: Hits, counted: Hits,
    embedded: Embedded,
) -> Ranked:  # fmt: skip
    hits, total, sorts = _allowed(found, hits), len(_allowed(found, counted)), None
    # As in Elasticsearch, what sorts by more than the score, or shows no hits, does not look for the highest one.
    compared = asked.size > 0 and (asked.track_scores or asked.sort == BY_SCORE)
    highest = hits.scores.max() if compared and len(hits) else None
    if asked.after is None and asked.sort in {BY_SCORE, BY_DOCUMENT}:
        hits = hits.best_first() if asked.sort == BY_SCORE else hits.in_order()
    else:
        order, sorts = sorting.in_order(hits, asked.sort, [each.sorts for each in found], asked.after)
        hits = hits.take(order)
    named, newest = [each.named for each in found], [each.newest for each in found]
    return Ranked(asked, hits, sorts, indices, named, newest, embedded, total, highest)


async def fetch(page: Ranked) -> list[dict[str, Any]]:
    """Return a page of hits with what they show of their documents."""
    shown = page.search.shown
    queries = _queries(page.search)

    def work(reading: Reading, place: int, rows: list[int]) -> dict[int, dict[str, Any]]:
        highlighter = None
        if shown.highlights:
            highlighter = Highlighter(reading.mapping, shown.highlights, queries, page.embedded)
        return Fetching(reading, shown, highlighter).hits(stored(reading, rows, page.newest[place]))

    def reading(place: int, rows: list[int]) -> Any:  # noqa: ANN401 - what read returns
        return page.indices[place].read(lambda reading: work(reading, place, rows))

    wanted_ = {int(place): page.hits.rows[page.hits.places == place].tolist() for place in np.unique(page.hits.places)}
    found = dict(zip(wanted_, await asyncio.gather(*(reading(*each) for each in wanted_.items())), strict=True))
    hits = []
    for number, (place, row) in enumerate(zip(page.hits.places.tolist(), page.hits.rows.tolist(), strict=True)):
        if (hit := found[place].get(row)) is not None:
            hits.append(_finished(page, number, hit))
    return hits


def _finished(page: Ranked, number: int, hit: dict[str, Any]) -> dict[str, Any]:
    place, row = int(page.hits.places[number]), int(page.hits.rows[number])
    if page.search.scored:
        hit["_score"] = page.hits.scores[number]  # 32 bits as they are, so that 0.2 is written as 0.2
    if page.sorts is not None:
        values_ = zip(page.search.sort, page.sorts[number], strict=True)
        hit["sort"] = [sorting.plain(key, value) for key, value in values_]
    elif page.search.sort == BY_DOCUMENT:
        hit["sort"] = [sorting.document(place, row)]
    names = [name for name, rows in page.named[place].items() if contained(np.array([row]), rows)[0]]
    return {**hit, "matched_queries": names} if names else hit
