"""Questions to a collection: one list of hits, or those of every mode side by side."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from efive.errors import EfiveError, InputError
from efive.search.asking import SearchOptions, condition
from efive.search.collection import Collection
from efive.search.searching import MODES, Hit
from efive.search.terms import Span
from efive.server.service import Service


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know."""

    text: str
    k: int = 10
    mode: str = "hybrid"
    where: str = ""
    min_confidence: float = 0.0
    """0 asks for none."""

    def options(self, mode: str | None = None) -> SearchOptions:
        """Return what `Collection.search` takes."""
        mode = mode or self.mode
        options: SearchOptions = {"mode": mode, "where": self.where}
        if self.min_confidence and mode != "text":
            options["min_confidence"] = self.min_confidence
        return options


def fault_of(where: str) -> str | None:
    """Return what is wrong with a condition, for the field that it is written in."""
    try:
        condition(where)
    except InputError as error:
        return str(error)
    return None


async def search(service: Service, name: str, asked: Asked) -> list[Hit]:
    """Return hits with the words, or the sentence, that answer.

    Raises:
        EfiveError: as `Collection.search`, and if the collection's model is not deployed.
    """
    collection = await service.collections.open(name)
    return await service.collections.run(lambda: _hits(collection, asked, asked.mode))


async def compare(service: Service, name: str, asked: Asked) -> dict[str, list[Hit]]:
    """Return the hits of every mode.

    Raises:
        EfiveError: as `search`.
    """
    collection = await service.collections.open(name)
    return await service.collections.run(lambda: {mode: _hits(collection, asked, mode) for mode in MODES})


def _hits(collection: Collection, asked: Asked, mode: str) -> list[Hit]:
    return collection.highlight(asked.text, collection.search(asked.text, asked.k, **asked.options(mode)))


def elsewhere(found: Mapping[str, Sequence[Hit]], mode: str, hit: Hit) -> str:
    """Say at which rank the other modes have the document of a hit."""
    ranks = {other: next((h.rank for h in hits if h.document == hit.document), None) for other, hits in found.items()}
    return ", ".join(f"{other} {rank or '–'}" for other, rank in ranks.items() if other != mode)


def marked(text: str, spans: Sequence[Span]) -> str:
    """Return a text as HTML, everything of it escaped, with `<mark>` around the spans."""
    parts, at = [], 0
    for start, end in sorted(spans):
        if start < at:  # they overlap
            continue
        parts += [html.escape(text[at:start]), "<mark>", html.escape(text[start:end]), "</mark>"]
        at = end
    return "".join([*parts, html.escape(text[at:])])


async def calibrate(service: Service, name: str) -> str:
    """Measure what scores mean in a collection, and say how.

    Raises:
        EfiveError: if there are too few documents.
    """
    fitted = await service.collections.write(name, lambda collection: collection.calibrate())
    if fitted is None:
        raise EfiveError("there are too few documents for confidences to mean anything; add more, some 20 at least")
    return fitted.describe()
