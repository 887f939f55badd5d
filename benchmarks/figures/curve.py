"""The training curve as a small SVG: the loss of each objective, smoothed, and what was measured on the way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Log = list[dict[str, Any]]
Curve = list[tuple[int, float]]
OBJECTIVES = ("contrastive", "distil", "imitate")
LARGEST = 60_000
"""Bytes: the picture travels with the package."""
_POINTS = 200
_SMOOTH = 0.95
_MEASURE = "nDCG@10"
_LEGEND = 12


def objective_of(key: str, data: list[dict[str, Any]]) -> str | None:
    """Return the objective that a log's `loss/…` belongs to.

    None for the sum of all, and for a source that was used with two objectives, whose losses the key does not tell
    apart.
    """
    if not key.startswith("loss/"):
        return None
    name = key.removeprefix("loss/")
    if (first := name.split("/")[0]) in OBJECTIVES and first != name:
        return first
    found = {source["objective"] for source in data if source["name"] == name}
    return found.pop() if len(found) == 1 else None


def losses(log: Log, data: list[dict[str, Any]]) -> dict[str, Curve]:
    """Return the mean loss of each objective in each step that had batches of it."""
    found: dict[str, Curve] = {}
    for line in log:
        of_step: dict[str, list[float]] = {}
        for key, value in line.items():
            if objective := objective_of(key, data):
                of_step.setdefault(objective, []).append(value)
        for objective, values in of_step.items():
            found.setdefault(objective, []).append((line["step"], sum(values) / len(values)))
    return dict(sorted(found.items()))


def held_out(log: Log) -> dict[str, Curve]:
    """Return nDCG@10 of each held-out set."""
    found: dict[str, Curve] = {}
    for line in log:
        for key, value in line.items():
            if key.startswith("held_out/") and key.endswith(_MEASURE):
                name = key.removeprefix("held_out/").removesuffix(_MEASURE).strip()
                found.setdefault(name, []).append((line["step"], value))
    return found


def smoothed(curve: Curve, keep: float = _SMOOTH) -> Curve:
    """Return the running mean in which a point `n` points back weighs `keep` to the power n."""
    total, weight, found = 0.0, 0.0, []
    for step, value in curve:
        total, weight = keep * total + value, keep * weight + 1
        found.append((step, total / weight))
    return found


def thinned(curve: Curve, most: int = _POINTS) -> Curve:
    """Return at most `most` points of a curve, evenly spaced, the first and the last among them."""
    if len(curve) <= most:
        return curve
    return [curve[round(i * (len(curve) - 1) / (most - 1))] for i in range(most)]


def draw(logs: Sequence[Log], data: Sequence[list[dict[str, Any]]], path: Path) -> None:
    """Draw the runs after each other, with a line between them.

    Args:
        logs: the lines of each run's log.jsonl.
        data: each run's data.json.
        path: the SVG to write.

    Raises:
        ValueError: if the picture is larger than `LARGEST`.
    """
    starts, end = [], 0
    for log in logs:
        starts.append(end)
        end += max((line["step"] for line in log), default=0)
    measured = any(held_out(log) for log in logs)
    # Text stays text, and the same numbers make the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "efive", "font.size": 9}):
        figure = Figure(figsize=(9 if measured else 5, 3.2), layout="constrained")
        axes = figure.subplots(1, 2 if measured else 1, squeeze=False)[0]
        _plot(axes[0], [losses(log, sources) for log, sources in zip(logs, data, strict=True)], starts, smooth=True)
        axes[0].set_ylabel("loss, smoothed")
        if measured:
            _plot(axes[1], [held_out(log) for log in logs], starts, smooth=False)
            axes[1].set_ylabel("held-out nDCG@10")
        figure.savefig(path, format="svg", metadata={"Date": None})
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(
            f"{path} has {size:,} bytes; the package has room for {LARGEST:,}. Measure fewer held-out sets"
        )


def _plot(axes: Axes, runs: list[dict[str, Curve]], starts: list[int], *, smooth: bool) -> None:
    names = list(dict.fromkeys(name for curves in runs for name in curves))
    for number, name in enumerate(names):
        for run, (curves, start) in enumerate(zip(runs, starts, strict=True)):
            if name not in curves:
                continue
            shown = thinned(smoothed(curves[name]) if smooth else curves[name])
            label = None if any(name in earlier for earlier in runs[:run]) else name
            steps, values = [start + step for step, _ in shown], [value for _, value in shown]
            axes.plot(
                steps, values, color=f"C{number % 10}", label=label, linewidth=1.2, marker=None if smooth else "."
            )
    for start in starts[1:]:
        axes.axvline(start, color="0.7", linewidth=0.8)
    axes.set_xlabel("step")
    axes.grid(visible=True, alpha=0.3)
    if names and len(names) <= _LEGEND:
        axes.legend(fontsize=7)
