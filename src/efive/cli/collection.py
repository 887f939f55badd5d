"""Which collection a command means, and the encoder that goes with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from efive.cli.options import F, load_encoder, store
from efive.errors import InputError

if TYPE_CHECKING:
    from efive.search.collection import Collection
    from efive.search.folder import Settings

DEFAULT = "default"


def collection_option(function: F) -> F:
    """Add --collection."""
    return click.option(
        "--collection",
        "-c",
        "name",
        default=DEFAULT,
        show_default=True,
        envvar="EFIVE_COLLECTION",
        help="A collection's name, or a folder (with a slash in it).",
    )(function)


def path_of(name: str) -> Path:
    """Return the folder of a collection: a path if there is a slash in its name, else one of this machine's."""
    if "/" in name or "\\" in name:
        return Path(name).expanduser()
    if name in {"", ".", ".."}:
        raise InputError(f"{name!r} is no name of a collection; for a folder, write ./{name}")
    return collections_folder() / name


def collections_folder() -> Path:
    """Return the folder in which collections are that have a name only."""
    return store().home / "collections"


def settings(name: str) -> "Settings | None":
    """Return the settings of a collection, or None if there is none of that name."""
    from efive.search.folder import Folder, settings_of

    folder = Folder(path_of(name))
    return settings_of(folder.generation()) if folder.exists else None


@contextmanager
def opened(
    name: str,
    engine: dict[str, Any],
    *,
    create: bool = False,
    encode: bool = True,
    **new: Any,  # noqa: ANN401
) -> Iterator["Collection"]:
    """Open a collection within the block, with the model that made it if the command names none."""
    os.environ.setdefault("LANCE_LOG", "error")  # it warns of conflicts that it then resolves
    from efive.search.collection import Collection

    known = settings(name)
    if known is None and not create:
        encode = False  # the error is the same, and comes sooner
    if not encode:
        with Collection.open(path_of(name), create=create) as collection:
            yield collection
        return
    engine = engine_of(known, engine)
    with (
        load_encoder(**engine) as encoder,
        Collection.open(path_of(name), encoder, create=create, model=model_name(engine["model"]), **new) as collection,
    ):
        yield collection


def engine_of(known: "Settings | None", engine: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an encoder; where they name no model, it is the one of the collection."""
    if known is None or engine["model"] is not None:
        return engine
    precision = known.space.precision if engine["precision"] == "auto" else engine["precision"]
    return engine | {"model": known.model or None, "precision": precision}


def model_name(model: str | None) -> str:
    """Return what to call a model in a collection: a name, an absolute path, or nothing for the bundled one."""
    if model is None:
        return ""
    path = Path(model).expanduser()
    return str(path.resolve()) if path.is_dir() else model
