"""Texts side by side, as the playground has them: embedded, compared, on a plane. No pixels."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from efive.console import playground_tokens
from efive.console.languages import guess
from efive.console.playground_examples import EXAMPLES
from efive.console.playground_tokens import Reading
from efive.console.projection import Points, plane
from efive.engines.base import Floats
from efive.errors import InputError
from efive.inputs import Overflow, Role
from efive.server.service import EmbedRequest, Service

DOOR = "console"
MOST = 40
"""Texts at once: a table of more cannot be read."""
LONGEST = 20_000
"""Characters of a text."""
MEANINGS = ("–", *"ABCDEFGHIJ")
"""What texts may share; the first is none."""


@dataclass
class Line:
    """One text of the playground."""

    text: str
    role: str = str(Role.QUERY)
    language: str = "other"
    meaning: str = MEANINGS[0]
    """Translations of each other share one."""
    own: bool = False
    """Whether the user has chosen the language, so that it is not guessed again."""

    def __post_init__(self) -> None:
        self._guessed = self.text

    def guess(self) -> None:
        """Guess the language again if the text has changed."""
        if self.text != self._guessed and not self.own:
            self._guessed, self.language = self.text, guess(self.text)


def beginning() -> list[Line]:
    """Return the texts that the playground begins with."""
    return [Line(text, language=language, meaning=meaning) for text, language, meaning in EXAMPLES]


@dataclass(frozen=True, slots=True)
class Compared:
    """Texts, as a deployment sees them."""

    lines: Sequence[Line]
    readings: Sequence[Reading]
    vectors: Floats
    """(texts, dimension), of length 1."""
    cosines: Floats
    """(texts, texts)."""
    points: Points
    """(texts, 2)."""
    kept: float
    """Share of the variance that the plane keeps."""
    deployment: str
    seconds: float
    """Until all vectors were there."""

    def label(self, number: int) -> str:
        """Return what a text is called: its number from 1, and its language."""
        language = self.lines[number].language
        return f"{number + 1} {language}" if language != "other" else str(number + 1)

    def neighbours(self, number: int) -> list[tuple[int, float]]:
        """Return the other texts with their cosines, nearest first."""
        order = np.argsort(-self.cosines[number], kind="stable")
        return [(int(other), float(self.cosines[number, other])) for other in order if other != number]


async def compare(service: Service, deployment: str, lines: Sequence[Line], overflow: Overflow) -> Compared:
    """Embed texts, each in its role, and compare them; empty ones are left out.

    Raises:
        InputError: if there are fewer than two texts, too many, or one is too long.
        EfiveError: as `Service.embed`.
    """
    lines = [Line(each.text, each.role, each.language, each.meaning) for each in lines if each.text.strip()]
    _check(lines)
    encoder = service.deployments.get(deployment).encoder
    vectors = np.zeros((len(lines), encoder.dimension), dtype=np.float32)
    seconds = 0.0
    for role in Role:
        places = [place for place, line in enumerate(lines) if line.role == role]
        if not places:
            continue
        texts = [lines[place].text for place in places]
        request = EmbedRequest(model=deployment, inputs=texts, role=role, overflow=overflow, door=DOOR)
        result = await service.embed(request)
        vectors[places] = result.vectors
        seconds += result.timings.total
    readings = await asyncio.to_thread(
        lambda: [playground_tokens.read(encoder, line.text, Role(line.role), overflow) for line in lines]
    )
    points, kept = plane(vectors)
    return Compared(lines, readings, vectors, vectors @ vectors.T, points, kept, deployment, seconds)


def _check(lines: Sequence[Line]) -> None:
    if len(lines) < 2:
        raise InputError("there are fewer than two texts; type another one to compare")
    if len(lines) > MOST:
        raise InputError(f"{len(lines)} texts; {MOST} at once can be read")
    for number, line in enumerate(lines, 1):
        if len(line.text) > LONGEST:
            raise InputError(f"text {number} has {len(line.text):,} characters; {LONGEST:,} at most here")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A passage of a collection."""

    document: str
    text: str
    cosine: float


async def in_collection(service: Service, collection: str, text: str, k: int = 5) -> list[Neighbour]:
    """Return the passages of a collection that are nearest to a text, read as a query.

    Raises:
        EfiveError: as a search of the collection.
    """
    found = await service.collections.open(collection)
    hits = await service.collections.run(lambda: found.search(text, k, mode="dense"))
    return [Neighbour(hit.document, hit.passage.text, hit.cosine or 0.0) for hit in hits]
