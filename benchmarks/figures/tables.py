"""Tables of a card, in Markdown, of what figures/measured.py and figures/pieces.py return."""

from collections.abc import Iterable, Sequence
from typing import Any

NONE = "–"
_SPREAD = ("mean", "p5", "p95")
SYSTEMS = {"model": "this model", "bm25": "BM25", "hybrid": "BM25 + this model", "teacher": "the teacher"}


def short(value: float | None) -> str:
    """Write a score between -1 and 1 with three digits and no zero before the point; nothing as a dash."""
    if value is None:
        return NONE
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def percent(value: float | None) -> str:
    """Write a percentage with one digit."""
    return NONE if value is None else f"{value:.1f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text and whose others are figures.

    Raises:
        ValueError: for a row of another length.
    """
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    for row in rows:
        if len(row) != len(heads):
            raise ValueError(f"{len(row)} cells under {len(heads)} heads: {row}")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def pairs(values: dict[str, str], heads: tuple[str, str], columns: int) -> str:
    """Return a table of many short entries, `columns` of them beside each other, read line by line."""
    cells = [cell for pair in values.items() for cell in pair]
    cells += [""] * (-len(cells) % (2 * columns))
    rows = [cells[i : i + 2 * columns] for i in range(0, len(cells), 2 * columns)]
    aligned = "|" + "---|--:|" * columns
    written = ["| " + " | ".join(heads * columns) + " |", aligned, *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(written)


def by_system(scores: dict[str, dict[str, float]], mean: dict[str, float] | None, head: str) -> str:
    """Return a table with a line per set and a column per system, and the means below."""
    systems = [name for name in SYSTEMS if any(name in values for values in scores.values())]
    rows = [[name, *(short(values.get(system)) for system in systems)] for name, values in scores.items()]
    if mean is not None:
        rows.append(["mean", *(short(mean.get(system)) for system in systems)])
    return table([head, *(SYSTEMS[system] for system in systems)], rows)


def cosine_rows(found: dict[str, dict[str, dict[str, dict[str, float]]]]) -> list[list[str]]:
    """Return a line per set and language: mean, 5th and 95th percentile of unrelated and of related pairs."""
    return [
        [f"{name}, {language}", *(short(each[kind][k]) for kind in ("unrelated", "related") for k in _SPREAD)]
        for name, languages in found.items()
        for language, each in languages.items()
    ]


def sections(found: dict[str, Any]) -> dict[str, str]:
    """Return the card's tables by name."""
    means = found["means"]
    made = {"ndcg": by_system(found["ndcg"], means.get("all sets"), "questions and passages")}
    if found["cross"]:
        made["cross"] = by_system(found["cross"], means.get("cross"), "questions in")
    for name in ("tatoeba", "flores"):
        if found.get(name):
            made[name] = pairs({key: percent(value) for key, value in found[name].items()}, ("language", "%"), 4)
    if found["sts"]:
        made["sts"] = pairs({key: short(value) for key, value in found["sts"].items()}, ("file", "ρ"), 3)
    if any(found["cosines"].values()):
        heads = ["set, language", "unrelated: mean", "5 %", "95 %", "related: mean", "5 %", "95 %"]
        made["cosines"] = table(heads, cosine_rows(found["cosines"]))
    if found["pieces"]:
        rows = [
            [language, f"{entry['pieces']:.2f} a {entry['unit']}", f"{100 * entry['bytes']:.2f}"]
            for language, entry in found["pieces"].items()
        ]
        made["pieces"] = table(["language", "pieces", "bytes, %"], rows)
    return made
