"""Air-gapped bundles: one file that carries a model and the checksums of all its files.

A bundle is a zip archive without compression (weights do not compress) whose first entry is the manifest.
"""

import errno
import hashlib
import json
import lzma
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from efive.errors import EfiveError, InputError, ModelFileError
from efive.models import checkpoint
from efive.models.store import MANIFEST, ModelStore, Progress, StoredModel, check_manifest, describe_files

_FORMAT = 1
_BLOCK = 1 << 22
# A damaged archive directory makes zipfile raise whatever it stumbles over: unknown methods, encryption, positions.
_STUMBLES = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, struct.error, OSError
)  # fmt: skip
_FROM_THE_BUNDLE = {errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}


def export_bundle(folder: Path, target: Path, *, source: str, revision: str, progress: Progress | None = None) -> None:
    """Write the model in `folder` as one bundle file.

    Raises:
        InputError: if `target` exists.
        EfiveError: if the folder holds no model that efive reads.
    """
    if target.exists():
        raise InputError(f"{target} exists; name a new file")
    checkpoint.read(folder)
    files = describe_files(folder)
    origin = {"name": folder.resolve().name, "source": source, "revision": revision}
    manifest = {"bundle": _FORMAT, **origin, "files": files}
    draft = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            archive.writestr(MANIFEST, json.dumps(manifest, indent=2) + "\n")
            for relative in files:
                with (folder / relative).open("rb") as file, archive.open(relative, "w", force_zip64=True) as entry:
                    while block := file.read(_BLOCK):
                        entry.write(block)
                        if progress:
                            progress(len(block))
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def import_bundle(
    bundle: Path, store: ModelStore, *, name: str | None = None, progress: Progress | None = None
) -> StoredModel:
    """Check a bundle and put its model into the store, as `name` or under its own name.

    Nothing is stored unless every file has the manifest's size and SHA-256.

    Raises:
        ModelFileError: naming the file that is missing, torn, altered or not in the manifest.
    """
    if not bundle.is_file():
        raise InputError(f"{bundle} does not exist, or is no file")
    try:
        with zipfile.ZipFile(bundle) as archive:
            manifest = _manifest(archive, bundle)
            store.home.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix="import-", dir=store.home))
            try:
                _unpack(archive, manifest["files"], staging, bundle, progress)
                return store.adopt(
                    staging, name or manifest["name"], source=manifest["source"], revision=manifest["revision"]
                )
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except EfiveError:
        raise
    except _STUMBLES as error:
        if isinstance(error, OSError) and error.errno not in _FROM_THE_BUNDLE:
            raise  # a full disk, a read-only home
        raise ModelFileError(f"{bundle} is torn or no bundle of efive: {error}") from None


def _manifest(archive: zipfile.ZipFile, bundle: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
        found, _ = manifest["bundle"], str.strip(manifest["name"])
    except (KeyError, ValueError, TypeError, RecursionError):
        raise ModelFileError(f"{bundle} is no bundle of efive: it has no readable {MANIFEST}") from None
    if found != _FORMAT:
        raise ModelFileError(f"{bundle} has bundle format {found}; this version of efive reads {_FORMAT}")
    try:
        check_manifest(manifest)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelFileError(f"{bundle} has a broken {MANIFEST}: {error!r}") from None
    files = manifest["files"]
    for relative in files:
        path = PurePosixPath(relative)
        plain = path.parts and str(path) == relative and not set(relative) & set("\\:\0")
        if not plain or path.is_absolute() or ".." in path.parts:
            raise ModelFileError(f"{bundle} holds {relative!r}, which would leave the model's folder")
    if extra := sorted(set(archive.namelist()) - set(files) - {MANIFEST}):
        raise ModelFileError(f"{bundle} holds {extra[0]!r}, which its manifest does not list")
    return manifest


def _unpack(
    archive: zipfile.ZipFile,
    files: dict[str, dict[str, Any]],
    target: Path,
    bundle: Path,
    progress: Progress | None,
) -> None:
    for relative, expected in files.items():
        try:
            entry = archive.getinfo(relative)
        except KeyError:
            raise ModelFileError(f"{bundle} lacks {relative}, which its manifest lists") from None
        if entry.file_size != expected["bytes"]:  # before anything is written: an archive may lie about its size
            raise ModelFileError(f"{relative} in {bundle} has {entry.file_size} bytes, not {expected['bytes']}")
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with archive.open(entry) as incoming, path.open("wb") as file:
            while block := incoming.read(_BLOCK):
                digest.update(block)
                file.write(block)
                if progress:
                    progress(len(block))
        if digest.hexdigest() != expected["sha256"]:
            raise ModelFileError(f"{relative} in {bundle} was altered: its SHA-256 is not the manifest's")
