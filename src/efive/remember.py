"""Results that are slow to get and never change, kept as small files between runs."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def remembered(folder: Path, key: Any, compute: Callable[[], str]) -> str:  # noqa: ANN401 - any JSON value
    """Return the note kept in `folder` under `key` (any JSON value), or compute and keep it."""
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    note = folder / f"{digest[:32]}.txt"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return note.read_text(encoding="ascii")
    value = compute()
    # A read-only home costs the next run some seconds, never this one its result.
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        draft = note.with_suffix(f".{os.getpid()}")
        draft.write_text(value, encoding="ascii")
        draft.replace(note)
    return value
