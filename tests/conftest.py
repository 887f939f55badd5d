"""Fixtures: tiny models, made once a session; a home of its own for every test."""

import inspect
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import hypothesis
import pytest

if TYPE_CHECKING:
    from efive import Encoder

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every process that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The same examples in every run, and others with `--hypothesis-profile=random`. How long one takes, or an answer of a
# server, is the machine's affair: what hangs, pytest's own timeout ends.
_slow = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("random", **_slow)
hypothesis.settings.register_profile("same", derandomize=True, database=None, **_slow)
hypothesis.settings.load_profile("same")
inspect.signature(httpx.Client).parameters["timeout"].default.__init__(timeout=120)  # what all its calls fall back on


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of random models by kind."""
    import tiny

    root = tmp_path_factory.mktemp("models")
    return {kind: tiny.make(kind, root / kind) for kind in tiny.KINDS}


@pytest.fixture(scope="session")
def bert(tiny_models: dict[str, Path]) -> Path:
    return tiny_models["bert"]


@contextmanager
def _loaded(model: Path | None, home: Path) -> Iterator["Encoder"]:
    """An encoder in fp32, so that vectors can be compared closely; its caches lie in a home of their own."""
    from efive import Encoder

    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    try:
        with Encoder.load(model, precision="fp32") as encoder:
            _ = encoder.space
            yield encoder
    finally:
        if before is not None:
            os.environ["HOME"] = before


@pytest.fixture(scope="session")
def encoder(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Encoder"]:
    """The tiny model."""
    with _loaded(bert, tmp_path_factory.mktemp("home")) as encoder:
        yield encoder


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Encoder"]:
    """The bundled model."""
    with _loaded(None, tmp_path_factory.mktemp("home")) as encoder:
        yield encoder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, so that no test sees another's models or caches."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EFIVE_HOME", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The evaluation sets beside a development checkout."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this checkout")
    return folder
