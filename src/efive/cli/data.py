"""`efive data`: training data."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from efive.cli.options import progress_bar
from efive.errors import InputError

if TYPE_CHECKING:
    from efive.training.data.check import Report
    from efive.training.data.tallies import Distribution, Repetitions

_LANGUAGES = 12


@click.group("data")
def command() -> None:
    """Look at training data before it is trained on."""


@command.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--split", default="train", show_default=True, help="Which file of a folder: train, kd_train, dev.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check_data(path: Path, split: str, as_json: bool) -> None:  # noqa: FBT001
    """Say what the training data at PATH holds and which of its records cannot be used.

    PATH is a folder with passages.jsonl and train.jsonl, a .jsonl or .parquet file of pairs, or a folder of such
    files. Everything is read once, in bounded memory. The exit code is 1 if there are problems.
    """
    from efive.training.data.check import check
    from efive.training.data.formats import open_sets

    size = sum(file.stat().st_size for each in open_sets(path, split=split) for file in each.files)
    with progress_bar(size, unit="B") as bar:
        bar.unit_scale = True
        report = check(path, split=split, advance=bar.update)
    click.echo(json.dumps(asdict(report)) if as_json else "\n".join(_for_people(report)))
    if report.problem_count:
        raise InputError(f"{report.problem_count:,} problems in {path}; mend the data, and check it again")


def _for_people(report: "Report") -> Iterator[str]:
    if len(report.sets) > 1:
        for name, count in report.sets.items():
            yield f"{name:<24} {count:,} examples"
    yield _line("examples", f"{report.examples:,}")
    if report.corpus:
        yield _line("passages", f"{report.corpus:,}")
    yield _line("with teacher's scores", f"{report.scored:,}")
    yield from _distributions(report)
    for name, counts in (("languages", report.languages), ("scripts, no language", report.scripts)):
        if counts:
            shown = [f"{key} {count:,}" for key, count in list(counts.items())[:_LANGUAGES]]
            yield _line(name, ", ".join(shown) + (f", … ({len(counts)} in all)" if len(counts) > _LANGUAGES else ""))
    yield _line("repeated queries", _repeated(report.repeated_queries))
    yield _line("repeated pairs", _repeated(report.repeated_pairs))
    yield _line("problems", f"{report.problem_count:,}")
    for kind, problems in report.problems.items():
        yield f"  {kind:<22} {problems.count:,}"
    for problems in report.problems.values():
        yield from (f"{problem.place}: {problem.message}" for problem in problems.first)


def _distributions(report: "Report") -> Iterator[str]:
    rows: list[tuple[str, Distribution | None]] = [
        ("positives per example", report.positives),
        ("negatives per example", report.negatives),
        ("query characters", report.query_characters),
        ("passage characters", report.passage_characters),
    ]
    columns = ("mean", "min", "5 %", "50 %", "95 %", "99 %", "max")
    yield " " * 24 + "".join(f"{column:>10}" for column in columns)
    for name, found in rows:
        if found:
            values = (found.minimum, found.p5, found.p50, found.p95, found.p99, found.maximum)
            yield f"{name:<24}{found.mean:>10,.1f}" + "".join(f"{value:>10,}" for value in values)


def _line(name: str, value: str) -> str:
    return f"{name:<24} {value}"


def _repeated(found: "Repetitions") -> str:
    return f"{found.repeated:,}" if found.exact else f"about {found.repeated:,}"
