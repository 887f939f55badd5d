"""The semantic_text fields of an index: a collection for each, whose documents have the same ids."""

from collections.abc import Container
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from efive.deployments.deployment import Deployment
from efive.errors import EfiveError, InputError
from efive.inputs import Role
from efive.search.collection import Collection
from efive.search.documents import Document, Section
from efive.search.folder import Folder, settings_of
from efive.search.passages import Draft, check, digest, divided
from efive.server.access import Caller
from efive.server.elastic.errors import ElasticError, as_elastic, illegal
from efive.server.elastic.indices.mapping import Field, FieldType, Mapping
from efive.server.elastic.indices.planning import Change
from efive.server.elastic.inference import chunking
from efive.server.elastic.inference.endpoint import DEFAULT_ID

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

_LONGEST, _DIGITS = 200, 9
"""Bytes of a collection's name, and of the digest of a field whose own name does not fit."""

Errors = dict[str, ElasticError]
"""By document: why it cannot be written."""


def collection_name(index: str, field: str, *, first: bool) -> str:
    """Return the name of a field's collection: the first field's is the index's own, as `efive index` makes them."""
    if first:
        return index
    plain = f"{index}#{quote(field, safe='')}"
    return plain if len(plain.encode()) <= _LONGEST else f"{index}#{sha256(field.encode()).hexdigest()[:_DIGITS]}"


def document_of(change: Change, path: str) -> Document | None:
    """Return what a field's collection keeps of a document, or None if the field has no text."""
    texts = change.values.semantic.get(path)
    if not texts:
        return None
    sections, start = [], 0
    for text in texts:
        sections.append(Section(start, start + len(text)))
        start += len(text) + 1
    return Document(change.stored.id, "\n".join(texts), change.values.metadata, sections if len(sections) > 1 else ())


@dataclass(slots=True)
class Share:
    """What one field's collection has to do for a batch."""

    field: Field
    collection: str
    add: dict[str, Document]
    """By id: those whose text or metadata is new."""
    remove: list[str]
    digests: dict[str, str]
    """By id: of all documents of the batch that have text in the field."""

    def drop(self, ids: Container[str]) -> None:
        """Leave documents out."""
        self.add = {id_: document for id_, document in self.add.items() if id_ not in ids}
        self.remove = [id_ for id_ in self.remove if id_ not in ids]
        self.digests = {id_: found for id_, found in self.digests.items() if id_ not in ids}


def shares(
    mapping: Mapping,
    collections: Dictionary[str, str],
    changes: Dictionary[str, Change],
    before: Dictionary[str, Dictionary[str, str]],
) -> list[Share]:
    """Return what the collections have to do.

    Args:
        mapping: of the index.
        collections: their names by field.
        changes: the batch, by id.
        before: by id, by field: digests of what the collections have now.
    """
    found = []
    for field in mapping.of_type(FieldType.SEMANTIC_TEXT):
        share = Share(field, collections[field.path], {}, [], {})
        for id_, change in changes.items():
            old = before.get(id_, {}).get(field.path)
            document = document_of(change, field.path)
            if document is None:
                share.remove += [id_] if old is not None else []
                continue
            share.digests[id_] = digest(document)
            if share.digests[id_] != old:
                share.add[id_] = document
        found.append(share)
    return found


class Semantic:
    """Writes to the collections of one index."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._collections = cluster.service.collections

    def path(self, collection: str) -> Path:
        """Return a collection's folder."""
        return self._collections.path(collection)

    async def deployment(self, share: Share) -> Deployment:
        """Return what embeds for a field, started if need be.

        Raises:
            ElasticError: naming the endpoint that is not there or not ready, and the way out; or the field, if the
                endpoint's model is not the one that the field was embedded by.
        """
        inference_id = str(share.field.options["inference_id"])
        try:
            found = await self._cluster.deployment(inference_id)
            space = found.encoder.space
        except EfiveError as error:
            raise _unready(inference_id, error) from None
        folder = Folder(self._collections.path(share.collection))
        if folder.exists:
            known = settings_of(folder.generation()).space
            if difference := known.difference(space):
                raise illegal(
                    f"Incompatible model settings for field [{share.field.path}]. Check that the inference_id is not "
                    f"using different model settings. {difference}"
                )
        return found

    async def charge(self, caller: Caller, deployment: Deployment, share: Share) -> None:
        """Count the texts of a field against the caller's share of tokens."""
        await self._cluster.service.charge(caller, deployment, [each.text for each in share.add.values()])

    async def remove(self, share: Share) -> None:
        """Remove what the field has no text for any more."""
        if share.remove:
            await self._collections.remove(share.collection, share.remove)

    async def add(self, share: Share, deployment: Deployment, *, kept: bool) -> Errors:
        """Embed and store what is new, and return what could not be.

        Args:
            share: of the batch.
            deployment: that embeds.
            kept: whether the collection may have documents that others made, whose division stays as it is.
        """
        settings, errors = self._chunking(share.field), Errors()
        prefix = deployment.encoder.prompts.of(Role.PASSAGE)

        def divide(document: Document) -> Draft:
            made = divided(document, lambda text, context: (context, chunking.spans(text, settings)))
            return replace(made, inputs=[prefix + text for text in made.inputs])

        def work(collection: Collection) -> None:
            documents = _like_before(collection, share.add) if kept else share.add
            share.digests.update((id_, digest(document)) for id_, document in documents.items())
            for document in documents.values():
                try:
                    check(document)
                except InputError as error:
                    errors[document.id] = refusal(error)
            try:
                sound = [each for id_, each in documents.items() if id_ not in errors]
                collection.add(sound, divide=divide, encoder=deployment.encoder)
            except EfiveError as error:  # what was stored before it is
                there = collection.digests(list(documents)) if Folder(collection.path).exists else {}
                lost = [id_ for id_ in documents if there.get(id_) != share.digests[id_]]
                errors.update(dict.fromkeys(lost, refusal(error)))

        await self._collections.write(share.collection, work, deployment.name)
        return errors

    def _chunking(self, field: Field) -> chunking.Chunking:
        if given := field.options.get("chunking_settings"):
            return chunking.parse(given)
        try:
            return self._cluster.endpoints.get(str(field.options["inference_id"])).chunking_settings
        except ElasticError:
            return chunking.DEFAULT


def _like_before(collection: Collection, documents: dict[str, Document]) -> dict[str, Document]:
    """Return documents with the sections and lines of those in the collection that have the same text."""
    if not Folder(collection.path).exists:
        return documents
    before = {each.id: each for each in collection.get(list(documents))}
    return {
        id_: replace(before[id_], metadata=each.metadata)
        if id_ in before and before[id_].text == each.text and not each.sections
        else each
        for id_, each in documents.items()
    }


def model_settings(deployment: Deployment) -> dict[str, Any]:
    """Return what a field remembers of the model that its first document was embedded by."""
    return {
        "service": "elasticsearch",
        "task_type": "text_embedding",
        "dimensions": deployment.encoder.dimension,
        "similarity": "cosine",
        "element_type": "float",
    }


def _unready(inference_id: str, error: EfiveError) -> ElasticError:
    found = as_elastic(error, unknown=503)
    named = "" if f"[{inference_id}]" in found.reason else f"inference endpoint [{inference_id}]: "
    if inference_id != DEFAULT_ID or found.status not in {400, 404}:
        return ElasticError(found.status, found.type, f"{named}{found.reason}")
    way = "" if "efive models pull" in found.reason else ". `efive models pull multilingual-e5-small` brings its model"
    reason = (
        f"{named}{found.reason}{way}. This is the endpoint of semantic_text fields that name none; the inference_id "
        "[.efive-bundled] needs nothing to be brought"
    )
    return ElasticError(404, "resource_not_found_exception", reason)


def refusal(error: EfiveError) -> ElasticError:
    """Return why a document cannot be written: what is wrong about its text is a fault of the document."""
    if isinstance(error, InputError):
        return ElasticError(400, "document_parsing_exception", str(error))
    return as_elastic(error, unknown=503)
