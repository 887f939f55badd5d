"""Fixtures: tiny models, made once a session; a home of its own for every test."""

import os
import sys
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of random models by kind."""
    import tiny

    root = tmp_path_factory.mktemp("models")
    return {kind: tiny.make(kind, root / kind) for kind in tiny.KINDS}


@pytest.fixture(scope="session")
def bert(tiny_models: dict[str, Path]) -> Path:
    return tiny_models["bert"]


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
