"""An index as each version of the API describes it. Pure."""

from typing import Any

from efive.server.protocols.pinecone.definitions import VECTORS, Embed, Index

_SCHEMAS = "2026-07"
"""From this version on, an index has a schema and a deployment in place of a spec."""
_READY = {"ready": True, "state": "Ready"}
_CAPACITY = {"mode": "OnDemand", "status": {"state": "Ready"}}


def model_of(index: Index, host: str, version: str) -> dict[str, Any]:
    """Return an index as a client reads it.

    Args:
        index: what is described.
        host: where what it holds is to be found.
        version: the request's `X-Pinecone-Api-Version`; empty for a client that says none.
    """
    shared: dict[str, Any] = {
        "name": index.name,
        "host": host,
        "status": _READY,
        "deletion_protection": index.deletion_protection,
    }
    if index.tags:
        shared["tags"] = index.tags
    return shared | (_with_schema(index) if version >= _SCHEMAS else _with_spec(index))


def _with_spec(index: Index) -> dict[str, Any]:
    place = {"cloud": index.cloud, "region": index.region}
    found: dict[str, Any] = {
        "dimension": index.dimension,
        "metric": index.metric,
        "vector_type": "dense",
        "spec": {"serverless": place | {"read_capacity": _CAPACITY}},
    }
    if index.embed is not None:
        found["embed"] = {
            "model": index.embed.model,
            "field_map": {"text": index.embed.field},
            "metric": index.metric,
            "dimension": index.dimension,
            "vector_type": "dense",
            **_parameters(index.embed),
        }
    return found


def _with_schema(index: Index) -> dict[str, Any]:
    if index.embed is None:
        fields = {VECTORS: {"type": "dense_vector", "dimension": index.dimension, "metric": index.metric}}
    else:
        text = {"type": "semantic_text", "model": index.embed.model, "metric": index.metric}
        fields = {index.embed.field: {**text, **_parameters(index.embed)}}
    return {
        "schema": {"fields": fields},
        "deployment": {"deployment_type": "managed", "cloud": index.cloud, "region": index.region},
        "read_capacity": _CAPACITY,
    }


def _parameters(embed: Embed) -> dict[str, Any]:
    return {
        "read_parameters": {"input_type": embed.read_input, "truncate": "END"},
        "write_parameters": {"input_type": "passage", "truncate": "END"},
    }
