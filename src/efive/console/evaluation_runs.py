"""Runs of `efive evaluate`, wherever they lie: found, read, and compared."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from efive.console.paths import check_path
from efive.errors import InputError
from efive.evaluation.compare import Comparison, compare
from efive.evaluation.results import MODEL, Run
from efive.server.service import Service

_KIND, _NAME = "console.evaluation", "folders"
_FOLDERS = "console.folders"
_MOST = 500
"""Files of a folder that are looked into."""
_LARGEST = 256 << 20
"""Bytes of a file that could be a run."""


@dataclass(frozen=True, slots=True)
class Found:
    """A run in a list."""

    key: str
    """Names it in addresses."""
    path: Path
    model: str
    created: str
    tasks: int
    failed: int
    main: str
    """The mean of each measure that tasks are judged by."""


_known: dict[Path, tuple[tuple[int, int], Found | None]] = {}
"""What was read before, by size and time of the file."""


def folders(service: Service) -> list[str]:
    """Return the folders in which runs are looked for, beside the console's own."""
    return list(service.state.get(_FOLDERS, _NAME, list[str]) or ())


def add_folder(service: Service, given: str) -> None:
    """Look for runs in a folder of the server too.

    Raises:
        InputError: if it is no folder.
    """
    path = check_path(given)
    if not path.is_dir():
        raise InputError(f"{path} is a file; name the folder that it is in")
    service.state.put(_FOLDERS, _NAME, sorted({*folders(service), str(path)}))


def remove_folder(service: Service, path: str) -> None:
    """Look there no longer; its files stay."""
    service.state.put(_FOLDERS, _NAME, [each for each in folders(service) if each != path])


async def runs(service: Service) -> list[Found]:
    """Return all runs, the latest first."""
    places = [*folders(service)]
    own = service.home.joinpath(*_KIND.split("."))
    return await service.collections.run(lambda: find(own, [Path(place) for place in places]))


def find(own: Path, others: list[Path]) -> list[Found]:
    """Return the runs of the console and those that lie in other folders."""
    paths = [*own.glob("*/run.json")]
    for folder in others:
        paths += sorted(folder.glob("*.json"))[:_MOST]
    found = [one for path in dict.fromkeys(paths) if (one := _look(path))]
    return sorted(found, key=lambda one: one.created, reverse=True)


def _look(path: Path) -> Found | None:
    """Return what a file says of its run, or None if it is no run."""
    try:
        stat = path.stat()
        seen = (stat.st_size, stat.st_mtime_ns)
        if (known := _known.get(path)) and known[0] == seen:
            return known[1]
        found = _described(path) if stat.st_size <= _LARGEST and _looks_like_a_run(path) else None
    except (OSError, InputError):
        return None
    _known[path] = seen, found
    return found


def _looks_like_a_run(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1000).lstrip().startswith(b'{"model"')


def _described(path: Path) -> Found:
    run = Run.read(path)
    scores: dict[str, list[float]] = {}
    for task in run.tasks:
        own = task.systems.get(MODEL)
        if own and task.measures and task.measures[0] in own.scores:
            scores.setdefault(task.measures[0], []).append(own.scores[task.measures[0]])
    main = ", ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in scores.items())
    key = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:16]
    model = run.model.get("name")
    return Found(key, path, str(model or "?"), run.created, len(run.tasks), len(run.failed), main)


async def open_run(service: Service, key: str) -> tuple[Found, Run]:
    """Return a run that the list has.

    Raises:
        InputError: if it is not there any more, or cannot be read.
    """
    found = next((one for one in await runs(service) if one.key == key), None)
    if found is None:
        raise InputError("this run is not there any more; the list has those that are")
    return found, await service.collections.run(lambda: Run.read(found.path))


async def compared(service: Service, first: str, second: str) -> Comparison:
    """Return how the second run differs from the first, and whether that is more than chance.

    Raises:
        InputError: if they cannot be compared.
    """
    if first == second:
        raise InputError("A and B are the same run; choose two")
    before, after = (await open_run(service, first))[1], (await open_run(service, second))[1]
    return await service.collections.run(lambda: compare(before, after))


def dumped(run: Run) -> str:
    """Return how a run was made, as people read it."""
    return json.dumps({"model": run.model, "machine": run.machine, "versions": run.versions}, indent=1, default=str)
