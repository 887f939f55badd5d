"""Fixtures of the models room: a hand-made model of a few kilobytes, and a real hub on this machine."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import hub_server
import small


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A readable BERT checkpoint of the test's own, to be damaged at will."""
    return small.write(tmp_path / "a-model")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[hub_server.Hub]:
    """A hub at 127.0.0.1, the only place that this process may speak to while the test runs."""
    from huggingface_hub import close_session, constants

    with hub_server.Hub() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf-cache"))
        # What newer clients ask huggingface.co for on their own account, forgotten so that it would be asked again.
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "harnesses"), raising=False)
        monkeypatch.setattr("huggingface_hub.utils._detect_agent._registry", None, raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        elsewhere = _stay_here(monkeypatch)
        close_session()  # a client made earlier could know a proxy
        yield server
        close_session()
    assert elsewhere == []


def _stay_here(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Refuse connections and name look-ups that leave the test's server, and list them."""
    elsewhere: list[object] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self, address):
        if address[0] not in {"127.0.0.1", "::1"}:
            elsewhere.append(address)
            raise OSError(f"the test tried to reach {address}")
        return connect(self, address)

    def guarded_look_up(host, *args, **kwargs):
        if host not in {"127.0.0.1", "localhost"}:
            elsewhere.append(host)
            raise socket.gaierror(f"the test looked up {host}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    return elsewhere
