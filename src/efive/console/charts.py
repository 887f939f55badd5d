"""Options of the live charts, as ECharts takes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from efive.console.history import INTERVAL, MOST, Sample
from efive.console.units import number

_GREY = "#808080"
"""Readable on white and on black."""
_COLOURS = ("#0072B2", "#D55E00")
"""Told apart by all kinds of colour vision (Okabe and Ito 2008)."""
_DASHES = ("solid", "dashed")


@dataclass(frozen=True, slots=True)
class Line:
    """One curve of a chart."""

    name: str
    value: Callable[[Sample], float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn over the last minutes."""

    title: str
    unit: str
    lines: Sequence[Line]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


CHARTS = (
    Chart("Throughput", "tokens/s", [Line("tokens", lambda s: s.tokens)]),
    Chart("Requests", "requests/s", [Line("answered", lambda s: s.requests), Line("failed", lambda s: s.errors)]),
    Chart("Queue", "requests", [Line("waiting", lambda s: float(s.waiting))]),
    Chart(
        "Latency",
        "ms",
        [Line("median", lambda s: _milliseconds(s.p50)), Line("99 %", lambda s: _milliseconds(s.p99))],
    ),
    Chart("Truncations", "texts/s", [Line("cut", lambda s: s.cut)]),
)


def series(chart: Chart, samples: Sequence[Sample]) -> list[list[float | None]]:
    """Return the values of a chart's lines, the newest last, as many as the chart has room for."""
    empty: list[float | None] = [None] * (MOST - len(samples))
    return [empty + [_rounded(line.value(sample)) for sample in samples] for line in chart.lines]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def latest(chart: Chart, samples: Sequence[Sample]) -> list[float | None]:
    """Return the newest value of each line."""
    return [line.value(samples[-1]) if samples else None for line in chart.lines]


def options(chart: Chart, samples: Sequence[Sample]) -> dict[str, object]:
    """Return what ECharts draws."""
    minutes = MOST * INTERVAL / 60
    labels = ["" for _ in range(MOST)]
    labels[0], labels[-1] = f"{minutes:.0f} min ago", "now"
    return {
        "animation": False,
        "grid": {"left": 52, "right": 16, "top": 28 if len(chart.lines) > 1 else 12, "bottom": 24},
        "legend": {"show": len(chart.lines) > 1, "top": 0, "textStyle": {"color": _GREY}, "icon": "roundRect"},
        "xAxis": {
            "type": "category",
            "data": labels,
            "axisLabel": {"color": _GREY, "interval": MOST - 2, "alignMinLabel": "left", "alignMaxLabel": "right"},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "axisLabel": {"color": _GREY, "hideOverlap": True},
            "splitNumber": 3,
            "splitLine": {"lineStyle": {"color": _GREY, "opacity": 0.2}},
        },
        "series": [
            {
                "type": "line",
                "name": line.name,
                "data": values,
                "showSymbol": False,
                "lineStyle": {"color": colour, "type": dash, "width": 2},
                "itemStyle": {"color": colour},
            }
            for line, values, colour, dash in zip(chart.lines, series(chart, samples), _COLOURS, _DASHES, strict=False)
        ],
    }


def in_words(chart: Chart, samples: Sequence[Sample]) -> str:
    """Return the newest values as a sentence would have them."""
    newest = latest(chart, samples)
    if all(value is None for value in newest):
        return "nothing yet"
    values = zip(chart.lines, newest, strict=True)
    if len(chart.lines) == 1:
        return " ".join(f"{_shown(value)} {chart.unit}" for _, value in values)
    return ", ".join(f"{line.name} {_shown(value)}" for line, value in values) + f" {chart.unit}"


def _shown(value: float | None) -> str:
    return "–" if value is None else number(value)
