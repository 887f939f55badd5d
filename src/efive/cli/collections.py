"""`efive collections`: what is indexed on this machine."""

import json
from pathlib import Path
from typing import Any

import click

from efive.cli.collection import collection_option, collections_folder, opened, path_of
from efive.cli.options import encoder_options, progress_bar
from efive.errors import CollectionNotFoundError, EfiveError, InputError


@click.group("collections")
def command() -> None:
    """List, look into, tidy, export and remove collections."""


@command.command("list")
def list_() -> None:
    """List this machine's collections: name, documents, passages, size, space."""
    from efive.search.collection import Collection

    folder = collections_folder()
    names = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    for name in names:
        try:
            with Collection.open(path_of(name), create=False) as collection:
                stats = collection.stats()
            size = f"{stats.documents} documents, {stats.passages} passages, {stats.bytes / 1e6:.1f} MB"
            click.echo(f"{name}\t{size}, {stats.space.fingerprint}")
        except EfiveError as error:
            click.echo(f"{name}\t{error}")
    if not names:
        click.echo("efive: no collections yet; `efive index PATH` makes one", err=True)


@command.command()
@collection_option
def show(name: str) -> None:
    """Show a collection as JSON: how much it holds, its space, its windows, how it is calibrated."""
    with opened(name, {}, encode=False) as collection:
        stats = collection.stats()
    shown = {
        "path": str(path_of(name)),
        "documents": stats.documents,
        "passages": stats.passages,
        "bytes": stats.bytes,
        "window": stats.window,
        "overlap": stats.overlap,
        "vectors": stats.vectors,
        "space": stats.space.to_dict(),
        "calibration": stats.calibration.to_dict() if stats.calibration else None,
    }
    click.echo(json.dumps(shown, ensure_ascii=False, indent=1))


@command.command()
@click.argument("ids", nargs=-1, required=True)
@collection_option
def get(ids: tuple[str, ...], name: str) -> None:
    """Print documents as JSON lines: id, text, metadata."""
    with opened(name, {}, encode=False) as collection:
        found = collection.get(ids)
    for document in found:
        click.echo(json.dumps(_plain(document), ensure_ascii=False))
    if missing := set(ids) - {document.id for document in found}:
        raise CollectionNotFoundError(f"not in the collection: {', '.join(sorted(missing))}")


@command.command()
@click.argument("ids", nargs=-1)
@click.option("--where", help="Remove the documents that this holds for.")
@collection_option
def delete(ids: tuple[str, ...], where: str | None, name: str) -> None:
    """Remove documents by their ids or by a condition."""
    with opened(name, {}, encode=False) as collection:
        count = collection.delete(ids or None, where=where)
    click.echo(f"efive: {count} documents removed from {name}", err=True)


@command.command()
@collection_option
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True, help=".jsonl, .parquet")
@click.option("--with-vectors", is_flag=True, help="Each passage with its vector too.")
def export(name: str, output: Path, with_vectors: bool) -> None:  # noqa: FBT001
    """Write all documents to a JSONL or Parquet file, which `efive index` reads again."""
    with opened(name, {}, encode=False) as collection, progress_bar(None, unit=" documents") as bar:
        bar.total = collection.stats().documents
        count = collection.export(output, vectors=with_vectors, progress=bar.update)
    click.echo(f"efive: {count} documents in {output}", err=True)


@command.command()
@collection_option
@encoder_options
def calibrate(name: str, **engine: Any) -> None:  # noqa: ANN401
    """Measure what scores mean in a collection, for confidences."""
    with opened(name, engine) as collection:
        collection.calibrate()
        found = collection.stats().calibration
    click.echo(f"efive: {name}: {found.describe() if found else 'too few documents to calibrate'}", err=True)


@command.command()
@collection_option
@encoder_options
def rebuild(name: str, **engine: Any) -> None:  # noqa: ANN401
    """Merge files, bring all indices up to date, calibrate anew. Searching works meanwhile."""
    with opened(name, engine) as collection:
        collection.rebuild()
        click.echo(f"efive: {name}: {collection.stats().passages} passages in order", err=True)


@command.command()
@collection_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:  # noqa: FBT001
    """Remove a whole collection."""
    from efive.search.folder import Folder

    folder = Folder(path_of(name))
    if not folder.exists:
        raise CollectionNotFoundError(f"there is no collection at {folder.path}")
    if not yes and not click.confirm(f"Remove the collection in {folder.path} with all its documents?"):
        raise InputError("nothing removed")
    folder.remove()
    click.echo(f"efive: {name} removed", err=True)


def _plain(document: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}
