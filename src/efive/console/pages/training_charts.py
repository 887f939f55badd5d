"""Curves of a run that grow while one looks at them."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

Points = Sequence[tuple[int, float]]
_GREY = "#888888"
"""Can be read on white and on black."""
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
"""Told apart by all kinds of colour vision (Okabe and Ito 2008)."""


def chart(title: str) -> ui.echart:
    """Show an empty chart over steps; `draw` fills it."""
    axis: dict[str, Any] = {"type": "value", "axisLabel": {"color": _GREY}, "nameTextStyle": {"color": _GREY}}
    axis["splitLine"] = {"lineStyle": {"color": _GREY, "opacity": 0.2}}
    options = {
        "title": {"text": title, "left": 0, "top": 0, "padding": 0, "textStyle": {"fontSize": 14, "color": _GREY}},
        "legend": {"top": 24, "left": 0, "padding": 0, "textStyle": {"color": _GREY}},
        "grid": {"left": 56, "right": 16, "top": 60, "bottom": 40},
        "tooltip": {"trigger": "axis"},
        "animation": False,
        "color": _COLOURS,
        "xAxis": axis | {"name": "step", "nameLocation": "middle", "nameGap": 24, "minInterval": 1},
        "yAxis": axis | {"scale": True},
        "series": [],
    }
    return ui.echart(options).classes("w-full h-72").props("role=img").props(f'aria-label="{title}"')


def draw(shown: ui.echart, curves: Mapping[str, Points], *, marks: bool) -> None:
    """Show these curves.

    Args:
        shown: the chart.
        curves: by name.
        marks: whether each point is marked, where there are few.
    """
    shown.options["series"] = [
        {"type": "line", "name": name, "data": [list(point) for point in points], "showSymbol": marks, "smooth": False}
        for name, points in curves.items()
    ]
    last = [f"{name} {points[-1][1]:.4f} at step {points[-1][0]}" for name, points in curves.items() if points]
    shown.props["aria-label"] = f"{shown.options['title']['text']}: {', '.join(last) or 'nothing yet'}"
    shown.update()
