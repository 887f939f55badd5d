"""LlamaIndex: a retriever over a collection."""

import asyncio
from typing import Unpack

from efive.errors import DependencyError
from efive.search.asking import SearchOptions
from efive.search.collection import Collection
from efive.search.searching import Hit

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
except ImportError as error:
    raise DependencyError(
        "the LlamaIndex retriever needs llama-index-core: pip install 'efive[llama-index]'"
    ) from error


class EfiveRetriever(BaseRetriever):
    """Retrieves the documents of a collection that answer a question, each by its best passage.

        retriever = EfiveRetriever(collection, k=5, where="lang = 'de'")
        retriever.retrieve("Wann blüht der Flieder?")

    The collection stays the caller's to close. Of a query bundle, its text is searched for.

    Each node has the passage for its text, `document:start-end` for its id, its characters in the document, and the
    document for its source. To the document's metadata come `document` (its id), `line`, `page`, `headings`,
    `cosine` and `confidence`, None where unknown; metadata of the same names gives way.
    """

    def __init__(
        self,
        collection: Collection,
        k: int = 10,
        *,
        callback_manager: CallbackManager | None = None,
        **options: Unpack[SearchOptions],
    ) -> None:
        """Retrieve from `collection`.

        Args:
            collection: an open collection.
            k: nodes to return.
            callback_manager: LlamaIndex's.
            **options: those of `Collection.search`, which raises their errors.
        """
        super().__init__(callback_manager)
        self._collection = collection
        self._k = k
        self._options = options

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._collection.search(query_bundle.query_str, self._k, **self._options)
        return [NodeWithScore(node=_node(hit), score=hit.score) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        # The base class would search in the event loop and hold up everything else there.
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _node(hit: Hit) -> TextNode:
    passage = hit.passage
    place = {
        "document": hit.document,
        "line": passage.line,
        "page": passage.page,
        "headings": list(passage.headings),
    }
    numbers = {"cosine": hit.cosine, "confidence": hit.confidence}
    return TextNode(
        id_=f"{hit.document}:{passage.start}-{passage.end}",
        text=passage.text,
        start_char_idx=passage.start,
        end_char_idx=passage.end,
        metadata={**passage.metadata, **place, **numbers},
        # Language models are shown where it is, as far as that is known.
        excluded_llm_metadata_keys=[*numbers, *(name for name, value in place.items() if not value)],
        excluded_embed_metadata_keys=[*place, *numbers],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document)},
    )
