"""A server with an endpoint on the bundled model, and Elasticsearch's own client."""

import pytest
from elasticsearch import Elasticsearch
from served import serving

from efive.deployments.settings import Settings
from efive.server.app import Options


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of this module's own."""
    other = Settings(name="other", model="bundled", precision="fp32", threads=1)
    with serving(Options(tmp_path_factory.mktemp("home"), (other,))) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    """Elasticsearch's client, without retries: what fails shows."""
    with Elasticsearch(f"{server.url}/es", max_retries=0, request_timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def es(client):
    """The same, with an endpoint `e5` on the bundled model."""
    settings = {"model_id": "bundled", "num_allocations": 1, "num_threads": 1}
    body = {"service": "elasticsearch", "service_settings": settings}
    client.inference.put(task_type="text_embedding", inference_id="e5", inference_config=body)
    return client
