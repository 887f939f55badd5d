"""An index: documents and their fields, written one batch at a time, read at any time."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from efive.errors import EfiveError
from efive.search.collection import Collection
from efive.server.access import ANYBODY, Caller
from efive.server.elastic.errors import no_index
from efive.server.elastic.indices import mapping_json, restoring, writing
from efive.server.elastic.indices import settings as index_settings
from efive.server.elastic.indices.adoption import stamp
from efive.server.elastic.indices.database import Database
from efive.server.elastic.indices.description import Description, described, keep
from efive.server.elastic.indices.holdings import Holdings
from efive.server.elastic.indices.mapping import Field, FieldType, Mapping
from efive.server.elastic.indices.mapping_merging import merged
from efive.server.elastic.indices.operations import Operation, Outcome
from efive.server.elastic.indices.planning import Plan, Stored, lookup, plan
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.indices.semantic import Errors, Semantic, Share, model_settings, refusal, shares

if TYPE_CHECKING:
    from efive.deployments.deployment import Deployment
    from efive.server.elastic.cluster import Cluster

Result = TypeVar("Result")


class Index:
    """One index. Used on the event loop; its own work happens in threads."""

    def __init__(self, cluster: "Cluster", name: str, folder: Path, new: Description | None = None) -> None:
        """Open an index, or make one; `settle` has to follow. Takes its time.

        Args:
            cluster: that it belongs to.
            name: of the index.
            folder: where its file is.
            new: what a new one is like.
        """
        self.name = name
        self._cluster = cluster
        self._database = Database(folder / "index.sqlite")
        self._holdings = Holdings(folder / "vectors")
        self._semantic = Semantic(cluster)
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gone = False
        self._torn: set[str] = set()
        """Documents of which the collections may have another state: a write of them broke off."""
        self._seen: object = None
        if new is not None:
            with self._database.writing() as connection:
                keep(connection, new)
        with self._database.reading() as connection:
            self.description = described(connection)
            self._seq_no = writing.next_seq_no(connection)

    @property
    def uuid(self) -> str:
        """What tells it from an earlier index of its name."""
        return self.description.uuid

    @property
    def mapping(self) -> Mapping:
        """Its fields."""
        return self.description.mapping

    # -- reading -------------------------------------------------------------------------------------------------

    async def read(self, work: Callable[[Reading], Result]) -> Result:
        """Let `work` read the index at one moment, in a thread."""
        self._there()
        return await self._cluster.service.collections.run(lambda: self._read(work))

    def _read(self, work: Callable[[Reading], Result]) -> Result:
        with self._database.reading() as connection:
            mapping = self.mapping
            semantic = {field: found for field in self.description.collections if (found := self._collection(field))}
            return work(Reading(self.name, mapping, connection, semantic, self._holdings.vectors(mapping)))

    def _collection(self, field: str) -> Collection | None:
        return self._holdings.collection(self._semantic.path(self.description.collections[field]))

    async def get(self, ids: Sequence[str]) -> dict[str, Stored]:
        """Return those of the documents that are there, by id."""
        found = await self.read(lambda reading: lookup(reading.database, ids))
        return {id_: each for id_, each in found.items() if each.source is not None}

    async def count(self) -> int:
        """Return how many documents there are."""
        return await self.read(lambda r: int(r.database.execute("SELECT count(*) FROM document").fetchone()[0]))

    def folders(self) -> list[Path]:
        """Return the folders that hold it."""
        collections = self.description.collections.values()
        return [self._database.path.parent, *(self._semantic.path(name) for name in collections)]

    def _there(self) -> None:
        if self._gone:
            raise no_index(self.name)

    # -- writing -------------------------------------------------------------------------------------------------

    async def apply(self, operations: Sequence[Operation], caller: Caller = ANYBODY) -> list[Outcome]:
        """Write documents, one after the other, embedding them together.

        What it says was written is on the disk. A caller that goes away does not interrupt it.

        Returns:
            What became of each operation, in their order; what is wrong with one is its outcome.

        Raises:
            EfiveError: if nothing can be written: the disk is full, the caller's share of tokens used up.
        """
        return await self._whole(self._apply(operations, caller))

    async def _whole(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Await what must not be broken off in the middle."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _apply(self, operations: Sequence[Operation], caller: Caller) -> list[Outcome]:
        async with self._writing:
            self._there()
            await self._mend()
            made, before = await asyncio.to_thread(self._plan, operations)
            try:
                await self._carry_out(made, before, caller)
            finally:
                with contextlib.suppress(Exception):  # the next write tries again; what broke this one off is told
                    await self._mend()
            return made.outcomes

    def _plan(self, operations: Sequence[Operation]) -> tuple[Plan, writing.Digests]:
        with self._database.reading() as connection:
            made = plan(connection, self.mapping, self._seq_no, operations)
            before = writing.digests(connection, list(made.changes))
        # Another door may have removed the collection of a field: what was in it is to be embedded anew.
        gone = {field for field in self.description.collections if self._collection(field) is None}
        there = {id_: {field: each for field, each in noted.items() if field not in gone}
                 for id_, noted in before.items()}  # fmt: skip
        return made, there

    async def _carry_out(self, made: Plan, before: writing.Digests, caller: Caller) -> None:
        self._seq_no = made.seq_no
        if not made.changes:
            return
        collections = self.description.with_mapping(self.name, made.mapping).collections
        work = await asyncio.to_thread(shares, made.mapping, collections, made.changes, before)
        deployments = await self._deployments(made, work)
        for share in work:
            if share.add:
                await self._semantic.charge(caller, deployments[share.field.path], share)
        begun = set(made.changes)
        try:
            await asyncio.to_thread(self._begin, made)
            await self._embed(made, work, deployments)
            await asyncio.to_thread(self._finish, made, work, before, deployments)
        except BaseException:
            self._torn |= begun
            raise
        if len(work) > 1:  # one field's collection may have what another one's could not have
            self._torn |= begun - made.changes.keys()

    async def _mend(self) -> None:
        """Bring the collections back to what the documents are, where a write broke off."""
        if not self._torn:
            return
        collections = {field: self._collection(field) for field in self.description.collections}
        torn = sorted(self._torn)
        made, before = await asyncio.to_thread(
            restoring.unchanged, self._database, self.mapping, self._seq_no, collections, torn
        )
        await self._again(made, before)

    async def _again(self, made: Plan, before: writing.Digests) -> None:
        """Write what is torn; what cannot be written now, because its endpoint is gone, stays torn."""
        self._torn = set(made.changes)
        await self._carry_out(made, before, ANYBODY)
        self._torn -= made.changes.keys()

    async def _deployments(self, made: Plan, work: Sequence[Share]) -> dict[str, "Deployment"]:
        """Return what embeds for each field; documents whose fields have nothing that does so fail."""
        found, errors = {}, Errors()
        for share in work:
            if share.add:
                try:
                    found[share.field.path] = await self._semantic.deployment(share)
                except EfiveError as error:
                    errors |= dict.fromkeys(share.add, refusal(error))
        _refuse(made, work, errors)
        return found

    def _begin(self, made: Plan) -> None:
        description = self.description.with_mapping(self.name, made.mapping)
        with self._database.writing() as connection:
            if made.mapping is not self.mapping:
                keep(connection, description)
            writing.begin(connection, made.changes.values())
        self.description = description

    async def _embed(self, made: Plan, work: Sequence[Share], deployments: Dictionary[str, "Deployment"]) -> None:
        first = next(iter(self.description.collections), None)
        for share in work:
            before = stamp(self._semantic.path(share.collection))
            await self._semantic.remove(share)
            if share.add:
                errors = await self._semantic.add(share, deployments[share.field.path], kept=self.description.adopted)
                _refuse(made, work, errors)
            if share.field.path == first and before == self._seen:
                self._seen = stamp(self._semantic.path(share.collection))

    def _finish(
        self, made: Plan, work: Sequence[Share], before: writing.Digests, deployments: Dictionary[str, "Deployment"]
    ) -> None:
        self._holdings.write_vectors(made.mapping, list(made.changes.values()), before)
        digests: dict[str, dict[str, str]] = {id_: {} for id_ in made.changes}
        mapping = made.mapping
        for share in work:
            for id_ in share.digests.keys() & digests.keys():
                digests[id_][share.field.path] = share.digests[id_]
            if share.add and "model_settings" not in share.field.options:
                mapping = _frozen(mapping, share.field, deployments[share.field.path])
        description = replace(self.description, mapping=mapping)
        with self._database.writing() as connection:
            if mapping is not made.mapping:
                keep(connection, description)
            writing.finish(connection, mapping, made.changes.values(), digests, self._torn - made.changes.keys())
        self.description = description

    async def put_mapping(self, given: dict[str, Any]) -> None:
        """Add fields, or change what can be changed of them.

        Raises:
            ElasticError: for what cannot be, or cannot change.
        """
        more = mapping_json.parse(given)
        async with self._writing:
            self._there()
            mapping = merged(self.mapping, more, dynamic_given="dynamic" in given)
            index_settings.check_similarities(mapping, self.description.settings)
            await self._check_models(mapping)
            description = self.description.with_mapping(self.name, mapping)
            for collection in description.collections.values():
                self._semantic.path(collection)  # refuses a name that cannot be
            await self._describe(description)

    async def _check_models(self, mapping: Mapping) -> None:
        """Refuse another endpoint for a field that has documents, unless it embeds in the same space."""
        for field in mapping.of_type(FieldType.SEMANTIC_TEXT):
            old = self.mapping.fields.get(field.path)
            if old is not None and old.options["inference_id"] != field.options["inference_id"]:
                await self._semantic.deployment(Share(field, self.description.collections[field.path], {}, [], {}))

    async def put_settings(self, settings: dict[str, Any]) -> None:
        """Change settings that were checked."""
        async with self._writing:
            self._there()
            await self._describe(replace(self.description, settings={**self.description.settings, **settings}))

    async def _describe(self, description: Description) -> None:
        def write() -> None:
            with self._database.writing() as connection:
                keep(connection, description)
            self.description = description

        await asyncio.to_thread(write)

    # -- what others wrote ---------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Do again what a crash interrupted, and take over what came into the collection by another way."""
        async with self._writing:
            await self._redo()
            if not self._torn:
                await asyncio.to_thread(self._adopt)

    async def refresh(self) -> None:
        """Take over what came into the collection by another way, unless somebody writes just now."""
        field = next(iter(self.description.collections), None)
        if field is None or self._torn or self._writing.locked():
            return
        if stamp(self._semantic.path(self.description.collections[field])) != self._seen:
            async with self._writing:
                self._there()
                if not self._torn:
                    await asyncio.to_thread(self._adopt)

    async def _redo(self) -> None:
        made = await asyncio.to_thread(self._interrupted)
        if made is not None:
            await self._again(*made)

    def _interrupted(self) -> tuple[Plan, writing.Digests] | None:
        collections = {field: self._collection(field) for field in self.description.collections}
        return restoring.interrupted(self._database, self.mapping, self._seq_no, collections)

    def _adopt(self) -> None:
        field = next(iter(self.description.collections), None)
        if field is None:
            return
        seen = stamp(self._semantic.path(self.description.collections[field]))
        self.description = restoring.adopted(self._database, self.description, field, self._collection(field))
        with self._database.reading() as connection:
            self._seq_no = writing.next_seq_no(connection)
        self._seen = seen

    # -- its end -------------------------------------------------------------------------------------------------

    async def close(self, *, for_good: bool = False) -> None:
        """Let go of the index when what is being written is; `for_good`: it is about to be removed."""
        async with self._writing:
            self._gone = self._gone or for_good
            await asyncio.to_thread(self._holdings.close)
            await asyncio.to_thread(self._database.close)


def _refuse(made: Plan, work: Sequence[Share], errors: Errors) -> None:
    if errors:
        made.refuse(errors)
        for share in work:
            share.drop(errors)


def _frozen(mapping: Mapping, field: Field, deployment: "Deployment") -> Mapping:
    """Return the mapping with the model that a field's documents are embedded by."""
    options = {**field.options, "model_settings": model_settings(deployment)}
    return replace(mapping, fields={**mapping.fields, field.path: replace(field, options=options)})
