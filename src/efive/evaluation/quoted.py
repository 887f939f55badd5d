"""Figures that others published, to stand beside what was measured here. The data is `quoted.toml`."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from efive.evaluation.codes import short_pair
from efive.evaluation.results import Quoted

_DATA = Path(__file__).with_name("quoted.toml")


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number."""

    benchmark: str
    names: tuple[str, ...]
    """How names of tasks made of this benchmark begin, letters and digits only."""
    language: str
    """Empty for the figure over the whole benchmark."""
    model: str
    measure: str
    value: float
    source: str


@cache
def figures() -> tuple[Figure, ...]:
    """Return every published figure that efive knows, in the order of its data file."""
    return tuple(_figures())


def quoted(task: str, language: str) -> list[Quoted]:
    """Return what was published on a task in a language, one entry a model and source.

    Args:
        task: its name, such as `mrtydi-sw` or `MIRACL/bn`. Case and punctuation do not matter, but for a colon:
            `mrtydi_sw:dev` is a split of which nothing was published.
        language: its code, `de-en` or `deu-eng` for a pair; a pair is found in either order. Empty asks for the figures
            over the whole benchmark, which must not stand beside one of its tasks.
    """
    if ":" in task:  # NAME:SPLIT is not the published split
        return []
    name = re.sub(r"[\W_]", "", task.casefold())
    language = short_pair(language)
    languages = {language, "-".join(reversed(language.split("-")))}
    found: dict[tuple[str, str], Quoted] = {}
    for figure in figures():
        if figure.language in languages and name.startswith(figure.names):
            entry = found.setdefault((figure.model, figure.source), Quoted(figure.model, {}, figure.source))
            entry.scores[figure.measure] = figure.value
    return list(found.values())


def _figures() -> Iterator[Figure]:
    for table in tomllib.loads(_DATA.read_text(encoding="utf-8"))["figures"]:
        names = tuple(table["names"])
        for model, values in table["models"].items():
            for language, value in zip(table["languages"], values, strict=True):
                if value != "":  # nothing was published there
                    source = table["source"]
                    yield Figure(table["benchmark"], names, language, model, table["measure"], value, source)
