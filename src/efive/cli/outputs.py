"""Writing rows so that a run can stop anywhere and go on: JSONL, Parquet and .npy.

A writer appends to `OUTPUT.part` and says after each block how far it came; `Journal` keeps that beside it,
with the run's own description. Whatever was written after the last note is cut off when the run goes on.
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


def open_writer(output: Path | None, form: str | None, reached: int, value: Value) -> Writer:
    """Return the writer for `output` (None is stdout), going on from `reached`."""
    if output is None:
        if form not in {None, "jsonl"}:
            raise InputError(f"{form} cannot be written to stdout; name a file with --output")
        return _Stdout()
    known = form or output.suffix.lower().lstrip(".")
    if known not in FORMATS:
        raise InputError(f"{output}: cannot tell the format; use .jsonl, .parquet or .npy, or --to")
    if known == "npy":
        return _Npy(output, reached, value)
    return _JsonLines(output, reached) if known == "jsonl" else _Parquet(output, reached)


class Journal:
    """How far a run came, kept in `OUTPUT.progress.json` from block to block."""

    def __init__(self, output: Path, run: dict[str, Any]) -> None:
        self._file = output.with_name(output.name + ".progress.json")
        self._run = run
        self.records = 0
        """Records done."""
        self.reached = 0
        """How far the writer came."""

    def resume(self) -> None:
        """Take up an earlier run's notes, if there are any.

        Raises:
            InputError: if they are of a run with other input or options.
        """
        try:
            noted = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except ValueError:
            raise InputError(f"{self._file} is damaged; delete it to begin anew") from None
        if changed := [key for key, value in self._run.items() if noted["run"].get(key) != value]:
            raise InputError(
                f"{self._file} is of a run with another {', '.join(changed)}; "
                "delete it, or use --restart, to begin anew"
            )
        self.records, self.reached = noted["records"], noted["reached"]

    def note(self, records: int, reached: int) -> None:
        """Note that `records` more records are safe on disk."""
        self.records += records
        self.reached = reached
        state = {"run": self._run, "records": self.records, "reached": self.reached}
        draft = self._file.with_suffix(".tmp")
        draft.write_text(json.dumps(state), encoding="utf-8")
        draft.replace(self._file)

    def clear(self) -> None:
        """Forget the notes."""
        self._file.unlink(missing_ok=True)


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


def _open_part(output: Path, size: int) -> tuple[Path, BinaryIO]:
    """Open `OUTPUT.part` for appending after its first `size` bytes."""
    part = output.with_name(output.name + ".part")
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


class _Npy:
    """float32 (rows, size), or (rows,) for numbers; `reached` is the size in bytes. The header is written last."""

    _HEADER = 128

    def __init__(self, output: Path, reached: int, value: Value) -> None:
        self._output = output
        self._part, self._file = _open_part(output, max(reached, self._HEADER))
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
        self._file.close()
        self._part.replace(self._output)


class _Parquet:
    """A folder of part files, joined at the end; `reached` is the number of complete parts."""

    def __init__(self, output: Path, reached: int) -> None:
        self._output = output
        self._folder = output.with_name(output.name + ".part")
        self._folder.mkdir(exist_ok=True)
        self._parts = reached
        for stray in self._files()[reached:]:
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

        columns = {key: column([row[key] for row in rows]) for key in rows[0]}
        pq.write_table(pa.table(columns), self._folder / f"{self._parts:09d}.parquet")
        self._parts += 1
        return self._parts

    def finish(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        files = self._files()
        draft = self._folder / "joined"
        schema = pq.read_schema(files[0]) if files else pa.schema([])
        with pq.ParquetWriter(draft, schema) as writer:
            for file in files:
                writer.write_table(pq.read_table(file))
        draft.replace(self._output)
        shutil.rmtree(self._folder)
