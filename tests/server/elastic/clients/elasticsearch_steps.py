"""What a user of elasticsearch-py does, in sync and in async; run by the package's own Python: URL KEY."""

import asyncio
import sys
import warnings

import elasticsearch
from elasticsearch import AsyncElasticsearch, Elasticsearch, helpers

URL, KEY = sys.argv[1:3]
TEXTS = ["The ferry leaves at nine.", "Der Hafen ist im Winter geschlossen.", "Los barcos esperan la marea alta."]
SETTINGS = {"model_id": "bundled", "num_allocations": 1, "num_threads": 1}
CONFIG = {"service": "elasticsearch", "service_settings": SETTINGS}
MAPPINGS = {"properties": {"text": {"type": "semantic_text", "inference_id": "mine"}, "number": {"type": "integer"}}}
PIPELINE = [{"inference": {"model_id": "mine", "input_output": {"input_field": "text", "output_field": "vector"}}}]
warnings.simplefilter("error")


def main():
    for given in ({"api_key": KEY}, {"api_key": ("id", KEY)}, {"basic_auth": ("elastic", KEY)}, {"bearer_auth": KEY}):
        with Elasticsearch(URL, max_retries=0, http_compress=True, **given) as client:
            assert client.ping()
            assert int(client.info()["version"]["number"].split(".")[0]) >= 9
    with Elasticsearch(URL, api_key="wrong", max_retries=0) as stranger:
        assert not stranger.ping()
        refuse(elasticsearch.AuthenticationException, "security_exception", stranger.inference.get)
    with Elasticsearch(URL, api_key=KEY, max_retries=0) as client:
        inference(client)
        documents(client)
        client.inference.delete(inference_id="mine", force=True)
        client.indices.delete(index="pages")
    asyncio.run(in_async())
    print(f"elasticsearch {elasticsearch.__versionstr__}: done")


def inference(client):
    made = client.inference.put_elasticsearch(
        task_type="text_embedding",
        elasticsearch_inference_id="mine",
        service="elasticsearch",
        service_settings=SETTINGS,
    )
    assert made["inference_id"] == "mine"
    assert made["service_settings"]["model_id"] == "bundled"
    put = client.inference.put
    refuse(elasticsearch.BadRequestError, "resource_already_exists_exception", put, inference_id="mine",
           task_type="text_embedding", inference_config=CONFIG)  # fmt: skip
    query = client.inference.text_embedding(inference_id="mine", input="when does the boat go", input_type="search")
    assert len(query["text_embedding"]) == 1
    several = client.inference.inference(inference_id="mine", input=TEXTS)
    assert [len(each["embedding"]) for each in several["text_embedding"]] == [384] * 3
    assert "mine" in [each["inference_id"] for each in client.inference.get()["endpoints"]]
    assert client.options(ignore_status=404).inference.get(inference_id="nobody").meta.status == 404
    refuse(elasticsearch.NotFoundError, "resource_not_found_exception", client.inference.get, inference_id="nobody")


def documents(client):
    client.indices.create(index="pages", mappings=MAPPINGS)
    assert client.indices.exists(index="pages")
    assert not client.indices.exists(index="nothing")
    actions = [{"_index": "pages", "_id": str(at), "text": text, "number": at} for at, text in enumerate(TEXTS)]
    assert helpers.bulk(client, actions, refresh=True) == (3, [])
    assert client.count(index="pages")["count"] == 3
    found = client.search(index="pages", query={"semantic": {"field": "text", "query": "harbour closed in winter"}})
    assert found["hits"]["hits"][0]["_id"] == "1"
    assert found["hits"]["hits"][0]["_source"] == {"text": TEXTS[1], "number": 1}
    assert client.get(index="pages", id="2")["_source"]["number"] == 2
    client.ingest.put_pipeline(id="embeds", processors=PIPELINE)
    simulated = client.ingest.simulate(id="embeds", docs=[{"_source": {"text": "tide"}}])
    assert len(simulated["docs"][0]["doc"]["_source"]["vector"]) == 384
    refuse(elasticsearch.ConflictError, "status_exception", client.inference.delete, inference_id="mine")
    client.ingest.delete_pipeline(id="embeds")


async def in_async():
    async with AsyncElasticsearch(URL, api_key=KEY, max_retries=0) as client:
        assert await client.ping()
        await client.inference.put(inference_id="mine", task_type="text_embedding", inference_config=CONFIG)
        many = [client.inference.inference(inference_id="mine", input=text) for text in TEXTS * 5]
        found = [each["text_embedding"][0]["embedding"] for each in await asyncio.gather(*many)]
        assert all(max(abs(a - b) for a, b in zip(found[i], found[i % 3], strict=True)) < 1e-6 for i in range(15))
        await client.indices.create(index="pages", mappings=MAPPINGS)
        actions = [{"_index": "pages", "_id": str(at), "text": text} for at, text in enumerate(TEXTS)]
        assert await helpers.async_bulk(client, actions, refresh=True) == (3, [])
        hits = await client.search(index="pages", query={"match": {"text": "a boat at nine o'clock"}})
        assert hits["hits"]["hits"][0]["_id"] == "0"
        await client.indices.delete(index="pages")
        await client.inference.delete(inference_id="mine")


def refuse(kind, type_, call, **arguments):
    try:
        call(**arguments)
    except kind as error:
        assert error.error == type_, error.error
    else:
        raise AssertionError(f"{arguments} was not refused")


main()
