"""What long runs share: where they write, who owns a folder, and who watches."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from efive.errors import InputError

Watch = Callable[[str, int | None, int], AbstractContextManager[Callable[[int], object]]]
"""Called with what begins, its number of steps (None: not known) and those done before; told of each step done."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a long run writes."""

    output: Path
    work: Path | None = None
    """Where vectors are kept for later runs; None keeps them beside the output until the run is complete."""
    restart: bool = False
    """Begin anew, and replace what is in `output`."""


@contextmanager
def unwatched(_what: str, _total: int | None, _done: int) -> Iterator[Callable[[int], object]]:
    """Watch nothing."""
    yield lambda _steps: None


def digest(described: dict[str, Any]) -> str:
    """Return a short name for JSON values, to name files after what they hold."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def claim(note: Path, run: dict[str, Any], *, restart: bool) -> None:
    """Take up the run that `note` describes, or write the note and begin; `restart` always begins.

    Raises:
        InputError: if the note is of another run, or damaged.
    """
    if note.exists() and not restart:
        try:
            before = dict(json.loads(note.read_text(encoding="utf-8"))["run"])
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{note} is damaged; use --restart to begin anew") from None
        if changed := [key for key in run if before.get(key) != run[key]]:
            listed = ", ".join(f"{key} (was {before.get(key)}, is {run[key]})" for key in changed)
            raise InputError(
                f"{note} is of a run with another {listed}. Give the command as it was to go on, name another "
                "--output, or use --restart to begin anew"
            )
        return
    write_note(note, {"run": run})


def write_note(note: Path, values: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the old note or the new one, never half of one."""
    draft = note.with_name(note.name + ".tmp")
    draft.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    draft.replace(note)
