"""Small parts of pages: buttons that act once, code to copy, facts."""

import json
from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui
from nicegui.events import GenericEventArguments


def acting(button: ui.button, work: Callable[[], Awaitable[object]]) -> ui.button:
    """Let a button do its work when it is clicked; while it does, further clicks do nothing.

    What the work shows belongs to the page: it is there when the button is gone.
    """
    busy = False

    async def clicked() -> None:
        nonlocal busy
        if busy:
            return
        busy = True
        try:
            with button.client.content:
                await work()
        finally:
            busy = False

    return button.on_click(clicked)


def icon_button(icon: str, name: str) -> ui.button:
    """Return a button that is an icon, with a name for those who do not see it, and a tip for those who do."""
    button = ui.button(icon=icon).props("flat round dense")
    button.props["aria-label"] = name
    with button:
        ui.tooltip(name)
    return button


def code(text: str, name: str) -> None:
    """Show lines to copy.

    Args:
        text: the lines.
        name: what they are, for those who hear it.
    """
    with ui.element("div").classes("w-full relative"):
        lines = ui.label(text).classes(
            "whitespace-pre font-mono text-sm overflow-x-auto p-3 pr-12 rounded bg-gray-500/10"
        )
        lines.props('tabindex="0" role="region"')
        lines.props["aria-label"] = name
        copy = icon_button("content_copy", "Copy").classes("absolute top-1 right-1")
        copy.on("click", _copied, js_handler=_COPY % (json.dumps(text), lines.id))


_COPY = """async () => {
  try { await navigator.clipboard.writeText(%s); emit(true); }
  catch { getSelection().selectAllChildren(getHtmlElement(%s)); emit(false); }
}"""
"""Browsers let pages write to the clipboard only over HTTPS, and on their own machine."""


def _copied(event: GenericEventArguments) -> None:
    if event.args:
        ui.notify("Copied.", type="positive")
    else:
        ui.notify("Selected; Ctrl+C copies it.", type="info")


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Show names and values."""
    with ui.element("dl").classes("grid grid-cols-[max-content_1fr] gap-x-4 gap-y-1 m-0"):
        for name, value in pairs:
            with ui.element("dt").classes("opacity-80"):
                ui.label(name)
            with ui.element("dd").classes("m-0 break-words min-w-0"):
                ui.label(value)


def heading(text: str) -> ui.label:
    """Head a part of a page."""
    return ui.label(text).classes("text-lg font-medium mt-6 mb-2").props('role="heading" aria-level="2"')
