"""Folders of evaluation tasks."""

import pytest
from task_files import Write, writer


@pytest.fixture
def folder(tmp_path) -> Write:
    """Write files below a folder of that name."""
    return writer(tmp_path)
