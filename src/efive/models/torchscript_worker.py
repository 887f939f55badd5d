"""The process that reads one TorchScript: `python -m efive.models.torchscript_worker`, started by `torchscript.take`.

It works in a folder of its own, where it finds `definition.pt` and `rows.json`, and leaves what it found there.
"""

import json
import sys
import sysconfig
import warnings
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from efive.errors import ModelError
from efive.models.confinement import confine
from efive.models.torchscript_graph import check_operators, read

_GROWTH = 64 << 20
"""Bytes that the entries of the archive may have beyond its own: code is compressed, weights are not."""
_ENTRIES = 100_000
_SECONDS = 900


def main() -> None:
    """Read the script in the working folder, or say in `error.txt` why it cannot be used."""
    warnings.simplefilter("ignore")
    size = Path("definition.pt").stat().st_size
    _warm()
    paths = sysconfig.get_paths()
    readable = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    readable |= {Path(torch.__file__).resolve().parent, Path(__file__).parents[1], Path("/proc"), Path("/sys")}
    done = confine(6 * size + (3 << 30), _SECONDS, 2 * size + (64 << 20), sorted(readable))
    Path("confined.json").write_text(json.dumps(done), encoding="utf-8")
    torch.set_num_threads(2)  # not before: it starts one
    try:
        _take(size)
    except ModelError as error:
        _refuse(str(error))
    except Exception as error:  # torch raises many kinds; the caller must hear of each
        _refuse(f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}")


def _warm() -> None:
    """Import what torch and zipfile import late, before its files are out of reach."""
    "".encode("cp437")

    class Nothing(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values + 1

    with torch.inference_mode():
        torch.jit.freeze(torch.jit.trace(Nothing().eval(), torch.zeros(1)))  # type: ignore[no-untyped-call]


def _take(size: int) -> None:
    _check_archive(size)
    script = torch.jit.load("definition.pt", map_location="cpu")  # type: ignore[no-untyped-call]
    if hasattr(script, "training"):  # traced and not frozen: its weights are attributes yet
        check_operators(script.inlined_graph)
        script = torch.jit.freeze(script.eval())
    found = read(script.inlined_graph)
    tensors = {name: tensor.to(torch.float32).contiguous().clone() for name, tensor in found.tensors.items()}
    # Not save_file: it makes the path absolute, and this user may not walk down to this folder.
    Path("model.safetensors").write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt"}))
    shape = asdict(found.architecture)
    Path("shape.json").write_text(json.dumps(shape), encoding="utf-8")
    rows = json.loads(Path("rows.json").read_text(encoding="utf-8"))
    vectors = [_run(script, row) for row in rows]
    Path("vectors.json").write_text(json.dumps(vectors), encoding="utf-8")


def _run(script: Any, row: list[int]) -> list[float]:  # noqa: ANN401 - a module with any signature
    """Return the script's vector of one row, called as Elasticsearch calls it."""
    ids = torch.tensor([row])
    inputs = [ids, torch.ones_like(ids), torch.zeros_like(ids), torch.arange(len(row))[None]]
    wanted = sum(1 for value in script.graph.inputs()) - 1  # the module itself is the first
    if wanted not in {2, 4}:
        raise ModelError(f"it takes {wanted} inputs; eland's take ids and mask, or these with types and positions")
    with torch.inference_mode():
        answer = script.forward(*inputs[:wanted])  # not what is hooked to it, which nobody has looked at
    vector = answer[0] if isinstance(answer, tuple) else answer
    if not isinstance(vector, torch.Tensor) or vector.ndim != 2 or len(vector) != 1:
        raise ModelError("it does not answer with one vector for a text: it was not traced for text_embedding")
    return [float(component) for component in vector[0]]


def _check_archive(size: int) -> None:
    """Refuse archives that unpack to much more than they are."""
    try:
        with zipfile.ZipFile("definition.pt") as archive:
            entries = archive.infolist()
            _check_entries(size, entries)
            _check_code(archive, entries)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"it is no TorchScript archive: {error}") from None


def _check_entries(size: int, entries: list[zipfile.ZipInfo]) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size + _GROWTH or len(entries) > _ENTRIES:
        raise ModelError(f"it has {size} bytes and would unpack to {unpacked} in {len(entries)} entries")


def _check_code(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse code that would run while the archive is read, before its operators can be looked at."""
    for entry in entries:
        if entry.filename.endswith(".py") and b"__setstate__" in archive.read(entry):
            raise ModelError(
                "its code has __setstate__, which runs while it is read; of E5's models only quantized ones have that: "
                "use the model that was not"
            )


def _refuse(reason: str) -> None:
    Path("error.txt").write_text(reason[:1000], encoding="utf-8")
    sys.exit(3)


if __name__ == "__main__":
    main()
