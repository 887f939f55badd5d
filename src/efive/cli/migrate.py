"""`efive migrate`: another model for a collection."""

from contextlib import closing
from typing import Any

import click

from efive.cli.collection import model_name, path_of
from efive.cli.options import encoder_options, load_encoder, progress_bar


@click.command("migrate")
@click.argument("name", metavar="COLLECTION")
@click.option("--window", type=click.IntRange(min=8), help="Tokens of a passage.  [default: the model's]")
@click.option("--overlap", type=click.IntRange(min=0), help="Tokens that passages share.  [default: a quarter]")
@click.option(
    "--vectors",
    type=click.Choice(["float32", "float16", "int8", "binary"]),
    default="float16",
    show_default=True,
    help="How vectors are kept.",
)
@encoder_options
def command(name: str, window: int | None, overlap: int | None, vectors: str, **engine: Any) -> None:  # noqa: ANN401
    """Embed a collection anew: with another model, other windows, other vectors.

    The new passages are made beside the old ones, which are searched meanwhile; at the end the collection changes
    over in one step. Interrupted, the same command goes on where it stopped.
    """
    from efive.search.collection import Collection, Wanted
    from efive.search.lance.codec import Vectors
    from efive.search.migration import migrate

    path = path_of(name)
    wanted = Wanted(window, overlap, Vectors(vectors), model_name(engine["model"]))
    with closing(load_encoder(**engine)) as encoder:
        with progress_bar(None, unit=" documents") as bar:
            migrate(path, encoder, wanted, progress=bar.update)
        with Collection.open(path, encoder) as collection:
            collection.calibrate()
            documents = collection.stats().documents
        click.echo(f"efive: {documents} documents of {name} are in {encoder.space.fingerprint} now", err=True)
