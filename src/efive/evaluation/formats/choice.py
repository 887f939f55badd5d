"""What to take of the data that a task is made of, and how it says what was left out."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from efive.errors import InputError

Named = TypeVar("Named")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user asked for."""

    language: str | None = None
    split: str | None = None
    limit: int | None = None
    documents: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("limit", self.limit), ("documents", self.documents)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; give 1 or more, or leave it out for all")

    def rows(self, total: int, what: str) -> tuple[Sequence[int], str]:
        """Return which of `total` rows to take, in their order, and a note that is empty if it is all of them."""
        if self.limit is None or self.limit >= total:
            return range(total), ""
        drawn = sorted(random.Random(self.seed).sample(range(total), self.limit))  # noqa: S311 - no secret
        return drawn, f"{self.limit:,} of {total:,} {what}, drawn with seed {self.seed}"

    def of_languages(self, found: Sequence[tuple[str, Named]], place: Path) -> list[tuple[str, Named]]:
        """Return what is in the chosen language; what is in none that is known takes the chosen one.

        Raises:
            InputError: if nothing is in the chosen language.
        """
        wanted = self.language
        if wanted is None:
            return list(found)
        if not any(language for language, _ in found):
            return [(wanted, each) for _, each in found]
        if kept := [(language, each) for language, each in found if same_language(language, wanted)]:
            return kept
        if len(found) == 1:  # the name of a single set was only a guess
            return [(wanted, found[0][1])]
        there = ", ".join(sorted({language or "unknown" for language, _ in found}))
        raise InputError(f"{place} has no data in language {wanted!r}; its languages: {there}")


def same_language(code: str, wanted: str) -> bool:
    """Say whether a code such as `fra_Latn` or `fra-CA` is the wanted one, which may leave script and region out."""
    return wanted in {code, base(code)}


def base(code: str) -> str:
    """Return a language's code without script and region."""
    return code.replace("-", "_").partition("_")[0]


def noted(*notes: str) -> str:
    """Join the notes that there are."""
    return "; ".join(note for note in notes if note)
