"""Packaged models, from a folder and from a web server: whole, missing, altered, and leading elsewhere."""

import contextlib
import functools
import http.server
import json
import shutil
import threading
import time

import httpx
import numpy as np
import pytest
import traced
from elastic_uploading import MODELS, reason, upload
from served import serving

from efive import Encoder
from efive.models.store import ModelStore
from efive.server.app import Options
from efive.server.elastic.models import packages

ID = ".multilingual-e5-small"


@pytest.fixture(scope="module")
def repository(tiny_models, tmp_path_factory):
    """A repository with both variants, made of a tiny model of that kind."""
    folder = tmp_path_factory.mktemp("repository")
    traced.package(tiny_models["bert-multilingual"], folder, "multilingual-e5-small")
    traced.package(
        tiny_models["bert-multilingual"], folder, "multilingual-e5-small_linux-x86_64",
        platform_architecture="linux-x86_64",
    )  # fmt: skip
    return folder


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Run a server with a model repository."""

    @contextlib.contextmanager
    def run(address, home="home"):
        if address is None:
            monkeypatch.delenv("EFIVE_MODEL_REPOSITORY", raising=False)
        else:
            monkeypatch.setenv("EFIVE_MODEL_REPOSITORY", address)
        with (
            serving(Options(tmp_path / home)) as running,
            httpx.Client(base_url=f"{running.url}/es", timeout=280) as client,
        ):
            yield client

    return run


def config(client, model_id=ID):
    found = client.get(f"{MODELS}/{model_id}", params={"include": "definition_status"}).raise_for_status().json()
    return found["trained_model_configs"][0]


def test_a_package_of_a_folder_is_fetched_and_its_variants_are_one_model(serve, repository, tiny_models):
    with serve(repository.as_uri()) as client:
        assert client.get(f"{MODELS}/{ID}").status_code == 404
        put = client.put(f"{MODELS}/{ID}", json={"input": {"field_names": ["text_field"]}})
        assert put.raise_for_status().json()["model_package"]["packaged_model_id"] == "multilingual-e5-small"
        client.put(f"{MODELS}/{ID}", json={}).raise_for_status()  # it is on its way: no error
        deadline = time.monotonic() + 240
        while not config(client)["fully_defined"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "already exists" in reason(client.put(f"{MODELS}/{ID}", json={}))
        other = f"{ID}_linux-x86_64"
        done = client.put(f"{MODELS}/{other}", json={}, params={"wait_for_completion": "true"}).raise_for_status()
        assert done.json()["platform_architecture"] == "linux-x86_64"
        recommended = [config(client, each)["metadata"]["recommended"] for each in (ID, other)]
        assert sorted(recommended) == [False, True]
        assert config(client)["prefix_strings"] == {"ingest": "passage: ", "search": "query: "}
        client.post(
            f"{MODELS}/{ID}/deployment/_start", params={"deployment_id": "for_search", "timeout": "4m"}
        ).raise_for_status()
        docs = [{"text_field": "query: what is it?"}]
        answer = client.post(f"{MODELS}/for_search/_infer", json={"docs": docs}).raise_for_status().json()
        with Encoder.load(tiny_models["bert-multilingual"], precision="fp32") as encoder:
            expected = encoder.embed_queries(["what is it?"]).vectors[0]
        assert np.dot(answer["inference_results"][0]["predicted_value"], expected) > 0.9999
        assert "currently deployed" in reason(client.delete(f"{MODELS}/{ID}"), 409)
        client.delete(f"{MODELS}/{ID}", params={"force": "true"}).raise_for_status()
        assert config(client, other)["fully_defined"]
        client.delete(f"{MODELS}/{other}").raise_for_status()
        assert client.get(f"{MODELS}/{other}").status_code == 404


def test_what_the_store_has_needs_no_repository(serve, tiny_models, tmp_path):
    shutil.copytree(tiny_models["bert-multilingual"], tmp_path / "from" / "multilingual-e5-small")
    ModelStore(tmp_path / "home").copy(tmp_path / "from" / "multilingual-e5-small", "multilingual-e5-small")
    with serve(None) as client:
        client.put(f"{MODELS}/{ID}", json={}).raise_for_status()
        assert config(client)["fully_defined"]
        assert config(client)["prefix_strings"] == {"ingest": "passage: ", "search": "query: "}
        assert "efive models remove" in reason(client.delete(f"{MODELS}/multilingual-e5-small"), 409)
        client.delete(f"{MODELS}/{ID}").raise_for_status()
        assert config(client, "multilingual-e5-small")["fully_defined"]  # what was pulled stays


def test_a_package_that_is_not_there_says_how_to_get_it(serve, repository, tmp_path):
    with serve(None) as client:
        refused = reason(client.put(f"{MODELS}/{ID}", json={}))
        assert refused.startswith("Failed to find package [multilingual-e5-small]")
        assert "efive models pull multilingual-e5-small" in refused
    with serve((tmp_path / "nothing").as_uri()) as client:
        assert "Failed to find package" in reason(client.put(f"{MODELS}/{ID}", json={}))
        assert client.get(f"{MODELS}/{ID}").status_code == 404


WRONG = [
    ({"sha256": "0" * 64}, 400, "sha256 checksums"),
    ({"size": 17}, 400, "size mismatch"),
    ({"size": "large"}, 400, "Invalid package size"),
    ({"packaged_model_id": "other"}, 500, "Invalid package name"),
    ({"vocabulary_file": "../other.json"}, 400, "Invalid vocabulary file"),
    ({"vocabulary_file": "none.json"}, 400, "Failed to find vocabulary file"),
    ({"inference_config": {"text_expansion": {}}}, 400, "text_expansion"),
]


def test_a_package_that_is_not_what_it_says_is_refused(serve, repository, tmp_path):
    folder = tmp_path / "altered"
    shutil.copytree(repository, folder)
    path = folder / "multilingual-e5-small.metadata.json"
    right = json.loads(path.read_text())
    with serve(folder.as_uri()) as client:
        for change, status, why in WRONG:
            path.write_text(json.dumps(right | change))
            put = client.put(f"{MODELS}/{ID}", json={}, params={"wait_for_completion": "true"})
            assert why in reason(put, status)
            assert client.get(f"{MODELS}/{ID}").status_code == 404
        path.write_text("no JSON")
        assert "Failed to parse package" in reason(client.put(f"{MODELS}/{ID}", json={}))
        path.write_text(json.dumps(right))
        script = folder / "multilingual-e5-small.pt"
        script.unlink()
        script.symlink_to(repository / script.name)
        put = client.put(f"{MODELS}/{ID}", json={}, params={"wait_for_completion": "true"})
        assert "leads out of the model repository" in reason(put)


class Web(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; below /moved/ everything is elsewhere."""

    def do_GET(self):
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("location", self.path.removeprefix("/moved"))
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web(repository):
    handler = functools.partial(Web, directory=repository)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


def test_a_package_of_a_web_server_is_fetched_and_redirects_are_not_followed(serve, web):
    with serve(f"{web}/moved") as client:
        assert "redirects are not followed" in reason(client.put(f"{MODELS}/{ID}", json={}))
    with serve(web) as client:
        client.put(f"{MODELS}/{ID}", json={}, params={"wait_for_completion": "true"}).raise_for_status()
        assert config(client)["fully_defined"]
    with serve("ftp://127.0.0.1/", "elsewhere") as client:
        assert "must be an address" in reason(client.put(f"{MODELS}/{ID}", json={}))


@pytest.mark.slow
def test_a_fetch_that_a_stop_broke_off_is_taken_up(serve, repository):
    with serve(repository.as_uri()) as client:
        client.put(f"{MODELS}/{ID}", json={}).raise_for_status()
    with serve(repository.as_uri()) as client:
        deadline = time.monotonic() + 240
        while not config(client)["fully_defined"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.slow
def test_what_was_uploaded_does_not_pass_for_the_package(serve, repository, tiny_models):
    folder, script = tiny_models["bert-multilingual"], (repository / "multilingual-e5-small.pt").read_bytes()
    with serve(repository.as_uri()) as client:
        path = upload(
            client, "multilingual-e5-small", traced.configuration(folder), script, traced.vocabulary(folder)
        )  # without prefixes
        client.post(f"{path}/deployment/_start", params={"timeout": "4m"}).raise_for_status()
        put = client.put(f"{MODELS}/{ID}", json={}, params={"wait_for_completion": "true"})
        assert "[multilingual-e5-small] was uploaded" in reason(put)
        client.delete(path, params={"force": "true"}).raise_for_status()
        client.put(f"{MODELS}/{ID}", json={}, params={"wait_for_completion": "true"}).raise_for_status()
        assert config(client)["prefix_strings"] == {"ingest": "passage: ", "search": "query: "}


@pytest.mark.slow
def test_files_stay_while_another_deployment_has_them(serve, repository, tmp_path):
    with serve(repository.as_uri()) as client:
        client.put(f"{MODELS}/{ID}", json={}, params={"wait_for_completion": "true"}).raise_for_status()
        native = client.base_url.copy_with(path="/deployments")
        httpx.post(native, json={"name": "native", "model": "multilingual-e5-small"}).raise_for_status()
        client.delete(f"{MODELS}/{ID}").raise_for_status()
        assert (tmp_path / "home/models/multilingual-e5-small/config.json").is_file()


class Torn(http.server.BaseHTTPRequestHandler):
    """Promises a chunk and hangs up."""

    def do_GET(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort")

    def log_message(self, *arguments):
        pass


def test_a_web_server_that_hangs_up_is_named(serve):
    with http.server.HTTPServer(("127.0.0.1", 0), Torn) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        with serve(f"http://127.0.0.1:{web.server_port}") as client:
            assert "the model repository cannot be read" in reason(client.put(f"{MODELS}/{ID}", json={}))
        web.shutdown()


def test_a_full_disk_is_not_the_repository_s_fault(repository, tmp_path):
    (tmp_path / "definition.pt").symlink_to("/dev/full")
    package = packages.find(repository.as_uri(), ID.removeprefix("."))
    with pytest.raises(OSError, match="No space left"):
        packages.fetch(package, tmp_path)


def test_allocations_that_change_while_a_model_comes_are_started(serve, repository):
    settings = {"model_id": ID, "num_allocations": 1, "num_threads": 1}
    with serve(repository.as_uri()) as client:
        body = {"service": "elasticsearch", "service_settings": settings}
        client.put("/_inference/text_embedding/soon?timeout=1ms", json=body).raise_for_status()
        changed = {"service_settings": {"num_allocations": 2}}
        client.put("/_inference/soon/_update", json=changed).raise_for_status()
        client.post("/_inference/soon", json={"input": "text"}).raise_for_status()
        (endpoint,) = client.get("/_inference/soon").json()["endpoints"]
        assert endpoint["service_settings"]["num_allocations"] == 2
