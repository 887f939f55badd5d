"""A table of similarities in colours, with its numbers: as HTML, so that it can be read aloud and copied."""

import html
from collections.abc import Sequence

import numpy as np

from efive.engines.base import Floats

# Cividis (Nuñez, Anderton and Renslow 2018): the same order of lightness for every kind of colour vision.
_CIVIDIS = (
    (0, 34, 78),
    (18, 53, 112),
    (59, 73, 108),
    (87, 93, 109),
    (112, 113, 115),
    (138, 134, 120),
    (165, 156, 116),
    (195, 179, 105),
    (225, 204, 85),
    (254, 232, 56),
)

STYLE = """
<style>
.heatmap { border-collapse: collapse; font-size: .75rem; font-variant-numeric: tabular-nums; }
.heatmap td { min-width: 2.6em; padding: .35em .2em; text-align: center; }
.heatmap th { padding: .2em .5em; text-align: start; font-weight: 500; white-space: nowrap; }
.heatmap tbody th { position: sticky; left: 0; background: #fff; }
.body--dark .heatmap tbody th { background: #121212; }
.heatmap thead th { text-align: center; }
</style>
"""


def colour(share: float) -> str:
    """Return the colour of a share, 0 to 1, from dark blue to yellow."""
    place = min(max(share, 0.0), 1.0) * (len(_CIVIDIS) - 1)
    low = min(int(place), len(_CIVIDIS) - 2)
    mixed = (a + (b - a) * (place - low) for a, b in zip(_CIVIDIS[low], _CIVIDIS[low + 1], strict=True))
    return "#" + "".join(f"{round(part):02x}" for part in mixed)


def ink(background: str) -> str:
    """Return black or white, whichever is easier to read on a colour (WCAG 2, relative luminance)."""
    linear = [_linear(int(background[at : at + 2], 16) / 255) for at in (1, 3, 5)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#fff"


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def to_html(cosines: Floats, labels: Sequence[str], caption: str) -> str:
    """Return a table; its colours are spread over the values beside the diagonal.

    Args:
        cosines: (n, n).
        labels: of rows and columns.
        caption: what the table is, for those who hear it.
    """
    low, high = spread_of(cosines)
    spread = max(high - low, 1e-6)
    head = "".join(f'<th scope="col">{html.escape(label)}</th>' for label in labels)
    rows = []
    for label, values in zip(labels, cosines, strict=True):
        cells = "".join(_cell(float(value), (float(value) - low) / spread) for value in values)
        rows.append(f'<tr><th scope="row">{html.escape(label)}</th>{cells}</tr>')
    return (
        f'<table class="heatmap"><caption class="sr-only">{html.escape(caption)}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def spread_of(cosines: Floats) -> tuple[float, float]:
    """Return the least and the largest value beside the diagonal."""
    others = cosines[~np.eye(len(cosines), dtype=bool)]
    return (float(others.min()), float(others.max())) if others.size else (0.0, 1.0)


def _cell(value: float, share: float) -> str:
    background = colour(share)
    return f'<td style="background:{background};color:{ink(background)}">{round(value, 2) + 0.0:.2f}</td>'
