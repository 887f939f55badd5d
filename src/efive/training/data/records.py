"""One record of each form: what its fields must hold, and why a record is refused."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from efive.errors import InputError
from efive.jsonlines import decode, encodable, parse, shown
from efive.training.data.examples import Example, Reference

LONGEST_LINE = 1 << 26
"""Bytes of one line: a file that is one huge JSON array must not be read into memory whole."""

# What the forms call the same thing: pairs and triplets, Sentence Transformers, FlagEmbedding, Tevatron.
_QUERY = ("query", "anchor")
_POSITIVE = ("passage", "positive", "pos", "positive_passages")
_NEGATIVE = ("negatives", "negative", "neg", "negative_passages")
_POSITIVE_SCORES = ("positive_scores", "pos_scores")
_NEGATIVE_SCORES = ("negative_scores", "neg_scores")
_LANGUAGE = ("lang", "language")
_NUMBERED_NEGATIVE = re.compile(r"negative_(\d{1,4})", re.ASCII)
_KNOWN = frozenset(_QUERY + _POSITIVE + _NEGATIVE + _POSITIVE_SCORES + _NEGATIVE_SCORES + _LANGUAGE)
_ID = re.compile(r"-?\d{1,18}", re.ASCII)

Values = Mapping[str, object]


class Refused(Exception):  # noqa: N818 - never leaves this room
    """A record cannot be used: a `Problem` without its place."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Rows:
    """The rows of a corpus that was read once: how many, and one bit for each that cannot be used."""

    def __init__(self) -> None:
        self.count = 0
        self._unusable = bytearray()

    def add(self, *, usable: bool) -> None:
        """Count the next row; the bits take an eighth of a byte per row up to the last bad one."""
        row = self.count
        if not usable:
            self._unusable.extend(bytes(max(0, row // 8 + 1 - len(self._unusable))))
            self._unusable[row // 8] |= 1 << row % 8
        self.count += 1

    def usable(self, row: int) -> bool:
        """Say whether `row` exists and holds a passage."""
        byte = self._unusable[row // 8] if 0 <= row // 8 < len(self._unusable) else 0
        return 0 <= row < self.count and not byte >> row % 8 & 1


def is_known(field: str) -> bool:
    """Say whether a field or column belongs to any of the inline forms."""
    return field in _KNOWN or _NUMBERED_NEGATIVE.fullmatch(field) is not None


def values_of(raw: bytes) -> Values:
    """Return the JSON object of a line.

    Raises:
        Refused: `json` or `encoding`.
    """
    if len(raw) > LONGEST_LINE:
        raise Refused("json", f"a line of more than {LONGEST_LINE:,} bytes; each line must be one JSON object")
    try:
        text = decode(raw.rstrip(b"\r\n"))
    except InputError as error:
        raise Refused("encoding", str(error)) from None
    try:
        value = parse(text)
    except InputError as error:
        raise Refused("json", str(error)) from None
    if not isinstance(value, dict):
        raise Refused("json", f"{shown(value)} where a JSON object is needed")
    return value


def passage_of(values: Values) -> str:
    """Return a corpus row's text: title and contents, joined as E5 reads them.

    Raises:
        Refused: if there is no text.
    """
    return _joined(values, "contents", "the passage")


def wrong_row_id(values: Values, row: int) -> str | None:
    """Say what is wrong if a corpus row's own `id` is a number, and not its row."""
    own = values.get("id")
    if type(own) not in {int, str} or not _ID.fullmatch(str(own)) or int(str(own)) == row:
        return None
    return f"its id is {shown(own)}, but doc_id counts rows from 0 and this is row {row}; put the rows in their order"


def inline_example(values: Values, place: str) -> Example:
    """Return the example of a record that holds its texts.

    Raises:
        Refused: naming the field.
    """
    if isinstance(values.get("positives"), dict):
        raise Refused("type", "'positives' names passages by doc_id; open the folder that holds passages.jsonl as well")
    query = _query(values)
    name = _one_of(values, _POSITIVE)
    if name is None:
        raise _missing("'passage' (or 'positive', 'pos', 'positive_passages')", values)
    positives = _texts(values[name], name)
    if not positives:
        raise Refused("empty", f"{name!r} is an empty list; an example needs a passage that answers its query")
    negatives: tuple[str, ...] = ()
    for field in _negative_fields(values):
        negatives += _texts(values[field], field)
    return _example(values, place, query, positives, negatives)


def indexed_example(values: Values, place: str, rows: Rows) -> Example:
    """Return the example of a record that names passages by their 0-based row.

    Raises:
        Refused: naming the field, or the id that is no usable row.
    """
    query = _query(values)
    if values.get("positives") is None:
        raise _missing("'positives'", values)
    positives, positive_scores = _references(values["positives"], "positives", rows)
    if not positives:
        raise Refused("empty", "'positives' is empty; an example needs a passage that answers its query")
    negatives, negative_scores = _references(values.get("negatives"), "negatives", rows)
    return Example(query, positives, negatives, positive_scores, negative_scores, _language(values), place)


def without_overlap(example: Example) -> tuple[Example, str | None]:
    """Return `example` without negatives that are positives too, and what was wrong, if anything."""
    positives = set(example.positives)
    kept = [n for n, negative in enumerate(example.negatives) if negative not in positives]
    gone = len(example.negatives) - len(kept)
    if not gone:
        return example, None
    scores = example.negative_scores
    mended = replace(
        example,
        negatives=tuple(example.negatives[n] for n in kept),
        negative_scores=None if scores is None else tuple(scores[n] for n in kept),
    )
    which = next(negative for negative in example.negatives if negative in positives)
    return mended, f"{shown(which)} is both a positive and a negative ({gone} in all); remove it from the negatives"


def _example(
    values: Values, place: str, query: str, positives: tuple[Reference, ...], negatives: tuple[Reference, ...]
) -> Example:
    scored = [(_POSITIVE_SCORES, len(positives), "positives"), (_NEGATIVE_SCORES, len(negatives), "negatives")]
    scores = []
    for names, count, what in scored:
        name = _one_of(values, names)
        scores.append(None if name is None else _scores(values[name], name, count, what))
    return Example(query, positives, negatives, scores[0], scores[1], _language(values), place)


def _query(values: Values) -> str:
    name = _one_of(values, _QUERY)
    if name is None:
        raise _missing("'query' (or 'anchor')", values)
    return _text(values[name], f"{name!r}")


def _language(values: Values) -> str:
    name = _one_of(values, _LANGUAGE)
    value = "" if name is None else values[name]
    if not isinstance(value, str):
        raise Refused("type", f"{name!r} is {shown(value)}, not a string")
    return _writable(value, f"{name!r}")


def _one_of(values: Values, names: Sequence[str]) -> str | None:
    """Return which of `names` has a value; null counts as absent, as Parquet writes it."""
    there = [name for name in names if values.get(name) is not None]
    if len(there) > 1:
        raise Refused("type", f"both {there[0]!r} and {there[1]!r} are there; keep one of them")
    return there[0] if there else None


def _negative_fields(values: Values) -> list[str]:
    numbered = sorted((int(match[1]), name) for name in values if (match := _NUMBERED_NEGATIVE.fullmatch(name)))
    names = [*_NEGATIVE, *(name for _, name in numbered)]
    return [name for name in names if values.get(name) is not None]


def _missing(wanted: str, values: Values) -> Refused:
    have = ", ".join(list(values)[:20]).encode("utf-8", "backslashreplace").decode()
    return Refused("missing", f"no field {wanted}; its fields: {have[:200] or 'none'}")


def _texts(value: object, name: str) -> tuple[str, ...]:
    """Return one text or a list of them; Tevatron's are objects with a title and a text."""
    if not isinstance(value, list):
        return (_text(value, f"{name!r}"),)
    return tuple(
        _joined(item, "text", f"{name!r}, item {number}")
        if isinstance(item, dict)
        else _text(item, f"{name!r}, item {number}")
        for number, item in enumerate(value)
    )


def _joined(values: Values, field: str, what: str) -> str:
    title, text = values.get("title"), values.get(field)
    if text is None:
        raise _missing(f"{field!r} in {what}", values)
    for name, value in (("title", "" if title is None else title), (field, text)):
        if not isinstance(value, str):
            raise Refused("type", f"{name!r} in {what} is {shown(value)}, not a string")
    return _text(f"{title or ''} {text}".strip(), what)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise Refused("type", f"{what} is {shown(value)}, not a string")
    if not value.strip():
        raise Refused("empty", f"{what} is empty")
    return _writable(value, what)


def _writable(text: str, what: str) -> str:
    if text.isascii():
        return text
    try:
        return encodable(text, what)
    except InputError as error:
        raise Refused("encoding", str(error)) from None


def _references(value: object, name: str, rows: Rows) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Return the rows and scores of SimLM's `{"doc_id": [...], "score": [...]}`."""
    if value is None:
        return (), None
    if not isinstance(value, dict):
        raise Refused("type", f'{name!r} is {shown(value)}, not {{"doc_id": [...]}}')
    if value.get("doc_id") is None:
        raise _missing(f"'doc_id' in {name!r}", value)
    ids = value["doc_id"]
    if not isinstance(ids, list):
        raise Refused("type", f"'doc_id' in {name!r} is {shown(ids)}, not a list")
    references = tuple(_row(each, name, rows) for each in ids)
    scores = value.get("score")
    return references, None if scores is None else _scores(scores, f"score of {name}", len(references), "passages")


def _row(value: object, name: str, rows: Rows) -> int:
    if type(value) not in {int, str} or not re.fullmatch(r"-?\d+", str(value), re.ASCII):
        raise Refused("type", f"a doc_id in {name!r} is {shown(value)}, neither an integer nor a numeric string")
    row = int(str(value)) if _ID.fullmatch(str(value)) else -1
    if rows.usable(row):
        return row
    if 0 <= row < rows.count:
        raise Refused("unknown_id", f"doc_id {row} in {name!r} is a row of the passages that cannot be used")
    there = f"rows 0 to {rows.count - 1}" if rows.count else "no rows"
    raise Refused("unknown_id", f"doc_id {shown(value)} in {name!r} is out of range: the passages have {there}")


def _scores(value: object, name: str, count: int, what: str) -> tuple[float, ...]:
    given = value if isinstance(value, list) else [value]
    if wrong := [each for each in given if type(each) not in {int, float}]:
        raise Refused("scores", f"{name!r} has {shown(wrong[0])}, which is no number")
    if len(given) != count:
        raise Refused("scores", f"{name!r} has {len(given)} scores for {count} {what}")
    try:
        scores = tuple(map(float, given))
    except OverflowError:
        scores = (math.inf,)
    if not all(map(math.isfinite, scores)):
        raise Refused("scores", f"{name!r} has a score that is no finite number: {shown(given)}")
    return scores
