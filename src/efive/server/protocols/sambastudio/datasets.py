"""Training data on the server: folders below HOME/samba/datasets, uploaded file by file or put there by hand."""

import shutil
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from efive.errors import DeploymentError, InputError
from efive.server.http import NoRouteError, answer, read, service_of
from efive.server.jobs import ENDED, Jobs
from efive.server.protocols.sambastudio.endpoints import check_name
from efive.server.service import Service

_FILES = ("passages.jsonl", "train.jsonl")
_LONGEST = 1000
"""Characters of a path."""


def root(service: Service) -> Path:
    """Return the folder that all training data lies in."""
    return service.home / "samba" / "datasets"


def locate(service: Service, given: str) -> Path:
    """Return the folder that a training job means, as PROJECT/NAME or as any path below the folder of all data.

    Raises:
        InputError: if it would lead elsewhere, or is not there.
    """
    allowed = root(service).resolve()
    try:
        if len(given) > _LONGEST:  # what a system says of it depends on what is there already
            raise ValueError(given)
        folder = (allowed / given).resolve()
        there = folder.is_dir()
    except (OSError, ValueError):
        raise InputError(f"{given[:100]!r} cannot be a folder's name") from None
    if folder == allowed or not folder.is_relative_to(allowed):
        raise InputError(f"{given!r} is not below {allowed}: training reads nothing else on this machine")
    if not there:
        raise InputError(f"there is no training data {given!r}; upload its files, or put them into {folder}")
    return folder


def _folder(request: Request) -> Path:
    project = check_name(request.path_params["project"], "a project")
    return root(service_of(request)) / project / check_name(request.path_params["dataset"], "a data set")


async def upload(request: Request) -> Response:
    """Keep a body as a file of a data set, in place of the one before."""
    name, folder, body = request.path_params["file"], _folder(request), await read(request)
    if name not in _FILES:
        raise InputError(f"{name!r} is no file of a data set; there is {' and '.join(_FILES)}")
    _refuse_used(request, folder)
    await service_of(request).collections.run(lambda: _write(folder / name, body))
    return answer({"file": name, "bytes": len(body)}, 201)


def _refuse_used(request: Request, folder: Path) -> None:
    """Keep data as it is while somebody trains on it."""
    jobs: Jobs[Any] = request.app.state.training
    for job in jobs.all():
        if job.phase not in ENDED and root(service_of(request)) / job.data == folder:
            raise DeploymentError(f"job {job.id} trains on {job.data}; cancel it first, or wait for its end")


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_bytes(body)
    draft.replace(path)


async def show_all(request: Request) -> Response:
    """List a project's data sets."""
    project = check_name(request.path_params["project"], "a project")
    folders = sorted((root(service_of(request)) / project).glob("*"))
    found = [{"name": folder.name, "files": _sizes(folder)} for folder in folders if folder.is_dir()]
    return answer({"datasets": found})


def _sizes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.suffix == ".jsonl"}


async def delete(request: Request) -> Response:
    """Delete a data set."""
    folder = _folder(request)
    if not folder.is_dir():
        raise NoRouteError(f"there is no data set {folder.name!r} here", 404)
    _refuse_used(request, folder)
    await service_of(request).collections.run(lambda: shutil.rmtree(folder))
    return answer({"deleted": folder.name})
