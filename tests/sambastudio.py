"""SambaStudio's requests, as its clients send them."""

import time

import numpy as np

API = "/samba/api"


def until(look, wanted, seconds=240.0):
    """Look again and again until the status is as wanted."""
    deadline = time.monotonic() + seconds
    while (found := look())["status"] != wanted:
        assert found["status"] not in {"failed", "Failed"}, found["reason"]
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def make(http, project, **body):
    created = http.post(f"{API}/projects/{project}/endpoints", json={"model": "e5", **body})
    assert created.status_code == 201, created.text
    until(lambda: http.get(f"{API}/projects/{project}/endpoints/{body['name']}").json(), "Live")
    return created.json()


def ask(http, endpoint, form, texts, **more):
    """Send texts in one of the three forms; return the answer and how its vectors are found."""
    body = {
        "nlp": {"inputs": texts},
        "generic": {"instances": texts, "params": {"select_expert": {"type": "str", "value": "e5"}}},
        "generic_v2": {"items": [{"id": f"item{i}", "value": t} for i, t in enumerate(texts)], "params": {}},
    }[form]
    return http.post(endpoint["urls"][form], json=body, headers={"key": endpoint["key"]} | more)


def vectors(form, answer):
    assert answer.status_code == 200, answer.text
    found = answer.json()
    if form == "generic_v2":
        assert [item["id"] for item in found["items"]] == [f"item{i}" for i in range(len(found["items"]))]
        return np.array([item["value"] for item in found["items"]])
    return np.array(found["data" if form == "nlp" else "predictions"])
