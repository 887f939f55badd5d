"""`efive filter`: pairs whose passage a model finds again among many."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from efive.cli.options import encoder_options, load_encoder
from efive.cli.watching import Problems, going_on, watch


@click.command("filter")
@click.argument("source", metavar="SET", type=click.Path(path_type=Path))
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A .jsonl file.")
@click.option(
    "--candidates",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="Passages of the set, drawn at random, to seek among.",
)
@click.option("--keep-rank", type=click.IntRange(min=1), default=2, show_default=True, help="Worst rank to keep.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the drawing.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), help="Keep vectors here for further runs.")
@click.option("--restart", is_flag=True, help="Replace the output.")
@click.option("--skip-invalid", is_flag=True, help="Leave broken records out, naming the first on stderr.")
@encoder_options
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    source: Path,
    output: Path,
    candidates: int,
    keep_rank: int,
    seed: int,
    work: Path | None,
    restart: bool,  # noqa: FBT001
    skip_invalid: bool,  # noqa: FBT001
    **engine: Any,  # noqa: ANN401
) -> None:
    """Keep the pairs of SET whose passage is among the best for its query, against random passages of the set.

    The output has the records as they were read, each with its rank, and one line per source and language says on
    stdout how many were kept. An interrupted run goes on when the same command is given again.
    """
    from efive.training.data.formats import open_set
    from efive.training.mining.filtering import Filtering, filter_pairs
    from efive.training.mining.stages import Place

    data = open_set(source, on_problem=Problems() if skip_invalid else None)
    options = Filtering(candidates, keep_rank, seed)
    with going_on(), closing(load_encoder(**engine)) as encoder:
        found = filter_pairs(data, encoder, Place(output, work, restart), options, watch=watch)
    for kind, groups in (("source", found.by_source), ("language", found.by_language)):
        for name, (kept, every) in sorted(groups.items()):
            click.echo(f"{kind}\t{name or '-'}\t{kept}\t{every}\t{kept / every:.3f}")
    share = f"{found.kept} of {found.pairs} pairs ({found.kept / found.pairs:.1%})"
    click.echo(f"efive: kept {share} against {found.candidates} candidates, in {output}", err=True)
