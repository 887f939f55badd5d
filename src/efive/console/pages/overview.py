"""The first page: what is here, and what to do next."""

from nicegui import ui

from efive.console import context, frame


@ui.page("/")
def overview() -> None:
    """Show what the server has."""
    service = context.service()
    with frame.page("Overview"):
        with ui.row().classes("gap-4"):
            _number("Deployments", len(service.deployments), "/deployments")
            _number("Collections", len(service.collections.names()), "/collections")
            _number("Keys", len(service.access.all()), "/settings")


def _number(title: str, value: int, path: str) -> None:
    with ui.card().classes("min-w-40 cursor-pointer").on("click", lambda: ui.navigate.to(path)):
        ui.label(str(value)).classes("text-3xl font-medium")
        ui.link(title, path)
