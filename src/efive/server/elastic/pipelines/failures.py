"""What efive's own errors are called in the item of a bulk request, or of a simulation."""

from efive.errors import (
    CollectionNotFoundError,
    DeadlineError,
    EfiveError,
    InputError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    RateLimitError,
)
from efive.server.elastic.errors import ElasticError

_KNOWN: list[tuple[type[EfiveError], int, str]] = [
    (InputError, 400, "illegal_argument_exception"),
    (ModelNotFoundError, 404, "resource_not_found_exception"),
    (CollectionNotFoundError, 404, "index_not_found_exception"),
    (RateLimitError, 429, "es_rejected_execution_exception"),
    (OverloadedError, 429, "es_rejected_execution_exception"),
    (DeadlineError, 408, "status_exception"),
    (NotReadyError, 409, "status_exception"),
]


def as_elastic(error: EfiveError) -> ElasticError:
    """Return an error as Elasticsearch would say it."""
    if isinstance(error, ElasticError):
        return error
    status, type_ = next(
        ((status, type_) for kind, status, type_ in _KNOWN if isinstance(error, kind)), (500, "exception")
    )
    return ElasticError(status, type_, str(error))
