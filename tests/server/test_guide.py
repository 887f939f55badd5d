"""The requests that the guide shows, sent as they are written there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "serve.md"
SHOWN = "http://127.0.0.1:8080"


def test_every_request_of_the_guide_is_answered(server):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    commands = re.findall(r"^\$ (curl (?:[^\n]*\\\n)*[^\n]*)", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) > 5
    for command in commands:
        sent = command.replace(SHOWN, server.url).replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
        run = subprocess.run(sent, shell=True, capture_output=True, text=True, check=False, timeout=240)
        assert run.returncode == 0, f"{command}: {run.stdout} {run.stderr}"
