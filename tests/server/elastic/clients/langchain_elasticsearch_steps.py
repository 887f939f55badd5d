"""What a user of langchain-elasticsearch does; run by the package's own Python: URL KEY."""

import sys
from importlib.metadata import version

from elasticsearch import Elasticsearch
from langchain_elasticsearch import (
    BM25Strategy,
    DenseVectorStrategy,
    ElasticsearchEmbeddings,
    ElasticsearchRetriever,
    ElasticsearchStore,
)

TEXTS = ["The ferry leaves at nine.", "Der Hafen ist im Winter geschlossen.", "Los barcos esperan la marea alta."]
SETTINGS = {"model_id": "bundled", "num_allocations": 1, "num_threads": 1}
CONFIG = {"service": "elasticsearch", "service_settings": SETTINGS}
client = Elasticsearch(sys.argv[1], api_key=sys.argv[2], max_retries=0)


def main():
    client.inference.put(inference_id="mine", task_type="text_embedding", inference_config=CONFIG)
    embeddings = ElasticsearchEmbeddings("mine", client=client)
    vectors = embeddings.embed_documents(TEXTS)
    assert [len(each) for each in vectors] == [384] * 3
    assert max(abs(a - b) for a, b in zip(embeddings.embed_query(TEXTS[0]), vectors[0], strict=True)) < 1e-6
    for strategy in (DenseVectorStrategy(), DenseVectorStrategy(hybrid=True, text_field="text")):
        store = ElasticsearchStore("pages", embedding=embeddings, client=client, strategy=strategy)
        ids = store.add_texts(TEXTS, [{"number": number} for number in range(3)])
        found = store.similarity_search("Hafen geschlossen", k=2)
        assert found[0].page_content == TEXTS[1]
        assert found[0].metadata == {"number": 1}
        near = store.similarity_search("Hafen geschlossen", k=2, filter=[{"term": {"metadata.number": 1}}])
        assert [each.metadata["number"] for each in near] == [1]
        if not strategy.hybrid:
            assert store.similarity_search_with_score("Hafen geschlossen", k=1)[0][1] > 0.5
        assert store.delete(ids)
        client.indices.delete(index="pages")
    store = ElasticsearchStore("pages", client=client, strategy=BM25Strategy())
    store.add_texts(TEXTS)
    assert store.similarity_search("Hafen geschlossen", k=1)[0].page_content == TEXTS[1]
    client.indices.delete(index="pages")
    semantic()
    client.inference.delete(inference_id="mine")
    print(f"langchain-elasticsearch {version('langchain-elasticsearch')}: done")


def semantic():
    client.indices.create(
        index="pages", mappings={"properties": {"text": {"type": "semantic_text", "inference_id": "mine"}}}
    )
    for text in TEXTS:
        client.index(index="pages", document={"text": text}, refresh=True)
    retriever = ElasticsearchRetriever(
        index_name="pages",
        body_func=lambda query: {"query": {"semantic": {"field": "text", "query": query}}, "size": 1},
        content_field="text",
        client=client,
    )
    assert [each.page_content for each in retriever.invoke("harbour closed in winter")] == [TEXTS[1]]
    client.indices.delete(index="pages")


main()
