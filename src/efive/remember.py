"""Results that are slow to get and never change, kept as small files between runs."""

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_VERSION = 1
"""Of what the notes mean; another number forgets them all."""
_WHOLE = re.compile(r"[0-9a-f.]+\n")
"""A note is a hash or a number and ends with its line: what is torn or empty is computed again."""


def remembered(folder: Path, key: Any, compute: Callable[[], str]) -> str:  # noqa: ANN401 - any JSON value
    """Return the hash or number kept in `folder` under `key` (any JSON value), or compute and keep it."""
    digest = hashlib.sha256(json.dumps([_VERSION, key]).encode()).hexdigest()
    note = folder / f"{digest[:32]}.txt"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        kept = note.read_text(encoding="ascii")
        if _WHOLE.fullmatch(kept):
            return kept.strip()
    value = compute()
    # A read-only home costs the next run some seconds, never this one its result.
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="ascii") as draft:
            draft.write(value + "\n")
        Path(draft.name).replace(note)
    return value
