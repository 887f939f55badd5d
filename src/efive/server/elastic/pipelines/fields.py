"""Processors that set, move and take away fields."""

import copy
from collections.abc import Callable

from efive.server.elastic.errors import illegal
from efive.server.elastic.pipelines.document import METADATA, Document, template
from efive.server.elastic.pipelines.options import Options, mistaken

Action = Callable[[Document], None]
"""What a processor does to one document; what it raises is the document's failure."""


def set_(options: Options) -> Action:
    """Give a field a value, or that of another field."""
    path, source = options.path(), options.string("copy_from", None)
    override, skip_empty = options.flag("override", default=True), options.flag("ignore_empty_value")
    if source is not None and options.has("value"):
        raise mistaken("[copy_from] cannot set both `copy_from` and `value` in the same processor")
    value = (lambda _document: None) if source is not None else template(options.take("value", object))

    def run(document: Document) -> None:
        field = path(document)
        if not override and document.find(field) is not None:
            return
        found = (
            copy.deepcopy(document.find(source) if skip_empty else document.get(source)) if source else value(document)
        )
        if skip_empty and found in (None, ""):
            return
        document.set(field, copy.deepcopy(found))

    return run


def append(options: Options) -> Action:
    """Add values to a field, which becomes a list."""
    path, value = options.path(), template(options.take("value", object))
    duplicates = options.flag("allow_duplicates", default=True)

    def run(document: Document) -> None:
        field, found = path(document), value(document)
        before = document.find(field)
        values = [] if before is None else list(before) if isinstance(before, list) else [before]
        for each in found if isinstance(found, list) else [found]:
            if duplicates or each not in values:
                values.append(copy.deepcopy(each))
        document.set(field, values)

    return run


def remove(options: Options) -> Action:
    """Take fields away, or all but those that are kept."""
    skip = options.flag("ignore_missing")
    if options.has("keep"):
        if options.has("field"):
            raise mistaken("[field] or [keep] must be specified, but not both")
        return _keeping(options.strings("keep"))
    paths = [template(each) for each in options.strings("field")]

    def run(document: Document) -> None:
        for path in paths:
            field = path(document)
            if not skip or document.has(field):
                document.remove(field)

    return run


def _keeping(kept: list[str]) -> Action:
    def run(document: Document) -> None:
        source = document.source
        document.source = {}
        for path in kept:
            if path.partition(".")[0] in METADATA:
                continue
            held = Document(document.index, document.id, source)
            if held.has(path):
                document.set(path, held.get(path))

    return run


def rename(options: Options) -> Action:
    """Give a field another name."""
    path, target = options.path(), options.path("target_field")
    skip, override = options.flag("ignore_missing"), options.flag("override")

    def run(document: Document) -> None:
        field, new = path(document), target(document)
        if not document.has(field):
            if skip:
                return
            raise illegal(f"field [{field}] doesn't exist")
        if not override and document.has(new):
            raise illegal(f"field [{new}] already exists")
        value = document.get(field)
        document.remove(field)
        document.set(new, value)

    return run
