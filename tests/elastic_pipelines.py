"""What becomes of documents in pipelines, and of pipelines themselves."""

import pytest
from elasticsearch import BadRequestError


def simulated(client, processors, source, *, verbose=False, **pipeline):
    """What becomes of one document."""
    body = {"processors": processors, **pipeline}
    (found,) = client.ingest.simulate(pipeline=body, docs=[{"_source": source}], verbose=verbose)["docs"]
    return found


def after(client, source, *processors):
    """The source that processors leave."""
    found = simulated(client, list(processors), source)
    assert "doc" in found, found
    return found["doc"]["_source"]


def refused(client, *processors, **pipeline):
    """Why a pipeline is not taken: type and reason."""
    with pytest.raises(BadRequestError) as caught:
        client.ingest.put_pipeline(id="refused", body={"processors": list(processors), **pipeline})
    return caught.value.body["error"]["type"], caught.value.body["error"]["reason"]


def failure(client, source, *processors):
    """Why a document fails: type and reason."""
    error = simulated(client, list(processors), source)["error"]
    return error["type"], error["reason"]
