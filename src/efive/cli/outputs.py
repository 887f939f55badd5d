"""Writing rows so that a run can stop anywhere and go on: JSONL, Parquet and .npy.

A writer appends to `OUTPUT.part` and says after each block how far it came; `Journal` keeps that.
Whatever was written after the last note is cut off when the run goes on.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from efive.cli.journal import part_of
from efive.errors import InputError

Row = dict[str, Any]
"""JSON values, and the vector (a float32 array) under `vector`."""
FORMATS = ("jsonl", "parquet", "npy")


@dataclass(frozen=True, slots=True)
class Value:
    """The column that a .npy file keeps: its key in the rows, and its size (0 for plain numbers)."""

    key: str
    size: int


class Writer(Protocol):
    """Appends rows to a file."""

    def append(self, rows: list[Row]) -> int:
        """Write `rows` to disk and return how far the output has come: what `open_writer` takes to go on."""

    def finish(self) -> None:
        """Put the complete output in its place."""

    def close(self) -> None:
        """Let go of the files, finished or not."""


def format_of(output: Path | None, form: str | None) -> str:
    """Return the format of `output` (None is stdout), which `form` states or its suffix tells.

    Raises:
        InputError: if neither does.
    """
    if output is None:
        if form not in {None, "jsonl"}:
            raise InputError(f"{form} cannot be written to stdout; name a file with --output")
        return "jsonl"
    known = form or output.suffix.lower().lstrip(".")
    known = "jsonl" if known == "ndjson" else known
    if known not in FORMATS:
        raise InputError(f"{output}: cannot tell the format; end its name in .jsonl, .parquet or .npy, or use --to")
    return known


def open_writer(output: Path | None, form: str, reached: int, value: Value) -> Writer:
    """Return the writer for `output` (None is stdout) in the format `form`, going on from `reached`."""
    if output is None:
        return _Stdout()
    if form == "npy":
        return _Npy(output, reached, value)
    return _JsonLines(output, reached) if form == "jsonl" else _Parquet(output, reached, value)


def _json_lines(rows: Iterable[Row]) -> bytes:
    lines = []
    for row in rows:
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row.items()}
        lines.append(json.dumps(plain, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


class _Stdout:
    def append(self, rows: list[Row]) -> int:
        sys.stdout.buffer.write(_json_lines(rows))
        sys.stdout.buffer.flush()
        return 0

    def finish(self) -> None:
        """Nothing to do: the lines are out."""

    def close(self) -> None:
        """Nothing to do: stdout is not ours."""


def _unfit(part: Path) -> InputError:
    return InputError(f"{part} is not what the notes beside it say: it was altered. Use --restart to begin anew")


def _open_part(output: Path, size: int) -> tuple[Path, BinaryIO]:
    """Open `OUTPUT.part` for appending after its first `size` bytes."""
    part = part_of(output)
    if size and (not part.is_file() or part.stat().st_size < size):
        raise _unfit(part)
    part.touch()
    file = part.open("r+b")
    file.truncate(size)
    file.seek(size)
    return part, file


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


class _JsonLines:
    """`reached` is the size in bytes."""

    def __init__(self, output: Path, reached: int) -> None:
        self._output = output
        self._part, self._file = _open_part(output, reached)

    def append(self, rows: list[Row]) -> int:
        self._file.write(_json_lines(rows))
        _settle(self._file)
        return self._file.tell()

    def finish(self) -> None:
        self._file.close()
        self._part.replace(self._output)

    def close(self) -> None:
        self._file.close()


class _Npy:
    """float32 (rows, size), or (rows,) for numbers; `reached` is the size in bytes. The header is written last."""

    _HEADER = 128

    def __init__(self, output: Path, reached: int, value: Value) -> None:
        self._output = output
        self._part, self._file = _open_part(output, reached)
        if not reached:
            self._file.write(bytes(self._HEADER))
        self._value = value

    def append(self, rows: list[Row]) -> int:
        for row in rows:
            self._file.write(np.asarray(row[self._value.key], dtype="<f4").tobytes())
        _settle(self._file)
        return self._file.tell()

    def finish(self) -> None:
        size = self._file.tell() - self._HEADER
        count = size // (4 * (self._value.size or 1))
        shape = (count, self._value.size) if self._value.size else (count,)
        described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        text = described.ljust(self._HEADER - 11) + "\n"
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1"))
        _settle(self._file)
        self._file.close()
        self._part.replace(self._output)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """A folder of part files, joined at the end; `reached` is the number of complete parts.

    Ids are integers if all of them are, else strings.
    """

    def __init__(self, output: Path, reached: int, value: Value) -> None:
        self._output = output
        self._value = value
        self._folder = part_of(output)
        self._folder.mkdir(exist_ok=True)
        self._parts = reached
        files = self._files()
        if [file.name for file in files[:reached]] != [f"{n:09d}.parquet" for n in range(reached)]:
            raise _unfit(self._folder)
        for stray in files[reached:]:
            stray.unlink()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.parquet"))

    def append(self, rows: list[Row]) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        def column(values: list[Any]) -> Any:  # noqa: ANN401 - pyarrow has no types
            if not isinstance(values[0], np.ndarray):
                return pa.array(values)
            return pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(values), pa.float32()), len(values[0]))

        columns = {key: column([row[key] for row in rows]) for key in rows[0] if key != "id"}
        table = pa.table({"id": _ids([row["id"] for row in rows]), **columns})
        with (self._folder / f"{self._parts:09d}.parquet").open("wb") as file:
            pq.write_table(table, file)
            _settle(file)
        self._parts += 1
        return self._parts

    def finish(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        files = self._files()
        kind = pa.list_(pa.float32(), self._value.size) if self._value.size else pa.float64()
        schema = pa.schema([("id", pa.int64()), (self._value.key, kind)])
        for number, file in enumerate(files):
            found = pq.read_schema(file)
            if number == 0 or found.field("id").type == pa.string():
                schema = found
        draft = self._folder / "joined"
        with pq.ParquetWriter(draft, schema) as writer:
            for file in files:
                writer.write_table(pq.read_table(file).cast(schema))
        draft.replace(self._output)
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """Nothing to do: no part stays open."""


def _ids(ids: list[str | int]) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    plain = all(type(each) is int and -(2**63) <= each < 2**63 for each in ids)
    return pa.array(ids, pa.int64()) if plain else pa.array([str(each) for each in ids], pa.string())
