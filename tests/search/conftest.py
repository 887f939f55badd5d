"""Collections of the tiny model."""

from pathlib import Path

import pytest

from efive import Collection, Encoder


@pytest.fixture
def collection(tmp_path: Path, encoder: Encoder):
    with Collection.open(tmp_path / "notes", encoder, window=32) as opened:
        yield opened
