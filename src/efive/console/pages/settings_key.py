"""The dialog that makes a key, and shows it once."""

from collections.abc import Callable

from nicegui import ui

from efive.console import context, frame, parts
from efive.console.gate import SIGN_IN
from efive.console.keys import PURPOSES, Wanted, wanted
from efive.errors import EfiveError
from efive.server.access import Scope, new_secret


def ask_for_key(made: Callable[[], object]) -> None:
    """Ask what a key is for, and make it.

    Args:
        made: called when there is one more.
    """
    access = context.service().access
    with ui.dialog() as dialog, ui.card().classes("w-full max-w-lg"):
        dialog.props["aria-label"] = "Make a key"
        ui.label("Make a key").classes("text-lg font-medium").props('role="heading" aria-level="2"')
        name = ui.input("Name, of who has it").props("outlined autofocus maxlength=100").classes("w-full")
        ui.label("It is for")
        boxes = {scope: ui.checkbox(f"{scope}: {what}") for scope, what in PURPOSES.items()}
        boxes[Scope.EMBED if access.required else Scope.MANAGE].value = True
        with ui.row().classes("w-full"):
            requests = ui.number("Requests a minute", min=1, precision=0, placeholder="no limit").classes("grow")
            tokens = ui.number("Tokens a minute", min=1, precision=0, placeholder="no limit").classes("grow")
        fault = ui.label().props('role="alert"').classes("text-negative")

        async def make() -> None:
            scopes = [scope for scope, box in boxes.items() if box.value]
            try:
                key = wanted(access, name.value, scopes, requests.value, tokens.value)
            except EfiveError as error:
                fault.text = str(error)
                return
            dialog.close()
            if access.required:
                secret = key.make(access)
                made()
                _show(key.name, secret)
            else:
                _show_first(key)

        with ui.row().classes("w-full justify-end"):
            ui.button("Cancel", on_click=dialog.close).props("flat")
            parts.acting(ui.button("Make the key"), make)
        name.on("keydown.enter", make)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _show(name: str, secret: str) -> None:
    """Show a key, for the only time."""
    with ui.dialog().props("persistent") as dialog, ui.card().classes("w-full max-w-lg"):
        dialog.props["aria-label"] = f"The key {name}"
        ui.label(f"The key {name}").classes("text-lg font-medium").props('role="heading" aria-level="2"')
        ui.label("Copy it now: only its hash is kept, and nobody can see it again.")
        parts.code(secret, "The key")
        with ui.row().classes("w-full justify-end"):
            ui.button("I have it", on_click=dialog.close)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _show_first(key: Wanted) -> None:
    """Show the first key before it is one: from then on this very page has to be signed in with it."""
    access, secret = context.service().access, new_secret()

    async def begin() -> None:
        # Behind the first key, the server hears this page no more. So the browser leaves it by itself.
        await ui.run_javascript(f"setTimeout(() => location.assign('{frame.root()}{SIGN_IN}'), 500); true", timeout=5.0)
        if not access.required:
            key.make(access, secret)

    with ui.dialog() as dialog, ui.card().classes("w-full max-w-lg"):
        dialog.props["aria-label"] = f"The key {key.name}"
        ui.label(f"The key {key.name}").classes("text-lg font-medium").props('role="heading" aria-level="2"')
        ui.label(
            "Copy it now: only its hash will be kept, and nobody can see it again. From the next step on, every "
            "program and this console need a key, and you will be asked for this one."
        )
        parts.code(secret, "The key")
        with ui.row().classes("w-full justify-end"):
            ui.button("Cancel, make none", on_click=dialog.close).props("flat")
            parts.acting(ui.button("I have it, use keys"), begin)
    dialog.on("hide", dialog.delete)
    dialog.open()
