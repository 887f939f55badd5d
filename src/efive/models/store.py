"""Models on this machine: a folder of folders. Only `pull` uses the network."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from efive.errors import InputError, ModelFileError, ModelNotFoundError
from efive.models import checkpoint, family

MANIFEST = "efive.json"
"""Beside a stored model's files: where they came from, their sizes and SHA-256."""
BUNDLED = "bundled"
_BUNDLED_FOLDER = Path(__file__).parent / "bundled"

# What an encoder needs; a hub repository also holds other formats of the same weights.
_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors", "*/config.json", "README.md")
_UNWANTED = ("onnx/*", "openvino/*", "lora/*")
_LONGEST_NAME = 200
"""Bytes: file systems take 255, and some of our files add to it."""
Progress = Callable[[int], None]
"""Called with the number of bytes just done."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One model of the store."""

    name: str
    folder: Path
    source: str
    revision: str
    bytes: int


def default_home() -> Path:
    """Return the folder that holds models and caches: $EFIVE_HOME if that is set, else `~/.efive`."""
    return Path(os.environ.get("EFIVE_HOME") or Path.home() / ".efive")


class ModelStore:
    """The models below `home/models`."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or default_home()
        self.models = self.home / "models"
        self.cache = self.home / "cache"

    def resolve(self, model: str | Path | None) -> Path:
        """Return the folder of a model: a path, a name of this store, or None for the bundled one.

        Raises:
            ModelNotFoundError: with the command that would bring it.
        """
        if model is None or model == BUNDLED:
            if not (_BUNDLED_FOLDER / "config.json").is_file():
                raise ModelNotFoundError("this build of efive has no bundled model; name a model or a folder")
            return _BUNDLED_FOLDER
        name = str(model).removeprefix("intfloat/")
        with contextlib.suppress(OSError, RuntimeError):  # too long, or in the folder of a user that is not there
            path = Path(model).expanduser()
            if path.is_dir():
                return path
            if "/" not in name and (self.models / name).is_dir():
                return self.models / name
        raise ModelNotFoundError(self._advice(str(model), name))

    def _advice(self, given: str, name: str) -> str:
        if name in family.FAMILY:
            return (
                f"{name} is not on this machine. `efive models pull {name}` fetches it; without a network, "
                "`efive models export-bundle` on a machine that has it and `efive models import` here"
            )
        have = ", ".join(folder.name for folder in self._folders()) or "none yet"
        return f"no folder and no stored model is called {given!r}. Stored: {have}. `efive models list` shows all"

    def list(self) -> list[StoredModel]:
        """Return the stored models, by name."""
        return [self._describe(folder) for folder in self._folders()]

    def names(self) -> tuple[str, ...]:
        """Return the names of the stored models, also of those whose manifest is damaged."""
        return tuple(folder.name for folder in self._folders())

    def describe(self, name: str) -> StoredModel:
        """Return what the store knows of one of its models.

        Raises:
            ModelNotFoundError: if there is none of that name.
            ModelFileError: if its manifest is damaged.
        """
        return self._describe(self._stored(name))

    def _folders(self) -> Iterable[Path]:
        if not self.models.is_dir():
            return []
        return sorted(p for p in self.models.iterdir() if (p / MANIFEST).is_file() and not p.name.startswith("."))

    def _describe(self, folder: Path) -> StoredModel:
        manifest = read_manifest(folder)
        size = sum(entry["bytes"] for entry in manifest["files"].values())
        return StoredModel(folder.name, folder, manifest["source"], manifest["revision"], size)

    def pull(
        self,
        name: str,
        *,
        revision: str = "main",
        endpoint: str | None = None,
        sized: Progress | None = None,
    ) -> StoredModel:
        """Fetch a model from the Hugging Face hub (or the mirror at `endpoint`) and check every file.

        A dropped connection is taken up where it broke; after an interrupted pull the same call keeps the files
        that are complete. `revision` is a branch, a tag or a commit; the commit that it meant is recorded. `sized` is
        called with the bytes of all files before the first is fetched; they gather in the folder `incoming`.

        Raises:
            ModelNotFoundError: if the hub has no such model or revision.
            ModelFileError: if a file does not have the hub's checksum.
            InputError: if the store has a model of this name from elsewhere.
            EfiveError: whatever `checkpoint.read` finds wrong in the folder.
        """
        from efive.models.hub import fetch  # noqa: PLC0415 - the only door to the network

        repository = self.repository(name)
        target = repository.split("/")[1]
        self._refuse_taken(target, repository)
        staging = self.incoming(repository, revision)
        commit = fetch(
            repository, revision, staging, endpoint=endpoint, wanted=_WANTED, unwanted=_UNWANTED, sized=sized
        )
        shutil.rmtree(staging / ".cache", ignore_errors=True)  # the hub client's own bookkeeping
        return self.adopt(staging, target, source=repository, revision=commit)

    def repository(self, name: str) -> str:
        """Return the hub's id of a model: of a member of the family by its name, else `name` itself.

        Raises:
            ModelNotFoundError: if it is neither.
        """
        repository = family.FAMILY[name].repository if name in family.FAMILY else name
        if repository.count("/") != 1:
            raise ModelNotFoundError(
                f"{name!r} is neither a family name ({', '.join(family.FAMILY)}) nor an id like owner/model"
            )
        return repository

    def incoming(self, repository: str, revision: str) -> Path:
        """Return the folder in which the files of a pull gather."""
        return self.home / "incoming" / f"{repository.replace('/', '--')}@{revision.replace('/', '--')}"

    def adopt(self, folder: Path, name: str, *, source: str, revision: str) -> StoredModel:
        """Check `folder`, write its manifest, and move it into the store as `name`.

        An older one of the same source is replaced, at once or not at all.

        Raises:
            InputError: if the store has a model of this name from elsewhere.
        """
        self._refuse_taken(check_name(name), source)
        manifest = {
            "source": source,
            "revision": revision,
            "stored": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": describe_files(folder),
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if not checkpoint.read(folder).tokenizer_file.is_file():
            raise ModelFileError(f"{source} has no tokenizer.json, the one tokenizer file that efive reads")
        target, old = self.models / name, self.models / f".{name}.old"
        self.models.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        try:
            folder.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
        return self._describe(target)

    def _refuse_taken(self, name: str, source: str) -> None:
        if not (self.models / name).exists():
            return
        if not (self.models / name / MANIFEST).is_file():
            raise InputError(f"{self.models / name} is there and was not put there by efive; move it away first")
        present = read_manifest(self.models / name)["source"]
        if present != source:
            raise InputError(
                f"the store has a {name} from {present or 'elsewhere'}; `efive models remove {name}` makes room for "
                f"the one from {source}"
            )

    def copy(self, folder: Path, name: str) -> StoredModel:
        """Copy a model folder into the store as `name`."""
        checkpoint.read(folder)
        staging = self.home / "incoming" / f"copy-{check_name(name)}"
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(folder, staging, ignore=shutil.ignore_patterns(MANIFEST, "onnx", "openvino"))
        return self.adopt(staging, name, source=str(folder.resolve()), revision="")

    def verify(self, name: str, progress: Progress | None = None) -> StoredModel:
        """Compare every file of a stored model with its manifest.

        Raises:
            ModelFileError: naming the first file that is missing, altered, or not in the manifest.
        """
        folder = self._stored(name)
        check_files(folder, read_manifest(folder)["files"], progress)
        return self._describe(folder)

    def remove(self, name: str) -> StoredModel:
        """Delete a stored model and return what it was."""
        folder = self._stored(name)
        try:
            described = self._describe(folder)
        except ModelFileError:  # a damaged manifest must not keep its model from being removed
            described = StoredModel(name, folder, "unknown", "", 0)
        shutil.rmtree(folder)
        return described

    def _stored(self, name: str) -> Path:
        folder = self.models / check_name(name)
        if not (folder / MANIFEST).is_file():
            raise ModelNotFoundError(self._advice(name, name))
        return folder


def check_name(name: str) -> str:
    """Return `name` if it can be a folder of the store.

    Raises:
        InputError: for anything that would leave the store.
    """
    if not name or name.startswith(".") or "/" in name or "\\" in name or name == BUNDLED:
        raise InputError(f"{name!r} cannot be a model's name: no slashes, no leading dot, not {BUNDLED!r}")
    if not name.isprintable() or len(name.encode()) > _LONGEST_NAME:
        raise InputError(
            f"{name[:40]!r} cannot be a model's name: {_LONGEST_NAME} bytes at most, all of them printable"
        )
    return name


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a stored model's manifest.

    Raises:
        ModelFileError: if it is no manifest.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        check_manifest(manifest)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{folder / MANIFEST} is no manifest of efive: {error!r}") from None
    return manifest


def check_manifest(manifest: dict[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError unless `manifest` has what every manifest has, of the right types."""
    if not isinstance(manifest["source"], str) or not isinstance(manifest["revision"], str):
        raise TypeError("source and revision must be strings")
    if not isinstance(manifest["files"], dict):
        raise TypeError("files must be an object")
    for relative, entry in manifest["files"].items():
        if type(entry["bytes"]) is not int or entry["bytes"] < 0 or not isinstance(entry["sha256"], str):
            raise ValueError(f"{relative} has no size and SHA-256")


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of every file below `folder`, manifest excepted, by relative path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    return {p.relative_to(folder).as_posix(): {"bytes": p.stat().st_size, "sha256": sha256(p)} for p in files}


def check_files(folder: Path, files: dict[str, dict[str, Any]], progress: Progress | None = None) -> None:
    """Compare `folder` with the `files` of a manifest.

    Raises:
        ModelFileError: naming the first difference.
    """
    for relative, expected in files.items():
        path = folder / relative
        if not path.is_file():
            raise ModelFileError(f"{path} is missing; it is in the manifest")
        size = path.stat().st_size
        if size != expected["bytes"]:
            state = "torn" if size < expected["bytes"] else "oversized"
            raise ModelFileError(f"{path} is {state}: {size} bytes where the manifest has {expected['bytes']}")
        if sha256(path, progress) != expected["sha256"]:
            raise ModelFileError(f"{path} was altered: its SHA-256 is not the manifest's")
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    if extra := sorted(present - set(files)):
        raise ModelFileError(f"{folder / extra[0]} is not in the manifest")


def sha256(path: Path, progress: Progress | None = None) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            if progress:
                progress(len(block))
    return digest.hexdigest()
