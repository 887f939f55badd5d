"""The bundled model, loaded once."""

import os

import pytest

from efive import Encoder


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory):
    """In fp32, so that vectors can be compared closely."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))
    try:
        with Encoder.load(precision="fp32") as loaded:
            _ = loaded.space
            yield loaded
    finally:
        if before is not None:
            os.environ["HOME"] = before
