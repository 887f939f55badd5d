"""The words of a question that say nothing about its subject: articles, pronouns, question words.

In a collection of many languages they do harm. A Spanish question whose answer is in French shares its "qué", "si"
and "la" with every Spanish passage, and as few of all passages are Spanish, they even look rare. So hybrid search asks
full text for the other words only. Full text by itself takes all words: there they help a little.
"""

import re
from functools import cache

from stopwordsiso import langs, stopwords

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
# Vietnamese is written in syllables, and its list has those of ordinary words.
_LEFT_OUT = {"vi"}
# One word proves no language: "cat" is a function word in Irish.
_FEWEST = 2


def content(question: str) -> str:
    """Return a question with its function words blanked; all of it if there is nothing else.

    Its language is not known: it is taken for the one of which it has most function words, at least two, or for each
    of several that have equally many.
    """
    words = {match.lower() for match in _WORD.findall(question)}
    known = {language: words & its for language, its in _lists().items()}
    most = max(map(len, known.values()))
    if most < _FEWEST:
        return question
    empty = frozenset[str]().union(*(found for found in known.values() if len(found) == most))
    kept = _WORD.sub(lambda match: " " * len(match[0]) if match[0].lower() in empty else match[0], question)
    return kept if kept.strip(" ?!.,;:¿¡") else question


@cache
def _lists() -> dict[str, frozenset[str]]:
    return {language: frozenset(map(str.lower, stopwords(language))) for language in langs() - _LEFT_OUT}
