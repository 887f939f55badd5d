"""What requests about vectors have in their bodies. Pure."""

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from efive.search.raw import Metric
from efive.server.http import BodyError
from efive.server.protocols.pinecone.definitions import Index
from efive.vectors import Floats

MOST_VECTORS = 1000
MOST_HITS = 10_000

Id = Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[^\n\x1f]+$")]
Metadata = dict[str, str | bool | int | float | list[str]]
Filter = dict[str, Any] | None


class Vector(msgspec.Struct, rename="camel"):
    """A vector as it is sent."""

    id: Id
    values: list[float] = []
    metadata: Metadata | None = None
    sparse_values: Any = None


class Upsert(msgspec.Struct):
    """`POST /vectors/upsert`."""

    vectors: list[Vector]
    namespace: str | None = None


class Query(msgspec.Struct, rename="camel"):
    """`POST /query`."""

    top_k: Annotated[int, Meta(ge=1, le=MOST_HITS)]
    vector: list[float] | None = None
    id: str | None = None
    namespace: str | None = None
    filter: Filter = None
    include_values: bool = False
    include_metadata: bool = False
    sparse_vector: Any = None


class FetchByMetadata(msgspec.Struct, rename="camel"):
    """`POST /vectors/fetch_by_metadata`."""

    filter: dict[str, Any]
    namespace: str | None = None
    limit: int | None = None
    pagination_token: str | None = None


class Update(msgspec.Struct, rename="camel"):
    """`POST /vectors/update`."""

    id: str | None = None
    filter: Filter = None
    values: list[float] | None = None
    set_metadata: Metadata | None = None
    namespace: str | None = None
    dry_run: bool = False
    sparse_values: Any = None


class Delete(msgspec.Struct, rename="camel"):
    """`POST /vectors/delete`."""

    ids: list[str] | None = None
    delete_all: bool = False
    filter: Filter = None
    namespace: str | None = None


def values_of(index: Index, given: list[float], where: str) -> Floats:
    """Return a vector as sent for an index: (dimension,) float32.

    Raises:
        BodyError: if it does not fit the index, or has no direction where that is what counts.
    """
    if len(given) != index.dimension:
        raise BodyError(
            f"Vector dimension {len(given)} does not match the dimension of the index {index.dimension}", where
        )
    with np.errstate(over="ignore"):
        values = np.asarray(given, dtype=np.float32)
    if not np.isfinite(values).all():
        raise BodyError("a number is too large for float32", where)
    if index.metric is Metric.COSINE and not values.any():
        raise BodyError("Dense vectors must contain at least one non-zero value", where)
    return values


def refuse_sparse(given: object, where: str) -> None:
    """Refuse a sparse vector.

    Raises:
        BodyError: if there is one.
    """
    if given:
        raise BodyError("sparse vectors are not supported; E5's vectors are dense", where)
