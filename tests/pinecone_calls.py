"""Calls of Pinecone's API, by its wire form: tests/server/test_pinecone_*.py share them."""

import json

BASE = "/pinecone"
LARGE = "multilingual-e5-large"
SERVERLESS = {"serverless": {"cloud": "aws", "region": "us-east-1"}}


def make(http, name, **body):
    """Make an index, and return the address of what it holds."""
    answer = http.post(f"{BASE}/indexes", json={"name": name, "dimension": 4, "spec": SERVERLESS} | body)
    assert answer.status_code == 201, answer.text
    return answer.json()["host"]


def make_for_model(http, name, model="e5", **embed):
    body = {"name": name, "cloud": "aws", "region": "r", "embed": {"model": model, "field_map": {"text": "t"}, **embed}}
    answer = http.post(f"{BASE}/indexes/create-for-model", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["host"]


def call(http, url, **body):
    answer = http.post(url, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def send(http, host, *records, namespace="__default__", end=""):
    lines = "\n".join(json.dumps(record) for record in records) + end
    url = f"{host}/records/namespaces/{namespace}/upsert"
    return http.post(url, content=lines, headers={"content-type": "application/x-ndjson"})


def embed(http, texts, **parameters):
    body = {"model": "e5", "inputs": [{"text": text} for text in texts], "parameters": parameters}
    return http.post(f"{BASE}/embed", json=body)


RECORDS = [
    {"_id": "fox", "t": "The quick brown fox jumps over the lazy dog.", "lang": "en", "year": 2020},
    {"id": "fuchs", "t": "Ein Fuchs springt über einen Hund.", "lang": "de"},
    {"_id": "bread", "t": "Bread is baked from flour, water and salt.", "lang": "en"},
]
