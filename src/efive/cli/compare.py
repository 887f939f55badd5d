"""`efive compare`: two runs of `efive evaluate --json`."""

from pathlib import Path

import click

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("compare")
@click.argument("before", type=_FILE, metavar="A.json")
@click.argument("after", type=_FILE, metavar="B.json")
@click.option("--system", default="model", show_default=True, help="Or bm25, hybrid_rrf, … of both runs.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with the rankings here.")
@click.option("--resamples", type=click.IntRange(min=100), default=10_000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the resampling.")
@click.option("--require-no-loss", is_flag=True, help="Exit code 1 if B is worse on a task, beyond chance.")
def command(
    before: Path,
    after: Path,
    system: str,
    html: Path | None,
    resamples: int,
    seed: int,
    require_no_loss: bool,  # noqa: FBT001
) -> None:
    """Say where the run B differs from the run A, and whether that is more than chance.

    A task's main measure is resampled over its queries (paired bootstrap), of translations the accuracy; p-values are
    corrected for the number of tasks. Runs on different data are refused. The page of --html has both rankings of
    each query that changed.
    """
    from efive.evaluation.compare import compare
    from efive.evaluation.differences import show, title
    from efive.evaluation.results import Run

    first, second = Run.read(before), Run.read(after)
    comparison = compare(first, second, system=system, seed=seed, resamples=resamples)
    for text in comparison.warnings:
        click.echo(f"efive: warning: {text}", err=True)
    show(comparison)
    if html:
        from efive.evaluation.side_by_side import write_comparison

        write_comparison(comparison, first, second, html)
        click.echo(f"efive: the page is {html}", err=True)
    for task in comparison.tasks:
        if task.verdict == "untested" and task.gain < 0:
            how = f"{task.tested} lost {-task.gain:.4f}, which is not tested: the runs hold no values of its texts"
            click.echo(f"efive: warning: {title(task)}: {how}", err=True)
    worse = [task for task in comparison.tasks if task.verdict == "worse"]
    if require_no_loss and worse:
        for task in worse:
            click.echo(f"efive: {title(task)}: {task.tested} lost {-task.gain:.4f}", err=True)
        raise click.exceptions.Exit(1)
