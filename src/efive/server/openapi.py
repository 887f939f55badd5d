"""Routes that describe themselves: one table makes the routes, the OpenAPI document and the page for people."""

import html
import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.routing import Route

from efive import __version__
from efive.server.access import Scope
from efive.server.http import Endpoint, guarded

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")


class Problem(msgspec.Struct):
    """What a request gets that cannot be answered."""

    error: str
    """What happened, and what to do next."""
    code: str
    """A stable word."""
    index: int | None = None
    """Number of the input that it is about."""
    where: str | None = None
    """The field of the body that it is about."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route."""

    method: str
    path: str
    endpoint: Endpoint
    scope: Scope
    body: Any = None
    """The type of the request's body."""
    result: Any = None
    """The type of the answer."""
    status: int = 200
    media: str = "application/json"
    """Of the request's body."""
    query: tuple[str, ...] = ()
    """Parameters that may stand behind the path."""


def routes(operations: Sequence[Operation]) -> list[Route]:
    """Return the routes of a table, each behind its scope."""
    return [Route(each.path, guarded(each.scope, each.endpoint), methods=[each.method]) for each in operations]


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a table."""
    types = [type_ for each in operations for type_ in (each.body, each.result) if type_ is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    known = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for each in operations:
        described: dict[str, Any] = {
            "summary": _summary(each),
            "operationId": each.endpoint.__name__,
            "tags": [each.path.split("/")[1] or "root"],
            "x-scope": str(each.scope),
            "responses": {
                str(each.status): {"description": "Done."},
                "4XX": {"description": "It cannot be done as asked.", "content": problem},
                "503": {"description": "Not ready; try again.", "content": problem},
            },
        }
        places = [
            *((name, "path") for name in _PARAMETER.findall(each.path)),
            *((name, "query") for name in each.query),
        ]
        if places:
            described["parameters"] = [
                {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}
                for name, place in places
            ]
        if each.body is not None:
            content = {each.media: {"schema": next(known)}}
            described["requestBody"] = {"required": True, "content": content}
        if each.result is not None:
            described["responses"][str(each.status)]["content"] = {"application/json": {"schema": next(known)}}
        paths.setdefault(_PARAMETER.sub(r"{\1}", each.path), {})[each.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "efive", "version": __version__, "description": "E5 text embeddings and search."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _summary(operation: Operation) -> str:
    return (inspect.getdoc(operation.endpoint) or "").partition("\n")[0]


def page(described: dict[str, Any]) -> str:
    """Return the document as a page that needs nothing from anywhere else."""
    parts = [
        _section(method, path, operation, described["components"]["schemas"])
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    return _PAGE.format(version=html.escape(described["info"]["version"]), body="\n".join(parts))


def _section(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    shown = [f"<p>Scope: {html.escape(operation['x-scope'])}</p>"]
    for title, content in (
        ("Body", operation.get("requestBody", {}).get("content", {})),
        ("Answer", next(iter(operation["responses"].values())).get("content", {})),
    ):
        for media, value in content.items():
            schema = json.dumps(_expanded(value["schema"], schemas), indent=2, ensure_ascii=False)
            shown.append(f"<h4>{title}: {html.escape(media)}</h4><pre>{html.escape(schema)}</pre>")
    heading = f"<b>{method.upper()}</b> <code>{html.escape(path)}</code> {html.escape(operation['summary'])}"
    return f"<details><summary>{heading}</summary>{''.join(shown)}</details>"


def _expanded(schema: Any, schemas: dict[str, Any], depth: int = 0) -> Any:  # noqa: ANN401 - JSON in and out
    """Put what `$ref` points at in its place, two levels deep."""
    if isinstance(schema, list):
        return [_expanded(each, schemas, depth) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return _expanded(schemas[name], schemas, depth + 1) if depth < 2 else {"see": name}
    return {key: _expanded(value, schemas, depth) for key, value in schema.items()}


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>efive {version}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
details {{ border-top: 1px solid #8886; padding: .5rem 0 }}
summary {{ cursor: pointer }}
summary b {{ display: inline-block; width: 4.5rem }}
pre {{ overflow: auto; background: #8882; padding: 1rem; border-radius: .5rem }}
</style>
<h1>efive {version}</h1>
<p>The native routes of this server; <a href="openapi.json">openapi.json</a> for machines. The doors for other clients:
<code>/openai/v1</code>, <code>/tei</code>, <code>/pinecone</code>, <code>/samba</code>, <code>/es</code>.</p>
{body}
</html>
"""
