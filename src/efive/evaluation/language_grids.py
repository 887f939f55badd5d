"""What a run says across languages, as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from efive.evaluation.grid import Grid, Row, number
from efive.evaluation.languages import is_english
from efive.evaluation.results import Run

_MOST = 12
"""Languages of a set that are shown one by one."""
_POOL = ("own_share", "by_chance", "preference", "recall_alone", "recall_mixed", "drop")


def language_grids(run: Run) -> list[Grid]:
    """Return the gaps between languages and the pools of `run.extras["languages"]`, where they are there."""
    found = run.extras.get("languages", {})
    shown = ((_gaps, found.get("gaps")), (_pools, found.get("pools")))
    return [grid(values) for grid, values in shown if values]


def _gaps(sets: list[dict[str, Any]]) -> Grid:
    rows, notes = [], []
    for each in sets:
        languages = each["languages"]
        kept = languages
        if len(languages) > _MOST:
            kept = [row for row in languages[:-_MOST] if row is languages[0] or is_english(row["language"])]
            kept += languages[-_MOST:]
            notes.append(f"{each['set']}: the best, English and the last {_MOST} of {len(languages)}; the run has all")
        rows.append(Row(f"{each['set']}, {each['measure']}", ("",) * 3, look="heading"))
        rows += [Row("", tuple(number(row[key]) for key in ("score", "to_best", "to_english")), "", row["language"])
                 for row in kept]  # fmt: skip
    remark = "gaps: how far a language is behind the best one and behind English; below 0 it is ahead"
    return Grid("languages", ("score", "to_best", "to_english"), tuple(rows), (remark, *notes), ())


def _pools(pools: list[dict[str, Any]]) -> Grid:
    rows = [row for pool in pools for row in _pool(pool)]
    remark = (
        f"all languages of a set in one pool: own_share of the first {pools[0]['k']} are in the question's language, "
        "preference is that over chance; recall of the answers in its language, among its documents and in the pool"
    )
    sampled = [f"{pool['set']}: {'; '.join(filter(None, (_documents(pool), pool['sampled'])))}" for pool in pools]
    return Grid("one pool of languages", _POOL, tuple(rows), (remark, *sampled), ())


def _documents(pool: Mapping[str, Any]) -> str:
    return f"{sum(pool['documents'].values()):,} documents"


def _pool(pool: Mapping[str, Any]) -> Iterator[Row]:
    yield Row(pool["set"], ("",) * len(_POOL), look="heading")
    for language, figures in pool["languages"].items():
        yield Row("", tuple(number(figures[key]) for key in _POOL), "", language)
    yield Row("mean", tuple(number(pool["mean"][key]) for key in _POOL), look="mean")
