"""The table: one per model and mix, plain text that is also Markdown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from measure import Spread, percentiles, rate, ratio, share_of_limit, sorted_padding
from roster import BASELINES, ROSTER
from texts import MIXES, lengths

Records = list[dict[str, Any]]


def print_report(records: Records, clock: str) -> None:
    """Print every model's and mix's tables, in the order in which they were measured."""
    cells = dict.fromkeys((r["model"], r["mix"], r["texts"], r["threads"]) for r in records)
    for cell in cells:
        model, mix, texts, threads = cell
        rows = [r for r in records if (r["model"], r["mix"], r["texts"], r["threads"]) == cell]
        padding = sorted_padding(lengths(mix, texts, rows[0]["seed"]))
        print(f"\n### {model}, ({mix}) {MIXES[mix]}: {texts} texts, {threads} thread(s)\n")
        print(f"Sorted by length in batches of 32, these texts take {padding:.2f} times their tokens.\n")
        _print_cell(rows, clock)


def _by_engine(rows: Records) -> dict[str, Records]:
    """Return each engine's measured rounds, in the roster's order."""
    grouped = {name: [r for r in rows if r["engine"] == name and "tokens" in r] for name in ROSTER}
    return {name: found for name, found in grouped.items() if found}


def _print_cell(rows: Records, clock: str) -> None:
    measured = _by_engine(rows)
    heads = ["engine", "precision", "tok/s (min-max)", "tok/CPU-s", "texts/s", f"x {_baseline(rows)} ({clock})"]
    heads += ["peak MB", "% of limit", "min cosine"]
    queries = any("query_ms" in r for r in rows)
    heads += ["query p50 ms", "p99 ms", "CPU ms"] if queries else []
    print_table(heads, [_row(name, found, measured, clock) for name, found in measured.items()])
    missing = [r for r in rows if "tokens" not in r and r["engine"] not in measured]
    notes = (
        f"absent: {_title(r['engine'])}; install with {r['absent']}"
        if "absent" in r
        else f"failed: {_title(r['engine'])}: {r['error']}"
        for r in missing
    )
    for note in dict.fromkeys(notes):
        print(note)
    for name, found in measured.items():
        used = max(r["cpu_s"] / r["wall_s"] for r in found)
        if used > 1.1 * found[0]["threads"]:
            print(f"not comparable by the wall clock: {_title(name)} used {used:.1f} processors")
    _print_limits(rows)
    _print_ratios(measured, clock)


def _row(name: str, found: Records, measured: dict[str, Records], clock: str) -> list[str]:
    precision = found[-1]["precision"]
    texts = Spread.of(r["texts"] / r["wall_s"] for r in found)
    shares = [share for r in found if (share := share_of_limit(r, clock)) is not None]
    cosines = [r["cosine"] for r in found if r["cosine"] is not None]
    row = [
        _title(name),
        precision,
        spread_text(Spread.of(rate(r, "wall") for r in found)),
        _middle(Spread.of(rate(r, "cpu") for r in found), ",.0f"),
        _middle(texts, ",.1f"),
        _middle(ratio(found, measured.get(_baseline(found), []), clock), ".2f"),
        f"{max(r['peak_mb'] for r in found):,.0f}",
        _middle(Spread.of(100 * s for s in shares), ".0f"),
        f"{min(cosines):.5f}" if cosines else "?",
    ]
    timed = [r for r in found if "query_ms" in r]
    if timed:
        row += [f"{ms:.1f}" for ms in percentiles(timed)]
        row.append(_middle(Spread.of(1e3 * r["query_cpu_s"] / len(r["query_ms"]) for r in timed), ".1f"))
    return row


def _print_limits(rows: Records) -> None:
    limits = [r["limit"] for r in rows if r.get("limit")]
    if limits:
        middles = (f"{p} {np.median([m[p] for m in limits]) / 1e9:,.0f}" for p in limits[0])
        versions = {f"{ROSTER[r['engine']].kind} {r['version']}" for r in rows if "version" in r}
        print(f"\nmachine's limit, GFLOP/s (median over turns): {', '.join(middles)}")
        print(f"versions: {', '.join(sorted(versions))}")


def _print_ratios(measured: dict[str, Records], clock: str) -> None:
    """Print how many times faster each row of efive is than each peer, by `clock`, within rounds."""
    ours = [name for name in measured if ROSTER[name].ours]
    if not ours:
        return
    peers = [name for name in measured if not ROSTER[name].ours]
    print(f"\nratio of efive to each peer by {clock} clock, median (min-max) of the rounds:\n")
    heads = ["peer", *(f"{name} ({measured[name][-1]['precision']})" for name in ours)]
    body = [[p, *(spread_text(ratio(measured[o], measured[p], clock), ".2f") for o in ours)] for p in peers]
    print_table(heads, body)


def _baseline(rows: Records) -> str:
    return BASELINES[ROSTER[rows[0]["engine"]].device]


def _title(name: str) -> str:
    return f"{ROSTER[name].title} [{name}]"


def _middle(spread: Spread | None, style: str) -> str:
    return format(spread.middle, style) if spread else "?"


def spread_text(spread: Spread | None, style: str = ",.0f") -> str:
    """Return `middle (low-high)`."""
    if spread is None:
        return "?"
    return f"{spread.middle:{style}} ({spread.low:{style}}-{spread.high:{style}})"


def print_table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table whose columns line up."""
    filled = [[*row, *[""] * (len(heads) - len(row))] for row in body]
    widths = [max(len(row[i]) for row in [list(heads), *filled]) for i in range(len(heads))]
    for row in (list(heads), ["-" * w for w in widths], *filled):
        print("| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |")
