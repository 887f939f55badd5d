"""Where a condition breaks and what would be right there, for the person who wrote it."""

import re
import unicodedata
from collections.abc import Iterable

from lark import Token

from efive.errors import InputError

KEYWORDS = {"and", "or", "not", "in", "has", "exists", "true", "false"}
_EXAMPLE = 'lang = "de" and year >= 2020 and not tags has "draft"'
# What each terminal of the grammar is to people, in the order in which it is named.
_WORDS = {
    "NAME": "a field",
    "LPAR": "(",
    "EQUALITY": "an operator (= != < <= > >= ^= in, not in, has)",
    "_IN": "`in`",
    "TEXT": "a text in quotes",
    "NUMBER": "a number",
    "TRUE": "true",
    "FALSE": "false",
    "LSQB": "a list such as [1, 2]",
    "COMMA": "a comma",
    "RSQB": "]",
    "_AND": "`and`",
    "_OR": "`or`",
    "RPAR": ")",
    "$END": "the end",
}
_SHOWN_BEFORE, _SHOWN_BEHIND = 50, 30
_WORD = re.compile(r"[\w.-]+|[<>=!&|^]+|.", re.DOTALL)


class Mistake(Exception):  # noqa: N818 - never leaves this package
    """What the grammar allows and its meaning does not."""

    def __init__(self, token: Token, what: str) -> None:
        super().__init__(what)
        self.place = token.start_pos or 0

    def shown_in(self, text: str) -> InputError:
        """Return the error for the person who wrote `text`."""
        return _error(text, self.place, str(self))


def explain(text: str, place: int, accepted: Iterable[str]) -> InputError:
    """Return the error for a text that nothing can be made of from the character at `place` on.

    Args:
        text: The whole condition.
        place: Number of the character, from 0; the text's length if it ends too early.
        accepted: Terminals of the grammar that would be right there.
    """
    terminals = set(accepted)
    if "EQUALITY" in terminals:
        terminals.discard("_IN")  # named among the operators
    words = [word for terminal, word in _WORDS.items() if terminal in terminals]
    expected = " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    word = _WORD.match(text, place)
    found = f"`{word[0]}`" if word and text[place:].strip() else "it ends" if text.strip() else "it is empty"
    return _error(text, place, f"{found}, where {expected} is expected{_hint(text, place, terminals)}")


def _hint(text: str, place: int, terminals: set[str]) -> str:
    """Return what is probably meant, for the mistakes that people make."""
    rest = text[place:]
    word = _WORD.match(rest)
    if terminals & {"TEXT", "NAME"} and rest[:1] in {'"', "'", "`"}:
        wrong = rest[0] != "`" and "NAME" in terminals
        return "; a field stands without quotes, or in backticks" if wrong else f"; this {rest[0]} is never closed"
    if word and "TEXT" in terminals and re.match(r"[\w/.-]", rest) and word[0].lower() not in KEYWORDS:
        return "; a text, and a date too, stands in quotes"
    if word and "NAME" in terminals and re.match(r"\w", rest):
        return f"; a field of this name stands in backticks: `{word[0]}`"
    return "; write `and` and `or`" if rest[:1] in {"&", "|"} else ""


def _error(text: str, place: int, what: str) -> InputError:
    start = text.rfind("\n", 0, place) + 1
    end = text.find("\n", place) if "\n" in text[place:] else len(text)
    line = f"line {text.count(chr(10), 0, start) + 1}, " if "\n" in text else ""
    before = text[start:place]
    if len(before) > _SHOWN_BEFORE:
        before = "…" + before[-_SHOWN_BEFORE:]
    behind = text[place:end]
    if len(behind) > _SHOWN_BEHIND:
        behind = behind[:_SHOWN_BEHIND] + "…"
    excerpt = re.sub(r"\s", " ", before + behind)
    return InputError(
        f"the condition breaks at {line}column {place - start + 1}: {what}\n"
        f"    {excerpt}\n    {' ' * _width(before)}^\nExample: {_EXAMPLE}"
    )


def _width(text: str) -> int:
    """Return how many columns of a terminal a text fills: Chinese characters two each, accents none."""
    wide = sum(unicodedata.east_asian_width(c) in {"W", "F"} for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)
