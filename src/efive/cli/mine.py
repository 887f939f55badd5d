"""`efive mine`: hard negatives for training sets."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from efive.cli.options import encoder_options, load_encoder
from efive.cli.watching import Problems, going_on, watch
from efive.errors import InputError

if TYPE_CHECKING:
    from efive.training.mining.scorers import Teacher


@click.command("mine")
@click.argument("sets", nargs=-1, required=True, metavar="SET...", type=click.Path(path_type=Path))
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="A new folder for the mined set.")
@click.option("--split", default="train", show_default=True, help="Folders: which file holds the examples.")
@click.option("--negatives", type=click.IntRange(min=1), default=7, show_default=True, help="Negatives of a query.")
@click.option("--from-rank", type=click.IntRange(min=1), default=10, show_default=True, help="First rank to take.")
@click.option("--to-rank", type=click.IntRange(min=1), default=100, show_default=True, help="Last rank to take.")
@click.option(
    "--max-ratio",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Drop passages that score this share of the positive, or more.  [default: 0.95; none with --cross-encoder]",
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Drop passages that score the positive's score less this, or more.",
)
@click.option(
    "--pick", type=click.Choice(["random", "hardest"]), default="random", show_default=True, help="Of what is left."
)
@click.option(
    "--languages",
    type=click.Choice(["any", "same"]),
    default="any",
    show_default=True,
    help="same: only passages in the language of the positive.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random choice.")
@click.option("--teacher", metavar="MODEL", help="An encoder that scores what the model found.")
@click.option(
    "--teacher-role",
    type=click.Choice(["e5", "raw"]),
    default="e5",
    show_default=True,
    help="The teacher's prefixes: its own for queries and passages, or none.",
)
@click.option(
    "--cross-encoder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder with a cross-encoder that scores what the model found.",
)
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), help="Keep vectors here for further runs.")
@click.option("--restart", is_flag=True, help="Begin anew and replace the output.")
@click.option("--skip-invalid", is_flag=True, help="Leave broken records out, naming the first on stderr.")
@encoder_options
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    sets: tuple[Path, ...],
    output: Path,
    split: str,
    teacher: str | None,
    teacher_role: str,
    cross_encoder: Path | None,
    work: Path | None,
    restart: bool,  # noqa: FBT001
    skip_invalid: bool,  # noqa: FBT001
    max_ratio: float | None,
    negatives: int,
    from_rank: int,
    to_rank: int,
    margin: float,
    pick: str,
    languages: str,
    seed: int,
    **engine: Any,  # noqa: ANN401
) -> None:
    """Find hard negatives for the queries of training sets (SET: a file or a folder).

    The model searches all passages of the sets with each query. What it ranks from --from-rank to --to-rank is
    candidate; what answers the query somewhere in the sets, or scores as if it did, is dropped. The output folder
    has passages.jsonl, train.jsonl with scores, and mining.json, which says how it was made. An interrupted run
    goes on when the same command is given again.
    """
    from efive.training.data.formats import open_sets
    from efive.training.mining.choice import Mining
    from efive.training.mining.miner import mine
    from efive.training.mining.stages import Place

    if teacher and cross_encoder:
        raise InputError("give --teacher or --cross-encoder, not both")
    ratio = max_ratio if max_ratio or cross_encoder else 0.95
    options = Mining(negatives, from_rank, to_rank, ratio, margin, pick, languages, seed)
    place = Place(output, work, restart)
    problems = Problems() if skip_invalid else None
    opened = [each for path in sets for each in open_sets(path, split=split, on_problem=problems)]
    with going_on(), ExitStack() as stack:
        encoder = stack.enter_context(closing(load_encoder(**engine)))
        judge = _teacher(teacher, teacher_role, cross_encoder, engine, stack)
        found = mine(opened, encoder, place, options, teacher=judge, watch=watch)
    for line in found.lines():
        click.echo(f"efive: {line}", err=True)
    click.echo(f"efive: the mined set is in {output}, by {encoder.reason}", err=True)


def _teacher(
    model: str | None, role: str, cross_encoder: Path | None, engine: dict[str, Any], stack: ExitStack
) -> "Teacher | None":
    if cross_encoder:
        from efive.training.mining.cross_encoder import CrossEncoderTeacher

        return CrossEncoderTeacher(cross_encoder, engine["device"])
    if model:
        from efive.training.mining.scorers import BiEncoderTeacher

        # Its own input limit and task; engine and device as for the encoder.
        other = load_encoder(**(engine | {"model": model, "task": None, "max_tokens": None}))
        return BiEncoderTeacher(stack.enter_context(closing(other)), role)
    return None
