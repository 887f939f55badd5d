"""What the process that reads TorchScript is kept from."""

import json
import os
import socket
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)
    traced.save(module, (ids, torch.ones_like(ids)), tmp_path / torchscript.SCRIPT, freeze=False)
    with pytest.raises(ModelError, match="quantized"):
        torchscript.take(tmp_path, [[2, 5, 3]])


class AtLoading(torch.nn.Module):
    """Runs code of its own while it is read, before anybody has looked at its graph."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.training = inner, False

    @torch.jit.export
    def __getstate__(self):
        return (self.inner, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        self.inner, self.training = state
        if int(torch.from_file("ran", True, 1, dtype=torch.uint8)[0]) >= 0:  # which makes the file
            raise ValueError("it ran")

    def forward(self, input_ids, attention_mask):
        return self.inner + input_ids + attention_mask


def test_code_that_runs_at_loading_does_not_run(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(AtLoading(torch.zeros(1))), tmp_path / torchscript.SCRIPT)
    with pytest.raises(ModelError, match="__setstate__"):
        torchscript.take(tmp_path, [[2, 5, 3]])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["error.txt", "shape.json"])
def test_a_link_that_the_process_leaves_is_not_followed(bert, tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_text("of the server")
    work = tmp_path / "work"
    work.mkdir()
    traced.trace(bert, work / torchscript.SCRIPT)
    (work / name).symlink_to(secret)
    with pytest.raises(ModelError) as refused:
        torchscript.take(work, [[2, 5, 3]])
    assert "of the server" not in str(refused.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_opened(tmp_path, make):
    make(tmp_path / "model.safetensors")
    with (
        pytest.raises(ModelError, match=r"left no file model\.safetensors"),
        torchscript.opened(tmp_path / "model.safetensors"),
    ):
        pass


CONFINED = """
import sys, threading
from efive.models.confinement import confine
for _ in range(int(sys.argv[1])):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print(confine(1 << 30, 60, 1 << 20, []))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_landlock_is_said_only_where_it_holds_for_all_threads(bert, tmp_path):
    def confined(threads):
        environment = {"PYTHONPATH": str(Path(torchscript.__file__).parents[2]), "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-c", CONFINED, str(threads)]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    if "landlock" not in confined(0):
        pytest.skip("this kernel has no Landlock")
    assert "landlock" not in confined(1)
    traced.trace(bert, tmp_path / torchscript.SCRIPT)
    torchscript.take(tmp_path, [[2, 5, 3]])
    assert "landlock" in json.loads((tmp_path / "confined.json").read_text())


def test_a_server_that_ends_does_not_wait_for_it(bert, tmp_path):
    traced.trace(bert, tmp_path / torchscript.SCRIPT)
    with ThreadPoolExecutor(1) as threads:
        taking = threads.submit(torchscript.take, tmp_path, [[2, 5, 3]])
        while not torchscript._running:
            time.sleep(0.001)
        torchscript.end()
        with pytest.raises(ModelError, match="SIGKILL"):
            taking.result()
    assert not torchscript._running
