"""What commands on training sets show: a bar for each stage, and the records that are left out."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from efive.cli.options import progress_bar

if TYPE_CHECKING:
    from efive.training.data.examples import Problem

_NAMED = 20


@contextmanager
def watch(what: str, total: int | None, done: int) -> Iterator[Callable[[int], object]]:
    """Show a bar on stderr for one stage of a long run (`efive.training.mining.stages.Watch`)."""
    with progress_bar(total, done, "") as bar:
        bar.set_description(what, refresh=False)
        yield bar.update


@contextmanager
def going_on() -> Iterator[None]:
    """Within the block Ctrl-C ends the program with a message and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("efive: interrupted; what is done is safe, the same command goes on", err=True)
        sys.exit(130)


class Problems:
    """Names the first problems of a set, each once however often the set is read."""

    def __init__(self) -> None:
        """Begin with none."""
        self._named: set[tuple[str, str]] = set()

    def __call__(self, problem: "Problem") -> None:
        """Hear of a problem."""
        which = (problem.place, problem.kind)
        if len(self._named) == _NAMED or which in self._named:
            return
        self._named.add(which)
        what = "mended" if problem.mended else "skipped"
        click.echo(f"efive: {what} {problem.place}: {problem.message}", err=True)
        if len(self._named) == _NAMED:
            click.echo("efive: further problems are not named", err=True)
