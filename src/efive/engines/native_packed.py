"""Packed weights kept as files, which the processes of a machine map and share."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.engines.native_import import extension

Bytes = npt.NDArray[np.uint8]

_HEADER = 4096
"""Bytes before the weights: one line of JSON, and a page, so that the weights are aligned."""
_KEPT = 8
"""Files of a folder; the least recently used go."""


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One model's weights, packed for one precision and instruction set."""

    path: Path
    key: str
    """Of the weights and all that decides how they are packed: another one, and the file is written again."""

    def read(self) -> Bytes | None:
        """Map the weights; None where there is no file, another key's, or one that is not whole."""
        try:
            mapped = np.memmap(self.path, dtype=np.uint8, mode="r")
            weights: Bytes = mapped[_HEADER:]
            if mapped[:_HEADER].tobytes() != self._header(weights):
                return None
        except (OSError, ValueError):
            return None
        with contextlib.suppress(OSError):  # what was read last is kept longest
            os.utime(self.path)
        return weights

    def write(self, weights: Bytes) -> None:
        """Keep the weights, in one step. A disk that is full or read only costs the next start, not this one."""
        draft = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, delete=False) as file:
                draft = Path(file.name)
                file.write(self._header(weights))
                file.write(weights.data)
            draft.replace(self.path)
            _prune(self.path.parent)
        except OSError:
            if draft is not None:
                draft.unlink(missing_ok=True)

    def _header(self, weights: Bytes) -> bytes:
        content = {"key": self.key, "bytes": weights.size, "checksum": extension.checksum(weights)}
        return (json.dumps(content) + "\n").encode().ljust(_HEADER)


def packed_file(folder: Path, weights: Callable[[], str], how: list[Any]) -> PackedFile | None:
    """Return where weights packed `how` (any JSON values) lie in the cache `folder`.

    None where nothing is kept and nothing can be: hashing the weights would be for nothing.

    Args:
        folder: the caches of this machine.
        weights: returns the hash of the weights.
        how: what else decides the packed bytes, besides the extension itself.
    """
    packed = folder / "packed"
    existing = next(parent for parent in (packed, *packed.parents) if parent.exists())
    if existing != packed and not os.access(existing, os.W_OK):
        return None
    name = hashlib.sha256(json.dumps([weights(), *how]).encode()).hexdigest()[:32]
    build = hashlib.sha256(Path(extension.__file__).read_bytes()).hexdigest()
    return PackedFile(packed / f"{name}.bin", f"{name} {build}")


def _prune(folder: Path) -> None:
    """Remove the least recently used files; who has mapped one keeps what it mapped."""
    files = sorted(folder.glob("*.bin"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[_KEPT:]:
        file.unlink(missing_ok=True)
