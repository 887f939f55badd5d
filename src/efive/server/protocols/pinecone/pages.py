"""Long lists, page by page: a token is the last name of the page before. Pure."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request

from efive.server.http import BodyError

_PAGE, _MOST = 100, 1000
"""Names of a page, unless another number is asked for, and at most."""
_NUMBER = re.compile(r"[0-9]{1,9}")


def page(names: Iterable[str], limit: int, after: str | None) -> tuple[list[str], str | None]:
    """Return the first `limit` names after the last one of the page before, and the last one if more follow."""
    rest = sorted(name for name in names if after is None or name > after)
    return rest[:limit], rest[limit - 1] if len(rest) > limit else None


def pagination(last: str | None) -> dict[str, Any]:
    """Return what says that a page follows; clients go on for ever if the last page has it too."""
    return {} if last is None else {"pagination": {"next": base64.urlsafe_b64encode(last.encode()).decode()}}


def last_of(token: str | None) -> str | None:
    """Return the last name of the page before.

    Raises:
        BodyError: if the token is none.
    """
    if not token:
        return None
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise BodyError(f"{token!r} is no token of this server", "$.paginationToken") from None


def limit_of(given: str | int | None) -> int:
    """Return how many names a page has.

    Raises:
        BodyError: if that cannot be.
    """
    if given is None or given == "":
        return _PAGE
    if not _NUMBER.fullmatch(str(given)) or not 1 <= int(given) <= _MOST:
        raise BodyError(f"it is {str(given)[:20]}; it can be 1 to {_MOST}", "$.limit")
    return int(given)


def page_asked(request: Request) -> tuple[int, str | None]:
    """Return the limit and the last name of the page before that a request's address names."""
    asked = request.query_params
    return limit_of(asked.get("limit")), last_of(asked.get("paginationToken"))
