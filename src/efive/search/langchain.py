"""LangChain: a retriever over a collection."""

from functools import partial
from typing import Any

from efive.errors import DependencyError
from efive.search.asking import SearchOptions, Where
from efive.search.collection import Collection
from efive.search.searching import Hit

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import run_in_executor
    from pydantic import ConfigDict, SkipValidation
except ImportError as error:
    raise DependencyError("the LangChain retriever needs langchain-core: pip install 'efive[langchain]'") from error


class EfiveRetriever(BaseRetriever):
    """Retrieves the documents of a collection that answer a question, each by its best passage.

        retriever = EfiveRetriever(collection=collection, k=5, where="lang = 'de'")
        retriever.invoke("Wann blüht der Flieder?", min_confidence=0.9)

    Options of a call go before those of the retriever; they mean what they mean in `Collection.search`, which raises
    their errors. The collection stays the caller's to close.

    Each answer has the passage for its content and `document:start-end` for its id. To the document's metadata
    come `document` (its id), `start` and `end` (characters of its text), `line`, `page`, `headings`, `score`,
    `cosine` and `confidence`, None where unknown; metadata of the same names gives way.
    """

    # Without "forbid", pydantic would take a misspelt option and say nothing.
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    collection: Collection
    k: int = 10
    where: SkipValidation[Where | None] = None
    mode: str = "hybrid"
    fusion: str = "normalised"
    offset: int = 0
    min_confidence: float | None = None
    unique: float | None = None
    exact: bool = False

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        **options: Any,  # noqa: ANN401 - those of `Collection.search`
    ) -> list[Document]:
        own = {name: getattr(self, name) for name in ("k", *SearchOptions.__annotations__)}
        return [_document(hit) for hit in self.collection.search(query, **(own | options))]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        **options: Any,  # noqa: ANN401 - those of `Collection.search`
    ) -> list[Document]:
        # The base class does the same, but knows no options.
        search = partial(self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **options)
        return await run_in_executor(None, search)


def _document(hit: Hit) -> Document:
    passage = hit.passage
    metadata = {
        **passage.metadata,
        "document": hit.document,
        "start": passage.start,
        "end": passage.end,
        "line": passage.line,
        "page": passage.page,
        "headings": list(passage.headings),
        "score": hit.score,
        "cosine": hit.cosine,
        "confidence": hit.confidence,
    }
    return Document(passage.text, id=f"{hit.document}:{passage.start}-{passage.end}", metadata=metadata)
