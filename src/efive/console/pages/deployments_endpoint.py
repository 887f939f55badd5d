"""The dialog that makes an endpoint of SambaStudio's form, and the one that shows its key."""

import asyncio

from nicegui import ui

from efive.console import context, endpoints, frame, parts, units
from efive.console.pages.deployments_start import models
from efive.models.store import ModelStore


async def ask_for_endpoint() -> None:
    """Ask what to make, make it, and show its key once."""
    at_work = {each.name: f"{each.name} (deployed)" for each in context.service().deployments}
    _EndpointDialog(at_work | {name: shown for name, shown in (await models()).items() if name not in at_work}).open()


class _EndpointDialog:
    """Project, name, model and batch size."""

    def __init__(self, choices: dict[str, str]) -> None:
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-xl gap-2"):
            self._dialog.props["aria-label"] = "New endpoint"
            self._dialog.on("hide", self._dialog.delete)
            ui.label("New endpoint").classes("text-lg font-medium").props('role="heading" aria-level="2"')
            self._project = ui.input("Project").classes("w-full").props("autofocus")
            self._name = ui.input("Endpoint").classes("w-full")
            self._model = ui.select(choices, label="Model", value=next(iter(choices)), on_change=self._preview)
            self._model.classes("w-full")
            sizes = {1: "1 text at once", 32: "32 texts at once"}
            self._size = ui.select(sizes, label="Batch size", value=1).classes("w-full")
            self._size.props('hint="It never changes"')
            self._estimate = ui.label().props('role="status"').classes("text-sm w-full mt-2")
            self._refusal = ui.label().props('role="alert"').classes("text-sm w-full text-negative")
            with ui.row().classes("w-full justify-end"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat")
                self._button = parts.acting(ui.button("Make it"), self._make)

    def open(self) -> None:
        """Show it."""
        self._dialog.open()
        ui.timer(0, self._preview, once=True)

    async def _preview(self) -> None:
        service, model = context.service(), str(self._model.value)
        if (there := endpoints.deployed(service, model)) is not None:
            self._estimate.text, self._refusal.text = f"Uses the deployment {there}, which is here already.", ""
            self._button.enable()
            return
        plan = await asyncio.to_thread(endpoints.needed, ModelStore(service.home), model)
        if model != self._model.value or self._dialog.is_deleted:
            return
        needs = f"Needs about {units.size(plan.needed)} of memory; {units.size(plan.free)} are free."
        self._estimate.text = f"{needs} {plan.how}." if plan.needed else ""
        self._refusal.text = plan.refusal
        self._button.set_enabled(not plan.refusal)

    async def _make(self) -> None:
        made: list[str] = []

        async def work() -> None:
            endpoint, key = endpoints.make(
                context.service(),
                self._project.value or "",
                self._name.value or "",
                str(self._model.value),
                int(self._size.value or 1),
            )
            made.extend([endpoint.path, key])

        if await frame.attempt(work):
            self._dialog.close()
            show_key(*made)


def show_key(path: str, key: str) -> None:
    """Show an endpoint's key; it is not kept."""
    with ui.dialog() as dialog, ui.card().classes("w-full max-w-xl"):
        dialog.props("persistent")
        dialog.props["aria-label"] = f"The key of {path}"
        dialog.on("hide", dialog.delete)
        ui.label(f"The key of {path}").classes("text-lg font-medium").props('role="heading" aria-level="2"')
        ui.label("It cannot be shown again: the server keeps only its hash.")
        parts.code(key, "Key")
        with ui.row().classes("w-full justify-end"):
            ui.button("I have it", on_click=dialog.close).props("autofocus")
    dialog.open()
