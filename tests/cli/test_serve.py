"""`efive serve` and `efive keys`, as processes of their own."""

import re
import shutil
import signal
import ssl
import subprocess
import time

import httpx
import pytest


@pytest.fixture
def serve(start):
    """Start a server; its process and its address, once it listens."""

    def run(*options):
        process = start("serve", "--port", "0", "--threads", "1", "--precision", "fp32", *options, text=True)
        for line in process.stderr:
            if found := re.search(r"https?://\S+", line):
                return process, found[0]
        raise AssertionError(f"it ended with {process.wait()}")

    return run


@pytest.fixture
def said(start):
    """Run a command to its end: its exit code and what it said."""

    def run(*arguments):
        process = start(*arguments, text=True)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    return run


def until(url, condition):
    deadline = time.monotonic() + 240
    while not condition(found := httpx.get(url)):
        assert time.monotonic() < deadline, found.text
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """A certificate for this machine, its private key, and the same key encrypted."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key, encrypted = (folder / name for name in ("certificate.pem", "key.pem", "encrypted.pem"))
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    hide = ["openssl", "ec", "-aes128", "-passout", "pass:secret", "-in", key, "-out", encrypted]
    for command in ([*make, *names, "-keyout", key, "-out", certificate], hide):
        subprocess.run(command, check=True, capture_output=True)
    return certificate, key, encrypted


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_answers_and_ends_when_told(serve, bert, stop):
    process, url = serve("-m", f"tiny={bert}")
    until(f"{url}/health/ready", lambda found: found.status_code == 200)
    asked = httpx.post(f"{url}/openai/v1/embeddings", json={"model": "tiny", "input": "hello"})
    assert asked.status_code == 200
    process.send_signal(stop)
    assert process.wait(240) == (0 if stop == signal.SIGTERM else 130)
    assert "Traceback" not in process.stderr.read()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_folder_is_remembered_wherever_the_server_is_started(serve, bert, tmp_path, monkeypatch):
    shutil.copytree(bert, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    for options in (["-m", "mine"], ["-m", "other=mine"]):
        process, url = serve(*options)
        until(f"{url}/health/ready", lambda found: found.status_code == 200)
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0
        monkeypatch.chdir("/")
        process, url = serve()
        until(f"{url}/health/ready", lambda found: found.json() == {"ready": True, "waiting": {}})
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0
        monkeypatch.chdir(tmp_path)


def test_a_model_that_cannot_be_loaded_is_not_ready_and_says_why(serve, bert, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(bert, broken)
    (broken / "config.json").write_text("{")
    _, url = serve("-m", f"broken={broken}", "-m", f"sound={bert}")
    until(f"{url}/deployments/sound", lambda found: found.json()["phase"] == "ready")
    found = until(f"{url}/health/ready", lambda found: "failed" in found.text)
    assert (found.status_code, found.json()["waiting"]) == (503, {"broken": "failed"})
    assert "config.json" in httpx.get(f"{url}/deployments/broken").json()["reason"]
    assert httpx.delete(f"{url}/deployments/broken").status_code == 204
    assert httpx.get(f"{url}/health/ready").json() == {"ready": True, "waiting": {}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-m", "nowhere"], "no folder and no stored model is called 'nowhere'"),
        (["-m", "a/b"], "NAME=a/b"),
        (["-m", "small=intfloat/e5-small"], "efive models pull e5-small"),
        (["-m", "=b"], "write NAME=FOLDER"),
        (["-m", "a b=bundled"], "cannot be a deployment's name"),
        (["--host", "0.0.0.0"], "this server has no keys"),
        (
            ["--host", "example.invalid", "--without-keys"],
            "; choose another --host",  # why not is the resolver's to say, which may be out of reach
        ),
        (
            ["--host", "203.0.113.1", "--without-keys"],
            "cannot be had: Cannot assign requested address; choose another --host",
        ),
        (["--tls-key", "key.pem"], "both --tls-certificate and --tls-key"),
        (["--traces", "ftp://here"], "HTTP address"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(said, options, words):
    code, _, err = said("serve", "--port", "0", *options)
    assert code == 1
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err


def test_an_address_or_a_home_that_another_server_has_is_said(serve, said, bert, tmp_path, monkeypatch):
    _, url = serve("-m", f"tiny={bert}")
    code, _, err = said("serve", "--port", "0")
    assert (code, "another server has" in err, "Traceback" in err) == (1, True, False)
    monkeypatch.setenv("EFIVE_HOME", str(tmp_path / "second"))
    code, _, err = said("serve", "--port", url.rsplit(":", 1)[1])
    assert (code, "Address already in use; choose another --port" in err) == (1, True)
    (tmp_path / "file").touch()
    monkeypatch.setenv("EFIVE_HOME", str(tmp_path / "file"))
    code, _, err = said("serve", "--port", "0")
    assert (code, "cannot be used as the server's home" in err, "Traceback" in err) == (1, True, False)


def test_tls(serve, pair, bert):
    certificate, key, _ = pair
    _, url = serve("-m", f"tiny={bert}", "--tls-certificate", certificate, "--tls-key", key)
    assert url.startswith("https://")
    assert httpx.get(f"{url}/health/live", verify=ssl.create_default_context(cafile=certificate)).status_code == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{url}/health/live")


def test_files_that_are_no_use_for_tls_are_refused_and_nobody_is_asked_for_a_password(said, pair, tmp_path):
    certificate, key, encrypted = pair
    other = tmp_path / "other.pem"
    other.write_text("no key")
    for files, words in (
        ((certificate, encrypted), "encrypted.pem is encrypted"),
        ((certificate, other), "cannot be used for TLS"),
        ((key, key), "cannot be used for TLS"),
        ((certificate, tmp_path / "none.pem"), "none.pem is not a file"),
    ):
        code, _, err = said("serve", "--port", "0", "--tls-certificate", files[0], "--tls-key", files[1])
        assert code == 1
        assert words in err
        assert len(err.splitlines()) == 1


def test_keys_open_a_server_that_others_reach(serve, said, bert):
    code, out, err = said("keys", "create", "app", "--scope", "embed")
    secret = out.strip()
    assert (code, secret in err) == (0, False)
    _, url = serve("-m", f"tiny={bert}", "--host", "0.0.0.0")
    url = url.replace("0.0.0.0", "127.0.0.1")
    until(f"{url}/health/ready", lambda found: found.status_code == 200)
    headers = {"authorization": f"Bearer {secret}"}
    body = {"texts": ["a"], "role": "query"}
    assert httpx.post(f"{url}/embed", json=body).status_code == 401
    assert httpx.post(f"{url}/embed", json=body, headers=headers).status_code == 200
    assert httpx.get(f"{url}/keys", headers=headers).status_code == 403
    _, out, _ = said("keys", "list")
    id_, name, scopes = out.strip().split("\t")
    assert (name, scopes, secret in out) == ("app", "embed", False)
    code, _, err = said("keys", "revoke", id_)
    assert (code, f"until DELETE /keys/{id_}" in err) == (0, True)
    assert said("keys", "list")[1] == ""
    code, _, err = said("keys", "revoke", id_)
    assert (code, "efive keys list" in err) == (1, True)


def test_a_key_from_a_file_replaces_its_name_s_keys_only_if_it_can_be_one(said, tmp_path):
    file = tmp_path / "secret"
    file.write_text("first-secret-of-the-app\n")
    create = ("keys", "create", "app", "--scope", "manage", "--key-file", file)
    for _ in range(2):  # before every start of a container
        code, out, err = said(*create)
        assert (code, out, "first-secret" in err) == (0, "", False)
    (before,) = said("keys", "list")[1].splitlines()
    file.write_text("short")
    assert said(*create)[0] == 1
    assert said("keys", "list")[1].splitlines() == [before]
    file.write_text("second-secret-of-the-app")
    assert said(*create)[0] == 0
    (after,) = said("keys", "list")[1].splitlines()
    assert after != before
