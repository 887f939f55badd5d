"""Charts as SVG that lives inside a page: its colours are the page's, so that it is dark where the page is."""

import io
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

from efive.errors import DependencyError

try:
    from markupsafe import Markup
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise DependencyError("reports need jinja2 and matplotlib: pip install 'efive[evaluate]'") from error

# Stand-ins that matplotlib can draw with, and the page's variables that take their place.
_SERIES = [f"#0{place:x}fe01" for place in range(8)]
_COLOURS = {
    "#01fe02": "var(--ink)",
    "#01fe03": "var(--line)",
    **{stand_in: f"var(--series-{place})" for place, stand_in in enumerate(_SERIES)},
}
_INK, _LINE = "#01fe02", "#01fe03"
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": _INK,
    "text.parse_math": False,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
_WIDTH = 5.0
_MARKS = "oDsv^<>P"
_GROUPS = 21
"""Groups on a map: seven colours in three shapes, grey for what is left."""
_OTHERS = "others"
_OWN = {"model": 0, "bm25": 1, "hybrid_rrf": 2, "hybrid_normalised": 3, "hybrid_tuned": 4, "related": 0, "unrelated": 1}


def bars(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    quoted: Mapping[str, Sequence[float | None]],
    measure: str,
) -> Markup:
    """Return horizontal bars, one group a label and one bar a series, and a mark for each published figure.

    Args:
        labels: codes of tasks or languages, from top to bottom.
        series: values by name, one a label; None where there is none.
        quoted: published values likewise.
        measure: what is on the axis.
    """
    thick = 0.8 / max(1, len(series))
    height = 0.9 + len(labels) * max(0.24, 0.13 * len(series) + 0.08) + 0.2 * len(quoted)
    colours = _colours(series)
    with _drawing(height) as drawing:
        axes = drawing.axes
        for place, (name, values) in enumerate(series.items()):
            at = [row + (place - (len(series) - 1) / 2) * thick for row in range(len(labels))]
            axes.barh(at, [value or 0 for value in values], thick * 0.92, color=colours[name], label=name)
        for place, (name, values) in enumerate(quoted.items()):
            known = [(value, row) for row, value in enumerate(values) if value is not None]
            axes.plot(
                *zip(*known, strict=True), _MARKS[place % 8], color=_INK, markersize=4.5, fillstyle="none", label=name
            )
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_xlim(min(0, *(value or 0 for values in series.values() for value in values), 0), 1)
        axes.set_xlabel(measure)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        drawing.legend()
        return drawing.svg(f"{measure} by task")


def lines(series: Mapping[str, Sequence[float]], across: str, up: str) -> Markup:
    """Return curves over 1, 2, 3, …, on a logarithmic axis."""
    colours = _colours(series)
    with _drawing(3.2) as drawing:
        for name, values in series.items():
            drawing.axes.plot(range(1, len(values) + 1), values, color=colours[name], linewidth=1.8, label=name)
        longest = max(len(values) for values in series.values())
        ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= longest]
        drawing.axes.set_xscale("log")
        drawing.axes.set_xticks(ticks, [str(tick) for tick in ticks])
        drawing.axes.minorticks_off()
        drawing.axes.set_ylim(0, 1.02)
        drawing.axes.set_xlabel(across)
        drawing.axes.set_ylabel(up)
        drawing.legend()
        return drawing.svg(f"{up} over {across}")


def histograms(edges: Sequence[float], series: Mapping[str, Sequence[float]], across: str) -> Markup:
    """Return histograms over each other, each scaled to the share of its own total.

    Args:
        edges: of the bins, one more than counts.
        series: counts or densities by name.
        across: what is on the axis.
    """
    colours = _colours(series)
    with _drawing(2.8) as drawing:
        for name, counts in series.items():
            total = sum(counts) or 1
            shares = [count / total for count in counts]
            drawing.axes.stairs(shares, edges, fill=True, color=colours[name], alpha=0.35)
            drawing.axes.stairs(shares, edges, color=colours[name], linewidth=1.6, label=name)
        drawing.axes.set_xlabel(across)
        drawing.axes.set_ylabel("share")
        drawing.legend()
        return drawing.svg(f"distribution of {across}")


def intervals(labels: Sequence[str], ranges: Sequence[tuple[float, float, float]], across: str) -> Markup:
    """Return one line a label from the low to the high end of a range, with a dot at the middle value given."""
    with _drawing(0.9 + 0.26 * len(labels)) as drawing:
        drawing.axes.axvline(0, color=_INK, linewidth=0.8)
        for row, (low, middle, high) in enumerate(ranges):
            colour = _SERIES[3] if high < 0 else _SERIES[2] if low > 0 else _SERIES[7]
            drawing.axes.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
            drawing.axes.plot([middle], [row], "o", color=colour, markersize=5)
        drawing.axes.set_yticks(range(len(labels)), labels)
        drawing.axes.set_ylim(len(labels) - 0.4, -0.6)
        drawing.axes.set_xlabel(across)
        drawing.axes.grid(visible=False, axis="y")
        drawing.axes.tick_params(axis="y", length=0)
        return drawing.svg(across)


def points(places: Sequence[Sequence[float]], groups: Sequence[str]) -> Markup:
    """Return points on a plane, (n, 2) and n names; the largest groups have colours and shapes, others are grey."""
    largest = [group for group, _ in Counter(groups).most_common()]
    named = largest if len(largest) <= _GROUPS else largest[: _GROUPS - 1]
    with _drawing(4.6) as drawing:
        for place, group in enumerate([*named, _OTHERS] if len(named) < len(largest) else named):
            own = [
                spot for spot, name in zip(places, groups, strict=True) if (name if name in named else _OTHERS) == group
            ]
            drawing.axes.plot(
                *zip(*own, strict=True),
                _MARKS[place // 7],
                color=_SERIES[7 if group == _OTHERS else place % 7],
                markersize=3 if group == _OTHERS else 4,
                alpha=0.4 if group == _OTHERS else 0.8,
                markeredgewidth=0,
                zorder=1 if group == _OTHERS else 2,
                label=group or "?",
            )
        drawing.axes.set_xticks([])
        drawing.axes.set_yticks([])
        drawing.axes.set_aspect("equal", "datalim")
        drawing.legend(columns=6, marks=2)
        return drawing.svg("map of a sample")


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A figure in the style of the page."""

    figure: Figure
    axes: Axes

    def legend(self, columns: int = 2, marks: float = 1) -> None:
        """Put a legend above the drawing, where it hides nothing; one name needs none."""
        handles, names = self.axes.get_legend_handles_labels()
        if len(names) > 1:
            where: Literal["outside upper left"] = "outside upper left"
            self.figure.legend(
                handles, names, loc=where, ncols=columns, handlelength=1.2, columnspacing=1.2, markerscale=marks
            )

    def svg(self, title: str) -> Markup:
        """Return the drawing for a page, with a title for those who cannot see it."""
        file = io.StringIO()
        nothing: dict[str, Any] = {"Creator": None, "Date": None, "Format": None, "Type": None}
        with warnings.catch_warnings():
            # What the font that measures lacks, the reader's has.
            warnings.filterwarnings("ignore", "Glyph .* missing")
            self.figure.savefig(file, format="svg", metadata=nothing)
        return _inline(file.getvalue(), title)


@contextmanager
def _drawing(height: float) -> Iterator[_Drawing]:
    with rc_context(_STYLE):
        figure = Figure((_WIDTH, height), layout="constrained")
        yield _Drawing(figure, figure.subplots())


def _colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name; systems keep theirs from chart to chart."""
    names = list(names)
    free = [colour for place, colour in enumerate(_SERIES) if place not in {_OWN.get(name) for name in names}]
    others = iter(cycle(free or _SERIES))
    return {name: _SERIES[_OWN[name]] if name in _OWN else next(others) for name in dict.fromkeys(names)}


def _inline(svg: str, title: str) -> Markup:
    """Return an SVG file as an element: no header, no ids that two drawings share, the page's colours and font."""
    head, body = svg[svg.index("<svg") :].split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<(metadata|style).*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;]*; ", "", body)
    own = f"c{zlib.crc32(svg.encode()):08x}-"
    body = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{own}", body)
    for stand_in, variable in _COLOURS.items():
        body = body.replace(stand_in, variable)
    title = str(Markup.escape(title))
    return Markup(f'<svg role="img" aria-label="{title}" {box[0] if box else ""}>{body}')  # noqa: S704 - drawn by us
