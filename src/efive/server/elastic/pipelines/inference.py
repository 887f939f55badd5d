"""The inference processor: vectors into documents, many documents at once."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from efive.errors import EfiveError, InputError, OverloadedError
from efive.inputs import Overflow, Role
from efive.server.access import Caller
from efive.server.elastic.errors import ElasticError, as_elastic, illegal, unsupported
from efive.server.elastic.pipelines.document import Document, java_type
from efive.server.elastic.pipelines.options import Options, mistaken
from efive.server.service import EmbedRequest, EmbedResult, Service

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

_MODEL_FIELD = "text_field"
"""What text embedding models call their input."""
_AT_ONCE = 64
"""Texts of one request to a deployment, at most."""
_CHARACTERS = 16_000
"""Of the texts of one request: a queue refuses what comes when seconds of work wait in it already."""
_IN_FLIGHT = 2
"""Such requests that wait at the same time, so that the engines find the next when they have done one."""
_OVERFLOW = {"first": Overflow.END, "none": Overflow.ERROR}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a text comes from and where its vector goes."""

    source: str
    vector: str
    beside: str
    """What `model_id` and `is_truncated` are put behind; empty or ending with a dot."""


@dataclass(slots=True)
class _Text:
    """A text of a document, and what became of it."""

    document: Document
    place: _Place
    text: str
    vector: list[float] | None = None
    truncated: bool = False
    error: ElasticError | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """Embeds fields of documents as passages."""

    model: str
    """An inference endpoint, a deployment, a model or an alias."""
    places: tuple[_Place, ...]
    skip_missing: bool = False
    overflow: Overflow = Overflow.END

    @classmethod
    def read(cls, options: Options) -> "Inference":
        """Read the processor's options."""
        model, skip = options.string("model_id"), options.flag("ignore_missing")
        results, overflow = _configured(options.take("inference_config", dict, {}))
        given = options.take("input_output", (list, dict), None)
        if given is None:
            return cls(model, (_mapped(options, results or "predicted_value"),), skip, overflow)
        if options.has("target_field") or options.has("field_map"):
            name = "target_field" if options.has("target_field") else "field_map"
            raise mistaken(f"[{name}] option is incompatible with [input_output]. Use the [output_field] option")
        if results is not None:
            raise mistaken("[results_field] cannot be used with [input_output]; use [output_field]")
        pairs = [given] if isinstance(given, dict) else given
        if not pairs:
            raise mistaken("[input_output] property cannot be empty at least one is required")
        return cls(model, tuple(_placed(pair) for pair in pairs), skip, overflow)

    async def run(self, cluster: "Cluster", documents: Sequence[Document], caller: Caller) -> dict[int, ElasticError]:
        """Embed what the documents have; return the errors of those that have something else, by place."""
        errors: dict[int, ElasticError] = {}
        texts: list[_Text] = []
        for place, document in enumerate(documents):
            try:
                texts += self._texts(document)
            except ElasticError as error:
                errors[place] = error
        if texts:
            await self._embed(cluster, texts, caller)
        places = {id(document): place for place, document in enumerate(documents)}
        for each in texts:
            try:
                self._write(each)
            except ElasticError as error:
                errors.setdefault(places[id(each.document)], error)
        return errors

    def _texts(self, document: Document) -> list[_Text]:
        found = []
        for place in self.places:
            value = document.find(place.source)
            if value is None and self.skip_missing:
                continue
            if value is None:
                raise illegal(f"field [{place.source}] not present as part of path [{place.source}]")
            if not isinstance(value, str):
                raise illegal(
                    f"input field [{place.source}] cannot be processed because it is not a text type, but "
                    f"[{java_type(value)}]"
                )
            found.append(_Text(document, place, value))
        return found

    async def _embed(self, cluster: "Cluster", texts: Sequence[_Text], caller: Caller) -> None:
        try:
            deployment = await cluster.deployment(self.model)
            prefix = deployment.encoder.prompts.of(Role.PASSAGE)
        except EfiveError as error:
            for each in texts:
                each.error = as_elastic(error)
            return
        for each in texts:  # whatever a text begins with: Elasticsearch adds its prefix to that too
            each.text = prefix + each.text
        request = EmbedRequest(
            model=deployment.name, inputs=(), role=Role.RAW, overflow=self.overflow, caller=caller, door="elastic"
        )
        slots = asyncio.Semaphore(_IN_FLIGHT)

        async def some(part: Sequence[_Text]) -> None:
            async with slots:
                await self._embed_some(cluster.service, request, part)

        await asyncio.gather(*map(some, _parts(texts)))

    async def _embed_some(self, service: Service, request: EmbedRequest, texts: Sequence[_Text]) -> None:
        try:
            result = await _patiently(service, replace(request, inputs=[each.text for each in texts]))
        except InputError as error:
            if len(texts) > 1:  # one of them: each alone, then
                for each in texts:
                    await self._embed_some(service, request, [each])
            else:
                texts[0].error = as_elastic(error)
            return
        except EfiveError as error:
            for each in texts:
                each.error = as_elastic(error)
            return
        # Through orjson, which writes float32 in the fewest digits: a source with doubles in it is twice as long.
        vectors = orjson.loads(orjson.dumps(result.vectors, option=orjson.OPT_SERIALIZE_NUMPY))
        for each, vector, usage in zip(texts, vectors, result.usage, strict=True):
            each.vector, each.truncated = vector, usage.truncated

    def _write(self, each: _Text) -> None:
        if each.error is not None:
            raise each.error
        document, place = each.document, each.place
        document.set(place.vector, each.vector)
        document.set(f"{place.beside}model_id", self.model)
        if each.truncated:
            document.set(f"{place.beside}is_truncated", each.truncated)


def _parts(texts: Sequence[_Text]) -> Iterator[list[_Text]]:
    """Yield texts in requests of a size that nobody behind them waits long for."""
    part: list[_Text] = []
    size = 0
    for each in texts:
        if part and (len(part) == _AT_ONCE or size + len(each.text) > _CHARACTERS):
            yield part
            part, size = [], 0
        part.append(each)
        size += len(each.text)
    if part:
        yield part


async def _patiently(service: Service, request: EmbedRequest) -> EmbedResult:
    """Embed; where too much waits, come again, as long as an answer may take."""
    until = time.monotonic() + service.limits.seconds
    while True:
        try:
            return await service.embed(request)
        except OverloadedError as error:
            wait = error.retry_after
            if time.monotonic() + wait > until:
                raise
            await asyncio.sleep(wait)


def _placed(given: Any) -> _Place:  # noqa: ANN401 - JSON
    pair = Options("inference", given)
    source, target = pair.string("input_field"), pair.string("output_field", None)
    pair.done()
    if target is None:
        raise mistaken("[output_field] required property is missing")
    outer, dot, _ = target.rpartition(".")
    return _Place(source, target, outer + dot)


def _mapped(options: Options, results: str) -> _Place:
    tag = f".{options.tag}" if options.tag else ""
    target = options.string("target_field", f"ml.inference{tag}")
    fields = options.take("field_map", dict, {})
    sources = [source for source, name in fields.items() if name == _MODEL_FIELD]
    if others := [name for name in fields.values() if name != _MODEL_FIELD]:
        raise mistaken(f"[field_map] the model has no input [{others[0]}], but [{_MODEL_FIELD}]")
    if len(sources) > 1:
        raise mistaken(f"[field_map] maps several fields to [{_MODEL_FIELD}]")
    return _Place(sources[0] if sources else _MODEL_FIELD, f"{target}.{results}", f"{target}.")


def _configured(given: dict[str, Any]) -> tuple[str | None, Overflow]:
    """Return the results' field, if one is named, and what becomes of texts that are too long."""
    if others := set(given) - {"text_embedding"}:
        raise unsupported(f"[inference_config] [{sorted(others)[0]}]")
    options = Options("inference", given.get("text_embedding") or {})
    results = options.string("results_field", None)
    kinds = options.take("tokenization", dict, {})
    options.done()
    overflow = Overflow.END
    for kind in kinds.values():
        cut = Options("inference", kind)
        truncate, span = cut.string("truncate", "first"), cut.take("span", int, -1)
        cut.done()
        if truncate not in _OVERFLOW or span != -1:
            raise unsupported(f"[tokenization] with truncate [{truncate}] and span [{span}]")
        overflow = _OVERFLOW[truncate]
    return results, overflow
