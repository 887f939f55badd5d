"""The playground's map: options of a chart, as ECharts takes them."""

from collections.abc import Sequence

from efive.console.languages import LANGUAGES
from efive.console.playground import MEANINGS, Compared
from efive.console.projection import Points

# Colours that all kinds of colour vision tell apart (Okabe and Ito 2008), and shapes for where they come again.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8a8a8a")
_SHAPES = ("circle", "rect", "triangle", "diamond", "emptyCircle", "emptyRect", "emptyTriangle", "emptyDiamond")
_GREY = "#808080"
"""Readable on white and on black."""


def options(compared: Compared) -> dict[str, object]:
    """Return the options of a chart: a point for each text, a colour and a shape for each language.

    Texts that share a meaning are joined by a line.
    """
    series: list[dict[str, object]] = []
    by_meaning: dict[str, list[int]] = {}
    for number, line in enumerate(compared.lines):
        by_meaning.setdefault(line.meaning, []).append(number)
    for meaning, numbers in by_meaning.items():
        if meaning != MEANINGS[0] and len(numbers) > 1:
            series.append(_joined(compared, meaning, numbers))
    for place, language in enumerate(dict.fromkeys(line.language for line in compared.lines)):
        numbers = [n for n, line in enumerate(compared.lines) if line.language == language]
        series.append(_points(compared, language, numbers, place))
    axis: dict[str, object] = {
        "type": "value",
        "scale": True,
        "axisLabel": {"color": _GREY},
        "axisLine": {"onZero": False, "lineStyle": {"color": _GREY}},
        "splitLine": {"lineStyle": {"color": _GREY, "opacity": 0.2}},
        "nameTextStyle": {"color": _GREY},
    }
    return {
        "animation": False,
        "grid": {"left": 40, "right": 24, "top": 56, "bottom": 40},
        "legend": {
            "top": 0,
            "itemWidth": 14,
            "itemHeight": 14,
            "textStyle": {"color": _GREY},
            "data": [each["name"] for each in series if "symbol" in each],
        },
        "tooltip": {"trigger": "item", "renderMode": "richText", "formatter": "{b}"},
        "xAxis": {**axis, "name": "first component", "nameLocation": "middle", "nameGap": 24},
        "yAxis": {**axis, "name": "second", "nameLocation": "end"},
        "series": series,
    }


def _points(compared: Compared, language: str, numbers: Sequence[int], place: int) -> dict[str, object]:
    data = [
        {
            "name": f"{number + 1}. {compared.lines[number].text[:80]}",
            "value": _rounded(compared.points[number]),
            "label": {"formatter": str(number + 1)},
        }
        for number in numbers
    ]
    return {
        "type": "scatter",
        "name": LANGUAGES.get(language, language),
        "symbol": _SHAPES[place % len(_SHAPES)],
        "symbolSize": 14,
        "itemStyle": {"color": _COLOURS[place % len(_COLOURS)]},
        "label": {"show": True, "position": "right", "color": _GREY, "fontSize": 11},
        "labelLayout": {"hideOverlap": True},
        "data": data,
    }


def _joined(compared: Compared, meaning: str, numbers: Sequence[int]) -> dict[str, object]:
    """Return a star: a line from the middle of a meaning's texts to each of them, and the letter above."""
    centre = _rounded(compared.points[numbers].mean(axis=0))
    top = _rounded(compared.points[numbers].max(axis=0))[1]
    rays: list[object] = []
    for number in numbers:
        rays += [centre, _rounded(compared.points[number]), [None, None]]
    return {
        "type": "line",
        "name": f"meaning {meaning}",
        "showSymbol": False,
        "silent": True,
        "lineStyle": {"color": _GREY, "width": 1, "opacity": 0.6},
        "data": rays,
        "markPoint": {
            "symbol": "circle",
            "symbolSize": 1,
            "label": {
                "formatter": meaning,
                "position": "top",
                "distance": 10,
                "fontSize": 18,
                "fontWeight": "bold",
                "color": _GREY,
            },
            "data": [{"coord": [centre[0], top]}],
        },
    }


def _rounded(point: Points) -> list[float]:
    return [round(float(part), 4) for part in point]
