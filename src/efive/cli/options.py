"""Options that several commands share."""

import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from efive.errors import EfiveWarning

if TYPE_CHECKING:
    from tqdm import tqdm

    from efive.encoder import Encoder
    from efive.models.store import ModelStore

F = TypeVar("F", bound=Callable[..., Any])

_TASK_HELP = "Instruct models: what queries ask for, as a registry name or a sentence."
_BEFORE_TASK = (
    click.option("--model", "-m", help="A stored model's name or a folder.  [default: the bundled model]"),
    click.option(
        "--engine",
        type=click.Choice(["auto", "openvino", "torch", "torch-compiled", "native"]),
        default="auto",
        show_default=True,
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16", "fp16", "int8", "fp8"]),
        default="auto",
        show_default=True,
    ),
    click.option("--device", help="cpu, cuda (all), cuda:1, mps.  [default: the best that is there]"),
)
_AFTER_TASK = (
    click.option("--max-tokens", type=click.IntRange(min=8), help="Input limit in tokens.  [default: the model's own]"),
    click.option("--threads", type=click.IntRange(min=1), help="Processors to use.  [default: all that we may use]"),
)


def encoder_options(function: F) -> F:
    """Add the options from which `load_encoder` makes an encoder."""
    return _with_encoder(function, "--task")


def encoder_options_beside_tasks(function: F) -> F:
    """Add the same to a command whose tasks are what is measured: the task of instruct models is --instruct there."""
    return _with_encoder(function, "--instruct")


def _with_encoder(function: F, flag: str) -> F:
    for option in reversed((*_BEFORE_TASK, click.option(flag, "task", help=_TASK_HELP), *_AFTER_TASK)):
        function = option(function)
    return function


def store() -> "ModelStore":
    """Return the store of this machine's models."""
    from efive.models.store import ModelStore

    return ModelStore()


def load_encoder(model: str | None, task: str | None, threads: int | None, **engine: Any) -> "Encoder":  # noqa: ANN401
    """Load the encoder that the options of `encoder_options` name; its warnings become lines on stderr."""
    from efive.encoder import Encoder
    from efive.engines.hardware import available_cpus

    # The tokenizer's own threads, which look at the machine and not at a container's share of it.
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads or available_cpus()))
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    return Encoder.load(store().resolve(model), task=task, threads=threads, **engine)


def progress_bar(total: int | None, initial: int = 0, unit: str = " texts") -> "tqdm[Any]":
    """Return a progress bar on stderr that appears after a second, and not at all when stderr is no terminal."""
    from tqdm import tqdm

    return tqdm(total=total, initial=initial, unit=unit, smoothing=0.1, **bar_settings())


def bar_settings() -> dict[str, Any]:
    """Return how tqdm shows itself: after a second, on a terminal, and on one that does not know its size too."""
    known = sys.stderr.isatty() and min(os.get_terminal_size(sys.stderr.fileno())) > 0
    return {"delay": 1, "disable": None} | ({"dynamic_ncols": True} if known else {"ncols": 80, "nrows": 24})


def _show_warning(message: Warning | str, category: type[Warning], *_place: Any) -> None:  # noqa: ANN401
    name = "warning" if issubclass(category, EfiveWarning) else category.__name__
    click.echo(f"efive: {name}: {message}", err=True)
