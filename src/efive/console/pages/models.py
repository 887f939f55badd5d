"""The models on this server, and those that could be."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from nicegui import run, ui

from efive.console import context, dialogs, frame, hardware, models, models_card, parts, tables, units
from efive.console.hardware import Fit, Machine
from efive.console.models import Model, Offer
from efive.console.models_adding import Adding, adding_of
from efive.console.pages.deployments_start import ask_for_deployment
from efive.console.pages.models_add import ask_for_bundle, ask_for_folder, ask_for_pull
from efive.console.pages.models_jobs import show_jobs
from efive.console.tables import Cell
from efive.errors import EfiveError

_FITS = {
    Fit.RECOMMENDED: ("star", "text-amber-700 dark:text-amber-300"),
    Fit.FITS: ("check", "text-green-800 dark:text-green-300"),
    Fit.SLOW: ("hourglass_bottom", "opacity-80"),
    Fit.TOO_LARGE: ("block", "opacity-80"),
}


@ui.page("/models")
async def page() -> None:
    """Show the models."""
    adding = context.kept(adding_of)
    with frame.page("Models"):
        with ui.row().classes("gap-2"):
            ui.button("Pull from the hub", icon="cloud_download", on_click=lambda: ask_for_pull(adding))
            ui.button("From a folder", icon="folder", on_click=lambda: ask_for_folder(adding)).props("outline")
            ui.button("From a bundle", icon="inventory", on_click=lambda: ask_for_bundle(adding)).props("outline")
        lists = _Lists(adding)
        show_jobs(adding, lists.refresh)
        lists.lay_out()
        await lists.refresh()


class _Lists:
    """The models on this server, and the published ones; made anew when one came or went."""

    def __init__(self, adding: Adding) -> None:
        self._adding = adding
        self._newest = 0

    def lay_out(self) -> None:
        """Make their places on the page."""
        parts.heading("On this server")
        self._here = ui.element("div").classes("w-full")
        parts.heading("Published models")
        self._published = ui.element("div").classes("w-full")

    async def refresh(self) -> None:
        """Show what is so now."""
        self._newest = mine = self._newest + 1
        store = self._adding.store
        used = models.uses(store, context.service().deployments)
        found = await run.io_bound(models.installed, store, used) or []
        machine = await run.io_bound(hardware.look)
        if machine is None or mine != self._newest:  # the server ends, or there is later news
            return
        self._here.clear()
        with self._here:
            rows = [_Row(self._adding, model, self.refresh) for model in found]
            tables.table("Models on this server", _HEADS, [row.cells for row in rows])
        self._published.clear()
        with self._published:
            _show_published(self._adding, machine)
        for row in rows:
            await row.fill()


_HEADS = ("Model", "State", "Size", "Space", "Languages", "Runs here on", "Actions")


class _Row:
    """One model's row."""

    def __init__(self, adding: Adding, model: Model, changed: Callable[[], Awaitable[object]]) -> None:
        self._model = model
        self._adding = adding
        self._changed = changed

    @property
    def cells(self) -> list[Cell]:
        """What makes the row's cells."""
        return [
            self._title,
            lambda: show_state(self._model),
            lambda: ui.label(units.size(self._model.bytes)).classes("whitespace-nowrap"),
            self._space,
            self._languages,
            self._model.variant,
            self._actions,
        ]

    def _title(self) -> None:
        address = f"/models/{quote(self._model.name, safe='')}"
        ui.link(self._model.name, address).classes("font-medium inline-block min-w-28 wrap-anywhere")
        ui.label(self._model.shape).classes("text-xs opacity-80 min-w-40")

    def _space(self) -> None:
        self._fingerprint = ui.label("" if self._model.fault else "…").classes("font-mono text-xs")

    def _languages(self) -> None:
        languages = self._model.languages
        ui.label(models_card.shown(languages)).tooltip(", ".join(languages) or "Its card names none.")

    def _actions(self) -> None:
        with ui.row().classes("no-wrap gap-0"):
            show_actions(self._adding, self._model, self._changed)

    async def fill(self) -> None:
        """Show the space: all weights are read for it, the first time."""
        if not self._model.fault:
            try:
                space = await run.io_bound(models.space, self._adding.store, self._model)
            except EfiveError as error:
                space = str(error)
            self._fingerprint.text = space or ""


def show_state(model: Model) -> None:
    """Show whether a model is whole and at work."""
    if model.fault:
        icon, text, colour = "error", "Damaged", "text-negative"
    elif model.used:
        icon, text, colour = "rocket_launch", f"Deployed as {', '.join(model.used)}", ""
    else:
        icon, text, colour = "check", "Ready to deploy", ""
    with ui.row().classes(f"no-wrap items-center gap-1 {colour}"):
        ui.icon(icon)
        ui.label(text)
    if model.fault:
        ui.label(model.fault).classes("text-xs break-words max-w-xs")


def show_actions(adding: Adding, model: Model, changed: Callable[[], Awaitable[object]]) -> None:
    """Show what can be done with a model.

    Args:
        adding: the jobs with models.
        model: which.
        changed: called when it is gone.
    """
    if not model.fault:
        deploy = parts.icon_button("rocket_launch", f"Deploy {model.name}")
        parts.acting(deploy, lambda: ask_for_deployment(model.name))
    if not model.removable:
        return

    async def verify() -> None:
        adding.verify(model.name)

    async def remove() -> None:
        detail = f"Its files, {units.size(model.bytes)}, are deleted from the server."
        if await dialogs.confirm(f"Delete {model.name}?", detail, "Delete"):
            used = models.uses(adding.store, context.service().deployments)
            done = run.io_bound(models.remove, adding.store, model.name, used)
            if await frame.attempt(done, f"{model.name} is deleted."):
                await changed()

    parts.acting(parts.icon_button("fact_check", f"Verify {model.name}"), lambda: frame.attempt(verify))
    parts.acting(parts.icon_button("delete", f"Delete {model.name}"), remove)


# -- published -----------------------------------------------------------------------------------------------------


def _show_published(adding: Adding, machine: Machine) -> None:
    what = [machine.hardware.processor, f"{machine.hardware.cpus} processors", units.size(machine.memory)]
    what += [machine.gpu.name] if machine.gpu is not None else list(machine.hardware.instruction_sets[:1])
    ui.label(f"Judged for this machine: {', '.join(what)}. {machine.hardware.variant.capitalize()} builds suit it.")
    offers = models.offers(adding.store, hardware.judge(machine))
    heads = ("Model", "On this machine", "Weights", "Licence", "Actions")
    tables.table("Published models", heads, [_offer(adding, offer) for offer in offers], numbers={2})


def _offer(adding: Adding, offer: Offer) -> list[Cell]:
    async def pull() -> None:
        adding.pull(offer.name)

    def action() -> None:
        if offer.here:
            ui.label("Here").classes("whitespace-nowrap opacity-80")
        else:
            button = parts.icon_button("cloud_download", f"Pull {offer.name}")
            parts.acting(button, lambda: frame.attempt(pull))

    def title() -> None:
        ui.label(offer.name).classes("font-medium break-words")
        languages = "about 100 languages" if offer.multilingual else "English"
        ui.label(f"{languages}, {offer.parameters / 1e6:,.0f} M parameters").classes("text-xs opacity-80")

    licence = lambda: ui.label(offer.licence).classes("whitespace-nowrap")  # noqa: E731
    return [title, lambda: _verdict(offer), units.size(offer.bytes), licence, action]


def _verdict(offer: Offer) -> None:
    icon, colour = _FITS[offer.verdict.fit]
    with ui.row().classes(f"no-wrap items-center gap-1 font-medium {colour}"):
        ui.icon(icon)
        ui.label(offer.verdict.fit.capitalize())
    ui.label(offer.verdict.reason).classes("text-xs opacity-80 min-w-32")
