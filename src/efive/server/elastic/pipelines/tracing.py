"""What each processor did to a document, for simulations that want to know."""

from typing import Any

from efive.server.elastic.errors import ElasticError
from efive.server.elastic.pipelines.document import Document
from efive.server.elastic.pipelines.processors import Processor


def noted(document: Document, processor: Processor, status: str, *, bare: bool = False) -> None:
    """Note what a processor did, if somebody wants to know; `bare` leaves the document out."""
    if document.trace is None:
        return
    entry: dict[str, Any] = {"processor_type": processor.type, "status": status}
    if processor.tag is not None:
        entry["tag"] = processor.tag
    if processor.description is not None:
        entry["description"] = processor.description
    if processor.condition is not None:
        entry["if"] = {"condition": processor.condition.text, "result": status != "skipped"}
    if document.error is not None:
        entry["ignored_error" if status == "error_ignored" else "error"] = (
            {"error": envelope(document.error)} if status == "error_ignored" else envelope(document.error)
        )
    if status in {"success", "error_ignored"} and not bare:
        shown = document.shown()
        if "pipeline" in document.ingest:
            shown["_ingest"]["pipeline"] = document.ingest["pipeline"]
        entry["doc"] = shown
    document.trace.append(entry)


def envelope(error: ElasticError) -> dict[str, Any]:
    """Return an error with its cause, as answers show it."""
    return {"root_cause": [error.to_dict()], **error.to_dict()}
