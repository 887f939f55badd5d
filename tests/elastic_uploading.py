"""Uploads of the models API, part by part, as eland makes them."""

import base64

MODELS = "/_ml/trained_models"


def parts(content: bytes, size: int = 1 << 18) -> list[dict]:
    """The bodies of a definition's parts."""
    cut = [content[begin : begin + size] for begin in range(0, len(content), size)]
    totals = {"total_definition_length": len(content), "total_parts": len(cut)}
    return [{"definition": base64.b64encode(part).decode(), **totals} for part in cut]


def upload(http, model_id, config, content, vocabulary):
    """Upload a model; every call must succeed."""
    path = f"{MODELS}/{model_id}"
    assert http.put(path, json=config).raise_for_status().json()["model_id"] == model_id
    for number, part in enumerate(parts(content)):
        http.put(f"{path}/definition/{number}", json=part).raise_for_status()
    http.put(f"{path}/vocabulary", json=vocabulary).raise_for_status()
    return path


def reason(response, status=400):
    """Why a request was refused, in Elasticsearch's envelope."""
    body = response.json()
    assert response.status_code == status == body["status"], response.text
    assert body["error"]["root_cause"][0]["reason"] == body["error"]["reason"]
    return body["error"]["reason"]
