"""Errors in Elasticsearch's words, which its clients tell apart by status and type."""

from efive.errors import (
    CollectionNotFoundError,
    DeadlineError,
    EfiveError,
    ForbiddenError,
    InputError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    RateLimitError,
    SpaceMismatchError,
    UnauthenticatedError,
)

KNOWN: list[tuple[type[EfiveError], int, str]] = [
    (ModelNotFoundError, 404, "resource_not_found_exception"),
    (CollectionNotFoundError, 404, "index_not_found_exception"),
    (UnauthenticatedError, 401, "security_exception"),
    (ForbiddenError, 403, "security_exception"),
    (RateLimitError, 429, "es_rejected_execution_exception"),
    (OverloadedError, 429, "es_rejected_execution_exception"),
    (DeadlineError, 408, "status_exception"),
    (NotReadyError, 409, "status_exception"),
    (SpaceMismatchError, 400, "illegal_argument_exception"),
    (InputError, 400, "illegal_argument_exception"),
]
"""What efive's own errors are called here: status and type, the first that fits."""


class ElasticError(EfiveError):
    """What a request cannot have, as Elasticsearch says it."""

    code = "elastic"

    def __init__(self, status: int, type_: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.type = type_
        self.reason = reason

    def to_dict(self) -> dict[str, str]:
        """Return it as items of a bulk request and documents of a simulation show it."""
        return {"type": self.type, "reason": self.reason}


def illegal(reason: str) -> ElasticError:
    """Return the error of an argument that cannot be."""
    return ElasticError(400, "illegal_argument_exception", reason)


def invalid(*faults: str) -> ElasticError:
    """Return the error of settings that fail their checks, all of them named."""
    listed = "".join(f"{number}: {fault};" for number, fault in enumerate(faults, 1))
    return ElasticError(400, "validation_exception", f"Validation Failed: {listed}")


def invalid_action(*faults: str) -> ElasticError:
    """Return the error of a request that fails its checks, all of them named."""
    listed = "".join(f"{number}: {fault};" for number, fault in enumerate(faults, 1))
    return ElasticError(400, "action_request_validation_exception", f"Validation Failed: {listed}")


def unparsable(reason: str) -> ElasticError:
    """Return the error of a body that has another shape than it must have."""
    return ElasticError(400, "parsing_exception", reason)


def unsupported(what: str) -> ElasticError:
    """Return the error of something that Elasticsearch has and efive does not."""
    return illegal(f"{what} is not supported by efive")


def missing(reason: str) -> ElasticError:
    """Return the error of a resource that is not there."""
    return ElasticError(404, "resource_not_found_exception", reason)


def exists(reason: str) -> ElasticError:
    """Return the error of a resource that is there already."""
    return ElasticError(400, "resource_already_exists_exception", reason)


def conflict(reason: str) -> ElasticError:
    """Return the error of something that cannot be done as things are."""
    return ElasticError(409, "status_exception", reason)


def no_index(name: str) -> ElasticError:
    """Return the error of an index that is not there."""
    return ElasticError(404, "index_not_found_exception", f"no such index [{name}]")


def version_conflict(reason: str) -> ElasticError:
    """Return the error of a write that another one came before."""
    return ElasticError(409, "version_conflict_engine_exception", reason)


def as_elastic(error: EfiveError, *, unknown: int = 500) -> ElasticError:
    """Return an error of efive's as a part of an answer shows it: an item, a document, a task.

    Args:
        error: any.
        unknown: the status of one that has no name of its own here.
    """
    if isinstance(error, ElasticError):
        return error
    found = next(((status, type_) for kind, status, type_ in KNOWN if isinstance(error, kind)), None)
    status, type_ = found or (unknown, "status_exception" if unknown == 503 else "exception")
    return ElasticError(status, type_, str(error))
