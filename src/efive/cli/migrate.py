"""`efive migrate`: another model for a collection."""

from contextlib import closing
from typing import Any

import click

from efive.cli.collection import engine_of, model_name, path_of, settings
from efive.cli.options import encoder_options, load_encoder, progress_bar


@click.command("migrate")
@click.argument("name", metavar="COLLECTION")
@click.option("--window", type=click.IntRange(min=8), help="Tokens of a passage.  [default: the new model's]")
@click.option("--overlap", type=click.IntRange(min=0), help="Tokens that passages share.  [default: a quarter]")
@click.option(
    "--vectors",
    type=click.Choice(["float32", "float16", "int8", "binary"]),
    help="How vectors are kept.  [default: as they are]",
)
@encoder_options
def command(name: str, window: int | None, overlap: int | None, vectors: str | None, **engine: Any) -> None:  # noqa: ANN401
    """Embed a collection anew: with another model, other windows, other vectors.

    The new passages are made beside the old ones, which are searched meanwhile; at the end the collection changes
    over in one step. Interrupted, the same command goes on where it stopped. Without --model, the model stays, and
    windows stay as they are.
    """
    from efive.search.collection import Collection
    from efive.search.lance.codec import Vectors
    from efive.search.migration import migrate
    from efive.search.wanted import Wanted

    path = path_of(name)
    if known := settings(name):
        if engine["model"] is None and window is None:
            window, overlap = known.shape.window, known.shape.overlap if overlap is None else overlap
        vectors = vectors or known.vectors
    engine = engine_of(known, engine)
    wanted = Wanted(window, overlap, Vectors(vectors or Vectors.FLOAT16), model_name(engine["model"]))
    with closing(load_encoder(**engine)) as encoder:
        with progress_bar(None, unit=" documents") as bar:
            migrate(path, encoder, wanted, progress=bar.update)
        with Collection.open(path, encoder) as collection:
            collection.calibrate()
            documents = collection.stats().documents
        click.echo(f"efive: {documents} documents of {name} are in {encoder.space.fingerprint} now", err=True)
