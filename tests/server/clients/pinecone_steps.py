"""What a user of Pinecone's package does; run by the package's own Python: pinecone_steps.py URL. Says each step."""

import sys
import time

import pinecone
import pinecone.exceptions
from pinecone import Pinecone, ServerlessSpec

MAJOR = int(pinecone.__version__.split(".")[0])
MODEL = "multilingual-e5-large"
NAME, RECORDS = f"steps-{MAJOR}", f"records-{MAJOR}"
client = Pinecone(api_key="any", host=sys.argv[1])


def step(function):
    begun = time.perf_counter()
    function()
    print(f"pinecone {pinecone.__version__}: {function.__name__} ({time.perf_counter() - begun:.2f} s)", flush=True)


def refused(status, call, *args, **options):
    """Call what must fail with that status, and return the message."""
    try:
        call(*args, **options)
    except pinecone.exceptions.PineconeApiException as error:
        refusal = error
    else:
        raise AssertionError(f"{call.__name__} was not refused")
    found = getattr(refusal, "status", None) or getattr(refusal, "status_code", None)
    assert found == status, f"{found} instead of {status}: {refusal!r}"
    assert status != 404 or isinstance(refusal, pinecone.exceptions.NotFoundException)
    return str(refusal)


def name_of(hit):
    return hit.id if MAJOR >= 9 else hit["_id"]


def near(found, expected):
    assert abs(found - expected) < 1e-5, f"{found} is not {expected}"


def embed():
    parameters = {"input_type": "passage", "truncate": "END"}
    found = client.inference.embed(model=MODEL, inputs=["a quick fox", "word " * 600], parameters=parameters)
    assert [len(each["values"]) for each in found.data] == [1024, 1024]
    assert found.vector_type == "dense"
    assert found.usage["total_tokens"] > 512
    short = {"input_type": "query", "truncate": "NONE"}
    assert "512" in refused(400, client.inference.embed, MODEL, ["word " * 600], parameters=short)
    assert "96" in refused(400, client.inference.embed, MODEL, ["a"] * 97, parameters=parameters)
    assert "efive models pull" in refused(404, client.inference.embed, "e5-large-v2", ["a"], parameters=parameters)
    assert "query or passage" in refused(400, client.inference.embed, MODEL, ["a"])


def models():
    key = "model" if MAJOR >= 9 else "model_name"
    assert MODEL in [each.model for each in client.inference.list_models()]
    found = client.inference.get_model(**{key: MODEL})
    assert (found.default_dimension, found.max_batch_size) == (1024, 96)
    refused(404, client.inference.get_model, **{key: "none"})


def indexes():
    spec = ServerlessSpec(cloud="aws", region="us-east-1")
    made = client.create_index(name=NAME, dimension=4, metric="dotproduct", spec=spec, tags={"team": "search"})
    assert (made.name, made.dimension, made.metric) == (NAME, 4, "dotproduct")
    assert client.has_index(NAME)
    assert not client.has_index("never-made")
    found = client.describe_index(NAME)
    assert found.status["ready"]
    assert found.host.startswith(sys.argv[1].removesuffix("/"))
    assert NAME in [index.name for index in client.list_indexes()]
    assert "already" in refused(409, client.create_index, name=NAME, dimension=4, spec=spec)
    assert "never-made" in refused(404, client.describe_index, "never-made")
    client.configure_index(NAME, deletion_protection="enabled", tags={"owner": "me"})
    found = client.describe_index(NAME)
    assert found.deletion_protection == "enabled"
    assert dict(found.tags.to_dict() if hasattr(found.tags, "to_dict") else found.tags) == {
        "team": "search",
        "owner": "me",
    }
    refused(403, client.delete_index, NAME)
    client.configure_index(NAME, deletion_protection="disabled")


def vectors():
    index = client.Index(host=client.describe_index(NAME).host)
    rows = [
        (f"doc#{i}", [1.0, float(i), 0.1, 0.0], {"year": 2000 + i, "lang": "de" if i % 2 else "en"}) for i in range(5)
    ]
    assert index.upsert(vectors=rows).upserted_count == 5
    index.upsert(vectors=[{"id": "other one", "values": [0.0, 0.0, 0.0, 1.0]}], namespace="second")
    found = index.query(vector=[0.0, 1.0, 0.0, 0.0], top_k=3, include_values=True, include_metadata=True)
    assert [match.id for match in found.matches] == ["doc#4", "doc#3", "doc#2"]
    near(found.matches[0].score, 4.0)
    near(found.matches[0]["values"][2], 0.1)
    assert found.matches[0].metadata["year"] == 2004
    only = {"lang": {"$eq": "en"}, "year": {"$lt": 2004}}
    found = index.query(vector=[0.0, 1.0, 0.0, 0.0], top_k=3, filter=only)
    assert [match.id for match in found.matches] == ["doc#2", "doc#0"]
    assert index.query(id="doc#3", top_k=1).matches[0].id == "doc#4"
    assert index.query(vector=[1.0] * 4, top_k=1, namespace="nowhere").matches == []
    found = index.fetch(ids=["doc#1", "none"])
    assert list(found.vectors) == ["doc#1"]
    assert found.vectors["doc#1"].metadata["lang"] == "de"
    assert list(index.fetch(ids=["other one"], namespace="second").vectors) == ["other one"]
    if hasattr(index, "fetch_by_metadata"):
        found = index.fetch_by_metadata(filter={"year": {"$gte": 2003}})
        assert sorted(found.vectors) == ["doc#3", "doc#4"]
    index.update(id="doc#1", values=[0.0, 9.0, 0.0, 0.0], set_metadata={"lang": "fr"})
    found = index.fetch(ids=["doc#1"]).vectors["doc#1"]
    assert list(found.values) == [0.0, 9.0, 0.0, 0.0]
    assert found.metadata == {"year": 2001, "lang": "fr"}
    pages = list(index.list(prefix="doc#", limit=2))
    ids = [getattr(each, "id", each) for page in pages for each in (getattr(page, "vectors", None) or page)]
    assert ids == [f"doc#{i}" for i in range(5)]
    stats = index.describe_index_stats()
    assert (stats.total_vector_count, stats.dimension) == (6, 4)
    assert {name: each.vector_count for name, each in stats.namespaces.items()} == {"": 5, "second": 1}
    assert "dimension" in refused(400, index.upsert, vectors=[("short", [1.0])])
    assert "$near" in refused(400, index.query, vector=[1.0] * 4, top_k=1, filter={"year": {"$near": 1}})


def namespaces():
    index = client.Index(host=client.describe_index(NAME).host)
    if hasattr(index, "create_namespace"):
        assert index.create_namespace(name="third").name == "third"
        assert int(index.describe_namespace(namespace="third").record_count) == 0
        refused(409, index.create_namespace, name="third")
    found = index.list_namespaces_paginated()
    assert {"__default__", "second"} <= {each.name for each in found.namespaces}
    assert int(index.describe_namespace(namespace="second").record_count) == 1
    index.delete_namespace(namespace="second")
    refused(404, index.describe_namespace, namespace="second")


def deletion():
    index = client.Index(host=client.describe_index(NAME).host)
    index.delete(ids=["doc#0"])
    index.delete(filter={"year": {"$gte": 2004}})
    assert index.describe_index_stats().total_vector_count == 3
    refused(404, index.delete, ids=["a"], namespace="nowhere")
    index.delete(delete_all=True)
    assert index.describe_index_stats().total_vector_count == 0
    client.delete_index(NAME)
    assert not client.has_index(NAME)
    refused(404, index.query, vector=[1.0] * 4, top_k=1)


def records():
    embedded = {"model": MODEL, "field_map": {"text": "chunk_text"}}
    client.create_index_for_model(name=RECORDS, cloud="aws", region="us-east-1", embed=embedded)
    described = client.describe_index(RECORDS)
    assert described.embed["model"] == MODEL
    index = client.Index(host=described.host)
    index.upsert_records(
        namespace="papers",
        records=[
            {"_id": "fox", "chunk_text": "The quick brown fox jumps.", "lang": "en", "year": 2021},
            {"id": "fuchs", "chunk_text": "Der schnelle braune Fuchs springt.", "lang": "de"},
        ],
    )
    query = {"inputs": {"text": "The quick brown fox jumps."}, "top_k": 2}
    found = index.search(namespace="papers", query=query)
    assert {name_of(hit) for hit in found.result.hits} == {"fox", "fuchs"}
    assert found.usage.embed_total_tokens > 0
    found = index.search_records(namespace="papers", query={**query, "filter": {"lang": "de"}}, fields=["chunk_text"])
    (hit,) = found.result.hits
    assert name_of(hit) == "fuchs"
    assert dict(hit["fields"]) == {"chunk_text": "Der schnelle braune Fuchs springt."}
    assert index.fetch(ids=["fox"], namespace="papers").vectors["fox"].metadata["year"] == 2021
    assert "record 1" in refused(400, index.upsert_records, namespace="papers", records=[{"_id": "a", "b": "c"}])
    index.delete(ids=["fox"], namespace="papers")
    assert index.describe_index_stats().total_vector_count == 1
    client.delete_index(RECORDS)
    assert not client.has_index(RECORDS)


for each in (embed, models, indexes, vectors, namespaces, deletion, records):
    step(each)
