"""`efive index`: files and folders into a collection."""

import time
from typing import Any

import click

from efive.cli.collection import collection_option, opened
from efive.cli.options import encoder_options, progress_bar

_NAMED = 20


@click.command("index")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@collection_option
@click.option("--as", "kind", help="Read every file as this kind: text, markdown, jsonl …  [default: by its name]")
@click.option(
    "--text", "text_field", help="Field or column of records that holds the text.  [default: the usual names]"
)
@click.option("--id", "id_field", help="Field or column of records that holds the id.  [default: id, _id]")
@click.option(
    "--window", type=click.IntRange(min=8), help="New collections: tokens of a passage.  [default: the model's]"
)
@click.option("--overlap", type=click.IntRange(min=0), help="New collections: tokens shared.  [default: a quarter]")
@click.option(
    "--vectors",
    type=click.Choice(["float32", "float16", "int8", "binary"]),
    default="float16",
    show_default=True,
    help="New collections: how vectors are kept.",
)
@encoder_options
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    paths: tuple[str, ...],
    name: str,
    kind: str | None,
    text_field: str | None,
    id_field: str | None,
    window: int | None,
    overlap: int | None,
    vectors: str,
    **engine: Any,  # noqa: ANN401
) -> None:
    """Index files and folders, so that `efive search` finds them.

    Reads text, Markdown, reStructuredText, HTML, PDF, source code, JSONL, CSV and Parquet; `-` is standard input.
    In folders, hidden files and what .gitignore and .efiveignore exclude are left out. Given again, the same
    command embeds only what has changed and removes what is gone; interrupted, it goes on where it stopped.
    """
    from efive.search.indexing import Watcher, index
    from efive.search.readers.choice import check_kind
    from efive.search.readers.files import Options

    options = Options(kind and check_kind(kind), text_field, id_field, notice=_say)
    told = _Told()
    began = time.monotonic()
    new: dict[str, Any] = {"window": window, "overlap": overlap, "vectors": vectors}
    with opened(name, engine, create=True, **new) as collection:
        try:
            with progress_bar(None, unit=" documents") as bar:
                done = index(collection, paths, Watcher(told.skipped, safe=bar.update), options)
        except KeyboardInterrupt:
            click.echo("efive: interrupted; what was done is stored, the same command goes on from there", err=True)
            raise
        told.finish()
        _settle(collection, done.documents.new)
        added = done.documents
        changes = [f"{added.new} new or changed", f"{added.unchanged} unchanged"]
        changes += [f"{added.metadata} with new metadata"] if added.metadata else []
        changes += [f"{done.removed} removed"] if done.removed else []
        changes += [f"{done.skipped} files skipped"] if done.skipped else []
        changes += [f"{added.refused} refused"] if added.refused else []
        took = f"{added.passages} passages embedded in {time.monotonic() - began:.1f} s"
        click.echo(f"efive: {', '.join(changes)}; {took}; collection {name}", err=True)


def _settle(collection: Any, new: int) -> None:  # noqa: ANN401
    """Build what makes search fast, and calibrate where enough has changed."""
    from efive.search.collection import Collection

    assert isinstance(collection, Collection)
    if not new:
        return
    collection.maintain()
    collection.calibrate_if_grown()


def _say(what: str) -> None:
    click.echo(f"efive: {what}", err=True)


class _Told:
    """Names what is skipped, the first of them."""

    def __init__(self) -> None:
        self._count = 0

    def skipped(self, what: str) -> None:
        """Say what is left out."""
        self._count += 1
        if self._count <= _NAMED:
            _say(f"skipped {what}")

    def finish(self) -> None:
        """Say how many were not named."""
        if self._count > _NAMED:
            _say(f"skipped {self._count - _NAMED} more")
