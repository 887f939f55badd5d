"""A server that is killed comes back with all that it had."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import httpx
import psutil


@contextlib.contextmanager
def served(home, *options):
    """`efive serve` in a process of its own: the process and its address, once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "efive", "serve", "--port", "0", "--precision", "fp32", "--threads", "1", *options],
        env={**os.environ, "EFIVE_HOME": str(home)},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        lines = iter(process.stderr.readline, "")
        url = next(found[0] for line in lines if (found := re.search(r"http://[0-9.:]+", line)))
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def until_ready(url, headers):
    deadline = time.monotonic() + 240
    while httpx.get(f"{url}/health/ready", headers=headers).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def names(url, headers):
    found = httpx.get(f"{url}/deployments", headers=headers).json()["deployments"]
    return {each["name"]: (each["phase"], each["settings"]["allocations"]) for each in found}


def test_deployments_and_keys_come_back_after_a_kill_and_a_sigterm_drains(bert, tmp_path):
    with served(tmp_path, "-m", f"one={bert}") as (process, url):
        until_ready(url, {})
        key = httpx.post(f"{url}/keys", json={"name": "root", "scopes": ["manage"]}).json()["key"]
        headers = {"authorization": f"Bearer {key}"}
        for name in ("two", "three"):
            wanted = {"name": name, "model": str(bert), "precision": "fp32", "threads": 1}
            assert httpx.post(f"{url}/deployments", json=wanted, headers=headers).status_code == 202
        while names(url, headers)["three"][0] == "starting":
            time.sleep(0.05)
        changed = httpx.patch(f"{url}/deployments/one", json={"allocations": 2}, headers=headers)
        assert changed.status_code == 200, changed.text
        assert httpx.post(f"{url}/deployments/three/stop", headers=headers).status_code == 200
        engines = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(engines, 60)
        assert not alive
    with served(tmp_path) as (process, url):
        until_ready(url, headers)
        assert names(url, headers) == {"one": ("ready", 2), "two": ("ready", 1), "three": ("stopped", 1)}
        assert httpx.get(f"{url}/deployments").status_code == 401
        body = {"model": "two", "input": ["hello"]}
        assert httpx.post(f"{url}/openai/v1/embeddings", json=body, headers=headers).status_code == 200
        engines = psutil.Process(process.pid).children()
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(240) in {0, -signal.SIGTERM}
        assert not psutil.wait_procs(engines, 1)[1]
        log = process.stderr.read()
        assert "Traceback" not in log
        assert key not in log


def test_a_damaged_state_is_said_not_overwritten(tmp_path):
    (tmp_path / "server.sqlite").write_bytes(b"no database" * 1000)
    found = subprocess.run(
        [sys.executable, "-m", "efive", "serve", "--port", "0"],
        env={**os.environ, "EFIVE_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert found.returncode != 0
    assert "cannot be used as the server's state: file is not a database" in found.stderr
    assert (tmp_path / "server.sqlite").read_bytes() == b"no database" * 1000
