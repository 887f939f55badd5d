"""The texts that a recipe's vocabulary and its first rows are made of: languages balanced, sources capped."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from efive.training.data.examples import Example, TrainingSet
from efive.training.tokens import Selection

Millions = Annotated[float, Meta(gt=0)]
ENGLISH = "en"


class TextChoice(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which texts of the sources are taken."""

    languages: tuple[str, ...]
    everyday: tuple[str, ...] = ()
    """Sources of everyday and encyclopaedic texts; the others (most bitext is about software) are `special`."""
    everyday_millions: Millions = 9.0
    """Characters of each language from everyday sources, in millions."""
    special_millions: Millions = 3.0
    """Characters of each language from special sources."""
    source_millions: Millions = 4.0
    """Characters of each language from one source."""
    english_times: Annotated[float, Meta(ge=1)] = 3.0
    """English may have so many times as much."""


def grouped_texts(sets: Iterable[TrainingSet], choice: TextChoice) -> dict[str, list[str]]:
    """Return distinct texts by group, `en/everyday`, `en/special`, …, each within its share of characters."""
    groups: dict[str, dict[str, None]] = defaultdict(dict)
    sizes: dict[str, int] = defaultdict(int)
    for data in sets:
        kind = "everyday" if data.name in choice.everyday else "special"
        room = 1e6 * (choice.everyday_millions if kind == "everyday" else choice.special_millions)
        of_source: dict[str, int] = defaultdict(int)
        for language, text in _texts(data, choice.languages):
            times = choice.english_times if language == ENGLISH else 1
            group = f"{language}/{kind}"
            if sizes[group] >= room * times or of_source[language] >= 1e6 * choice.source_millions * times:
                continue
            if text not in groups[group]:
                groups[group][text] = None
                sizes[group] += len(text)
                of_source[language] += len(text)
    return {group: list(texts) for group, texts in sorted(groups.items())}


def _texts(data: TrainingSet, languages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for example in data.examples():
        first, _, second = example.language.partition("-")
        sides = [(first, example.query)]
        sides += [(second or first, text) for text in example.positives if isinstance(text, str)]
        yield from ((language, text) for language, text in sides if language in languages)


def bitext(
    sets: Iterable[TrainingSet], choice: TextChoice, per_language: int, longest: int = 400
) -> dict[str, list[tuple[str, str]]]:
    """Return pairs of an English text and its translation by language, everyday sources first.

    Args:
        sets: what to read; sets in one language give nothing.
        choice: languages, and which sources are everyday.
        per_language: pairs of each language at most; shuffled, the same each time.
        longest: characters of the longer side.
    """
    found: dict[str, dict[str, dict[tuple[str, str], None]]] = {
        kind: {language: {} for language in choice.languages if language != ENGLISH} for kind in ("everyday", "special")
    }
    for data in sets:
        kind = found["everyday" if data.name in choice.everyday else "special"]
        for example in data.examples():
            pair = _with_english(example)
            if (
                pair
                and pair[0] in kind
                and pair[1].strip() != pair[2].strip()
                and len(max(pair[1:], key=len)) <= longest
            ):
                kind[pair[0]][pair[1], pair[2]] = None
    chosen = {}
    for language in found["everyday"]:
        pairs = [list(found[kind][language]) for kind in ("everyday", "special")]
        for group in pairs:
            random.Random(0).shuffle(group)  # noqa: S311 - an order, not a secret
        chosen[language] = (pairs[0] + pairs[1])[:per_language]
    return {language: pairs for language, pairs in chosen.items() if pairs}


def _with_english(example: Example) -> tuple[str, str, str] | None:
    """Return the other language, the English text and the other text, or None if the pair is no such bitext."""
    first, _, second = example.language.partition("-")
    passage = example.positives[0]
    if not second or first == second or not isinstance(passage, str):
        return None
    if first == ENGLISH:
        return second, example.query, passage
    return (first, passage, example.query) if second == ENGLISH else None


@dataclass(frozen=True)
class Chosen:
    """Some examples of a training set, as a training set."""

    whole: TrainingSet
    selection: Selection

    @property
    def name(self) -> str:
        """The set's own name."""
        return self.whole.name

    @property
    def files(self) -> tuple[Path, ...]:
        """What the whole set is read from."""
        return self.whole.files

    def passages(self) -> Iterator[str]:
        """Yield the whole set's corpus."""
        return self.whole.passages()

    def examples(self) -> Iterator[Example]:
        """Yield the examples that are chosen."""
        return self.selection.apply(self.whole.examples())
