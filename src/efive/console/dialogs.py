"""Questions before something is done for good."""

from nicegui import ui


async def confirm(question: str, detail: str, action: str) -> bool:
    """Ask whether something is to be done that cannot be undone; Escape and Cancel say no."""
    with ui.dialog() as dialog, ui.card().classes("max-w-md"):
        dialog.props["aria-label"] = question
        ui.label(question).classes("text-lg font-medium break-words")
        ui.label(detail)
        with ui.row().classes("w-full justify-end"):
            ui.button("Cancel", on_click=lambda: dialog.submit("no")).props("flat autofocus")
            ui.button(action, on_click=lambda: dialog.submit("yes"), color="negative")
    dialog.on("hide", dialog.delete)  # not before it has given the focus back
    return bool(await dialog == "yes")
