"""Tensors of a checkpoint, memory-mapped: nothing is copied or converted before somebody asks for it.

The safetensors package copies what it reads and knows no bfloat16 in numpy; the embedding table of a
multilingual model is 80 % of its file and a text touches a few rows of it, so we map the file ourselves.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.errors import DependencyError, ModelFileError

Floats = npt.NDArray[np.float32]

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I8": "i1",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "u1",
    "BOOL": "u1",
}
_LONGEST_HEADER = 100_000_000  # the format's own limit
_HASHED_AT_ONCE = 1 << 24  # values: bounds the memory of converting a table of another dtype
SCALE_SUFFIX = ".row_scale"
"""An int8 tensor `x` has its per-row float scales in the tensor `x.row_scale`: x = codes * scales[:, None]."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of one tensor in its stored dtype (bfloat16 as raw uint16)."""

    dtype: str
    values: npt.NDArray[Any]
    scales: npt.NDArray[Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the tensor."""
        return self.values.shape

    def floats(self) -> Floats:
        """Return the whole tensor as float32, a view of the file where it is stored so."""
        return self._convert(self.values, self.scales)

    def rows(self, indices: npt.NDArray[Any] | slice) -> Floats:
        """Return the rows at `indices` as float32: an array of any shape gives `indices.shape + (columns,)`."""
        scales = None if self.scales is None else self.scales[indices]
        return self._convert(self.values[indices], scales)

    def _convert(self, values: npt.NDArray[Any], scales: npt.NDArray[Any] | None) -> Floats:
        if self.dtype == "BF16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        floats: Floats = values.astype(np.float32, copy=False)
        return floats if scales is None else floats * scales.astype(np.float32)[..., None]


def open_safetensors(path: Path) -> dict[str, Tensor]:
    """Map a safetensors file and return its tensors by name.

    Raises:
        ModelFileError: if the file is missing, torn, has bytes after its last tensor, or has a broken header.
    """
    if not path.is_file():
        raise ModelFileError(f"{path} is missing")
    try:
        size = path.stat().st_size
        raw = np.memmap(path, dtype=np.uint8, mode="r") if size >= 8 else None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from None
    if raw is None:
        raise ModelFileError(f"{path} is torn: {size} bytes is no safetensors file")
    header_size = int.from_bytes(raw[:8].tobytes(), "little")
    if header_size > min(size - 8, _LONGEST_HEADER):
        raise ModelFileError(f"{path} is torn or no safetensors file: its header claims {header_size} bytes of {size}")
    try:
        header: dict[str, Any] = json.loads(raw[8 : 8 + header_size].tobytes())
        header.pop("__metadata__", None)
        found = {name: _view(raw[8 + header_size :], entry) for name, entry in header.items()}
        end = _end([entry["data_offsets"] for entry in header.values()])
    except _TornError as error:
        raise ModelFileError(f"{path} is torn: {error}; fetch it again") from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ModelFileError(f"{path} has a broken header: {error!r}; fetch it again") from None
    surplus = size - 8 - header_size - end
    if surplus:
        raise ModelFileError(f"{path} is oversized: {surplus} bytes follow its last tensor; fetch it again")
    return _join_scales(found)


class _TornError(Exception):
    """A tensor lies beyond the end of the file."""


def _end(ranges: list[list[int]]) -> int:
    """Return where the last tensor ends; the format wants them side by side, without gap or overlap."""
    end = 0
    for start, stop in sorted(ranges):
        if start != end:
            raise ValueError(f"a tensor begins at byte {start} where the one before it ends at {end}")
        end = stop
    return end


def _view(data: npt.NDArray[np.uint8], entry: dict[str, Any]) -> Tensor:
    dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
    start, stop = (int(n) for n in entry["data_offsets"])
    numpy_dtype = np.dtype(_DTYPES[dtype])
    if stop > len(data):
        raise _TornError(f"a tensor ends at byte {stop} of {len(data)}")
    if not 0 <= start <= stop or stop - start != math.prod(shape) * numpy_dtype.itemsize:
        raise ValueError(f"{stop - start} bytes for shape {shape} of {dtype}")
    flat = data[start:stop]
    if start % numpy_dtype.itemsize or flat.ctypes.data % numpy_dtype.itemsize:
        flat = flat.copy()  # an unaligned view is legal in the file and slow or forbidden in memory
    return Tensor(dtype, flat.view(numpy_dtype).reshape(shape))


def _join_scales(found: dict[str, Tensor]) -> dict[str, Tensor]:
    scales = {name.removesuffix(SCALE_SUFFIX): found.pop(name) for name in list(found) if name.endswith(SCALE_SUFFIX)}
    for name, scale in scales.items():
        codes = found.get(name)
        if codes is None or codes.dtype != "I8" or len(codes.shape) != 2 or scale.shape != codes.shape[:1]:
            raise ModelFileError(f"tensor {name}{SCALE_SUFFIX} does not fit an int8 tensor {name}")
        found[name] = Tensor("I8", codes.values, scale.floats())
    return found


def pack_rows(matrix: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return a matrix (rows, columns) as int8 codes and float32 row scales (rows,), as `SCALE_SUFFIX` says."""
    scales: Floats = np.maximum(np.abs(matrix).max(axis=1) / 127, np.finfo(np.float32).tiny)
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales


def open_pickled(path: Path) -> dict[str, Tensor]:
    """Read a `pytorch_model.bin` with torch's restricted unpickler (`weights_only`), never with pickle.

    Raises:
        DependencyError: if torch is not installed.
        ModelFileError: if the file cannot be read that way.
    """
    try:
        import torch  # noqa: PLC0415 - only old checkpoints need it
    except ImportError:
        raise DependencyError(
            f"{path.name} needs torch to be read: pip install 'efive[torch]'. A model.safetensors beside it would not"
        ) from None
    try:
        zipped = zipfile.is_zipfile(path)  # torch before 1.6 wrote another format, which cannot be mapped
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
        return {name: _from_torch(value) for name, value in state.items() if isinstance(value, torch.Tensor)}
    except Exception as error:  # torch raises many kinds, among them for code hidden in the file
        raise ModelFileError(
            f"{path} cannot be read safely (weights only): {(str(error).splitlines() or [repr(error)])[0]}. "
            "It is torn, or holds more than tensors; use a model.safetensors"
        ) from error


def _from_torch(value: Any) -> Tensor:  # noqa: ANN401 - torch is not imported here
    name, value = str(value.dtype).removeprefix("torch."), value.detach()
    if name == "bfloat16":
        import torch  # noqa: PLC0415

        return Tensor("BF16", value.view(torch.uint16).numpy())
    known = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "int32": "I32"}
    return Tensor(known[name], value.numpy())


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors by name, shape and float32 value.

    The same values give the same fingerprint in whatever file, order or storage dtype they come.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.shape}\n".encode())
        rows = max(1, _HASHED_AT_ONCE // max(1, math.prod(tensor.shape[1:])))
        for start in range(0, tensor.shape[0], rows):
            values = tensor.rows(np.s_[start : start + rows])
            digest.update(np.ascontiguousarray(values, dtype="<f4").data)
    return digest.hexdigest()
