"""The only file of efive that uses the network: fetching a model from the Hugging Face hub or a mirror of it."""

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from efive.errors import EfiveError, ModelFileError, ModelNotFoundError
from efive.models.store import sha256


class HubError(EfiveError):
    """The hub could not be reached or did not answer as it should."""

    code = "hub"


def fetch(
    repository: str,
    revision: str,
    folder: Path,
    *,
    endpoint: str | None,
    wanted: tuple[str, ...],
    unwanted: tuple[str, ...],
) -> str:
    """Fetch the files of `repository` that match `wanted` into `folder`, and return the commit they are of.

    Files that an earlier, interrupted fetch completed are kept, a half-fetched one goes on where it stopped.
    The commit is resolved first and pins all files. Every file is compared with the hub's own checksum.

    Raises:
        ModelNotFoundError: if the hub has no such model or revision.
        ModelFileError: if a file arrived altered.
        HubError: if the hub cannot be reached.
    """
    api = HfApi(endpoint=endpoint)
    try:
        info = api.model_info(repository, revision=revision, files_metadata=True)
        commit = str(info.sha)
        sizes = {s.rfilename: s for s in info.siblings or []}
        # Old checkpoints only: where safetensors exist, the pickled copy of the same weights is not fetched.
        pickled = () if any(n.endswith(".safetensors") for n in sizes) else ("pytorch_model*.bin",)
        snapshot_download(
            repository,
            revision=commit,
            local_dir=folder,
            endpoint=endpoint,
            allow_patterns=[*wanted, *pickled],
            ignore_patterns=list(unwanted),
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise ModelNotFoundError(f"the hub has no {repository} at revision {revision!r}") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise HubError(
            f"could not fetch {repository}: {str(error).splitlines()[0]}. Run the same command again to go on; "
            "without a network, use `efive models export-bundle` and `efive models import`"
        ) from error
    for name, entry in sizes.items():
        path = folder / name
        if entry.lfs and path.is_file() and sha256(path) != entry.lfs.sha256:
            path.unlink()
            raise ModelFileError(f"{name} of {repository} arrived altered (SHA-256 differs from the hub's); run again")
    return commit
