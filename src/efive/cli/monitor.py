"""`efive monitor`: what a log of queries says."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from efive.cli.options import encoder_options, load_encoder
from efive.errors import InputError

if TYPE_CHECKING:
    from efive.encoder import Encoder
    from efive.evaluation.monitoring import Drift, Report
    from efive.vectors import Floats

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("monitor")
@click.argument("log", type=_FILE)
@click.option("--collection", "-c", help="Only this one.  [default: each by itself]")
@click.option("--baseline", type=_FILE, help="The log of an earlier period, to see what has changed since.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Lower is unsure.")
@click.option("--with-texts", is_flag=True, help="Show queries of content gaps, if the log holds them.")
@click.option("--embed", is_flag=True, help="Embed queries that the log holds as texts only; --model says with what.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of samples, permutations and clusters.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a collection and space.")
@encoder_options
def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    log: Path,
    collection: str | None,
    baseline: Path | None,
    threshold: float,
    with_texts: bool,  # noqa: FBT001
    embed: bool,  # noqa: FBT001
    seed: int,
    as_json: bool,  # noqa: FBT001
    **engine: Any,  # noqa: ANN401
) -> None:
    """Report the queries of LOG: rates of empty and unsure answers, speed, drift, and what is asked in vain.

    Queries are shown by numbers alone, unless --with-texts is given. Drift of meaning and content gaps need vectors
    in the log, or texts and --embed.
    """
    from efive.evaluation.monitoring import Settings, monitor
    from efive.evaluation.query_log import read

    with ExitStack() as stack:
        reports = monitor(
            read(log),
            Settings(threshold, with_texts, seed),
            before=read(baseline) if baseline else None,
            collection=collection,
            embed=_Embedder(engine, stack) if embed else None,
        )
    if not reports:
        raise InputError(f"{log} has no queries" + (f" of the collection {collection!r}" if collection else ""))
    for report in reports:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False) if as_json else "\n".join(_lines(report)))


class _Embedder:
    """Embeds queries of the space that the model's vectors live in; the model is loaded when first needed."""

    def __init__(self, engine: dict[str, Any], stack: ExitStack) -> None:
        self._engine, self._stack = engine, stack
        self._encoder: Encoder | None = None

    def __call__(self, space: str, texts: list[str]) -> "Floats | None":
        if self._encoder is None:
            self._encoder = self._stack.enter_context(load_encoder(**self._engine))
        if self._encoder.space.fingerprint != space:
            click.echo(f"efive: {space} is not the space of the model; its queries were not embedded", err=True)
            return None
        return self._encoder.embed_queries(texts).vectors


def _lines(report: "Report") -> Iterator[str]:
    yield f"{report.collection or '(no name)'}, space {report.space or 'none: full text'}"
    yield _row("period", f"{report.first[:19]} to {report.last[:19]}")
    yield _row("queries", f"{report.queries:,} ({report.distinct:,} different)")
    yield _row("nothing found", f"{report.zero_results:.1%}")
    if report.low_confidence is None:
        yield _row("unsure", "not known: no query has a confidence")
    else:
        of = f"below {report.threshold:g}, of {report.confidence_known:,} with a confidence"
        yield _row("unsure", f"{report.low_confidence:.1%} ({of})")
    yield _row("milliseconds", ", ".join(f"{p} %: {value:.1f}" for p, value in report.milliseconds.items()))
    if report.drift is not None:
        yield from _drift(report.drift)
    yield from _gaps(report)
    yield ""


def _drift(drift: "Drift") -> Iterator[str]:
    yield _row("before", f"{drift.queries_before:,} queries")
    for name, shift in (("confidence", drift.confidence), ("cosine", drift.cosine)):
        if shift is None:
            yield _row(f"{name}s moved", "not known: too few")
        else:
            yield _row(f"{name}s moved", f"PSI {shift['psi']:.3f} ({shift['by_chance']:.3f} is chance, 0.25 is much)")
    if drift.vectors is None:
        yield _row("subjects moved", "not known: too few vectors")
    else:
        found = drift.vectors
        yield _row("subjects moved", f"energy distance {found['distance']:.4f}, p = {found['p']:.3f}")


def _gaps(report: "Report") -> Iterator[str]:
    if report.gaps is None:
        yield _row("asked in vain", "not known: the log has no vectors")
        return
    if not report.gaps:
        yield _row("asked in vain", "no subject stands out")
    for number, gap in enumerate(report.gaps, 1):
        certain = "" if gap.confidence is None else f", mean confidence {gap.confidence:.2f}"
        yield _row(f"asked in vain {number}", f"{gap.queries:,} queries ({gap.share:.1%}){certain}")
        yield from (f"{'':<18}  {json.dumps(text, ensure_ascii=False)}" for text in gap.texts)


def _row(name: str, value: str) -> str:
    return f"  {name:<18}{value}"
