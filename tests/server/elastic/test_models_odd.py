"""Odd requests to endpoints and trained models: an answer in Elasticsearch's shape, never a fault of the server."""

import json
import re

import httpx
import hypothesis
from elastic_uploading import MODELS
from hypothesis import strategies as st

EXAMPLES = 500
ADAPTIVE = {"enabled": True, "min_number_of_allocations": 0, "max_number_of_allocations": 1}
SETTINGS = {"model_id": "bundled", "num_threads": 1, "adaptive_allocations": ADAPTIVE}
CUT = {"strategy": "word", "max_chunk_size": 20, "overlap": 2}
TOKENIZATION = {"bert": {"max_sequence_length": 64, "truncate": "first", "span": -1}}
EMBEDDING = {"text_embedding": {"tokenization": TOKENIZATION, "embedding_size": 64, "results_field": "vector"}}
MODEL = {"model_type": "pytorch", "inference_config": EMBEDDING, "metadata": {"a": 1}, "model_size_bytes": 4}
MODEL |= {"input": {"field_names": ["text_field"]}, "prefix_strings": {"ingest": "p", "search": "s"}, "tags": ["a"]}
ROUTES = [
    ("PUT", "/_inference/text_embedding/{id}", {"service": "elasticsearch", "service_settings": SETTINGS}),
    ("PUT", "/_inference/{id}", {"service": "elasticsearch", "service_settings": SETTINGS, "chunking_settings": CUT}),
    ("PUT", "/_inference/{id}/_update", {"service_settings": {"adaptive_allocations": ADAPTIVE}}),
    ("POST", "/_inference/{id}", {"input": ["a"], "input_type": "search", "task_settings": {}}),
    ("DELETE", "/_inference/{id}", None),
    ("PUT", f"{MODELS}/{{id}}", MODEL),
    (
        "PUT",
        f"{MODELS}/{{id}}/definition/{{id}}",
        {"definition": "AA==", "total_definition_length": 2, "total_parts": 2},
    ),
    ("PUT", f"{MODELS}/{{id}}/vocabulary", {"vocabulary": ["a"], "scores": [0.5]}),
    ("GET", f"{MODELS}/{{id}}", None),
    ("GET", f"{MODELS}/{{id}}/_stats", None),
    ("DELETE", f"{MODELS}/{{id}}", None),
    ("POST", f"{MODELS}/{{id}}/_infer", {"docs": [{"text_field": "a"}], "inference_config": EMBEDDING}),
    ("POST", f"{MODELS}/{{id}}/deployment/_start", {"adaptive_allocations": ADAPTIVE}),
    ("POST", f"{MODELS}/{{id}}/deployment/_update", {"number_of_allocations": 1}),
    ("POST", f"{MODELS}/{{id}}/deployment/_stop", {"force": True, "allow_no_match": True, "id": "x"}),
    ("PUT", f"{MODELS}/{{id}}/model_aliases/{{id}}", None),
    ("DELETE", f"{MODELS}/{{id}}/model_aliases/{{id}}", None),
]
IDS = [
    "odd",
    "m",
    "0",
    "1",
    "bundled",
    ".x",
    "*",
    "a,b",
    "%00",
    "é",
    "..",
    "%2e%2e%2fx",
    "A",
    "x" * 300,
    "-1",
    "9" * 5000,
]
OPTIONS = ["timeout", "wait_for", "force", "dry_run", "from", "size", "deployment_id", "queue_capacity", "cache_size"]
VALUES = ["", "0", "-1", "2", "5s", "50ms", "x", "true", "9" * 5000, "9" * 30 + "gb", "1b", "starting", "٣", "1_0"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "bert", "enabled"]), inner),
    max_leaves=6,
)


@st.composite
def changed(draw, value):
    """A right body, somewhere something else."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: draw(changed(value[key]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [draw(changed(value[0])), *value[1:]]
    return draw(ANYTHING | st.just(value))


@st.composite
def requests(draw):
    method, path, body = draw(st.sampled_from(ROUTES))
    filled = re.sub(r"\{id\}", lambda _: draw(st.sampled_from(IDS)), path)
    query = draw(st.dictionaries(st.sampled_from(OPTIONS), st.sampled_from(VALUES), max_size=2))
    return method, filled, query, None if body is None else json.dumps(draw(changed(body)))


def test_odd_requests_are_answered_as_elasticsearch_answers(server):
    wrong = {}
    with httpx.Client(base_url=f"{server.url}/es", timeout=280) as http:

        @hypothesis.given(requests())
        @hypothesis.settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        def check(asked):
            method, path, query, body = asked
            answer = http.request(method, path, params=query, content=body)
            if answer.status_code >= 400:
                shaped = {"root_cause", "type", "reason"} <= set(answer.json().get("error", ()))
            if answer.status_code >= 500 or (answer.status_code >= 400 and not shaped):
                wrong.setdefault(
                    f"{method} {path[:60]}", f"{query} {body} {answer.status_code} {answer.text[:200]}"[:600]
                )

        check()
        assert not wrong, "\n\n".join(f"{where}: {what}" for where, what in wrong.items())
        for path in (MODELS, f"{MODELS}/_stats", "/_inference"):
            http.get(path).raise_for_status()
