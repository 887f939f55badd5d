"""A server with an endpoint on the bundled model, and Elasticsearch's own client."""

import httpx
import pytest
from elastic_inference import config
from elastic_planets import PLANETS, PROPERTIES, planet
from elasticsearch import Elasticsearch, helpers
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
    with Elasticsearch(f"{server.url}/es", max_retries=0, request_timeout=280) as client:
        yield client


@pytest.fixture(scope="module")
def es(client):
    """The same, with an endpoint `e5` on the bundled model."""
    settings = {"model_id": "bundled", "num_allocations": 1, "num_threads": 1}
    body = {"service": "elasticsearch", "service_settings": settings}
    client.inference.put(task_type="text_embedding", inference_id="e5", inference_config=body, timeout="4m")
    return client


@pytest.fixture
def http(server):
    with httpx.Client(base_url=f"{server.url}/es", timeout=280) as client:
        yield client


@pytest.fixture
def made(es):
    """Make endpoints that are gone after the test."""
    ids = []

    def make(id_, **body):
        ids.append(id_)
        settings = config() | body
        return es.inference.put(
            inference_id=id_, task_type="text_embedding", inference_config=settings, timeout="4m"
        ).body

    yield make
    for id_ in ids:
        es.options(ignore_status=404).inference.delete(inference_id=id_, force=True)


@pytest.fixture(scope="module")
def planets(es):
    es.indices.create(index="planets", mappings={"properties": PROPERTIES})
    documents = [{"_index": "planets", "_id": name, "_source": planet(name)} for name in PLANETS]
    helpers.bulk(es, documents, refresh=True)
    es.indices.create(index="dwarfs", mappings={"properties": {name: PROPERTIES[name] for name in ("text", "moons")}})
    es.index(index="dwarfs", id="pluto", document={"text": "Pluto is a dwarf planet.", "moons": 5}, refresh=True)
    return es
