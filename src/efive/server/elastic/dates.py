"""Dates as documents and queries write them: ISO 8601, patterns of Java, milliseconds; in queries sums on `now` too.

A text means a span of time: `2024-05-31` and `now/d` a whole day. `gte` and `lt` take its beginning, `gt` and `lte` its
end, as Elasticsearch rounds them. To it, a month or a day that is missing is the first one whichever end is asked for:
`2024` is the first of January. The whole year is `2024||/y`, and a date with any other sum is a moment.
"""

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

from efive.server.elastic.errors import ElasticError, illegal, unsupported

DEFAULT = "strict_date_optional_time||epoch_millis"
DETECTED = "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis"
"""What Elasticsearch gives a field whose first date had slashes."""
_DETECTED = "strict_date_optional_time||yyyy/MM/dd HH:mm:ss Z||yyyy/MM/dd Z||yyyy/MM/dd HH:mm:ss||yyyy/MM/dd"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_STEP = re.compile(r"([+-])(\d*)([yMwdhHms])|/([yMwdhHms])")
_ISO = (
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?:(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?)?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?)?)?"
)
_NAMED = {
    "basic_date": "yyyyMMdd",
    "basic_date_time": "yyyyMMdd'T'HHmmss.SSSXXX",
    "basic_date_time_no_millis": "yyyyMMdd'T'HHmmssXXX",
    "date": "yyyy-MM-dd",
    "strict_date": "yyyy-MM-dd",
    "year_month": "yyyy-MM",
    "strict_year_month": "yyyy-MM",
    "year": "yyyy",
    "strict_year": "yyyy",
}
_ISO_NAMES = re.compile(r"iso8601|(strict_)?date_optional_time(_nanos)?|(strict_)?date(_hour.*|_time.*|_minute.*)")
_LETTERS = {
    "y": ("year", 4), "u": ("year", 4), "M": ("month", 2), "d": ("day", 2), "H": ("hour", 2), "m": ("minute", 2),
    "s": ("second", 2), "S": ("fraction", 9),
}  # fmt: skip
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_DAY = 2
_UNITS = {"y": 0, "M": 1, "d": 2, "h": 3, "H": 3, "m": 4, "s": 5}
_LENGTHS = {2: timedelta(days=1), 3: timedelta(hours=1), 4: timedelta(minutes=1), 5: timedelta(seconds=1)}


def span(text: str, formats: str = DEFAULT, zone: str | None = None, now: datetime | None = None) -> tuple[int, int]:
    """Return the first and the last millisecond since 1970 that a text means.

    Args:
        text: a date, perhaps with a sum behind `||`, or a sum on `now`.
        formats: how it may be written, `||` between them.
        zone: of dates that have none: an offset such as +01:00, or a name such as Europe/Rome.
        now: what `now` means; None is the present.

    Raises:
        ElasticError: if it cannot be read, or its year is beyond 1 to 9999.
    """
    try:
        if text.startswith("now"):
            first = (now or datetime.now(UTC)).astimezone(_zone(zone))
            begin, end = _moved(first, first, text[3:], text)
        else:
            date, summed, sum_ = text.partition("||")
            begin, end = _read(date, formats, _zone(zone))
            begin, end = _moved(begin, begin if summed else end, sum_, text)
    except (ValueError, OverflowError, KeyError):
        raise _unreadable(text, formats) from None
    return _milliseconds(begin), _milliseconds(end)


def milliseconds(value: str | float, formats: str = DEFAULT) -> int:
    """Return a document's date in milliseconds since 1970.

    Raises:
        ValueError: saying that it has none of the formats.
    """
    try:
        return _milliseconds(_read(str(value), formats, UTC)[0])
    except (ValueError, OverflowError, KeyError):
        raise ValueError(f"failed to parse date field [{value}] with format [{formats}]") from None


def looks_like_date(text: str) -> bool:
    """Return whether a field that is not mapped becomes a date by such a text."""
    return text[:4].isdigit() and not text.isdigit() and fits(text, _DETECTED)


def fits(text: str, formats: str = DEFAULT) -> bool:
    """Return whether a text is a date in one of the formats."""
    try:
        milliseconds(text, formats)
    except ValueError:
        return False
    return True


def check(formats: str) -> None:
    """Refuse formats that cannot be.

    Raises:
        ElasticError: naming the one.
    """
    for each in formats.split("||"):
        if each not in {"epoch_millis", "epoch_second"}:
            _expression(each)


def _unreadable(text: str, formats: str) -> ElasticError:
    return ElasticError(400, "parse_exception", f"failed to parse date field [{text}] with format [{formats}]")


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def shown(milliseconds: float, formats: str | None = None) -> str:
    """Return a date as its first format has it; named formats that have no pattern are shown as ISO 8601 in UTC."""
    first = (formats or DEFAULT).split("||")[0]
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    if first in {"epoch_millis", "epoch_second"}:
        return str(int(milliseconds) if first == "epoch_millis" else int(milliseconds) // 1000)
    if _ISO_NAMES.fullmatch(first):
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
    parts = {
        "year": f"{moment.year:04}", "month": f"{moment.month:02}", "day": f"{moment.day:02}",
        "hour": f"{moment.hour:02}", "minute": f"{moment.minute:02}", "second": f"{moment.second:02}",
        "fraction": f"{moment.microsecond * 1000:09}", "zone": "Z",
    }  # fmt: skip
    return "".join(_part(parts[name], name, width) if name else literal for name, width, literal in _tokens(first))


def _part(digits: str, name: str, width: int) -> str:
    return digits.lstrip("0") or "0" if width == 1 and name != "fraction" else digits[:width]


@cache
def _zone(name: str | None) -> tzinfo:
    if name in {None, "Z", "z", "UTC"}:
        return UTC
    assert name is not None
    if found := re.fullmatch(r"([+-])(\d\d):?(\d\d)?", name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return timezone(-offset if found[1] == "-" else offset)
    return ZoneInfo(name)


def _read(text: str, formats: str, zone: tzinfo) -> tuple[datetime, datetime]:
    for each in formats.split("||"):
        if each in {"epoch_millis", "epoch_second"}:
            if re.fullmatch(r"-?\d+(\.\d+)?", text):
                unit = 1 if each == "epoch_millis" else 1000
                moment = _EPOCH + timedelta(milliseconds=float(text) * unit)
                return moment, moment
        elif found := _expression(each).fullmatch(text):
            return _span_of(found.groupdict(), zone)
    raise ValueError(text)


def _span_of(given: dict[str, str | None], zone: tzinfo) -> tuple[datetime, datetime]:
    values = [int(given.get(part) or (1 if place in {1, 2} else 0)) for place, part in enumerate(_PARTS)]
    finest = max(place for place, part in enumerate(_PARTS) if given.get(part))
    own = given.get("zone")
    first = datetime(*values, tzinfo=_zone(own) if own else zone)  # type: ignore[misc, arg-type]
    if fraction := given.get("fraction"):
        first += timedelta(microseconds=int(fraction.ljust(6, "0")[:6]))
        return first, first
    return first, _end(first, max(finest, _DAY))


def _end(first: datetime, unit: int) -> datetime:
    """Return the last millisecond of the year, month, day and so on that begins with `first`."""
    if unit == 0:
        return first.replace(month=12, day=31, hour=23, minute=59, second=59, microsecond=999_000)
    if unit == 1:
        last = monthrange(first.year, first.month)[1]
        return first.replace(day=last, hour=23, minute=59, second=59, microsecond=999_000)
    return first + _LENGTHS[unit] - _MILLISECOND


def _moved(begin: datetime, end: datetime, steps: str, text: str) -> tuple[datetime, datetime]:
    """Apply a sum: `-7d/d`."""
    place = 0
    while place < len(steps):
        found = _STEP.match(steps, place)
        if found is None:
            raise ValueError(text)
        place = found.end()
        if unit := found[4]:
            begin = _floor(begin, unit)
            end = begin + timedelta(days=7) - _MILLISECOND if unit == "w" else _end(begin, _UNITS[unit])
        else:
            count = int(found[2] or 1) * (-1 if found[1] == "-" else 1)
            begin, end = _added(begin, count, found[3]), _added(end, count, found[3])
    return begin, end


def _added(moment: datetime, count: int, unit: str) -> datetime:
    if unit in "yM":
        months = moment.year * 12 + moment.month - 1 + count * (12 if unit == "y" else 1)
        year, month = divmod(months, 12)
        return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
    return moment + count * (timedelta(days=7) if unit == "w" else _LENGTHS[_UNITS[unit]])


def _floor(moment: datetime, unit: str) -> datetime:
    if unit == "w":
        return _floor(moment - timedelta(days=moment.weekday()), "d")
    kept = [moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second][: _UNITS[unit] + 1]
    return datetime(*[*kept, *(1, 1, 1)[len(kept) :]][:6], tzinfo=moment.tzinfo)  # type: ignore[misc, arg-type]


@cache
def _tokens(pattern: str) -> Sequence[tuple[str, int, str]]:
    """Return the parts of a pattern: the name of a part of dates and its digits, or what stands there literally."""
    found: list[tuple[str, int, str]] = []
    for token in re.finditer(r"'((?:[^']|'')*)'|([A-Za-z])\2*|.", _NAMED.get(pattern, pattern), re.DOTALL):
        letter = token[2]
        if letter is None:
            found.append(("", 0, token[0] if token[1] is None else token[1].replace("''", "'") or "'"))
        elif letter in _LETTERS:
            name, width = _LETTERS[letter]
            found.append((name, width if name == "year" else len(token[0]), ""))
        elif letter in "XxZ":
            found.append(("zone", 9, ""))
        else:
            raise unsupported(f"the date format [{pattern}]")
    return found


@cache
def _expression(name: str) -> re.Pattern[str]:
    """Return what dates of a format look like."""
    if _ISO_NAMES.fullmatch(name):
        return re.compile(_ISO)
    parts = []
    for part, width, literal in _tokens(name):
        if not part:
            parts.append(re.escape(literal))
        elif part == "zone":
            parts.append(r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)")
        else:
            digits = "1,2" if width == 1 and part != "fraction" else str(width)
            parts.append(rf"(?P<{part}>\d{{{digits}}})")
    try:
        return re.compile("".join(parts))
    except re.error:  # a letter twice
        raise illegal(f"Invalid format: [{name}]") from None
