"""The only file of efive that uses the network: fetching a model from the Hugging Face hub or a mirror of it."""

import glob
import hashlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoSibling

from efive.errors import HubError, ModelFileError, ModelNotFoundError
from efive.models.store import sha256

# Else the client asks huggingface.co for things of its own, even where a mirror is named, and reports the environment.
constants.HF_HUB_DISABLE_TELEMETRY = True


def fetch(
    repository: str,
    revision: str,
    folder: Path,
    *,
    endpoint: str | None,
    wanted: tuple[str, ...],
    unwanted: tuple[str, ...],
    sized: Callable[[int], None] | None = None,
) -> str:
    """Fetch the files of `repository` that match `wanted` into `folder`, and return the commit they are of.

    `sized` is called with the bytes of all those files before the first is fetched. Files that an earlier, interrupted
    fetch completed are kept; a connection that drops is taken up where it broke. The commit is resolved first and pins
    all files. Every file is compared with the hub's own checksum.

    Raises:
        ModelNotFoundError: if the hub has no such model or revision.
        ModelFileError: if a file arrived altered.
        HubError: if the hub cannot be reached.
    """
    api = HfApi(endpoint=endpoint)
    try:
        info = api.model_info(repository, revision=revision, files_metadata=True)
        commit = str(info.sha)
        listed = {s.rfilename: s for s in info.siblings or []}
        # Old checkpoints only: where safetensors exist, the pickled copy of the same weights is not fetched.
        pickled = () if any("/" not in n and n.endswith(".safetensors") for n in listed) else ("pytorch_model*.bin",)
        expected = {
            n for n in listed if _matches(n, (*wanted, *pickled)) and not _matches(n, (*unwanted, "/*", "*..*"))
        }
        if sized is not None:
            sized(sum(listed[name].size or 0 for name in expected))
        folder.mkdir(parents=True, exist_ok=True)
        snapshot_download(
            repository,
            revision=commit,
            local_dir=folder,
            endpoint=endpoint,
            allow_patterns=[glob.escape(name) for name in sorted(expected)],
        )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelNotFoundError(f"the hub has no {repository} at revision {revision!r}") from error
    except Exception as error:  # the client raises the errors of its HTTP library, another one in each major version
        raise HubError(
            f"could not fetch {repository}: {(str(error).splitlines() or [repr(error)])[0]}. Run the same command "
            "again to go on; without a network, use `efive models export-bundle` and `efive models import`"
        ) from error
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        relative = path.relative_to(folder)
        if relative.parts[0] != ".cache" and relative.as_posix() not in expected:
            path.unlink()  # of another commit, which an earlier, interrupted fetch had begun
    for name in sorted(expected):
        _check(folder / name, listed[name], f"{name} of {repository}")
    return commit


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check(path: Path, entry: RepoSibling, name: str) -> None:
    if not path.is_file():  # the client may return what it has when the hub stops answering halfway
        raise HubError(f"{name} did not arrive; run the same command again to go on")
    if entry.lfs:
        intact = sha256(path) == entry.lfs.sha256
    else:  # a small file: git's own checksum
        content = path.read_bytes()
        digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        intact = entry.blob_id in {None, digest}
    if not intact:
        path.unlink()
        raise ModelFileError(f"{name} arrived altered (its checksum is not the hub's); run again")
