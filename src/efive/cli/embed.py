"""`efive embed`: texts in, vectors out, in bounded memory, going on where it stopped."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from efive.cli import outputs
from efive.cli.journal import Journal, check_output
from efive.cli.options import encoder_options, load_encoder, progress_bar
from efive.cli.records import FORMATS, Given, Record, Source
from efive.errors import InputError, NonFiniteError

if TYPE_CHECKING:
    from efive.embeddings import Embeddings, EmbedOptions
    from efive.encoder import Encoder


@click.command("embed")
@click.argument("source", required=False, metavar="[FILE]")
@click.option("--text", "texts", multiple=True, help="Embed this text instead of a file; may be repeated.")
@click.option("--role", type=click.Choice(["query", "passage", "raw"]), required=True, help="What the texts are for.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A .jsonl, .parquet or .npy file."
)
@click.option("--from", "form", type=click.Choice(FORMATS), help="Input format.  [default: by the file's suffix]")
@click.option("--to", type=click.Choice(outputs.FORMATS), help="Output format.  [default: by the file's suffix]")
@click.option("--field", default="text", show_default=True, help="JSONL field or Parquet column with the text.")
@click.option(
    "--overflow",
    type=click.Choice(["end", "start", "chunk", "error"]),
    default="end",
    show_default=True,
    help="Texts beyond the limit: keep the beginning, the end, all of it in windows, or stop.",
)
@click.option("--overlap", type=click.IntRange(min=0), default=0, help="With chunk: tokens that windows share.")
@click.option("--strict", is_flag=True, help="Refuse empty texts and texts that already carry a prefix.")
@click.option("--skip-invalid", is_flag=True, help="Leave broken records out, naming each on stderr.")
@click.option("--with-text", is_flag=True, help="Repeat the text (with chunk: the window) in the output.")
@click.option("--restart", is_flag=True, help="Begin anew: replace the output, forget an interrupted run.")
@encoder_options
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    source: str | None,
    texts: tuple[str, ...],
    role: str,
    output: Path | None,
    form: str | None,
    to: str | None,
    field: str,
    overflow: str,
    overlap: int,
    strict: bool,  # noqa: FBT001
    skip_invalid: bool,  # noqa: FBT001
    with_text: bool,  # noqa: FBT001
    restart: bool,  # noqa: FBT001
    **engine: Any,  # noqa: ANN401
) -> None:
    """Turn texts into unit vectors, one JSON line (or row) each.

    FILE holds one text a line, or JSONL, or Parquet; without it, stdin is read. With --output an interrupted
    run on a file goes on where it stopped when the same command is given again.

    Each row has the record's own id (field or column `id` or `_id`), or else its 0-based number in the input,
    in which invalid records count and blank lines of JSONL do not.
    """
    if texts and source:
        raise InputError("give a file or --text, not both")
    form_out = outputs.format_of(output, to)
    if overflow == "chunk" and form_out == "npy":
        raise InputError("a .npy file cannot say which window belongs to which text; use .jsonl or .parquet")
    if overlap and overflow != "chunk":
        raise InputError(f"--overlap {overlap} makes sense with --overflow chunk only")
    incoming = Given(texts) if texts else Source.of(source, form, (field,), skip_invalid=skip_invalid)
    check_output(output, incoming.file, restart=restart)
    options: EmbedOptions = {"overflow": overflow, "overlap": overlap, "strict": strict}
    with closing(load_encoder(**engine)) as encoder:
        settings = {"role": role, "overflow": overflow, "overlap": overlap, "with-text": with_text}
        settings |= {"output format": form_out, "space": encoder.space.fingerprint, "task": encoder.prompts.query}
        settings["max tokens"] = encoder.max_tokens
        state = incoming.state()
        journal = Journal(output, None if state is None else state | settings)
        journal.begin(restart=restart)
        value = outputs.Value("vector", encoder.dimension)
        with closing(outputs.open_writer(output, form_out, journal.reached, value)) as writer:
            Job(encoder, incoming, role, options, with_text=with_text).run(writer, journal)


class Job:
    """One run of the command: records through the encoder into the writer."""

    def __init__(
        self, encoder: "Encoder", source: "Source | Given", role: str, options: "EmbedOptions", *, with_text: bool
    ) -> None:
        self.encoder = encoder
        self.source = source
        self.role = role
        self.options = options
        self.with_text = with_text

    def run(self, writer: outputs.Writer, journal: Journal) -> None:
        """Embed what is not done yet; Ctrl-C leaves what is done."""
        before = journal.records
        windows = self.options["overflow"] == "chunk"  # more of them than texts: how many is not known
        total, unit = (None, " windows") if windows else (self.source.count(), " texts")
        with journal.interruptible():
            with progress_bar(total, before, unit) as bar:
                for records, part in self._parts(before, bar.update):
                    reached = writer.append(self._rows(records, part, journal.records - before))
                    journal.note(len(records), reached)
            writer.finish()
            journal.clear()
        if journal.output:
            where = f"{self.encoder.space.fingerprint}, {self.encoder.reason}"
            click.echo(f"efive: {journal.records} texts in {journal.output}, space {where}", err=True)

    def _parts(self, skip: int, done: Callable[[int], None]) -> "Iterator[tuple[list[Record], Embeddings]]":
        """Yield records with their vectors; the encoder reads ahead, so records wait in a queue.

        A record that cannot be used ends the run after all that come before it.
        """
        waiting: deque[Record] = deque()
        broken: list[InputError] = []

        def texts() -> Iterator[str]:
            try:
                for record in islice(self.source.read(), skip, None):
                    waiting.append(record)
                    yield record.texts[0]
            except InputError as error:
                broken.append(error)

        delivered = 0
        try:
            for part in self.encoder.stream(texts(), self.role, **(self.options | {"progress": done})):
                yield [waiting.popleft() for _ in part.usage], part
                delivered += len(part.usage)
        except (InputError, NonFiniteError) as error:
            if error.index is None:
                raise
            place = waiting[error.index - delivered].place
            what = str(error).removeprefix(f"text {error.index} ")
            raise InputError(f"{self.source}, {place}: the text {what}") from error
        if broken:
            raise broken[0]

    def _rows(self, records: "list[Record]", part: "Embeddings", first: int) -> list[outputs.Row]:
        rows = []
        for vector, span in zip(part.vectors, part.spans, strict=True):
            record, usage = records[span.input - first], part.usage[span.input - first]
            row: outputs.Row = {"id": record.id}
            text = record.texts[0]
            if self.options["overflow"] == "chunk":
                row |= {"start": span.start, "end": span.end}
                text = text[span.start : span.end]
            if self.with_text:
                row["text"] = text
            row |= {"tokens_seen": usage.tokens_seen, "tokens_used": usage.tokens_used, "truncated": usage.truncated}
            rows.append(row | {"vector": vector})
        return rows
