"""Processors: what a pipeline is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from efive.server.elastic.errors import ElasticError, unsupported
from efive.server.elastic.pipelines import fields, values
from efive.server.elastic.pipelines.conditions import Condition
from efive.server.elastic.pipelines.document import Document, Failure, template
from efive.server.elastic.pipelines.fields import Action
from efive.server.elastic.pipelines.inference import Inference
from efive.server.elastic.pipelines.options import Options, mistaken


@dataclass(frozen=True, slots=True)
class Nested:
    """Another pipeline in place of a processor."""

    name: Callable[[Document], str]
    skip_missing: bool


@dataclass(frozen=True, slots=True)
class Processor:
    """One step."""

    type: str
    work: Action | Inference | Nested
    tag: str | None = None
    description: str | None = None
    condition: Condition | None = None
    ignore_failure: bool = False
    on_failure: tuple["Processor", ...] = ()

    def failure(self, error: ElasticError, pipeline: str | None) -> Failure:
        """Return what a document is told that this step failed for."""
        return Failure(error, self.type, self.tag, pipeline)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps in their order, and those for documents that fail."""

    id: str | None
    processors: tuple[Processor, ...]
    on_failure: tuple[Processor, ...] = ()


Factory = Callable[[Options], Action | Inference | Nested]
"""Reads a processor's own options."""


def _fail(options: Options) -> Action:
    message = template(options.string("message"))

    def run(document: Document) -> None:
        raise ElasticError(500, "fail_processor_exception", message(document))

    return run


def _drop(_options: Options) -> Action:
    def run(document: Document) -> None:
        document.dropped = True

    return run


def _nested(options: Options) -> Nested:
    return Nested(options.path("name"), options.flag("ignore_missing_pipeline"))


_FACTORIES: Mapping[str, Factory] = {
    "append": fields.append,
    "convert": values.convert,
    "drop": _drop,
    "fail": _fail,
    "gsub": values.gsub,
    "inference": Inference.read,
    "join": values.join,
    "lowercase": values.lowercase,
    "pipeline": _nested,
    "remove": fields.remove,
    "rename": fields.rename,
    "set": fields.set_,
    "split": values.split,
    "trim": values.trim,
    "uppercase": values.uppercase,
}
_ELSEWHERE = {
    "attachment", "bytes", "circle", "community_id", "csv", "date", "date_index_name", "dissect", "dot_expander",
    "enrich", "fingerprint", "foreach", "geo_grid", "geoip", "grok", "html_strip", "ip_location", "json", "kv",
    "network_direction", "normalize_for_stream", "recover_failure_document", "redact", "registered_domain", "reroute",
    "script", "set_security_user", "sort", "terminate", "uri_parts", "urldecode", "user_agent",
}  # fmt: skip
"""Those that Elasticsearch has and efive does not."""
_ENTIRE = ("description", "processors", "on_failure", "version", "_meta", "deprecated", "field_access_pattern")


def read_pipeline(id_: str | None, body: Mapping[str, Any]) -> Pipeline:
    """Read a pipeline as clients write it.

    Raises:
        ElasticError: naming what it cannot have.
    """
    if left := set(body) - set(_ENTIRE):
        named = ", ".join(sorted(left))
        raise mistaken(f"pipeline [{id_}] doesn't support one or more provided configuration parameters [{named}]")
    if body.get("processors") is None:
        raise mistaken("[processors] required property is missing")
    if body.get("field_access_pattern", "classic") != "classic":
        raise unsupported(f"field_access_pattern [{body['field_access_pattern']}]")
    for name, type_ in (("description", str), ("version", int), ("_meta", dict), ("deprecated", bool)):
        if not isinstance(body.get(name), type_ | None):
            raise mistaken(f"[{name}] property isn't of the type that it must be")
    failing = _handlers(body.get("on_failure"), f"pipeline [{id_}]")
    return Pipeline(id_, _read_all(body["processors"], "processors"), failing)


def _handlers(given: Any, whose: str) -> tuple[Processor, ...]:  # noqa: ANN401
    if given is None:
        return ()
    if given == []:
        raise mistaken(f"{whose} cannot have an empty on_failure option defined")
    return _read_all(given, "on_failure")


def _read_all(given: Any, name: str) -> tuple[Processor, ...]:  # noqa: ANN401
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(isinstance(each, dict) for each in given):
        raise mistaken(f"[{name}] property isn't a list of processors")
    return tuple(_read(type_, options) for each in given for type_, options in each.items())


def _read(type_: str, given: Any) -> Processor:  # noqa: ANN401
    if type_ in _ELSEWHERE:
        raise unsupported(f"the processor [{type_}]")
    if type_ not in _FACTORIES:
        raise mistaken(f"No processor type exists with name [{type_}]")
    options = Options(type_, given)
    options.tag, description = options.string("tag", None), options.string("description", None)
    condition = options.take("if", (str, dict), None)
    ignore = options.flag("ignore_failure")
    handlers = _handlers(options.take("on_failure", list, None), f"processor [{type_}]")
    work = _FACTORIES[type_](options)
    options.done()
    return Processor(type_, work, options.tag, description, _condition(condition), ignore, handlers)


def _condition(given: str | dict[str, Any] | None) -> Condition | None:
    if given is None:
        return None
    if isinstance(given, dict):
        if set(given) - {"source", "lang"} or given.get("lang", "painless") != "painless" or "source" not in given:
            raise unsupported("a condition other than painless with its [source] alone")
        given = str(given["source"])
    return Condition(given)


def models_of(processors: Sequence[Processor]) -> set[str]:
    """Return the models that processors embed with, those for failures included."""
    found: set[str] = set()
    for each in processors:
        if isinstance(each.work, Inference):
            found.add(each.work.model)
        found |= models_of(each.on_failure)
    return found
