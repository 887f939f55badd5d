"""`efive similarity`: how alike texts are."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from efive.cli import outputs
from efive.cli.journal import Journal, check_output
from efive.cli.options import encoder_options, load_encoder, progress_bar
from efive.cli.records import FORMATS, Record, Source
from efive.errors import InputError

if TYPE_CHECKING:
    from efive.encoder import Encoder

_BLOCK = 1024


@click.command("similarity")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--pairs", metavar="FILE", help="Compare the two texts of each line or row of FILE; - is stdin.")
@click.option("--from", "form", type=click.Choice(FORMATS), help="Input format.  [default: by the file's suffix]")
@click.option("--fields", default="a,b", show_default=True, help="JSONL fields or Parquet columns of the two texts.")
@click.option("--search", is_flag=True, help="The first text is a query and the others passages.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --pairs: a .jsonl, .parquet or .npy file.",
)
@click.option("--restart", is_flag=True, help="Begin anew: replace the output, forget an interrupted run.")
@click.option("--skip-invalid", is_flag=True, help="Leave broken records out, naming each on stderr.")
@encoder_options
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    texts: tuple[str, ...],
    pairs: str | None,
    form: str | None,
    fields: str,
    search: bool,  # noqa: FBT001
    output: Path | None,
    restart: bool,  # noqa: FBT001
    skip_invalid: bool,  # noqa: FBT001
    **engine: Any,  # noqa: ANN401
) -> None:
    """Print the cosine of the first TEXT with each of the others, best first, or of each pair in a file.

    E5's cosines lie close together (the published models' between 0.7 and 1): compare them with each other, not
    with a fixed threshold. A text file of pairs has a tab between the two.
    """
    names = tuple(name.strip() for name in fields.split(","))
    if len(names) != 2:
        raise InputError(f"--fields needs two names with a comma between them, not {fields!r}")
    if bool(pairs) == bool(texts) or len(texts) == 1:
        raise InputError("give at least two texts, or a file of pairs with --pairs")
    if texts:
        if output:
            raise InputError("--output goes with --pairs; redirect stdout for texts given on the command line")
        with closing(load_encoder(**engine)) as encoder:
            _compare(encoder, texts, search=search)
        return
    form_out = outputs.format_of(output, None)
    source = Source.of(pairs, form, names, skip_invalid=skip_invalid)
    check_output(output, source.file, restart=restart)
    with closing(load_encoder(**engine)) as encoder:
        settings = {"search": search, "output format": form_out, "space": encoder.space.fingerprint}
        settings |= {"task": encoder.prompts.query, "max tokens": encoder.max_tokens}
        state = source.state()
        journal = Journal(output, None if state is None else state | settings)
        journal.begin(restart=restart)
        opened = outputs.open_writer(output, form_out, journal.reached, outputs.Value("similarity", 0))
        with closing(opened) as writer, journal.interruptible():
            with progress_bar(source.count(), journal.records, " pairs") as bar:
                for rows in _pairs(encoder, source, journal.records, search=search):
                    journal.note(len(rows), writer.append(rows))
                    bar.update(len(rows))
            writer.finish()
            journal.clear()
        if output:
            click.echo(f"efive: {journal.records} pairs in {output}, space {encoder.space.fingerprint}", err=True)


def _compare(encoder: "Encoder", texts: tuple[str, ...], *, search: bool) -> None:
    first = encoder.embed_queries(texts[:1]).vectors[0]
    others = encoder.embed(texts[1:], "passage" if search else "query").vectors
    scores = others @ first
    for index in np.argsort(-scores):
        click.echo(f"{scores[index]:.4f}\t{texts[1 + index]}")


def _pairs(encoder: "Encoder", source: Source, skip: int, *, search: bool) -> Iterator[list[outputs.Row]]:
    """Yield scored blocks of pairs; a pair that cannot be used ends the run after all that come before it."""
    records, broken = islice(source.read(), skip, None), None
    while broken is None:
        block: list[Record] = []
        try:
            block.extend(islice(records, _BLOCK))  # keeps what came before an error
        except InputError as error:
            broken = error
        if not block:
            break
        yield _score(encoder, block, "passage" if search else "query")
    if broken:
        raise broken


def _score(encoder: "Encoder", block: list[Record], role: str) -> list[outputs.Row]:
    left = encoder.embed_queries([record.texts[0] for record in block]).vectors
    right = encoder.embed([record.texts[1] for record in block], role).vectors
    scores = (left * right).sum(axis=1)
    return [{"id": record.id, "similarity": float(score)} for record, score in zip(block, scores, strict=True)]
