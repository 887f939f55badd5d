"""`efive search`: a question to a collection."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from efive.cli.collection import collection_option, opened
from efive.cli.options import encoder_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from efive.search.searching import Hit


@click.command("search")
@click.argument("query")
@collection_option
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Hits to show.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Hits to leave out: 10 is the second page.")
@click.option("--where", help="Only documents that this holds for, such as: lang = 'de' and year >= 2020")
@click.option("--mode", type=click.Choice(["hybrid", "dense", "text"]), default="hybrid", show_default=True)
@click.option("--fusion", default="normalised", show_default=True, help="Of hybrid: normalised scores, or ranks.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Leave out what is less certain, 0 to 1.")
@click.option("--unique", type=click.FloatRange(0, 1), help="Leave out hits with this cosine to one before, as .97.")
@click.option("--exact", is_flag=True, help="Compare with every vector, whatever index there is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a hit, for programs.")
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="Note the query here, for efive monitor.")
@click.option("--log-texts", is_flag=True, help="With --log: keep what was asked, not only its hash.")
@encoder_options
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    query: str,
    name: str,
    k: int,
    offset: int,
    where: str | None,
    mode: str,
    fusion: str,
    min_confidence: float | None,
    unique: float | None,
    exact: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    log: Path | None,
    log_texts: bool,  # noqa: FBT001
    **engine: Any,  # noqa: ANN401
) -> None:
    """Show the documents that answer QUERY, each by its best passage.

    Hits may be in any language that the model knows. Colours and highlights are for terminals; --json has it all.
    """
    with opened(name, engine, encode=mode != "text") as collection:
        began = time.perf_counter()
        hits = collection.search(
            query,
            k,
            offset=offset,
            where=where,
            mode=mode,
            fusion=fusion,
            min_confidence=min_confidence,
            unique=unique,
            exact=exact,
        )
        took = 1000 * (time.perf_counter() - began)
        if log:
            space = "" if mode == "text" else collection.space.fingerprint
            _note(log, query, hits, texts=log_texts, mode=mode, collection=name, space=space, milliseconds=took)
        if as_json:
            for hit in hits:
                click.echo(json.dumps(hit.to_dict(), ensure_ascii=False))
            return
        from efive.cli.hits import show

        show(collection.highlight(query, hits))
    if not hits:
        click.echo("efive: nothing found", err=True)


def _note(log: Path, query: str, hits: "Sequence[Hit]", *, texts: bool, **facts: Any) -> None:  # noqa: ANN401
    from efive.evaluation.query_log import QueryLog

    QueryLog(log, texts=texts).note(query, hits, **facts)
