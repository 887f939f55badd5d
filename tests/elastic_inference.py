"""Inference endpoints of the Elasticsearch door, as its tests ask for them."""

import httpx
import numpy as np

ONE = {"model_id": "bundled", "num_allocations": 1, "num_threads": 1}


DEFAULT_CHUNKING = {"strategy": "sentence", "max_chunk_size": 250, "sentence_overlap": 1}


def config(**settings):
    return {"service": "elasticsearch", "service_settings": {**ONE, **settings}}


def refused(error):
    body = error.value.body
    assert body["status"] == error.value.meta.status
    assert body["error"]["root_cause"] == [{key: body["error"][key] for key in ("type", "reason")}]
    return error.value.meta.status, body["error"]["type"], body["error"]["reason"]


def vectors(answer):
    return np.array([each["embedding"] for each in answer["text_embedding"]], dtype=np.float32)


def ids(answer):
    return [each["inference_id"] for each in answer["endpoints"]]


def deployments(server):
    found = httpx.get(f"{server.url}/deployments").json()["deployments"]
    return {each["name"]: each["phase"] for each in found}
