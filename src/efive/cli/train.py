"""`efive train`: both stages of E5 training, distillation, and recipes."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from efive.cli.options import bar_settings, store
from efive.errors import DependencyError, InputError

if TYPE_CHECKING:
    from efive.training.trainer import Report

F = TypeVar("F", bound=Callable[..., Any])

# What each verb sets unless told otherwise; the rest are the defaults of efive.training.settings.
_VERBS: dict[str, dict[str, Any]] = {
    "pairs": {"objective": "contrastive", "negatives": 0, "learning": {"rate": 5e-5}},
    "supervised": {"objective": "contrastive", "negatives": 7, "batch": 64},
    "distil": {"objective": "distil", "negatives": 7, "batch": 64, "learning": {"rate": 3e-5}},
}

_OPTIONS = (
    click.option("--data", multiple=True, help="A training set; may be given again."),
    click.option("--output", "-o", required=True, type=click.Path(path_type=Path, file_okay=False), help="Run folder."),
    click.option("--model", "-m", help="Where training starts: a stored model or a folder.  [default: bundled]"),
    click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings."),
    click.option("--max-steps", type=click.IntRange(min=1), help="Updates of the weights.  [default: one epoch]"),
    click.option("--epochs", type=float, help="Passes over the data."),
    click.option("--batch", type=click.IntRange(min=2), help="Examples of one batch, over all processes."),
    click.option("--negatives", type=click.IntRange(min=0), help="Hard negatives of each query."),
    click.option("--learning-rate", type=float, help="At its highest."),
    click.option("--temperature", type=float, help="Of the contrastive loss.  [default: 0.01]"),
    click.option("--symmetric", is_flag=True, help="Both sides are queries: translations, duplicates, paraphrases."),
    click.option("--query-tokens", type=int, help="Longest query.  [default: 64]"),
    click.option("--passage-tokens", type=int, help="Longest passage.  [default: 192]"),
    click.option("--matryoshka", help="Dimensions that cut vectors are trained for, as in 384,256,128."),
    click.option("--lora-rank", type=click.IntRange(min=1), help="Train low-rank adapters of this rank instead."),
    click.option("--shard", is_flag=True, default=None, help="Spread the model over the processes of torchrun."),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="Of the network's arithmetic."),
    click.option("--device", help="cpu, cuda, cuda:1.  [default: the best that is there]"),
    click.option("--seed", type=click.IntRange(min=0), help="[default: 0]"),
    click.option("--dev", multiple=True, help="A set to measure on, never trained on: PATH or PATH:split."),
    click.option("--held-out", type=click.IntRange(min=0), help="Measure on the first N examples instead."),
    click.option("--save-every", type=click.IntRange(min=1), help="Steps between checkpoints.  [default: 200]"),
    click.option("--skip-bad", type=click.IntRange(min=0), default=0, help="Leave out up to N unusable records."),
    click.option("--cache", type=click.Path(path_type=Path), help="Token tables, shared by runs.  [default: RUN/data]"),
    click.option("--set", "others", multiple=True, metavar="NAME=VALUE", help="Any other setting, as in TOML."),
)


def _run_options(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.group("train")
def command() -> None:
    """Train an E5 model: on pairs, on hard negatives, from a teacher, or by a recipe.

    A run folder holds settings, data hashes, the loss curve, checkpoints and the model. The same command goes on
    where a run was interrupted. Under torchrun, processes share each batch:

        torchrun --nproc-per-node 8 -m efive train pairs --data pairs.jsonl --output run
    """


@command.command("pairs")
@_run_options
def pairs(**options: Any) -> None:  # noqa: ANN401
    """First stage: contrastive on pairs, the other pairs of the batch as negatives."""
    _train("pairs", **options)


@command.command("supervised")
@_run_options
def supervised(**options: Any) -> None:  # noqa: ANN401
    """Second stage: contrastive with hard negatives (train_n_passages - 1 of them)."""
    _train("supervised", **options)


@command.command("distil")
@_run_options
@click.option("--teacher", help="A bi-encoder whose vectors are learned; without it, the scores of the data are.")
@click.option("--teacher-role", type=click.Choice(["raw", "e5"]), help="Whether it wants prefixes.  [default: raw]")
def distil(teacher: str | None, teacher_role: str | None, **options: Any) -> None:  # noqa: ANN401
    """Second stage: learn a teacher's scores (KL + 0.2 InfoNCE), or its vectors."""
    _train("distil", teacher=teacher, teacher_role=teacher_role, **options)


@command.command("recipe")
@click.argument("file", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Stands for {data}.")
@click.option("--teacher", required=True, help="A stored model or a folder; stands for {teacher}.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path, file_okay=False), help="{run}.")
@click.option("--cache", type=click.Path(path_type=Path), help="Token tables and vectors.  [default: OUTPUT/cache]")
@click.option("--smoke", is_flag=True, help="Do all steps with little data and few updates, to see that they work.")
def recipe(file: Path, data: Path, teacher: str, output: Path, cache: Path | None, smoke: bool) -> None:  # noqa: FBT001
    """Do the steps of RECIPE: vocabulary, first rows, training, mining, packing.

    The same command goes on where it was interrupted.
    """
    _training()
    from efive.training.recipe import Folders, cook

    folders = Folders(output, data, store().resolve(teacher), cache or output / "cache")
    with _Progress() as progress:
        folder = cook(file, folders, smoke=smoke, report=progress.report, say=progress.say)
    progress.say(f"the model is {folder}")


def _train(verb: str, *, output: Path, skip_bad: int, cache: Path | None, **options: Any) -> None:  # noqa: ANN401
    parse, train = _training()
    settings = parse(_settings(verb, options), str(options["config"] or "the options"))
    with _Progress() as progress:
        folder = train(settings, output, cache=cache, skip_bad=skip_bad, report=progress.report, say=progress.say)
    progress.say(f"the model is {folder}")


def _training() -> tuple[Callable[..., Any], Callable[..., Path]]:
    try:
        from efive.training.settings import parse
        from efive.training.trainer import train
    except ImportError as error:
        raise DependencyError(f"training needs {error.name}: pip install 'efive[train]'") from None
    return parse, train


# Where an option's value lies among the settings.
_NAMES = {
    "model": "model",
    "max_steps": "steps",
    "epochs": "epochs",
    "batch": "batch",
    "negatives": "negatives",
    "learning_rate": "learning.rate",
    "temperature": "loss.temperature",
    "query_tokens": "query_tokens",
    "passage_tokens": "passage_tokens",
    "lora_rank": "lora.rank",
    "shard": "shard",
    "precision": "precision",
    "device": "device",
    "seed": "seed",
    "save_every": "save_every",
    "teacher": "teacher",
    "teacher_role": "teacher_role",
}


def _settings(verb: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return settings of the verb, then of the file, then of the options: the later wins."""
    values: dict[str, Any] = {"model": "bundled"}
    _merge(values, _VERBS[verb])
    if options["config"]:
        from efive.training.settings import read

        _merge(values, read(options["config"]))
    if options.get("teacher"):
        values["objective"] = "imitate"
    for option, name in _NAMES.items():
        if options.get(option) is not None:
            _put(values, name, options[option])
    if options["dev"]:
        values["development"] = list(options["dev"])
    if options["matryoshka"]:
        _put(values, "loss.matryoshka", _numbers(options["matryoshka"]))
    values["sources"] = _sources(values, options)
    for other in options["others"]:
        name, _, value = other.partition("=")
        _put(values, name.strip(), _toml_value(name, value))
    return values


def _sources(values: dict[str, Any], options: dict[str, Any]) -> list[dict[str, Any]]:
    sources = [{"path": path} for path in options["data"]] or values.get("sources", [])
    if not sources:
        raise InputError("name a training set with --data, or [[sources]] in a --config file")
    given: dict[str, Any] = {"symmetric": True} if options["symmetric"] else {}
    if options["held_out"] is not None:
        given["held_out"] = options["held_out"]
    return [source | given for source in sources]


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--matryoshka is {text!r}; give whole numbers with commas between them") from None


def _toml_value(name: str, value: str) -> Any:  # noqa: ANN401
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise InputError(f"--set {name}={value}: the value must be written as in TOML; strings need quotes") from None


def _merge(values: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = dict(value) if isinstance(value, dict) else value


def _put(values: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401
    *path, last = name.split(".")
    for part in path:
        values = values.setdefault(part, {})
    values[last] = value


class _Progress:
    """A bar with examples per second, loss and time left; sentences and figures above it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._examples = 0

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, line: str) -> None:
        """Print a sentence on stderr."""
        from tqdm import tqdm

        with tqdm.external_write_mode():
            click.echo(f"efive: {line}", err=True)

    def report(self, report: "Report") -> None:
        """Show a step, or the figures of a measurement."""
        from tqdm import tqdm

        if report.measured is not None:
            figures = ", ".join(f"{name} {value:.4f}" for name, value in report.measured.items())
            self.say(f"step {report.step}: {figures}")
            return
        if self._bar is None:
            self._bar = tqdm(total=report.steps, initial=report.step - 1, unit=" steps", **bar_settings())
        self._examples += report.examples
        self._bar.update(report.step - self._bar.n)
        elapsed = self._bar.format_dict["elapsed"]
        self._bar.set_postfix_str(f"loss {report.loss:.4f}, {self._examples / max(elapsed, 1e-9):.0f} examples/s")
