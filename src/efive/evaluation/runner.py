"""A run: tasks one after the other, and beside their figures all that is needed to get them again."""

import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from efive import __version__
from efive.encoder import Encoder
from efive.engines.hardware import detect
from efive.errors import DependencyError, EfiveError
from efive.evaluation.across import across_languages
from efive.evaluation.cache import EmbeddingCache, Watch, unwatched
from efive.evaluation.corpus import Shape
from efive.evaluation.measuring import measure_task
from efive.evaluation.results import Failure, Run, TaskResult
from efive.evaluation.settings import Bench, Settings
from efive.evaluation.tasks import Retrieval, Task, kind_of

__all__ = ["Settings", "evaluate"]

_ENGINES = {"openvino": ("openvino",), "torch": ("torch",), "native": ()}
_PACKAGES = (
    "numpy",
    "tokenizers",
    "sentencex",
    "ir-measures",
    "pytrec-eval-terrier",
    "bm25s",
    "scikit-learn",
    "scipy",
)
"""Packages that can move a figure."""


def evaluate(
    encoder: Encoder,
    tasks: Iterable[Task],
    settings: Settings | None = None,
    watch: Watch = unwatched,
    *,
    told: Callable[[TaskResult | Failure], object] = lambda _result: None,
) -> Run:
    """Measure a model on tasks.

    A task that fails is in the run with the reason, and the others go on. What was embedded stays in the cache, so
    that the same call goes on after an interruption.

    Args:
        encoder: the model.
        tasks: opened as they are needed.
        settings: how to measure (default: as `Settings` says).
        watch: told how far each step is.
        told: called with each result as it is there.

    Raises:
        DependencyError: if threads are to be bounded and threadpoolctl is not installed.
    """
    asked = settings or Settings()
    results: list[TaskResult] = []
    failed: list[Failure] = []
    kept: list[Retrieval] = []
    created = datetime.now(UTC).isoformat(timespec="seconds")
    with ExitStack() as stack:
        stack.enter_context(_threads(asked.threads))
        # Files that are mapped cannot be removed on every system.
        folder = asked.cache or Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        shape = Shape.of(encoder, asked.window, asked.overlap)
        for task in tasks:
            named = _naming(watch, task.about.name)
            try:
                result = measure_task(task, Bench(EmbeddingCache(folder, encoder, named), shape, asked, named))
            except Exception as error:  # whatever it is, the other tasks must not be lost by it
                failed.append(_failure(task, error))
                told(failed[-1])
            else:
                results.append(result)
                kept += [task] if isinstance(task, Retrieval) else []
                told(result)
        watch = _naming(watch, "one pool")
        extras = _across(results, kept, Bench(EmbeddingCache(folder, encoder, watch), shape, asked, watch))
    return Run(
        model=_model(encoder, shape, asked),
        machine=_machine(),
        versions=_versions(encoder),
        command=asked.command,
        seed=asked.seed,
        created=created,
        tasks=results,
        failed=failed,
        extras=extras,
    )


def _across(results: list[TaskResult], tasks: list[Retrieval], bench: Bench) -> dict[str, Any]:
    """Return the run's extras: what it says across languages, or a note why it does not."""
    try:
        found = across_languages(results, tasks, bench)
    except Exception as error:  # what was measured must not be lost by what is drawn from it
        return {"notes": [f"languages were not compared: {reason_of(error)}"]}
    return {"languages": found} if found else {}


def reason_of(error: Exception) -> str:
    """Return what was wrong, for people; of what efive did not foresee its kind too."""
    return str(error) if isinstance(error, EfiveError) else f"{type(error).__name__}: {error}"


def _naming(watch: Watch, name: str) -> Watch:
    def named(what: str, total: int | None, done: int) -> AbstractContextManager[Callable[[int], object]]:
        return watch(f"{name}: {what}", total, done)

    return named


def _failure(task: Task, error: Exception) -> Failure:
    return Failure(task.about.name, kind_of(task), task.about.language, reason_of(error))


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Bound the processors that numpy and scikit-learn use."""
    if count is None:
        yield
        return
    try:
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - optional
    except ImportError:
        raise DependencyError("bounding threads needs threadpoolctl: pip install 'efive[evaluate]'") from None
    with threadpool_limits(count):
        yield


def _model(encoder: Encoder, shape: Shape, settings: Settings) -> dict[str, Any]:
    info = encoder.engine_info
    return {
        "name": settings.model or encoder.space.fingerprint,
        "space": encoder.space.fingerprint,
        "engine": info.name,
        "precision": str(info.precision),
        "device": info.device,
        "dimension": encoder.dimension,
        "max_tokens": encoder.max_tokens,
        "window": shape.window,
        "overlap": shape.overlap,
        "prompts": {"query": encoder.prompts.query, "passage": encoder.prompts.passage},
    }


def _machine() -> dict[str, Any]:
    hardware = detect()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    return {
        "processor": hardware.processor,
        "cpus": hardware.cpus,
        "memory_gib": memory and round(memory / 2**30, 1),
        "system": platform.platform(),
    }


def _versions(encoder: Encoder) -> dict[str, str]:
    found = {"efive": __version__, "python": platform.python_version()}
    for package in (*_ENGINES[encoder.engine_info.name], *_PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
