"""Hits on the page: passages with what answers marked, and their documents."""

from collections.abc import Mapping, Sequence

from nicegui import ui

from efive.console import context
from efive.console.collections import Opened, document_of, place
from efive.console.collections_search import elsewhere, marked
from efive.search.searching import Hit

_TEXT = "whitespace-pre-wrap break-words text-sm [unicode-bidi:plaintext]"  # each paragraph as its letters run


def one_list(name: str, hits: Sequence[Hit]) -> None:
    """Show the hits of one search, best first."""
    if not hits:
        _nothing()
        return
    with ui.element("ol").classes("w-full flex flex-col gap-2 list-none p-0").props('aria-label="Hits"'):
        for hit in hits:
            with ui.element("li").classes("w-full"):
                _card(name, hit, _figures(hit))


def side_by_side(name: str, found: Mapping[str, Sequence[Hit]]) -> None:
    """Show the hits of every mode in a column of its own, each with its rank in the others."""
    with ui.element("div").classes("w-full grid gap-3 grid-cols-1 md:grid-cols-3"):
        for mode, hits in found.items():
            with ui.element("section").props(f'aria-label="{mode}"').classes("flex flex-col gap-2 min-w-0"):
                ui.label(mode).classes("text-lg font-medium").props("role=heading aria-level=2")
                for hit in hits:
                    _card(name, hit, f"{_score(hit, mode)} · {elsewhere(found, mode, hit)}")
                if not hits:
                    ui.label("nothing found").classes("opacity-70")


def _nothing() -> None:
    with ui.column().classes("w-full items-center py-6"):
        ui.label("Nothing was found").classes("text-lg")
        ui.label("Ask in other words, without the filter, or with a lower confidence.").classes("opacity-80")


def _score(hit: Hit, mode: str) -> str:
    if mode == "text":
        return f"BM25 {hit.bm25:.2f}" if hit.bm25 is not None else ""
    if mode == "dense" and hit.cosine is not None:
        return f"cosine {hit.cosine:.3f}"
    return f"score {hit.score:.3f}"


def _figures(hit: Hit) -> str:
    figures = [f"score {hit.score:.3f}"]
    figures += [f"cosine {hit.cosine:.3f}"] if hit.cosine is not None else []
    figures += [f"BM25 {hit.bm25:.2f}"] if hit.bm25 is not None else []
    figures += [f"confidence {100 * hit.confidence:.0f} %"] if hit.confidence is not None else []
    return " · ".join(figures)


def _card(name: str, hit: Hit, figures: str) -> None:
    where = place(hit, context.service(), name)
    with ui.card().classes("w-full gap-1 p-3"):
        with ui.row().classes("w-full items-center no-wrap gap-2"):
            ui.label(f"{hit.rank}").classes("font-medium opacity-70")
            ui.label(where).classes("font-medium break-words min-w-0")
            ui.space()
            ui.button(icon="open_in_full", on_click=lambda: _open(name, hit)).props("flat round dense size=sm").props[
                "aria-label"
            ] = f"Open {where}"
        ui.label(figures).classes("text-xs opacity-80")
        if hit.passage.headings:
            ui.label(" › ".join(hit.passage.headings)).classes("text-xs opacity-80")
        ui.html(marked(hit.passage.text, hit.highlights), sanitize=False).classes(_TEXT)  # escaped there


async def _open(name: str, hit: Hit) -> None:
    opened = await document_of(context.service(), name, hit)
    if opened is None:
        ui.notify("This document has been removed since; search again.", type="warning")
        return
    _dialog(opened, hit)


def _dialog(opened: Opened, hit: Hit) -> None:
    with ui.dialog() as dialog, ui.card().classes("w-full max-w-4xl"):
        dialog.props["aria-label"] = opened.title
        with ui.row().classes("w-full items-center no-wrap"):
            ui.label(opened.title).classes("text-lg font-medium break-all")
            ui.space()
            ui.button(icon="close", on_click=dialog.close).props('flat round dense aria-label="Close" autofocus')
        facts = ", ".join(f"{key} {value}" for key, value in opened.metadata.items() if key != "path")
        ui.label(facts).classes("text-xs opacity-80 break-all")
        with ui.element("div").classes(f"w-full overflow-y-auto max-h-[70vh] {_TEXT}").props("tabindex=0"):
            ui.html(marked(opened.before, []), sanitize=False, tag="span")
            shown = ui.html(marked(opened.passage, _spans(opened, hit)), sanitize=False, tag="span")
            shown.classes("bg-yellow-100 dark:bg-yellow-900")
            ui.html(marked(opened.behind, []), sanitize=False, tag="span")
        if opened.cut:
            ui.label("The document is longer; this is the part around the passage.").classes("text-xs opacity-80")
    dialog.on("show", js_handler=f"() => getElement({shown.id}).$el.scrollIntoView({{block: 'center'}})")
    dialog.on("hide", dialog.delete)
    dialog.open()


def _spans(opened: Opened, hit: Hit) -> list[tuple[int, int]]:
    """Return the highlights, if the passage is as long in the document as it was stored."""
    return list(hit.highlights) if opened.passage == hit.passage.text else []
