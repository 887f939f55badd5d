"""The vector store that comes with Elasticsearch's client, which LangChain's is built on."""

import pytest
from elastic_planets import PLANETS
from elasticsearch import BadRequestError


class Embedding:
    """An embedding service of the vector store's, on the server's own endpoint."""

    def __init__(self, es):
        self._es = es

    def embed_documents(self, texts):
        found = self._es.inference.text_embedding(inference_id="e5", input=texts, input_type="ingest")
        return [each["embedding"] for each in found["text_embedding"]]

    def embed_query(self, text):
        found = self._es.inference.text_embedding(inference_id="e5", input=text, input_type="search")
        return found["text_embedding"][0]["embedding"]


@pytest.mark.parametrize("kind", ["vectors", "hybrid", "deployed"])
def test_the_clients_vector_store(planets, kind):
    """What LangChain's own store is built on."""
    from elasticsearch.helpers.vectorstore import DenseVectorStrategy, VectorStore

    strategy = DenseVectorStrategy(hybrid=kind == "hybrid", model_id="e5" if kind == "deployed" else None)
    service = None if kind == "deployed" else Embedding(planets)
    size = len(Embedding(planets).embed_query("x"))
    store = VectorStore(
        planets, index=f"store-{kind}", retrieval_strategy=strategy, embedding_service=service, num_dimensions=size
    )
    texts = [text for text, *_ in PLANETS.values()]
    metadatas = [{"kind": kind} for _, kind, *_ in PLANETS.values()]
    vectors = Embedding(planets).embed_documents(texts)
    ids = store.add_texts(texts, metadatas=metadatas, vectors=vectors, ids=list(PLANETS))
    assert ids == list(PLANETS)
    found = store.search(query="planet with rings of ice", k=3, num_candidates=8)
    assert found[0]["_id"] == "saturn"
    assert found[0]["_source"] == {"metadata": {"kind": "gas"}, "text_field": PLANETS["saturn"][0]}
    only = store.search(query="rings of ice", k=3, filter=[{"term": {"metadata.kind.keyword": "rock"}}])
    assert len(only) == 3
    assert all(hit["_source"]["metadata"]["kind"] == "rock" for hit in only)
    # What its max_marginal_relevance_search asks for: the vectors too.
    (first, *_) = store.search(query="rings of ice", k=3, fields=["vector_field"])
    assert first["_source"]["vector_field"] == pytest.approx(vectors[list(PLANETS).index("saturn")], abs=1e-6)


def test_the_clients_vector_store_of_words(planets):
    from elasticsearch.helpers.vectorstore import BM25Strategy, VectorStore

    store = VectorStore(planets, index="store-words", retrieval_strategy=BM25Strategy())
    store.add_texts([text for text, *_ in PLANETS.values()], ids=list(PLANETS))
    assert store.search(query="rings of ice", k=1)[0]["_id"] == "saturn"
    with pytest.raises(BadRequestError, match=r"other than BM25 with k1 1\.2 and b 0\.75"):
        VectorStore(planets, index="store-others", retrieval_strategy=BM25Strategy(k1=2.0)).add_texts(["a"])
