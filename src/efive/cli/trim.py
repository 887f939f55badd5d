"""`efive trim-vocab`: cut a model down to the vocabulary that some texts use."""

from pathlib import Path
from typing import Any

import click

from efive.cli.options import bar_settings, store
from efive.cli.records import FORMATS, Source


@click.command(name="trim-vocab")
@click.argument("model")
@click.option("--texts", "-t", required=True, help="File of texts (lines, JSONL or Parquet), or - for stdin.")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option("--from", "form", type=click.Choice(FORMATS), help="Format of the texts.  [default: by the file's name]")
@click.option("--field", "fields", multiple=True, help="Fields or columns that hold texts.  [default: text]")
@click.option("--keep", multiple=True, help="A piece to keep besides.")
@click.option("--characters/--no-characters", default=True, show_default=True, help="Keep all pieces of one character.")
@click.option("--skip-invalid", is_flag=True, help="Leave out records that cannot be used.")
def command(model: str, texts: str, output: Path, form: str | None, fields: tuple[str, ...], **how: Any) -> None:  # noqa: ANN401
    """Write MODEL (a stored name or a folder) with only the pieces that texts use.

    Texts of kept pieces get the same vectors as before; others are written with smaller pieces. Special tokens, bytes
    and the prefixes always stay.
    """
    from tqdm import tqdm

    from efive.training.vocabulary.trimming import trim_vocabulary

    source = Source.of(texts, form, fields or ("text",), skip_invalid=how["skip_invalid"])
    records = tqdm(source.read(), total=source.count(), unit=" texts", **bar_settings())
    done = trim_vocabulary(
        store().resolve(model),
        output,
        texts=(text for record in records for text in record.texts),
        keep=how["keep"],
        characters=how["characters"],
    )
    click.echo(
        f"efive: {done.rows_after} of {done.rows_before} rows, {done.megabytes_after:.1f} of "
        f"{done.megabytes_before:.1f} MB, in {output}",
        err=True,
    )
