"""Errors in Pinecone's words: of one shape for indexes and inference, of gRPC's for what an index holds."""

from starlette.requests import Request
from starlette.responses import Response

from efive.errors import CollectionError, EfiveError, ForbiddenError, TooLongError
from efive.server.http import BodyError, answer, retry_after


class ExistsError(CollectionError):
    """An index or a namespace of that name is there already."""

    code = "exists"


class ProtectedError(ForbiddenError):
    """An index is protected from deletion."""

    code = "protected"


# By HTTP status: the word, and its number in gRPC.
_WORDS = {
    400: ("INVALID_ARGUMENT", 3),
    401: ("UNAUTHENTICATED", 16),
    403: ("FORBIDDEN", 7),
    404: ("NOT_FOUND", 5),
    405: ("UNIMPLEMENTED", 12),
    409: ("ABORTED", 10),
    429: ("RESOURCE_EXHAUSTED", 8),
    503: ("UNAVAILABLE", 14),
}


def problem(request: Request, error: EfiveError, status: int) -> Response:
    """Write an error as Pinecone does."""
    word, number = _WORDS.get(status, ("INTERNAL", 13))
    if isinstance(error, ExistsError):
        status, word, number = 409, "ALREADY_EXISTS", 6
    message = str(error)
    if isinstance(error, TooLongError):
        message = f'{error.fact}; `"truncate": "END"` has it cut'
    if isinstance(error, BodyError) and error.where != "$":
        message = f"{error.where.removeprefix('$.')}: {message}"
    body = {"error": {"code": word, "message": message}, "status": status}
    if "/_i/" in request.url.path:
        body = {"code": number, "message": message, "details": []}
    return answer(body, status, retry_after(error))
