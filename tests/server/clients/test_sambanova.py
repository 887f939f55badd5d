"""langchain-sambanova, unmodified, against the door that stands in for SambaStudio."""

import json
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest

pytestmark = pytest.mark.clients
CLIENTS = Path(__file__).parents[3] / ".clients"
TEXTS = [f"passage: number {i}" for i in range(40)]
PROJECT = "/samba/api/projects/langchain/endpoints"

PROGRAM = """
import json, sys
import langchain_sambanova
asked = json.loads(sys.argv[1])
embeddings = getattr(langchain_sambanova, asked["class"])(**asked["arguments"])
try:
    print(json.dumps([embeddings.embed_query(asked["texts"][0]), *embeddings.embed_documents(asked["texts"])]))
except Exception as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def endpoint(server):
    with httpx.Client(base_url=server.url, timeout=60) as http:
        return http.post(PROJECT, json={"name": "wide", "model": "e5", "batch_size": 32}).json()


def drive(version, class_, texts, **arguments):
    """Embed the first text as a query and all as documents; return the vectors, or the client's error."""
    python = CLIENTS / f"langchain-sambanova-{version}" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"scripts/clients.sh makes langchain-sambanova {version}")
    asked = json.dumps({"class": class_, "arguments": arguments, "texts": texts})
    done = subprocess.run([python, "-c", PROGRAM, asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def studio(endpoint, form, texts, **more):
    # Version 1 keeps this class by name only.
    url = endpoint["urls"][form].removesuffix("/embeddings")
    more = {"sambastudio_url": url, "sambastudio_api_key": endpoint["key"]} | more
    return drive("0.1.6", "SambaStudioEmbeddings", texts, **more)


@pytest.mark.parametrize("form", ["generic", "generic_v2", "openai"])
def test_studio_embeddings_are_the_encoder_s(endpoint, form, nano):
    expected = nano.embed([TEXTS[0], *TEXTS], "raw").vectors
    np.testing.assert_allclose(studio(endpoint, form, TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["generic", "generic_v2", "openai"])
def test_a_batch_too_large_and_a_wrong_key_are_errors_that_people_read(endpoint, form):
    assert "batch size <= 32, got batch size: 40" in studio(endpoint, form, TEXTS, batch_size=64)
    if form != "openai":  # where a server without keys lets everybody in
        assert "needs its own key" in studio(endpoint, form, TEXTS, sambastudio_api_key="another")


@pytest.mark.parametrize(
    ("version", "class_", "base", "key"),
    [
        ("0.1.6", "SambaNovaCloudEmbeddings", "sambanova_url", "sambanova_api_key"),
        ("1.1.1", "SambaNovaEmbeddings", "base_url", "api_key"),
    ],
)
def test_cloud_embeddings_are_the_encoder_s(server, endpoint, version, class_, base, key, nano):
    where = {base: f"{server.url}/samba/v1", key: endpoint["key"]}
    found = drive(version, class_, TEXTS, model="e5", **where)
    np.testing.assert_allclose(found, nano.embed([TEXTS[0], *TEXTS], "raw").vectors, atol=1e-5)
    assert "is for langchain/wide" in drive(version, class_, TEXTS, model="another", **where)
