"""Elasticsearch's habits on the wire: media types, options of every call, the envelope of errors."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from efive.errors import (
    CollectionNotFoundError,
    DeadlineError,
    EfiveError,
    ForbiddenError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    RateLimitError,
    UnauthenticatedError,
)
from efive.server.elastic.cluster import Cluster
from efive.server.elastic.errors import ElasticError, illegal
from efive.server.http import BodyError, BodyTooLargeError, NoRouteError, parse, retry_after

DOOR = "elastic"
_VENDOR = re.compile(r"application/vnd\.elasticsearch\+json\s*;\s*compatible-with=(8|9)")
_DURATION = re.compile(r"(\d+)(nanos|micros|ms|s|m|h|d)")
_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_TYPES: list[tuple[type[Exception], int | None, str]] = [
    (NoRouteError, None, "illegal_argument_exception"),
    (BodyTooLargeError, 413, "content_too_long_exception"),
    (BodyError, 400, "parsing_exception"),
    (ModelNotFoundError, 404, "resource_not_found_exception"),
    (CollectionNotFoundError, 404, "index_not_found_exception"),
    (UnauthenticatedError, 401, "security_exception"),
    (ForbiddenError, 403, "security_exception"),
    (RateLimitError, 429, "es_rejected_execution_exception"),
    (OverloadedError, 429, "es_rejected_execution_exception"),
    (DeadlineError, 408, "status_exception"),
    (NotReadyError, 409, "status_exception"),
]


def cluster_of(request: Request) -> Cluster:
    """Return what the door speaks for."""
    cluster: Cluster = request.app.state.cluster
    return cluster


async def body_of(request: Request) -> dict[str, Any]:
    """Return the body, a JSON object; an empty one counts as `{}`."""
    return await parse(request, dict[str, Any])


def reply(request: Request, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:  # noqa: ANN401
    """Return JSON in the media type that the client accepts, pruned and indented as it asks."""
    if paths := request.query_params.get("filter_path"):
        value = _pruned(value, paths.split(","))
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    if flag(request, "pretty"):
        options |= orjson.OPT_INDENT_2
    found = _VENDOR.search(request.headers.get("accept", ""))
    media = f"application/vnd.elasticsearch+json;compatible-with={found[1]}" if found else "application/json"
    own = {"x-elastic-product": "Elasticsearch"} | dict(headers or {})
    body = b"" if request.method == "HEAD" else orjson.dumps(value, option=options)
    return Response(body, status, media_type=media, headers=own)


def problem(request: Request, error: EfiveError, status: int) -> Response:
    """Write an error in Elasticsearch's envelope."""
    if isinstance(error, ElasticError):
        status, type_, reason = error.status, error.type, error.reason
    else:
        known = next(((s, t) for kind, s, t in _TYPES if isinstance(error, kind)), None)
        type_ = known[1] if known else ("illegal_argument_exception" if status < 500 else "exception")
        status = (known[0] if known else None) or status
        reason = _reason(request, error)
    if isinstance(error, NoRouteError) and status == 404:
        status = 400
    cause = {"type": type_, "reason": reason}
    headers = retry_after(error)
    if status == 401:
        headers["www-authenticate"] = 'Basic realm="security", ApiKey'
    return reply(request, {"error": {"root_cause": [cause], **cause}, "status": status}, status, headers)


def _reason(request: Request, error: EfiveError) -> str:
    if isinstance(error, NoRouteError):
        uri = request.url.path.removeprefix(request.scope.get("root_path", ""))
        return f"no handler found for uri [{uri}] and method [{request.method}]"
    if isinstance(error, BodyError) and error.where != "$":
        return f"{error.where.removeprefix('$.')}: {error}"
    return str(error)


def flag(request: Request, name: str, default: bool = False) -> bool:  # noqa: FBT001, FBT002 - as the clients have it
    """Return an option of the address that is true or false; alone, without a value, it is true."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if given not in {"true", "false", ""}:
        raise illegal(f"Failed to parse value [{given}] as only [true] or [false] are allowed.")
    return given != "false"


def number(request: Request, name: str, default: int) -> int:
    """Return an option of the address that is a whole number."""
    given = request.query_params.get(name)
    try:
        return default if given is None else int(given)
    except ValueError:
        raise illegal(f"Failed to parse int parameter [{name}] with value [{given}]") from None


def seconds(given: str | None, default: float, name: str = "timeout") -> float:
    """Return a duration such as `30s` in seconds.

    Raises:
        ElasticError: for anything else.
    """
    if given is None:
        return default
    if given == "-1":
        return float("inf")
    if not (found := _DURATION.fullmatch(given)):
        raise illegal(
            f"failed to parse setting [{name}] with value [{given}] as a time value: unit is missing or unrecognized"
        )
    return int(found[1]) * _SECONDS[found[2]]


def _pruned(value: Any, paths: list[str]) -> Any:  # noqa: ANN401 - JSON
    """Keep what `paths` name, or all but what those that begin with a minus name."""
    without = [path[1:].split(".") for path in paths if path.startswith("-")]
    only = [path.split(".") for path in paths if not path.startswith("-")]
    if only:
        value = _kept(value, only)
    for path in without:
        value = _dropped(value, path)
    return {} if value is None else value


def _kept(value: Any, paths: list[list[str]]) -> Any:  # noqa: ANN401
    if any(not path for path in paths):
        return value
    if isinstance(value, list):
        kept = [found for each in value if (found := _kept(each, paths)) is not None]
        return kept or None
    if not isinstance(value, dict):
        return None
    found = {}
    for name, inner in value.items():
        rest = [below for path in paths for below in _below(path, name)]
        if rest and (part := _kept(inner, rest)) is not None:
            found[name] = part
    return found or None


def _dropped(value: Any, path: list[str]) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_dropped(each, path) for each in value]
    if not isinstance(value, dict):
        return value
    left = {}
    for name, inner in value.items():
        rest = _below(path, name)
        if [] not in rest:
            left[name] = inner
            for below in rest:
                left[name] = _dropped(left[name], below)
    return left


def _below(path: list[str], name: str) -> list[list[str]]:
    """Return what is left of a path behind a field, in each way that the field matches its beginning."""
    first, *rest = path
    if first == "**":
        return [path, *([] if not rest else _below(rest, name))]
    return [rest] if _matcher(first)(name) else []


def _matcher(pattern: str) -> Callable[[str], object]:
    return re.compile(".*".join(map(re.escape, pattern.split("*")))).fullmatch
