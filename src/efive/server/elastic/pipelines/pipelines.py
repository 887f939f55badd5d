"""The pipelines of a cluster: kept, found, changed, run."""

import fnmatch
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from efive.server.access import ANYBODY, Caller
from efive.server.elastic.errors import illegal
from efive.server.elastic.pipelines.document import Document, Failure
from efive.server.elastic.pipelines.processors import models_of, read_pipeline
from efive.server.elastic.pipelines.running import Runner

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

_KIND = "elastic-pipeline"
_WRONG = re.compile(r'[\\/*?"<>| ,#\s]')


class Stored(msgspec.Struct, frozen=True):
    """A pipeline as it is kept."""

    body: dict[str, Any]
    """As it was given."""


class Pipelines:
    """The pipelines of a server. Used on the event loop."""

    def __init__(self, cluster: "Cluster") -> None:
        """Know the pipelines that the state remembers."""
        self._cluster = cluster
        self._stored = cluster.service.state.all(_KIND, Stored)
        self._read = {id_: read_pipeline(id_, stored.body) for id_, stored in self._stored.items()}

    # -- kept ----------------------------------------------------------------------------------------------------

    def get(self, expression: str = "*") -> dict[str, dict[str, Any]]:
        """Return pipelines as they were given, by id; ids that are of none are left out.

        Args:
            expression: ids, separated by commas; `*` stands for anything.
        """
        found: dict[str, dict[str, Any]] = {}
        for part in expression.split(","):
            names = fnmatch.filter(sorted(self._stored), "*" if part == "_all" else part)
            found |= {id_: self._stored[id_].body for id_ in names}
        return found

    def put(self, id_: str, body: Mapping[str, Any], if_version: int | None = None) -> None:
        """Keep a pipeline, in place of the one before.

        Args:
            id_: its name.
            body: as Elasticsearch has it.
            if_version: the version that the one before must have.

        Raises:
            ElasticError: naming what is wrong with it, or the other version.
        """
        if not id_ or _WRONG.search(id_):
            raise illegal(f"invalid pipeline id [{id_}]")
        body = self._next_version(id_, dict(body), if_version)
        read = read_pipeline(id_, body)
        stored = Stored(body)
        self._cluster.service.state.put(_KIND, id_, stored)
        self._stored[id_], self._read[id_] = stored, read

    def delete(self, ids: Collection[str]) -> None:
        """Forget pipelines.

        Raises:
            ElasticError: if one is the default or the final pipeline of an index; all are kept then.
        """
        indices = self._cluster.indices
        used = {name: indices.pipelines_of(name) for name in indices.names()}
        for id_ in ids:
            for place, kind in enumerate(("default", "final")):
                users = [name for name, pipelines in used.items() if pipelines[place] == id_]
                if users:
                    raise illegal(
                        f"pipeline [{id_}] cannot be deleted because it is the {kind} pipeline for {len(users)} "
                        f"index(es) including [{','.join(users[:3])}]"
                    )
        for id_ in ids:
            self._cluster.service.state.remove(_KIND, id_)
            del self._stored[id_], self._read[id_]

    def using(self, model: str) -> list[str]:
        """Return the ids of the pipelines that embed with a model, called by exactly this name."""
        both = {id_: (*each.processors, *each.on_failure) for id_, each in self._read.items()}
        return sorted(id_ for id_, processors in both.items() if model in models_of(processors))

    def _next_version(self, id_: str, body: dict[str, Any], wanted: int | None) -> dict[str, Any]:
        if wanted is None:
            return body
        begin = f"version conflict, required version [{wanted}] for pipeline [{id_}] but "
        if id_ not in self._stored:
            raise illegal(f"{begin}no pipeline was found")
        before = self._stored[id_].body.get("version")
        if before != wanted:
            raise illegal(f"{begin}current version is [{'null' if before is None else before}]")
        if body.get("version") == wanted:
            raise illegal(f"cannot update pipeline [{id_}] with the same version [{wanted}]")
        return {"version": wanted + 1} | body

    # -- run -----------------------------------------------------------------------------------------------------

    async def run(self, id_: str, documents: Sequence[Document], caller: Caller = ANYBODY) -> None:
        """Let documents go through a pipeline, which changes them in place.

        Afterwards a document with `error` is not to be indexed and shows that error, one that is `dropped` is not to
        be indexed and counts as done (`noop`), and all others are indexed as they are now: their source, id and even
        their index may be others than before.

        Args:
            id_: the pipeline; if there is none, every document gets the error that says so.
            documents: in any number; texts of all of them are embedded together.
            caller: whose share of tokens is used.
        """
        pipeline = self._read.get(id_)
        if pipeline is not None:
            await Runner(self._cluster, self._read.get, caller).run(pipeline, documents)
            return
        for document in documents:
            document.failure = Failure(illegal(f"pipeline with id [{id_}] does not exist"), "pipeline", None, id_)

    async def ingest(
        self,
        documents: Sequence[Document],
        named: Sequence[str | None],
        settings: Callable[[str], tuple[str | None, str | None]],
        caller: Caller = ANYBODY,
    ) -> None:
        """Let documents go through all pipelines that they are meant for, as `run` does.

        First comes the one that the request names or else the default one of the index, then the final one of the
        index in which the document ends. `_none` stands for none.

        Args:
            documents: in any number, of any indices.
            named: the pipeline that the request names, for each document.
            settings: returns the default and the final pipeline of an index, which may not be there yet.
            caller: whose share of tokens is used.
        """
        first = [name or settings(each.index)[0] for name, each in zip(named, documents, strict=True)]
        await self._grouped(documents, first, caller)
        left = [each for each in documents if not each.dropped and each.failure is None]
        await self._grouped(left, [settings(each.index)[1] for each in left], caller)

    async def _grouped(self, documents: Sequence[Document], names: Sequence[str | None], caller: Caller) -> None:
        groups: dict[str, list[Document]] = {}
        for document, name in zip(documents, names, strict=True):
            if name is not None and name != "_none":
                groups.setdefault(name, []).append(document)
        for name, group in groups.items():
            await self.run(name, group, caller)

    async def simulate(
        self,
        documents: Sequence[Document],
        id_: str | None = None,
        body: Mapping[str, Any] | None = None,
        caller: Caller = ANYBODY,
    ) -> None:
        """Let documents go through a pipeline that is kept, or through one that only this request has.

        Raises:
            ElasticError: if there is none of that id, or it is not written as it must be.
        """
        if body is None:
            if id_ not in self._read:
                raise illegal(f"pipeline [{id_}] does not exist")
            pipeline = self._read[id_]
        else:
            pipeline = read_pipeline("_simulate_pipeline", body)
        await Runner(self._cluster, self._read.get, caller).run(pipeline, documents)
