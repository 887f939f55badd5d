"""What all pages have: the header, the way to the others, a heading, and a place for what went wrong."""

import contextlib
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from nicegui import ui

from efive.console import context
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

_HEAD = """
<style>
body { font-family: system-ui, sans-serif; }
:focus-visible { outline: 2px solid #1976d2; outline-offset: 2px; }
.q-btn { text-transform: none; }
.q-notification__actions, .q-notification__actions .q-btn { color: inherit !important; }
.q-field__messages { white-space: pre-wrap; }
.q-field--with-bottom { padding-bottom: 0; } .q-field__bottom--animated { position: static; transform: none; }
body { --q-positive: #1b7f35 !important; }
.body--dark { --q-primary: #8ab4f8 !important; --q-negative: #ff8a80 !important; --q-positive: #5fd382 !important; }
.body--dark .bg-primary, .body--dark .q-header { --q-primary: #1f4fa3 !important; }
.body--dark .bg-negative { --q-negative: #b3261e !important; }
.body--dark .bg-positive { --q-positive: #1b7f35 !important; }
main a { color: #1f4fa3; } .body--dark main a { color: #8ab4f8; }
.q-drawer a.q-item { color: inherit; text-decoration: none; }
.q-drawer a.q-item--active { background: #8882; font-weight: 600; border-radius: .4rem; }
</style>
<script>
addEventListener("DOMContentLoaded", () => {
  const dark = localStorage.getItem("efive-dark");
  if (dark) Quasar.Dark.set(dark === "yes");
  // The server has ended the session, or makes one necessary: its pages ask for a key.
  window.socket?.on("connect_error", async () => {
    const answer = await fetch(`${path_prefix}/favicon.ico`, {cache: "no-store"}).catch(() => null);
    if (answer?.status === 401 || answer?.status === 403) location.reload();
  });
});
</script>
"""
_TURN = """() => {
  Quasar.Dark.toggle();
  localStorage.setItem("efive-dark", Quasar.Dark.isActive ? "yes" : "no");
}"""


@contextlib.contextmanager
def page(title: str) -> Iterator[None]:
    """Lay out a page; within the block its content is made."""
    ui.page_title(f"{title} · efive")
    ui.colors(primary="#1f4fa3", secondary="#37618e")
    ui.add_head_html(_HEAD)
    drawer = (
        ui.left_drawer(value=False, bordered=True).props("show-if-above width=210 breakpoint=800").classes("p-2 gap-1")
    )
    with ui.header().classes("items-center py-1 px-3 gap-2"):
        ui.button(icon="menu", on_click=drawer.toggle).props('flat round color=white aria-label="Menu"')
        ui.label("efive").classes("text-lg font-medium")
        ui.space()
        dark = ui.button(icon="contrast").props('flat round color=white aria-label="Dark or light"')
        dark.on("click", js_handler=_TURN)
        if context.service().access.required:
            _sign_out()
    with drawer, ui.element("nav").props('aria-label="Pages"').classes("w-full"), ui.list().props('role="none"'):
        here = ui.context.client.request.url.path.removeprefix(root())
        for entry in MENU:
            active = here == entry.path or (here.startswith(f"{entry.path.rstrip('/')}/") and entry.path != "/")
            with ui.item().props(f'role="link" href="{root()}{entry.path}" {"active" if active else ""}') as item:
                if active:
                    item.props('aria-current="page"')
                with ui.item_section().props("avatar").classes("min-w-0 pr-3"):
                    ui.icon(entry.icon)
                ui.item_section(entry.title)
    content = ui.element("div").props('tabindex="-1"').classes("w-full max-w-6xl mx-auto p-2 md:p-4")
    ui.skip_link("Skip to content", target=content)
    with content:
        ui.label(title).classes("text-2xl font-medium mb-3 wrap-anywhere").props('role="heading" aria-level="1"')
        yield


def root() -> str:
    """Return where the console is mounted, to be put before a page's path in an address."""
    path: str = ui.context.client.request.scope.get("root_path", "")
    return path


def _sign_out() -> None:
    """Offer to end the session: a form, since only an answer to a request can take a cookie away."""
    with ui.element("form").props(f'method="post" action="{root()}/sign-out"'):
        ui.button(icon="logout").props('type="submit" flat round color=white aria-label="Sign out"').tooltip("Sign out")


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
        stack = "".join(traceback.format_tb(error.__traceback__))  # not its message, which may hold a text
        log.error("unexpected %s", type(error).__name__, extra={"stack": stack})
        ui.notify("That failed in a way that nobody expected; the server's log says more.", type="negative")
        return False
    if done:
        ui.notify(done, type="positive")
    return True
