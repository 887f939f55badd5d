"""Terms of a text, which full text search ranks by: the same for every language and every store.

- A word is folded (NFKC, case) and counts by its first six letters, so that "organised" finds "organisation". This
  knows no language, and does better than stemmers that have to guess one.
- A compound such as `max_tokens`, `camelCase`, `e-mail`, `U.S.A.` or `1,000` is found by its parts, and as a whole
  however it is joined: maxtokens, email, usa, 1000.
- A word with accents is indexed with and without them. A query is taken as it is written: "cafe" finds "café" too,
  "café" does not find "cafe", and Vietnamese words that differ in nothing but a tone stay apart.
- Han and Kana, Thai, Lao, Khmer and Burmese have no spaces: their terms are runs of neighbouring characters. So are
  those of Korean, Arabic and Hebrew words, onto which particles are written.

Unicode's own word boundaries (UAX 29) would have to be cut and joined again: they part `e5-small-v2`, keep `a_b` and
`node.js` whole, and know no Thai. `benchmarks/terms.py` measures these choices against others.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

VERSION = 1
"""Grows when texts get other terms: a column that another version filled has to be filled anew."""

Span = tuple[int, int]

_LETTERS = 6
# Texts hold "words" of any length, such as base64, that nobody asks for by their end.
_LONGEST = 64
# Python's \w has no combining marks, and without them Hindi words fall apart at every vowel sign.
_PLANES_0_AND_1 = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
_MARKS = "".join(c for c in _PLANES_0_AND_1 if unicodedata.category(c) in {"Mn", "Mc"})
_DIGITS = {ord(c): str(unicodedata.decimal(c)) for c in _PLANES_0_AND_1 if c.isdecimal()}
# Soft hyphens and joiners are inside words and mean nothing to a search.
_IGNORED = "\u00ad\u034f\u200c\u200d\u2060\ufe0e\ufe0f\ufeff"

_HAN = (
    "々〆〇\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
_UNSPACED = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17d3\u17dc\u17dd"
_HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff"
_SEMITIC = (
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u05d0-\u05f2\ufb1d-\ufb4f"  # Hebrew, then Arabic
    "\u0610-\u061a\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06e8\u06ea-\u06ef\u06fa-\u06fc\u06ff\u0750-\u077f"
    "\ufb50-\ufbb1\ufbd3-\ufd3d\ufd50-\ufdfb\ufe70-\ufefc"
)
_GRAMS = {"han": (1, 2), "hangul": (2,), "unspaced": (3,), "semitic": (3,)}
"""Lengths of the runs of neighbouring characters, in characters."""

_ALNUM = rf"(?![{_HAN}{_UNSPACED}{_HANGUL}{_SEMITIC}])[^\W_]"
_WORD = rf"{_ALNUM}(?:{_ALNUM}|[{_MARKS}{_IGNORED}])*"
# A comma joins thousands, and nothing else.
_JOINT = r"(?:[-\u2010\u2011_.'’@]|(?<=\d),(?=\d{3}(?!\d)))"
_RUN = re.compile(
    rf"(?P<word>{_WORD}(?:{_JOINT}{_WORD})*(?:\+\+|\#(?!\w))?)"
    rf"|(?P<han>[{_HAN}]+)|(?P<unspaced>[{_UNSPACED}{_IGNORED}]+)|(?P<hangul>[{_HANGUL}]+)|(?P<semitic>[{_SEMITIC}]+)"
)
_PART = re.compile(rf"(?:[^\W_]|[{_MARKS}{_IGNORED}])+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# What NFKC may put together, or a mark that must not part from its letter.
_CLUSTER = re.compile(rf".[{_MARKS}{_IGNORED}\u1160-\u11ff\ud7b0-\ud7ff\uff9e\uff9f]*", re.DOTALL)

_ACCENTED = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1fff\u0370-\u03ff\u0400-\u052f]")
_LETTERS_ALIKE = str.maketrans("đłøħŧı", "dlohti")
_SEMITIC_ALIKE = str.maketrans("أإآٱىةکی", "ااااي" + "هكي") | {ord("ـ"): None}


class Term(NamedTuple):
    """A term and the characters that it stands for."""

    start: int
    end: int
    text: str
    added: bool = False
    """Found by queries, but no part of one: the form without accents."""


def index_terms(text: str) -> str:
    """Return the terms of a text, in its order, with a space between them: what a full text column holds."""
    found: list[str] = []
    for run in _RUN.finditer(text):
        kind = run.lastgroup or ""
        if kind in {"han", "unspaced"}:
            found += _neighbours(fold(run.group()), _GRAMS[kind])
        else:
            found += _texts(kind, run.group())
    return " ".join(found)


def query_terms(text: str) -> list[str]:
    """Return the terms that a query asks for, in its order; what it repeats counts as often, as BM25 has it."""
    return [term.text for term in located(text) if not term.added]


def located(text: str) -> Iterator[Term]:
    """Yield the terms of a text, with their places in characters."""
    for run in _RUN.finditer(text):
        for term in _terms(run.lastgroup or "", run.group()):
            yield term._replace(start=run.start() + term.start, end=run.start() + term.end)


def highlights(text: str, query: str) -> list[Span]:
    """Return the characters of `text` that match the terms of `query`: spans in order that do not touch.

    Words are marked whole, from their first letter to their last. Of writing without spaces the longest matches are
    marked: a single Chinese character only where no two neighbours match.
    """
    asked = _asked(query)
    words: list[Span] = []
    unspaced: list[Span] = []
    for run in _RUN.finditer(text):
        kind, start = run.lastgroup or "", run.start()
        if kind not in {"han", "unspaced"} and asked.isdisjoint(_texts(kind, run.group())):
            continue
        hits = [term for term in _terms(kind, run.group()) if term.text in asked]
        spans = [(start + term.start, start + term.end) for term in hits]
        if kind in {"han", "unspaced"}:
            unspaced += spans
        elif kind == "word":
            words += spans
        elif _is_most(_merged(spans), run.span(), kind):
            words.append(run.span())
    return _merged([*words, *_longest(unspaced)])


# A page of hits is marked with the terms of one query.
@lru_cache(64)
def _asked(query: str) -> frozenset[str]:
    return frozenset(query_terms(query))


def _is_most(hits: list[Span], word: Span, kind: str) -> bool:
    """Return whether a word is meant: two words that share nothing but a particle have terms in common too."""
    begins = bool(hits) and hits[0][0] == word[0]  # Korean writes particles behind a word
    return 2 * sum(end - start for start, end in hits) >= word[1] - word[0] and (begins or kind != "hangul")


def _longest(spans: list[Span]) -> list[Span]:
    """Merge the spans, and leave out single characters where more of them match together."""
    return _merged([span for span in spans if span[1] - span[0] > 1] or spans)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _neighbours(text: str, lengths: tuple[int, ...]) -> list[str]:
    """Return what `_sequences` yields, without places, which would take three times as long."""
    if text and len(text) < lengths[0]:
        return [text]
    return [text[first : first + length] for length in lengths for first in range(len(text) - length + 1)]


# Words come again and again.
@lru_cache(1 << 16)
def _texts(kind: str, run: str) -> tuple[str, ...]:
    return tuple(term.text for term in _terms(kind, run))


def _terms(kind: str, run: str) -> Iterator[Term]:
    """Yield the terms of a match of `_RUN`; their places count from its start."""
    return _compound(run) if kind == "word" else _sequences(run, kind)


def _compound(run: str) -> Iterator[Term]:
    parts = list(_parts(run))
    sign = run[-1] in "+#"
    if len(parts) > 1 or sign:
        # A dot between digits is part of a number or a version: 1.2 is not 12.
        joints = [_joint(run[one[1] : two[0]], run[one[1] - 1], run[two[0]]) for one, two in pairwise(parts)]
        whole = "".join(run[start:end] + joint for (start, end), joint in zip(parts, [*joints, ""], strict=True))
        yield from _word(0, len(run), whole, run[parts[-1][1] :])
    for start, end in parts:
        yield from _word(start, end, run[start:end])


def _joint(between: str, before: str, after: str) -> str:
    return "." if between == "." and before.isdecimal() and after.isdecimal() else ""


def _parts(run: str) -> Iterator[Span]:
    for part in _PART.finditer(run):
        start = part.start()
        for boundary in _CAMEL.finditer(run, part.start(), part.end()):
            yield start, boundary.start()
            start = boundary.start()
        yield start, part.end()


def _word(start: int, end: int, word: str, sign: str = "") -> Iterator[Term]:
    """Yield the term of a word, or of a whole compound, and its form without accents if that differs."""
    folded = fold(word)
    if not folded:
        return
    cut = None if sign else _cut(folded)
    text = folded[:_LONGEST] + sign if cut is None else folded[:cut]
    yield Term(start, end, text)
    plain = _unaccented(folded)
    bare = plain[:_LONGEST] + sign if cut is None else plain[: _cut(plain)]
    if bare != text:
        yield Term(start, end, bare, added=True)


def _cut(word: str) -> int | None:
    """Return how many letters of a word count: all of them in names with digits."""
    return None if any(c.isnumeric() or c == "." for c in word) else _LETTERS


def _sequences(run: str, kind: str) -> Iterator[Term]:
    lengths = _GRAMS[kind]
    units = [(c, *cluster.span()) for cluster in _CLUSTER.finditer(run) for c in _folded_cluster(cluster.group())]
    text = "".join(c for c, _, _ in units)
    if text and (len(text) < lengths[0] or (kind == "semitic" and len(text) > lengths[0])):
        yield Term(0, len(run), text[:_LONGEST])
    for length in lengths:
        for first in range(len(text) - length + 1):
            yield Term(units[first][1], units[first + length - 1][2], text[first : first + length])


def fold(text: str) -> str:
    """Return `text` as terms are compared: NFKC, no case, no joiners, no white space, digits from 0 to 9."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_DIGITS)
    return unicodedata.normalize("NFKC", "".join(c for c in folded if c not in _IGNORED and not c.isspace()))


@lru_cache(1 << 14)
def _folded_cluster(cluster: str) -> str:
    """Fold a letter and its marks; Arabic also loses vowel signs, tatweel and the kinds of alef, Hebrew its points."""
    folded = fold(cluster)
    if re.match(f"[{_SEMITIC}]", cluster):
        folded = "".join(c for c in folded.translate(_SEMITIC_ALIKE) if not unicodedata.combining(c))
    return folded


def _unaccented(folded: str) -> str:
    """Return a folded word without the accents of Latin, Greek and Cyrillic letters."""
    if folded.isascii() or not _ACCENTED.search(folded):
        return folded
    kept: list[str] = []
    on_letter = False
    for c in unicodedata.normalize("NFD", folded):
        if not unicodedata.combining(c):
            on_letter = bool(_ACCENTED.match(c))
        elif on_letter:
            continue
        kept.append(c)
    return unicodedata.normalize("NFC", "".join(kept)).translate(_LETTERS_ALIKE)
