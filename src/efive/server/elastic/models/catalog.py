"""Trained models by id: those that were put here, and those that the store has from elsewhere."""

import fnmatch
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from efive.deployments.state import State
from efive.errors import EfiveError
from efive.models import checkpoint
from efive.models.store import BUNDLED, ModelStore
from efive.server.elastic.errors import missing
from efive.server.elastic.models import configs

_MODEL, _ALIAS = "elastic-model", "elastic-alias"
_VARIANT = "_linux-x86_64"
_FAMILY = "multilingual-e5-small"


class Model(msgspec.Struct, frozen=True):
    """A trained model that was put through this API."""

    config: dict[str, Any]
    created: int
    """Milliseconds since 1970."""
    stored: str = ""
    """What the store calls it, once it is there."""
    package: str = ""
    """For packaged models, their id in the repository."""


class Catalog:
    """What models there are. Small reads of the disk: may be used on the event loop."""

    def __init__(self, store: ModelStore, state: State) -> None:
        self.store = store
        self._state = state
        self._models = state.all(_MODEL, Model)
        self._aliases = state.all(_ALIAS, str)
        self._described: dict[Path, tuple[float, Model]] = {}

    def put(self, model_id: str, model: Model) -> None:
        """Remember a model."""
        self._state.put(_MODEL, model_id, model)
        self._models[model_id] = model

    def remove(self, model_id: str) -> None:
        """Forget a model and its aliases."""
        self._state.remove(_MODEL, model_id)
        self._models.pop(model_id, None)
        for alias in [name for name, target in self._aliases.items() if target == model_id]:
            self.remove_alias(alias)

    def own(self, model_id: str) -> Model | None:
        """Return a model that was put through this API."""
        return self._models.get(model_id)

    def has(self, model_id: str) -> bool:
        """Say whether there is a model of this id."""
        return model_id in self._models or model_id in self._elsewhere()

    def get(self, model_id: str) -> Model:
        """Return a model.

        Raises:
            ElasticError: if there is none.
        """
        found = self._models.get(model_id) or self._of_store(model_id)
        if found is None:
            raise missing(f"No known trained model with model_id [{model_id}]")
        return found

    def ids(self) -> list[str]:
        """Return the ids of all models, in order."""
        return sorted({*self._models, *self._elsewhere()})

    def matching(self, expression: str | None, *, allow_no_match: bool) -> list[str]:
        """Return the ids that an id, a list of them, a wildcard or an alias means.

        Raises:
            ElasticError: if an exact id is not there, or nothing matches and something must.
        """
        known, found = self.ids(), set[str]()
        for part in (expression or "_all").split(","):
            if part in {"_all", "*", ""}:
                found.update(known)
            elif "*" in part:
                matched = {each for each in known if fnmatch.fnmatchcase(each, part)}
                matched |= {model for alias, model in self._aliases.items() if fnmatch.fnmatchcase(alias, part)}
                if not matched and not allow_no_match:
                    raise missing(f"No known trained model with model_id [{part}]")
                found |= matched
            else:
                model_id = self._aliases.get(part, part)
                if model_id not in known:
                    raise missing(f"No known trained model with model_id [{part}]")
                found.add(model_id)
        if not found and not allow_no_match:
            raise missing(f"No known trained model with model_id [{expression}]")
        return sorted(found)

    def stored_as(self, model_id: str) -> str:
        """Return what the store calls a model."""
        return self.get(model_id).stored or name_in_store(model_id)

    def in_store(self, name: str) -> bool:
        """Say whether the store has a model."""
        return name == BUNDLED or (self.store.models / name / "config.json").is_file()

    # -- aliases -------------------------------------------------------------------------------------------------

    def aliases(self, model_id: str | None = None) -> dict[str, str]:
        """Return the aliases, all or those of one model, each with its model."""
        return {name: model for name, model in self._aliases.items() if model_id in {None, model}}

    def meant(self, name: str) -> str:
        """Return the model id that a name means: an alias's, else itself."""
        return self._aliases.get(name, name)

    def put_alias(self, alias: str, model_id: str) -> None:
        """Let a name mean a model."""
        self._state.put(_ALIAS, alias, model_id)
        self._aliases[alias] = model_id

    def remove_alias(self, alias: str) -> None:
        """Forget an alias."""
        self._state.remove(_ALIAS, alias)
        self._aliases.pop(alias, None)

    # -- the store -----------------------------------------------------------------------------------------------

    def _elsewhere(self) -> Iterable[str]:
        """Return the store's models that are none of ours: pulled, imported, bundled."""
        taken = {model.stored for model in self._models.values() if not model.package}
        names = [path.name for path in self.store.models.iterdir()] if self.store.models.is_dir() else []
        known = [name for name in names if not name.startswith(".") and self.in_store(name) and name not in taken]
        return [BUNDLED, *known]

    def _of_store(self, name: str) -> Model | None:
        if name not in self._elsewhere():
            return None
        folder = self.store.resolve(name)
        changed = (folder / "config.json").stat().st_mtime
        known = self._described.get(folder)
        if known is None or known[0] != changed:
            try:
                config = configs.of_checkpoint(name, checkpoint.read(folder))
            except EfiveError as error:
                config = {"description": f"cannot be read: {error}", "model_type": "pytorch", "tags": []}
            known = self._described[folder] = changed, Model(config, int(1000 * changed), name)
        return known[1]


def name_in_store(model_id: str) -> str:
    """Return what the store calls a model: without its leading dot; both variants of a packaged one are one there."""
    if not model_id.startswith("."):
        return model_id
    name = model_id.removeprefix(".")
    return name.removesuffix(_VARIANT) or name


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return int(1000 * time.time())


def optimised(model_id: str) -> bool:
    """Say whether an id is a packaged model's variant for one platform."""
    return model_id.startswith(".") and model_id.endswith(_VARIANT)


def builtin(model_id: str, described: Model) -> dict[str, Any]:
    """Return the configuration of a packaged model whose files the store has already."""
    config = dict(described.config)
    config["description"] = (
        f"{name_in_store(model_id)}, {'optimised for linux-x86_64' if optimised(model_id) else 'portable'}"
    )
    if optimised(model_id):
        config["platform_architecture"] = "linux-x86_64"
    return config
