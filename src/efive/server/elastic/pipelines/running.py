"""Documents through processors, all documents of a request together."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from efive.server.access import Caller
from efive.server.elastic.errors import ElasticError, illegal
from efive.server.elastic.pipelines.document import Document, Failure
from efive.server.elastic.pipelines.inference import Inference
from efive.server.elastic.pipelines.processors import Nested, Pipeline, Processor
from efive.server.elastic.pipelines.tracing import noted

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

_ON_LOOP = 100
"""Documents that are worked on without a thread of their own."""
_TOLD = ("on_failure_message", "on_failure_processor_type", "on_failure_processor_tag", "on_failure_pipeline")


class Runner:
    """Lets documents go through pipelines."""

    def __init__(self, cluster: "Cluster", find: Callable[[str], Pipeline | None], caller: Caller) -> None:
        """Take what processors need: the models, other pipelines by their names, and who pays for vectors."""
        self._cluster = cluster
        self._find = find
        self._caller = caller

    async def run(self, pipeline: Pipeline, documents: Sequence[Document], within: tuple[str, ...] = ()) -> None:
        """Change documents in place. Each ends as it shall be indexed, dropped, or with a failure.

        Args:
            pipeline: the steps.
            documents: in any number; what is embedded of them is embedded together.
            within: the pipelines that this one is a step of.
        """
        if pipeline.id is not None:
            within = (*within, pipeline.id)
            for document in documents:
                document.ingest["pipeline"] = pipeline.id
        await self._steps(pipeline.processors, documents, within)
        if pipeline.on_failure:
            await self._handle(pipeline.on_failure, [each for each in documents if each.failure], within)

    async def _steps(
        self, processors: Sequence[Processor], documents: Sequence[Document], within: tuple[str, ...]
    ) -> None:
        for processor in processors:
            documents = [each for each in documents if not each.dropped and each.failure is None]
            if not documents:
                return
            await self._step(processor, documents, within)

    async def _step(self, processor: Processor, documents: Sequence[Document], within: tuple[str, ...]) -> None:
        name = within[-1] if within else None
        meant = [each for each in documents if self._meant(processor, each, name)]
        ready = [each for each in meant if each.failure is None]
        if isinstance(processor.work, Nested):
            for document in ready:
                noted(document, processor, "success", bare=True)
            await self._nested(processor, processor.work, ready, within)
        elif isinstance(processor.work, Inference):
            errors = await processor.work.run(self._cluster, ready, self._caller)
            for place, error in errors.items():
                ready[place].failure = processor.failure(error, name)
        elif len(ready) <= _ON_LOOP:
            _apply(processor, ready, name)
        else:
            await asyncio.to_thread(_apply, processor, ready, name)
        await self._after(processor, meant, within)

    def _meant(self, processor: Processor, document: Document, pipeline: str | None) -> bool:
        if processor.condition is None:
            return True
        try:
            holds = processor.condition.holds(document.context())
        except ElasticError as error:
            document.failure = processor.failure(error, pipeline)
            return True
        if not holds:
            noted(document, processor, "skipped")
        return holds

    async def _after(self, processor: Processor, documents: Sequence[Document], within: tuple[str, ...]) -> None:
        """Note what a step did, and care for those that failed."""
        failed = []
        for document in documents:
            if document.failure is None:
                if not isinstance(processor.work, Nested):
                    noted(document, processor, "dropped" if document.dropped else "success")
                continue
            failed.append(document)
            if not isinstance(processor.work, Nested):
                noted(document, processor, "error_ignored" if processor.ignore_failure else "error")
        if processor.on_failure:
            await self._handle(processor.on_failure, failed, within)
        if processor.ignore_failure:
            for document in failed:
                document.failure = None

    async def _handle(
        self, handlers: Sequence[Processor], documents: Sequence[Document], within: tuple[str, ...]
    ) -> None:
        for document in documents:
            failure, document.failure = document.failure, None
            assert failure is not None
            document.ingest.update(zip(_TOLD, _told(failure), strict=True))
        await self._steps(handlers, documents, within)
        for document in documents:
            for name in _TOLD:
                document.ingest.pop(name, None)

    async def _nested(
        self, processor: Processor, nested: Nested, documents: Sequence[Document], within: tuple[str, ...]
    ) -> None:
        name = within[-1] if within else None
        groups: dict[str, list[Document]] = {}
        for document in documents:
            groups.setdefault(nested.name(document), []).append(document)
        for called, group in groups.items():
            found, error = self._find(called), None
            if called in within:
                error = illegal(f"Cycle detected for pipeline: {called}")
            elif found is None and not nested.skip_missing:
                error = illegal(f"Pipeline processor configured for non-existent pipeline [{called}]")
            if error is not None:
                for document in group:
                    document.failure = processor.failure(error, name)
            elif found is not None:
                await self.run(found, group, within)
                for document in group:
                    document.ingest["pipeline"] = name


def _apply(processor: Processor, documents: Sequence[Document], pipeline: str | None) -> None:
    action = processor.work
    assert callable(action)
    for document in documents:
        try:
            action(document)
        except ElasticError as error:
            document.failure = processor.failure(error, pipeline)


def _told(failure: Failure) -> tuple[str, str, str | None, str | None]:
    return failure.error.reason, failure.type, failure.tag, failure.pipeline
