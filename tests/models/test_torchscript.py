"""What the process that reads TorchScript is kept from."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import traced

from efive.errors import ModelError
from efive.models import torchscript
from efive.models.architecture import Architecture, Kind
from efive.models.checkpoint import read

# What a script that got hold of the process could try.
ATTEMPTS = """
import json, os, socket, sys
from pathlib import Path
from efive.models.confinement import confine
paths = [Path(sys.base_prefix), Path(sys.prefix), Path("/proc"), Path("/sys")]
"".encode("idna")  # Python itself may lie where another user cannot read
done = confine(1 << 30, 60, 1 << 20, paths)
found = {}
def tried(name, act):
    try:
        found[name] = repr(act())
    except (OSError, MemoryError) as error:
        found[name] = type(error).__name__
tried("read", lambda: Path(sys.argv[1]).read_text())
tried("list", lambda: os.listdir(Path(sys.argv[1]).parent))
tried("write", lambda: Path(sys.argv[1]).write_text("x"))
tried("connect", lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5))
tried("kill", lambda: os.kill(os.getppid(), 0))
tried("large", lambda: Path("large").write_bytes(bytes(2 << 20)))
tried("memory", lambda: len(bytearray(2 << 30)))
tried("own", lambda: Path("own").write_text("mine"))
found["environment"] = sorted(os.environ)
print(json.dumps([done, found]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_confined_process_reaches_nothing_of_the_server(tmp_path):
    import json

    secret = tmp_path / "home" / "server.sqlite"
    secret.parent.mkdir()
    secret.write_text("keys")
    secret.chmod(0o644)  # so that it is not the other user alone that keeps it
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        run = subprocess.run(
            [sys.executable, "-c", ATTEMPTS, secret, str(listening.getsockname()[1])], cwd=work, check=True,
            capture_output=True, text=True, env={"PYTHONPATH": str(Path(torchscript.__file__).parents[2])},
        )  # fmt: skip
    done, found = json.loads(run.stdout)
    if "landlock" not in done:
        pytest.skip("this kernel has no Landlock")
    kept = {name: found[name] for name in ("read", "list", "write", "connect", "kill")}
    assert set(kept.values()) == {"PermissionError"}, kept
    assert found["large"] == "OSError"
    assert found["memory"] == "MemoryError"
    assert found["own"] == "4"
    assert secret.read_text() == "keys"
    assert ("user" in done) == (os.geteuid() == 0)


@pytest.mark.parametrize("kind", ["bert", "bert-multilingual", "xlm-roberta"])
def test_a_traced_model_is_read_as_its_folder_is(tiny_models, tmp_path, kind):
    traced.trace(tiny_models[kind], tmp_path / torchscript.SCRIPT, freeze=kind != "bert")
    taken = torchscript.take(tmp_path, [[0, 5, 6, 7, 2]])
    expected = read(tiny_models[kind]).architecture
    shape = {name: getattr(taken.architecture, name) for name in Architecture.__dataclass_fields__ if name != "pad_id"}
    assert shape == {name: getattr(expected, name) for name in shape}
    assert taken.architecture.pad_id == (1 if expected.kind is Kind.XLM_R else 0)
    assert taken.vectors.shape == (1, 64)


def test_a_quantized_model_is_refused_by_name(bert, tmp_path):
    module = traced.Traced(bert).eval()
    ids = torch.tensor([[2, 5, 3]])
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)
    traced.save(module, (ids, torch.ones_like(ids)), tmp_path / torchscript.SCRIPT, freeze=False)
    with pytest.raises(ModelError, match="quantized"):
        torchscript.take(tmp_path, [[2, 5, 3]])
