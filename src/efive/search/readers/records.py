"""Records, as of JSON lines, CSV or Parquet: each becomes a document."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal

from efive.errors import InputError
from efive.jsonlines import encodable, shown
from efive.search.documents import Document, Section, Value, flat
from efive.search.readers.files import File, Options

TEXT_FIELDS = ("text", "passage", "content", "body", "contents", "document")
"""Where the text of a record is looked for, in this order."""
ID_FIELDS = ("id", "_id")

Record = tuple[int, Mapping[str, object] | InputError]
"""The number of a line or row, from 1, and its fields, or why there are none."""

# A file without the field for texts would fill the screen with its lines.
_TOLD = 10
_NO_NAME = re.compile(r"[\n\r\t\0]|\A\Z")


def documents(file: File, kind: str, word: str, records: Iterable[Record], options: Options) -> Iterator[Document]:
    """Yield a document for each record that can be one.

    Args:
        file: where they are from.
        kind: that of the file.
        word: what the number of a record counts, such as "line".
        records: in order.
        options: the fields; who is told of records and fields that are left out.

    Raises:
        InputError: naming the first bad record, without `options.skip`.
    """
    known = file.metadata(kind)
    left_out: dict[str, None] = {}
    reasons: Counter[str] = Counter()
    for number, values in records:
        try:
            if isinstance(values, InputError):
                raise values
            document = _document(values, number, known, options, left_out)
        except InputError as error:
            if options.skip is None:
                raise InputError(f"{word} {number}: {error}. Mend it, or have such records skipped") from None
            reasons[str(error)] += 1
            if reasons[str(error)] <= _TOLD:
                options.skip(f"{file.name}, {word} {number}: {error}")
        else:
            yield document
    for reason, count in reasons.items():
        if count > _TOLD and options.skip:
            options.skip(f"{file.name}: {count - _TOLD} more records for the same reason: {reason}")
    if left_out and options.notice:
        names = ", ".join(map(repr, left_out))
        kept = "text, numbers, true or false, and lists of texts are kept"
        options.notice(f"{file.name}: left out of the metadata: {names}; {kept}")


def text_field(names: Iterable[str], options: Options) -> str:
    """Return which of these fields holds the text.

    Raises:
        InputError: if none does, naming those that there are.
    """
    have = list(names)
    wanted = [options.text_field] if options.text_field else TEXT_FIELDS
    found = next((name for name in wanted if name in have), None)
    if found is None:
        one = f"no field {wanted[0]!r}" if options.text_field else f"none of the fields {', '.join(wanted)}"
        raise InputError(f"{one}; its fields: {', '.join(have) or 'none'}. Name the one that holds the text")
    return found


def _document(
    values: Mapping[str, object], number: int, known: Mapping[str, Value], options: Options, left_out: dict[str, None]
) -> Document:
    field = text_field(values, options)
    text = values[field]
    if not isinstance(text, str):
        raise InputError(f"field {field!r} is {shown(text)}, not a text")
    title = values.get("title")
    title = encodable(title.strip(), "field 'title'") if isinstance(title, str) else ""
    text = encodable(text, f"field {field!r}") if text.strip() else title
    if not text:
        raise InputError(f"field {field!r} is empty")
    id_field, own_id = _id(values, options)
    own = _metadata(_others({name: value for name, value in values.items() if name not in {field, id_field}}), left_out)
    metadata = {**known, **own, "path": known["path"]}
    sections = [Section(0, len(text), (title,))] if title else []
    return Document(f"{known['path']}#{own_id or number}", text, metadata, sections, (number,))


def _others(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return what may be metadata; an object called `metadata`, as exports have it, is not named before its fields."""
    inner = values.get("metadata")
    if not isinstance(inner, Mapping):
        return values
    return {**{name: value for name, value in values.items() if name != "metadata"}, **inner}


def _id(values: Mapping[str, object], options: Options) -> tuple[str | None, str | None]:
    """Return the field of a record's own id, and the id."""
    wanted = [options.id_field] if options.id_field else ID_FIELDS
    field = next((name for name in wanted if values.get(name) not in {None, ""}), None)
    if field is None:
        if options.id_field:
            raise InputError(f"no id in field {options.id_field!r}; its fields: {', '.join(values) or 'none'}")
        return None, None
    own = values[field]
    if isinstance(own, float) and own.is_integer():  # integers of a column with gaps, as pandas writes them
        own = int(own)
    if isinstance(own, bool) or not isinstance(own, str | int):
        raise InputError(f"its id is {shown(own)}, neither a text nor an integer")
    return field, encodable(str(own), "its id")


def _metadata(values: Mapping[str, object], left_out: dict[str, None]) -> dict[str, Value]:
    """Return what metadata can hold of a record; note the names of what it cannot."""
    kept: dict[str, Value] = {}
    try:
        fields = [(name, value) for name, value in flat(values) if not _is_nan(value)]
    except RecursionError:
        raise InputError("nested too deeply") from None
    for written, value in fields:
        name = encodable(written, "the name of a field")
        known = _value(name, value)
        if known is None or name == "path" or _NO_NAME.search(name):
            left_out[name] = None
        else:
            kept[name] = known
    return kept


def _is_nan(value: object) -> bool:
    """Return whether a value is the empty cell of pandas."""
    return isinstance(value, float) and math.isnan(value)


def _value(name: str, value: object) -> Value | None:
    known: Value | None = None
    match value:
        case str():
            known = encodable(value, f"field {name!r}")
        case float() | Decimal():
            known = float(value) if math.isfinite(value) else None
        case bool() | int():
            known = value
        case date():  # datetimes are dates
            known = value.isoformat()
        case list() if all(isinstance(item, str) for item in value):
            known = [encodable(item, f"field {name!r}") for item in value]
    return known
