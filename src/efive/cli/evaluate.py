"""`efive evaluate`: a model on tasks with known answers."""

import os
import shlex
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from efive.cli.options import encoder_options_beside_tasks, load_encoder, store
from efive.cli.watching import going_on, watch
from efive.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from efive.evaluation.gate import Requirement
    from efive.evaluation.mteb_run import Mteb
    from efive.evaluation.results import Run
    from efive.evaluation.settings import Settings
    from efive.evaluation.tasks import Task

_OUT = click.Path(dir_okay=False, path_type=Path)
_KINDS = ("retrieval", "reranking", "bitext", "similarity", "classification", "clustering")
_WRONG_GATE = 2


@click.command("evaluate")
@click.option("--task", "addresses", multiple=True, metavar="FOLDER", help="A task, or a folder of tasks; repeatable.")
@click.option("--suite", help="A list of tasks below --data: small, mrtydi, miracl, beir, bitext.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    show_default="the current folder",
    help="Where suites and tasks are.",
)
@click.option("--kind", help="Where a folder does not tell what it is: retrieval, bitext, similarity, …")
@click.option("--language", help="Of the data, where names do not tell it; or which language to take of several.")
@click.option("--split", help="Which split.  [default: the published one]")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many queries or texts of each task, drawn.")
@click.option("--documents", type=click.IntRange(min=1), help="--task: at most so many documents; judged ones stay.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn.")
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="BM25 and hybrids beside the model.")
@click.option("--window", type=click.IntRange(min=16), help="Tokens of a window.  [default: the model's own]")
@click.option("--overlap", type=click.IntRange(min=0), help="Tokens that windows share.  [default: a quarter]")
@click.option(
    "--prefix-policy",
    "policies",
    multiple=True,
    metavar="[NAME=]POLICY",
    help="standard, symmetric, asymmetric or none; of all, or of a task or kind: bitext=none. Repeatable.",
)
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keep vectors here for further runs.")
@click.option("--json", "json_file", type=_OUT, help="Write the whole run here, for `efive compare` and programs.")
@click.option("--html", type=_OUT, help="Write a report with charts and queries here.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option("--texts/--no-texts", default=True, show_default=True, help="Queries and documents in what is written.")
@click.option("--require", "gates", multiple=True, metavar="[TASK:]MEASURE>=X", help="Exit code 1 if not reached.")
@click.option(
    "--mteb", "mteb_names", multiple=True, metavar="NAME", help="A task or benchmark of mteb, whole; repeatable."
)
@click.option(
    "--mteb-policy",
    type=click.Choice(["paper", "mteb"]),
    default="paper",
    show_default=True,
    help="--mteb: prefixes as E5's papers measured, or as mteb's own figures are made.",
)
@click.option("--download", is_flag=True, help="--mteb: fetch data that is not here. Without it no network is used.")
@encoder_options_beside_tasks
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    addresses: tuple[str, ...],
    suite: str | None,
    data: Path,
    seed: int,
    baselines: bool,  # noqa: FBT001
    window: int | None,
    overlap: int | None,
    policies: tuple[str, ...],
    cache: Path | None,
    json_file: Path | None,
    html: Path | None,
    markdown: bool,  # noqa: FBT001
    texts: bool,  # noqa: FBT001
    gates: tuple[str, ...],
    kind: str | None,
    language: str | None,
    split: str | None,
    limit: int | None,
    documents: int | None,
    mteb_names: tuple[str, ...],
    mteb_policy: str,
    download: bool,  # noqa: FBT001
    **engine: Any,  # noqa: ANN401
) -> None:
    """Measure a model on tasks, with BM25 and published figures beside it.

    A task is a folder or a file in one of the known forms, QUESTIONS@PASSAGES for two folders, or a name below
    --data. The tables go to stdout. --require is for continuous integration: exit code 1 means that a measure was
    not reached or a task failed, 2 that a requirement fits nothing that was measured.
    """
    from efive.evaluation.gate import check_tasks, parse

    if not addresses and not suite and not mteb_names:
        raise click.UsageError("nothing to measure: name a --task, a --suite and its --data, or an --mteb task")
    requirements = _parsed(gates, parse)
    for file in (json_file, html):
        if file and not file.parent.is_dir():
            raise InputError(f"{file.parent} is no folder; make it before hours are spent")
    others = {"--kind": kind, "--language": language, "--split": split, "--documents": documents}
    if not addresses and (given := [name for name, value in others.items() if value is not None]):
        raise click.UsageError(f"{', '.join(given)}: for --task only; suites and mteb's tasks are taken as they are")
    choice = {"kind": kind, "language": language, "split": split, "documents": documents}
    tasks = _tasks(addresses, suite, data, {"limit": limit, "seed": seed}, choice)
    with going_on(), ExitStack() as stack:
        results = cache / "mteb" if cache else Path(stack.enter_context(TemporaryDirectory()))
        mteb = _mteb(mteb_names, results, mteb_policy, download=download)
        ours = [task.about.name for task in tasks]
        names = [*ours, *(mteb.names() if mteb else ())]
        _refuse_twins(names)
        _parsed([requirements], lambda each: check_tasks(each, names))
        prefixes = _prefixes(policies, ours)
        settings = _settings(window, overlap, baselines, cache, prefixes, seed=seed, threads=engine["threads"])
        run = _run(tasks, mteb, settings, engine, texts=texts, drawn=html is not None)
    _write(run, json_file, html, markdown=markdown)
    _gate(run, requirements)


def _parsed(values: Any, parse: "Callable[[Any], Any]") -> list[Any]:  # noqa: ANN401 - of any kind
    """Return values read by `parse`; what it refuses is wrong usage, exit code 2."""
    try:
        return [parse(value) for value in values]
    except InputError as error:
        raise click.UsageError(str(error)) from None


def _tasks(
    addresses: tuple[str, ...], suite: str | None, data: Path, drawn: dict[str, Any], choice: dict[str, Any]
) -> "list[Task]":
    from efive.evaluation.formats import open_task
    from efive.evaluation.suites import open_suite

    tasks = []
    for address in addresses:
        below = data / address
        known = not Path(address).exists() and (below.exists() or "@" in address)
        tasks += open_task(below if known else address, **drawn, **choice)
    if suite:
        opened = open_suite(suite, data, **drawn)
        tasks += opened.tasks
        if opened.absent:
            click.echo(f"efive: not below {data} and left out: {', '.join(opened.absent)}", err=True)
    return tasks


def _refuse_twins(names: "Sequence[str]") -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"two tasks are called {twice[0]!r}; leave one out, or give its folder another name")


def _prefixes(policies: tuple[str, ...], tasks: "Sequence[str]") -> dict[str, str]:
    """Return policies by kind or name of a task; one of neither would change nothing, and nobody would notice."""
    from efive.evaluation.roles import POLICIES

    prefixes: dict[str, str] = {}
    for each in policies:
        name, _, policy = each.rpartition("=")
        if policy not in POLICIES:
            raise click.UsageError(f"--prefix-policy {each}: the policies are {', '.join(POLICIES)}")
        if name and name not in {*_KINDS, *tasks}:
            raise click.UsageError(
                f"--prefix-policy {each}: {name!r} is no kind and no task; the kinds are {', '.join(_KINDS)}, "
                f"the tasks {', '.join(tasks)}"
            )
        prefixes |= dict.fromkeys([name] if name else _KINDS, policy)
    return prefixes


def _mteb(names: tuple[str, ...], results: Path, policy: str, *, download: bool) -> "Mteb | None":
    if not names:
        return None
    if not download:  # before mteb is imported: what it loads data with looks at these once
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    from efive.evaluation.mteb import open_mteb
    from efive.evaluation.mteb_run import Mteb

    return Mteb(open_mteb(names), results, policy)


def _settings(
    window: int | None,
    overlap: int | None,
    baselines: bool,  # noqa: FBT001
    cache: Path | None,
    prefixes: dict[str, str],
    **others: Any,  # noqa: ANN401
) -> "Settings":
    from efive.evaluation.beside import DEEP
    from efive.evaluation.settings import BASELINES, Settings

    return Settings(
        window=window,
        overlap=overlap,
        baselines=BASELINES if baselines else (),
        cache=cache,
        prefixes=prefixes,
        keep=DEEP,
        command=shlex.join(["efive", *sys.argv[1:]]),
        **others,
    )


def _run(
    tasks: "list[Task]",
    mteb: "Mteb | None",
    settings: "Settings",
    engine: dict[str, Any],
    *,
    texts: bool,
    drawn: bool,
) -> "Run":
    from efive.evaluation.finishing import finish
    from efive.evaluation.results import Failure
    from efive.evaluation.runner import evaluate

    folder = store().resolve(engine["model"])
    name = Path(engine["model"]).name if engine["model"] else "bundled"

    def told(result: Any) -> None:  # noqa: ANN401 - a result or a failure
        if isinstance(result, Failure):
            click.echo(f"efive: {result.name}: {result.reason}", err=True)

    with load_encoder(**engine) as encoder:
        run = evaluate(encoder, tasks, replace(settings, model=name), watch, told=told)
        run = finish(run, tasks, encoder, folder, texts=texts, drawn=drawn)
        if mteb:
            from efive.evaluation.mteb_run import with_mteb

            run = with_mteb(run, encoder, mteb, folder, watch, told=told)
    return run


def _write(run: "Run", json_file: Path | None, html: Path | None, *, markdown: bool) -> None:
    from efive.evaluation import table

    if json_file:
        run.write(json_file)
    if markdown:
        click.echo(table.markdown(run), nl=False)
    else:
        table.show(run)
    if html:
        from efive.evaluation.report import write_report

        write_report(run, html)
        click.echo(f"efive: the report is {html}", err=True)


def _gate(run: "Run", requirements: "list[Requirement]") -> None:
    from efive.evaluation.gate import check

    try:
        failures = check(run, requirements)
    except InputError as error:
        click.echo(f"efive: {error}", err=True)
        raise click.exceptions.Exit(_WRONG_GATE) from None
    for line in failures:
        click.echo(f"efive: {line}", err=True)
    if failures or run.failed:
        raise click.exceptions.Exit(1)
