"""The table of the training benchmark: plain text that is also Markdown."""

from collections.abc import Sequence
from typing import Any

from measure import Spread, rate, ratio, share_of_limit
from report import print_table, spread_text

Records = list[dict[str, Any]]
OURS, PEER = "efive", "sentence-transformers"
TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}
"""How far the first losses of the two trainers may lie apart, relative to the loss where it exceeds 1."""
_CELL = ("model", "precision", "passage_tokens", "cached", "batch", "steps", "threads", "device")


def loss_gap(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how far the losses of the first step, on the same batch and weights, lie apart."""
    return abs(ours[0] - theirs[0]) / max(1.0, abs(theirs[0]))


def print_report(records: Records, clock: str) -> None:
    """Print one row per cell and trainer, then what does not fit into the table."""
    cells = list(dict.fromkeys(tuple(r[key] for key in _CELL) for r in records))
    body, notes = [], []
    for cell in cells:
        found = [r for r in records if tuple(r[key] for key in _CELL) == cell]
        sides = {name: [r for r in found if r["trainer"] == name and "wall_s" in r] for name in (OURS, PEER)}
        body += [_row(name, rows, sides[PEER], clock) for name, rows in sides.items() if rows]
        notes += [f"{_name(r)}: {r['trainer']} failed: {r['error']}" for r in found if "error" in r]
        if sides[OURS] and sides[PEER]:
            notes.append(_agreement(sides[OURS][0], sides[PEER][0]))
    heads = ["cell", "trainer", f"pairs/s by {clock} (min-max)", "tokens/s", "x peer (min-max)"]
    print()
    print_table([*heads, "peak MB", "% of limit"], body)
    print()
    for note in dict.fromkeys(notes):
        print(note)
    _print_limits(records)


def _name(record: dict[str, Any]) -> str:
    mode = "cached" if record["cached"] else "plain"
    return f"{record['model']} {record['precision']} {record['passage_tokens']} {mode} batch {record['batch']}"


def _row(name: str, rows: Records, peer: Records, clock: str) -> list[str]:
    tokens = Spread.of(rate(r, clock) for r in rows)
    pairs = Spread.of(r["pairs"] / r[f"{clock}_s"] for r in rows)
    shares = Spread.of(100 * share for r in rows if (share := share_of_limit(r, clock)) is not None)
    peak = max(r["device_mb"] or r["peak_mb"] for r in rows)
    return [
        _name(rows[0]),
        name,
        spread_text(pairs, ".2f"),
        f"{tokens.middle:,.0f}" if tokens else "?",
        spread_text(ratio(rows, peer, clock), ".2f") if name == OURS else "1",
        f"{peak:,.0f}",
        f"{shares.middle:.0f}" if shares else "?",
    ]


def _agreement(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    gap, allowed = loss_gap(ours["losses"], theirs["losses"]), TOLERANCE[ours["precision"]]
    verdict = "the same work" if gap <= allowed else f"NOT THE SAME WORK (more than {allowed} apart)"
    last = f"last {ours['losses'][-1]:.4f} and {theirs['losses'][-1]:.4f}"
    first = f"first loss {ours['losses'][0]:.5f} and {theirs['losses'][0]:.5f}"
    padding = f"padded, the peer computes {ours['padded'] / ours['tokens']:.2f} times the tokens"
    set_up = f"processor seconds before the clock: {ours['set_up_s']:.1f} and {theirs['set_up_s']:.1f}"
    return f"{_name(ours)}: {first}, {last}: {verdict}; {padding}; {set_up}"


def _print_limits(records: Records) -> None:
    limits = [r["limit"] for r in records if r.get("limit")]
    for precision in ("fp32", "bf16"):
        if spread := Spread.of(each[precision] / 1e9 for each in limits):
            print(f"machine's limit in {precision}: {spread_text(spread, ',.0f')} GFLOP/s")
    versions = {f"{r['trainer']} {r['version']}" for r in records if "version" in r}
    print(f"versions: {', '.join(sorted(versions))}")
