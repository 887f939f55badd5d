"""What all pages have: the header, the way to the others, a heading, and a place for what went wrong."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from nicegui import ui

from efive.errors import EfiveError

log = logging.getLogger("efive.console")


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the menu."""

    path: str
    title: str
    icon: str


MENU = (
    Entry("/", "Overview", "home"),
    Entry("/models", "Models", "inventory_2"),
    Entry("/deployments", "Deployments", "rocket_launch"),
    Entry("/playground", "Playground", "science"),
    Entry("/collections", "Collections", "library_books"),
    Entry("/training", "Training", "model_training"),
    Entry("/evaluation", "Evaluation", "leaderboard"),
    Entry("/settings", "Settings", "settings"),
)

_STYLE = """
<style>
body { font-family: system-ui, sans-serif; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 1rem; top: .5rem; z-index: 9999; background: #fff; }
:focus-visible { outline: 2px solid #1976d2; outline-offset: 2px; }
</style>
"""


@contextlib.contextmanager
def page(title: str) -> Iterator[None]:
    """Lay out a page; within the block its content is made."""
    ui.page_title(f"{title} · efive")
    ui.colors(primary="#1f4fa3", secondary="#37618e")
    ui.add_head_html(_STYLE)
    ui.link("Skip to content", "#content").classes("skip")
    drawer = ui.left_drawer(bordered=True).props("width=210 breakpoint=800").classes("p-2 gap-1")
    with ui.header().classes("items-center py-1 px-3 gap-2"):
        ui.button(icon="menu", on_click=drawer.toggle).props('flat round color=white aria-label="Menu"')
        ui.label("efive").classes("text-lg font-medium")
        ui.space()
        dark = ui.dark_mode(None)
        ui.button(icon="contrast", on_click=lambda: _turn(dark)).props(
            'flat round color=white aria-label="Dark or light"'
        )
    with drawer, ui.element("nav").props('aria-label="Pages"').classes("w-full"), ui.list().classes("w-full"):
        for entry in MENU:
            with ui.item(on_click=lambda path=entry.path: ui.navigate.to(path)).props(
                f'role="link" {"active" if entry.title == title else ""}'
            ):
                with ui.item_section().props("avatar").classes("min-w-0 pr-3"):
                    ui.icon(entry.icon)
                ui.item_section(entry.title)
    with ui.element("main").props('id="content" tabindex="-1"').classes("w-full max-w-6xl mx-auto p-2 md:p-4"):
        ui.label(title).classes("text-2xl font-medium mb-3").props('role="heading" aria-level="1"')
        yield


def _turn(dark: ui.dark_mode) -> None:
    dark.value = not dark.value if dark.value is not None else True


def empty(text: str, hint: str = "") -> None:
    """Say that there is nothing yet, and what to do next."""
    with ui.column().classes("items-center w-full py-10 gap-1 text-center opacity-80"):
        ui.icon("inbox", size="3rem")
        ui.label(text).classes("text-lg")
        if hint:
            ui.label(hint).classes("max-w-xl")


async def attempt(work: Awaitable[object] | Callable[[], Awaitable[object]], done: str = "") -> bool:
    """Do something for the user; say that it is done, or what is wrong. Returns whether it worked."""
    try:
        await (work() if callable(work) else work)
    except EfiveError as error:
        ui.notify(str(error), type="negative", multi_line=True, timeout=15_000, close_button="Close")
        return False
    except Exception as error:
        log.exception("unexpected %s", type(error).__name__)
        ui.notify("That failed in a way that nobody expected; the server's log says more.", type="negative")
        return False
    if done:
        ui.notify(done, type="positive")
    return True
