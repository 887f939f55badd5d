"""Models that `efive import-model` uploads: our own bundles, whose weights need nobody to read them."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from efive.errors import EfiveError, ModelError
from efive.models import bundles, checkpoint
from efive.models.checkpoint import Checkpoint
from efive.models.store import MANIFEST, ModelStore
from efive.server.elastic.errors import illegal
from efive.server.elastic.models import configs
from efive.server.elastic.models.adopting import Wanted, source_of

_MARK = "efive_definition"
"""In `metadata`: what the definition is, where it is no TorchScript."""
_BUNDLE = "bundle"


def configuration(model_id: str, model: Checkpoint) -> dict[str, Any]:
    """Return the body of PUT for a model that is uploaded as a bundle."""
    return configs.of_checkpoint(model_id, model) | {"metadata": {_MARK: _BUNDLE}}


def is_bundle(config: Mapping[str, Any]) -> bool:
    """Say whether a model's definition is a bundle."""
    return bool(config.get("metadata", {}).get(_MARK) == _BUNDLE)


def adopt(store: ModelStore, wanted: Wanted, bundle: Path) -> None:
    """Check a bundle and put its model into the store.

    Raises:
        ElasticError: if it is none, or its model is another than its configuration says.
    """
    try:
        _check(wanted, bundle)
        folder = bundles.import_bundle(bundle, store, name=wanted.name).folder
        read = checkpoint.read(folder)
        told = configs.of_checkpoint(wanted.model_id, read)
        if any(told[name] != wanted.config.get(name) for name in ("inference_config", "prefix_strings")):
            store.remove(wanted.name)
            raise ModelError("its model has other prefixes or sizes than the configuration says")
    except EfiveError as error:
        raise illegal(f"the definition of [{wanted.model_id}] cannot be taken over: {error}") from error


def _check(wanted: Wanted, bundle: Path) -> None:
    """Refuse bundles that would count as somebody else's, and weights that are more than numbers."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > bundle.stat().st_size:  # ours are not compressed
                raise ModelError(f"its bundle has {bundle.stat().st_size} bytes and would unpack to {unpacked}")
            source = json.loads(archive.read(MANIFEST))["source"]
            pickled = [name for name in archive.namelist() if name.endswith((".bin", ".pt", ".pkl"))]
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, RuntimeError, OSError) as error:
        raise ModelError(f"it is no bundle of efive: {error}") from None
    if source != source_of(wanted.model_id):
        raise ModelError(f"its bundle was made for {source!r}, not for {source_of(wanted.model_id)!r}")
    if pickled:
        raise ModelError(f"its bundle has {pickled[0]}; weights are taken as safetensors only")
