"""What an index is, and the bodies that ask for one: with a spec up to 2025-10, with a schema in 2026-07. Pure."""

import re
import secrets
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from efive.errors import InputError
from efive.search.raw import Metric
from efive.server.http import BodyError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?")
MOST_DIMENSIONS = 20_000
VECTORS = "_values"
"""What a schema calls the vectors of an index without a model."""


class Embed(msgspec.Struct, frozen=True, kw_only=True):
    """The model of an index that embeds by itself."""

    model: str
    field: str
    """Of a record: the text to embed."""
    read_input: str = "query"


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """An index as the server's state keeps it."""

    name: str
    dimension: int
    metric: Metric
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """The folder of its vectors: an index that takes the name of a deleted one sees nothing of it."""
    cloud: str = "aws"
    region: str = "us-east-1"
    deletion_protection: str = "disabled"
    tags: dict[str, str] = field(default_factory=dict)
    embed: Embed | None = None
    namespaces: dict[str, str] = field(default_factory=dict)
    """Its namespaces, each with its folder, or the collection of its records."""


class Common(msgspec.Struct, kw_only=True):
    """What every request for an index may have."""

    name: str
    deletion_protection: str | None = None
    tags: dict[str, str] | None = None


class Create(Common, kw_only=True):
    """`POST /indexes`."""

    dimension: int | None = None
    metric: str | None = None
    vector_type: str | None = None
    spec: dict[str, Any] | None = None
    schema: dict[str, Any] | None = None
    deployment: dict[str, Any] | None = None


class EmbedBody(msgspec.Struct, kw_only=True):
    """The model of `POST /indexes/create-for-model`."""

    model: str
    field_map: dict[str, str]
    metric: str | None = None
    dimension: int | None = None
    read_parameters: dict[str, Any] | None = None
    write_parameters: dict[str, Any] | None = None


class CreateForModel(Common, kw_only=True):
    """`POST /indexes/create-for-model`."""

    cloud: str = "aws"
    region: str = "us-east-1"
    embed: EmbedBody


class Dense(msgspec.Struct, kw_only=True):
    """A schema's field of vectors."""

    dimension: int
    metric: str | None = None


class Semantic(msgspec.Struct, kw_only=True):
    """A schema's field of text that is embedded."""

    model: str
    metric: str | None = None
    dimension: int | None = None
    read_parameters: dict[str, Any] | None = None
    write_parameters: dict[str, Any] | None = None


class Configure(msgspec.Struct, kw_only=True):
    """`PATCH /indexes/{name}`. Its capacity means nothing here, so what asks for another is ignored."""

    deletion_protection: str | None = None
    tags: Annotated[dict[str, str | None], Meta(max_length=100)] | None = None
    embed: Any = None
    schema: Any = None


def plain(body: Create) -> Index:
    """Return the index of vectors that a body asks for.

    Raises:
        InputError: naming what cannot be.
    """
    dimension, metric = body.dimension, body.metric
    place = (body.spec or {}).get("serverless", {})
    if (body.spec is not None and "serverless" not in body.spec) or not isinstance(place, dict):
        raise BodyError("there are serverless indexes only; give spec.serverless with cloud and region", "$.spec")
    if body.schema is not None:
        found = _convert(_field_of(body.schema, "dense_vector")[1], Dense)
        dimension, metric, place = found.dimension, found.metric, _managed(body)
    if body.vector_type not in {None, "dense"}:
        raise BodyError(f"vector_type {body.vector_type!r} is not supported; E5's vectors are dense", "$.vector_type")
    if dimension is None:
        raise BodyError("an index needs a dimension", "$.dimension")
    if not 1 <= dimension <= MOST_DIMENSIONS:
        raise BodyError(f"dimension is {dimension}; it can be 1 to {MOST_DIMENSIONS}", "$.dimension")
    return _index(body, dimension, metric_of(metric), str(place.get("cloud", "aws")), str(place.get("region", "")))


def _managed(body: Create) -> dict[str, Any]:
    place = body.deployment or {}
    if place.get("deployment_type", "managed") != "managed":
        raise BodyError("there are managed deployments only, with cloud and region", "$.deployment.deployment_type")
    return place


def semantic(body: Create) -> CreateForModel | None:
    """Return what a schema with a field of text asks for in the words of create-for-model; None if it has none."""
    fields = (body.schema or {}).get("fields")
    if not isinstance(fields, dict) or not any(_type(each) == "semantic_text" for each in fields.values()):
        return None
    name, values = _field_of(body.schema or {}, "semantic_text")
    found, place = _convert(values, Semantic), _managed(body)
    embed = EmbedBody(field_map={"text": name}, **msgspec.structs.asdict(found))
    return CreateForModel(
        name=body.name,
        deletion_protection=body.deletion_protection,
        tags=body.tags,
        cloud=str(place.get("cloud", "aws")),
        region=str(place.get("region", "us-east-1")),
        embed=embed,
    )


def integrated(body: CreateForModel, dimension: int) -> Index:
    """Return the index with a model of `dimension` that a body asks for.

    Raises:
        InputError: naming what cannot be.
    """
    asked = body.embed
    if set(asked.field_map) != {"text"} or not asked.field_map["text"]:
        raise BodyError('name the field of the text to embed: {"text": "FIELD"}', "$.embed.field_map")
    if asked.dimension not in {None, dimension}:
        raise BodyError(f"dimension is {asked.dimension}; {asked.model} has {dimension}", "$.embed.dimension")
    written = (asked.write_parameters or {}).get("input_type", "passage")
    if written != "passage":
        raise BodyError(f"records are embedded as passages, not as {written!r}", "$.embed.write_parameters.input_type")
    read = (asked.read_parameters or {}).get("input_type", "query")
    if read not in {"query", "passage"}:
        raise BodyError(f"no input_type {read!r}; there is query, passage", "$.embed.read_parameters.input_type")
    embed = Embed(model=asked.model, field=asked.field_map["text"], read_input=read)
    index = _index(body, dimension, metric_of(asked.metric), body.cloud, body.region)
    return msgspec.structs.replace(index, embed=embed)


def configured(index: Index, body: Configure) -> Index:
    """Return an index as a request wants it from now on: tags are added, and those with an empty value go.

    Raises:
        InputError: naming what cannot change.
    """
    if body.embed is not None or body.schema is not None:
        raise InputError("an index keeps its model and its fields; make another one with create-for-model")
    tags = {**index.tags, **(body.tags or {})}
    return msgspec.structs.replace(
        index,
        tags={name: value for name, value in tags.items() if value},
        deletion_protection=_protection(body.deletion_protection or index.deletion_protection),
    )


def metric_of(name: str | None) -> Metric:
    """Return the metric of that name; None is the cosine.

    Raises:
        InputError: if there is none.
    """
    try:
        return Metric(name or Metric.COSINE)
    except ValueError:
        raise BodyError(f"no metric {name!r}; there are {', '.join(Metric)}", "$.metric") from None


def _index(body: Common, dimension: int, metric: Metric, cloud: str, region: str) -> Index:
    if not _NAME.fullmatch(body.name):
        raise BodyError(
            f"{body.name!r} cannot be an index's name: 1 to 45 of a-z, 0-9 and -, neither beginning nor ending with -",
            "$.name",
        )
    return Index(
        name=body.name,
        dimension=dimension,
        metric=metric,
        cloud=cloud,
        region=region or "us-east-1",
        deletion_protection=_protection(body.deletion_protection or "disabled"),
        tags=body.tags or {},
    )


def _protection(value: str) -> str:
    if value not in {"enabled", "disabled"}:
        raise BodyError(f"it is {value!r}; it can be enabled or disabled", "$.deletion_protection")
    return value


def _field_of(schema: dict[str, Any], wanted: str) -> tuple[str, dict[str, Any]]:
    """Return the one field of a schema that is searched by meaning; others are metadata, which needs no schema here."""
    fields = schema.get("fields")
    if not isinstance(fields, dict):
        raise BodyError("a schema has fields", "$.schema.fields")
    searched = {
        name: each for name, each in fields.items() if _type(each) in {"dense_vector", "sparse_vector", "semantic_text"}
    }
    if len(searched) != 1 or _type(next(iter(searched.values()))) != wanted:
        raise BodyError(
            "an index has one field of type dense_vector or semantic_text; sparse vectors are not supported",
            "$.schema.fields",
        )
    return next(iter(searched.items()))


def _type(field_: object) -> object:
    return field_.get("type") if isinstance(field_, dict) else None


def _convert(values: dict[str, Any], type_: type[Any]) -> Any:  # noqa: ANN401 - of that type
    try:
        return msgspec.convert(values, type_)
    except msgspec.ValidationError as error:
        raise BodyError(str(error), "$.schema.fields") from None
