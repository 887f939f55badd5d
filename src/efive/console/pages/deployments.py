"""Deployments: which there are, how they are, and the endpoints of SambaStudio's form."""

from urllib.parse import quote

from nicegui import app, ui

from efive.console import context, deployments, dialogs, endpoints, frame, parts, tables, units
from efive.console.history import Following
from efive.console.pages.deployments_endpoint import ask_for_endpoint
from efive.console.pages.deployments_start import ask_for_deployment
from efive.console.tables import Cell
from efive.deployments.deployment import Deployment, Phase

_HEADS = ("Name", "State", "Engine", "Allocations", "Throughput", "Queue", "Actions")
_NO_ENDPOINTS = (
    "None. An endpoint gives a model to clients of SambaStudio: under a project's name, with a key of its own, 1 or 32 "
    "texts at once."
)


app.on_startup(lambda: context.kept(Following))


def address() -> str:
    """Return the server's address, as the browser has it."""
    url = ui.context.client.request.url
    return f"{url.scheme}://{url.netloc}"


def path_of(name: str) -> str:
    """Return the address of a deployment's page."""
    return f"/deployments/{quote(name)}"


@ui.page("/deployments")
def page() -> None:
    """Show the deployments and endpoints, as they change."""
    with frame.page("Deployments"):
        with ui.row().classes("gap-2 mb-3"):
            ui.button("Start a deployment", icon="add", on_click=ask_for_deployment)
            ui.button("New endpoint", icon="add_link", on_click=ask_for_endpoint).props("outline")
        shown = _List()
        ui.timer(1.0, shown.refresh)


class _List:
    """The two tables; rows are made anew only when others are there than before."""

    def __init__(self) -> None:
        self._deployments = ui.column().classes("w-full")
        parts.heading("SambaStudio endpoints")
        self._endpoints = ui.column().classes("w-full")
        self._rows: dict[str, _Row] = {}
        self._keys: tuple[list[str], list[endpoints.Row]] = ([""], [])

    def refresh(self) -> None:
        """Show what is so now."""
        service = context.service()
        found, others = list(service.deployments), endpoints.rows(service, address())
        keys = [each.name for each in found], others
        if keys[0] != self._keys[0]:
            self._lay_out(found)
        if keys[1] != self._keys[1] or self._keys[0] == [""]:
            self._lay_out_endpoints(others)
        self._keys = keys
        for each in found:
            self._rows[each.name].show(each)

    def _lay_out(self, found: list[Deployment]) -> None:
        self._deployments.clear()
        self._rows.clear()
        with self._deployments:
            if not found:
                frame.empty(
                    "No deployments yet", "A deployment is a model at work. Start one: the bundled model is here."
                )
                return
            self._rows = {each.name: _Row(each) for each in found}
            tables.table("Deployments", _HEADS, [row.cells for row in self._rows.values()])

    def _lay_out_endpoints(self, others: list[endpoints.Row]) -> None:
        self._endpoints.clear()
        with self._endpoints:
            if not others:
                ui.label(_NO_ENDPOINTS).classes("opacity-80 max-w-2xl")
                return
            heads = ("Endpoint", "State", "Deployment", "Batch size", "Actions")
            tables.table("Endpoints", heads, [_endpoint(each) for each in others])


class _Row:
    """One deployment's row: its cells, and what changes in them."""

    def __init__(self, deployment: Deployment) -> None:
        self._name, self._model = deployment.name, deployments.model_name(deployment.settings.model)
        self._values: list[ui.label] = []

    @property
    def cells(self) -> list[Cell]:
        """What makes the row's cells."""
        return [self._title, self._phase, *[self._value] * 4, self._actions]

    def _title(self) -> None:
        ui.link(self._name, path_of(self._name)).classes("font-medium break-all")
        ui.label(self._model).classes("text-xs opacity-80")

    def _phase(self) -> None:
        self._state = State(self._name)

    def _value(self) -> None:
        self._values.append(ui.label().classes("whitespace-nowrap"))

    def _actions(self) -> None:
        name = self._name
        with ui.row().classes("no-wrap gap-0"):
            self._start = parts.acting(parts.icon_button("play_arrow", f"Start {name}"), lambda: start(name))
            self._stop = parts.acting(parts.icon_button("stop", f"Stop {name}"), lambda: stop(name))
            parts.acting(parts.icon_button("delete", f"Delete {name}"), lambda: remove(name))

    def show(self, deployment: Deployment) -> None:
        """Show what is so now."""
        row, last = deployments.row(deployment), context.kept(Following).history.last(deployment.name)
        self._state.show(row)
        speed = f"{units.number(last.tokens)} tokens/s" if last else "–"
        for label, text in zip(self._values, (row.engine, row.allocations, speed, row.queue), strict=True):
            label.text = text
        down = deployment.phase in {Phase.STOPPED, Phase.FAILED}
        self._start.visible, self._stop.visible = down, not down


class State:
    """A deployment's phase: an icon and a word, and why."""

    def __init__(self, name: str) -> None:
        with ui.row().classes("items-center gap-1 no-wrap").props('role="status"') as row:
            row.props["aria-label"] = f"State of {name}"
            self._icon = ui.icon("circle").props('aria-hidden="true"')
            self._word = ui.label().classes("font-medium")
        self._reason = ui.label().classes("text-xs max-w-xs break-words")

    def show(self, row: deployments.Row) -> None:
        """Show what is so now."""
        if self._word.text != row.look.word:
            self._icon.name = row.look.icon
            self._icon.props(f"color={row.look.colour}")
            self._word.text = row.look.word
        self._reason.text = row.reason


async def start(name: str) -> None:
    """Start a deployment again."""

    async def work() -> None:
        context.service().deployments.start_soon(name)

    await frame.attempt(work)


async def stop(name: str) -> bool:
    """Stop a deployment, if that is meant; say whether it was."""
    question = f"Stop {name}?"
    consequence = "What waits is answered first. Clients that ask afterwards get an error until it is started again."
    if not await dialogs.confirm(question, consequence, "Stop"):
        return False
    return await frame.attempt(context.service().deployments.stop(name), f"{name} has stopped.")


async def remove(name: str) -> bool:
    """Delete a deployment, if that is meant; say whether it was."""
    consequence = "It stops, and the server forgets it. The model's files stay, and so do the collections."
    used = [each.path for each in endpoints.all_of(context.service()) if each.deployment == name]
    if used:
        consequence += f" These endpoints have no model then: {', '.join(used)}."
    if not await dialogs.confirm(f"Delete {name}?", consequence, "Delete"):
        return False
    return await frame.attempt(context.service().deployments.delete(name), f"{name} is deleted.")


def _endpoint(row: endpoints.Row) -> list[Cell]:
    def state() -> None:
        ui.label(row.status).classes("font-medium")
        ui.label(row.reason).classes("text-xs max-w-xs break-words")

    def title() -> None:
        ui.link(row.path, path_of(row.deployment)).classes("font-medium break-all")

    def actions() -> None:
        parts.acting(parts.icon_button("delete", f"Delete {row.path}"), lambda: _remove_endpoint(row.path))

    size = "1 text" if row.batch_size == 1 else f"{row.batch_size} texts"
    return [title, state, row.deployment, size, actions]


async def _remove_endpoint(path: str) -> None:
    consequence = "Its key and its address end. So does its deployment, if it was made for it and no other one uses it."
    if not await dialogs.confirm(f"Delete the endpoint {path}?", consequence, "Delete"):
        return
    service = context.service()
    found = [each for each in endpoints.all_of(service) if each.path == path]
    if found:
        await frame.attempt(endpoints.remove(service, found[0]), f"{path} is deleted.")
