"""What the guides of Elasticsearch's door show, done as it is written there, from top to bottom."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "elasticsearch.md"
SHOWN = "http://127.0.0.1:8080"


def blocks(language):
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_every_request_is_answered(server):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    scripts = blocks("sh")
    assert len(scripts) > 4
    for script in scripts:
        strict = re.sub(r"^curl ", "curl --silent --show-error --fail-with-body ", script, flags=re.MULTILINE)
        sent = "set -e\n" + strict.replace(SHOWN, server.url)
        run = subprocess.run(["sh", "-c", sent], capture_output=True, text=True, check=False, timeout=280)
        assert run.returncode == 0, f"{script}: {run.stdout} {run.stderr}"
        assert '"errors":true' not in run.stdout, f"{script}: {run.stdout}"


def test_the_python_runs(server, capsys):
    for block in blocks("python"):
        exec(compile(block.replace(SHOWN, server.url), str(GUIDE), "exec"), {})
    assert capsys.readouterr().out == "Cats sleep for most of the day.\n"
