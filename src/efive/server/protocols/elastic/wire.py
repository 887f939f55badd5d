"""Elasticsearch's habits on the wire: media types, options of every call, the envelope of errors."""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from efive.errors import EfiveError
from efive.server.elastic.cluster import Cluster
from efive.server.elastic.errors import KNOWN, ElasticError, illegal
from efive.server.http import BodyError, BodyTooLargeError, NoRouteError, parse, retry_after
from efive.server.protocols.elastic.filtering import filtered

VERSION = "9.2.0"
"""The release whose API this is; clients look at its first number."""
_VENDOR = re.compile(r"application/vnd\.elasticsearch\+json\s*;\s*compatible-with=(8|9)")
_BODIES = re.compile(r"application/(vnd\.elasticsearch\+)?(x-)?(nd)?json\s*(;.*)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d{1,18})(nanos|micros|ms|s|m|h|d)")
_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_TYPES: list[tuple[type[EfiveError], int, str]] = [
    (BodyTooLargeError, 413, "content_too_long_exception"),
    (BodyError, 400, "parsing_exception"),
    *KNOWN,
]
_BY_STATUS = {
    400: "illegal_argument_exception",
    404: "resource_not_found_exception",
    408: "status_exception",
    409: "status_exception",
}


def cluster_of(request: Request) -> Cluster:
    """Return what the door speaks for."""
    cluster: Cluster = request.app.state.cluster
    return cluster


async def body_of(request: Request) -> dict[str, Any]:
    """Return the body, a JSON object; an empty one counts as `{}`.

    Raises:
        ElasticError: if it says that it is something else than JSON.
        BodyError: if it is.
    """
    check_type(request)
    return await parse(request, dict[str, Any])


def check_type(request: Request) -> None:
    """Refuse a body that says that it is no JSON and no lines of JSON. None, and one that says nothing, are let in.

    Raises:
        ElasticError: naming the type.
    """
    given = request.headers.get("content-type")
    if given and request.headers.get("content-length") != "0" and not _BODIES.fullmatch(given.strip()):
        raise ElasticError(406, "content_type_header_exception", f"Content-Type header [{given}] is not supported")


def reply(request: Request, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:  # noqa: ANN401
    """Return JSON in the media type that the client accepts, pruned and indented as it asks."""
    if paths := request.query_params.get("filter_path"):
        value = filtered(value, paths.split(","))
    return _written(request, value, status, dict(headers or {}))


def _written(request: Request, value: Any, status: int, headers: dict[str, str]) -> Response:  # noqa: ANN401
    found = _VENDOR.search(request.headers.get("accept", ""))
    media = f"application/vnd.elasticsearch+json;compatible-with={found[1]}" if found else "application/json"
    indented = request.query_params.get("pretty", "false") != "false"
    body = b"" if request.method == "HEAD" else _encoded(value, indented=indented)
    return Response(body, status, media_type=media, headers={"x-elastic-product": "Elasticsearch"} | headers)


def _encoded(value: Any, *, indented: bool) -> bytes:  # noqa: ANN401
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indented else 0)
    try:
        return orjson.dumps(value, option=options)
    except TypeError:  # orjson has no whole numbers of more than 64 bits; what a client wrote may be shown to it again
        return msgspec.json.encode(value, enc_hook=lambda array: array.tolist())


def warning(text: str) -> dict[str, str]:
    """Return the header of a warning; clients show it to their users. What headers cannot carry is left out."""
    plain = re.sub(r"[^ -~]", "?", " ".join(text.replace('"', "'").split()))
    return {"warning": f'299 Elasticsearch-{VERSION}-efive "{plain}"'}


def problem(request: Request, error: EfiveError, status: int) -> Response:
    """Write an error in Elasticsearch's envelope, which `filter_path` does not touch."""
    headers = retry_after(error)
    if isinstance(error, ElasticError):
        status, type_, reason = error.status, error.type, error.reason
    elif isinstance(error, NoRouteError):
        status, type_ = (405 if status == 405 else 400), "illegal_argument_exception"
        reason, allowed = _no_route(request, status)
        headers |= {"allow": allowed} if allowed else {}
    else:
        known = next(((s, t) for kind, s, t in _TYPES if isinstance(error, kind)), None)
        status, type_ = known or (status, _BY_STATUS.get(status, "exception"))
        reason = _reason(error)
    cause = {"type": type_, "reason": reason}
    if status == 401:
        headers["www-authenticate"] = 'Basic realm="security", charset="UTF-8", ApiKey'
    return _written(request, {"error": {"root_cause": [cause], **cause}, "status": status}, status, headers)


def _no_route(request: Request, status: int) -> tuple[str, str]:
    """Return what is wrong about an address, and the methods that it has."""
    uri = request.url.path.removeprefix(request.scope.get("root_path", "")) or "/"
    if request.url.query:
        uri += f"?{request.url.query}"
    if status != 405:
        return f"no handler found for uri [{uri}] and method [{request.method}]", ""
    routes = (each for each in request.app.routes if isinstance(each, Route))
    matching = [each.methods or () for each in routes if each.matches(request.scope)[0] is not Match.NONE]
    allowed = ", ".join(sorted({method for methods in matching for method in methods}))
    return f"Incorrect HTTP method for uri [{uri}] and method [{request.method}], allowed: [{allowed}]", allowed


def _reason(error: EfiveError) -> str:
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
    if given in {"-1", "0"}:
        return math.inf if given == "-1" else 0.0
    if not (found := _DURATION.fullmatch(given)):
        raise illegal(
            f"failed to parse setting [{name}] with value [{given}] as a time value: unit is missing or unrecognized"
        )
    return float(found[1]) * _SECONDS[found[2]]
