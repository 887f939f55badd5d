"""Numbers, booleans and dates as an index keeps them."""

import math
from typing import Any

import numpy as np

from efive.server.elastic import dates
from efive.server.elastic.indices.mapping import Field, FieldType
from efive.server.elastic.indices.mapping_options import is_true

_RANGES = {FieldType.BYTE: 7, FieldType.SHORT: 15, FieldType.INTEGER: 31, FieldType.LONG: 63}


def number_of(of: Field, value: Any) -> int | float:  # noqa: ANN401 - JSON
    """Return the value of a number, a boolean or a date as the index keeps it, and as queries compare with it.

    Raises:
        ValueError: saying why it cannot be.
    """
    if of.type is FieldType.BOOLEAN:
        return truth(value)
    if of.type is FieldType.DATE:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError("a date is text or a number")
        return dates.milliseconds(value, of.options.get("format", dates.DEFAULT))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"Current token is no number: [{value}]")
    if isinstance(value, str) and not is_true(of.options.get("coerce", True)):
        raise ValueError(f"[{value}] is text, and the field does not coerce")
    if isinstance(value, str) and "_" in value:  # which Python reads as part of a number
        raise ValueError(f'For input string: "{value}"')
    return _whole(of, value) if of.type.is_whole else _floating(of, value)


def truth(value: object) -> int:
    """Return a boolean as 0 or 1.

    Raises:
        ValueError: if it is none.
    """
    if value in ("", "false") or value is False:
        return 0
    if value == "true" or value is True:
        return 1
    raise ValueError(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")


def _whole(of: Field, value: str | float) -> int:
    try:
        number = int(value)
    except (ValueError, OverflowError):
        given = _floating(of, value)
        number = int(given)
    if isinstance(value, float) and value != number and not is_true(of.options.get("coerce", True)):
        raise ValueError(f"[{value}] has a decimal part")
    bits = _RANGES[of.type]
    if not -(2**bits) <= number < 2**bits:
        raise ValueError(f"Value [{value}] is out of range for a {of.type}")
    return number


def _floating(of: Field, value: str | float) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f'For input string: "{value}"') from None
    except OverflowError:
        number = math.inf
    if of.type is not FieldType.DOUBLE:
        with np.errstate(over="ignore"):
            kept = np.float16(number) if of.type is FieldType.HALF_FLOAT else np.float32(number)
        if not np.isfinite(kept):
            raise ValueError(f"[{of.type}] supports only finite values, but got [{value}]")
        return number if of.type is FieldType.FLOAT else float(kept)
    if not math.isfinite(number):
        raise ValueError(f"[{of.type}] supports only finite values, but got [{value}]")
    return number
