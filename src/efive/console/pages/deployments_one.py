"""One deployment: what it is, what it does, how clients use it."""

from collections.abc import Sequence

from nicegui import ui

from efive.console import charts, context, deployments, endpoints, frame, parts
from efive.console.charts import CHARTS, Chart
from efive.console.deployments_form import Form, changed, form_of
from efive.console.history import INTERVAL, Following, Sample
from efive.console.pages.deployments import State, address, remove, start, stop
from efive.console.pages.deployments_start import allocation_fields, limit_fields
from efive.console.snippets import Snippet, Target, endpoint_snippets, snippets
from efive.deployments.deployment import Deployment, Phase
from efive.errors import EfiveError, ModelNotFoundError, NotReadyError


@ui.page("/deployments/{name:path}")
def page(name: str) -> None:
    """Show one deployment, as it changes."""
    with frame.page(name):
        ui.link("All deployments", "/deployments")
        try:
            deployment = context.service().deployments.get(name)
        except ModelNotFoundError:
            frame.empty(
                f"There is no deployment {name}", "It may have been deleted. The list has those that there are."
            )
            return
        shown = _One(deployment)
        ui.timer(1.0, shown.refresh)
        _charts(name)
        _snippets(deployment)


class _One:
    """State, actions and facts."""

    def __init__(self, deployment: Deployment) -> None:
        self._name = name = deployment.name
        self._facts: list[tuple[str, str]] = []
        with ui.row().classes("items-center gap-3 mt-2"):
            with ui.column().classes("gap-0"):
                self._state = State(name)
            self._start = parts.acting(ui.button("Start", icon="play_arrow"), lambda: start(name))
            self._update = ui.button("Update", icon="tune", on_click=self._ask_for_changes).props("outline")
            self._stop = parts.acting(ui.button("Stop", icon="stop").props("outline"), lambda: stop(name))
            parts.acting(ui.button("Delete", icon="delete").props("flat color=negative"), self._delete)
            ui.button("Try it", icon="science").props("flat").on_click(
                lambda: ui.navigate.to(f"/playground?deployment={name}")
            )
        self._list = ui.element("div").classes("mt-3")

    def refresh(self) -> None:
        """Show what is so now."""
        try:
            deployment = context.service().deployments.get(self._name)
        except ModelNotFoundError:
            ui.navigate.to("/deployments")
            return
        self._state.show(deployments.row(deployment))
        down = deployment.phase in {Phase.STOPPED, Phase.FAILED}
        self._start.visible, self._stop.visible = down, not down
        found = deployments.facts(deployment)
        if found != self._facts:
            self._facts = found
            self._list.clear()
            with self._list:
                parts.facts(found)

    async def _delete(self) -> None:
        if await remove(self._name):
            ui.navigate.to("/deployments")

    def _ask_for_changes(self) -> None:
        present = context.service().deployments.get(self._name).settings
        _ChangeDialog(self._name, form_of(present)).open()


class _ChangeDialog:
    """What can change while it runs."""

    def __init__(self, name: str, form: Form) -> None:
        self._name, self._form = name, form
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-xl gap-2"):
            self._dialog.props["aria-label"] = f"Update {name}"
            self._dialog.on("hide", self._dialog.delete)
            ui.label(f"Update {name}").classes("text-lg font-medium").props('role="heading" aria-level="2"')
            allocation_fields(form, self._check)
            limit_fields(form, self._check)
            note = "Model, engine, precision and threads cannot change: delete it and start another one."
            ui.label(note).classes("text-sm opacity-80")
            self._refusal = ui.label().props('role="alert"').classes("text-sm text-negative")
            with ui.row().classes("w-full justify-end"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat")
                self._button = ui.button("Save")
                parts.acting(self._button, self._save)

    def open(self) -> None:
        """Show it."""
        self._dialog.open()

    def _check(self) -> None:
        present = context.service().deployments.get(self._name).settings
        try:
            changed(present, self._form)
        except EfiveError as error:
            self._refusal.text = str(error)
        else:
            self._refusal.text = ""
        self._button.set_enabled(not self._refusal.text)

    async def _save(self) -> None:
        async def work() -> None:
            known = context.service().deployments
            wanted = changed(known.get(self._name).settings, self._form)
            await known.update(self._name, wanted)

        if await frame.attempt(work, f"{self._name} is updated."):
            self._dialog.close()


def _charts(name: str) -> None:
    parts.heading("The last ten minutes")
    with ui.element("div").classes("grid grid-cols-1 md:grid-cols-2 gap-3 w-full"):
        drawn = [_Drawn(chart, name) for chart in CHARTS]

    def refresh() -> None:
        for each in drawn:
            each.refresh()

    ui.timer(INTERVAL, refresh)


def _samples(name: str) -> Sequence[Sample]:
    return context.kept(Following).history.of(name)


class _Drawn:
    """A chart, and its newest numbers in words."""

    def __init__(self, chart: Chart, name: str) -> None:
        self._chart, self._name = chart, name
        with ui.card().classes("w-full p-3 gap-1 shadow-none border border-gray-400/30"):
            with ui.row().classes("w-full justify-between items-baseline"):
                ui.label(chart.title).classes("font-medium")
                self._now = ui.label().classes("text-sm")
            samples = _samples(name)
            self._drawing = ui.echart(charts.options(chart, samples)).classes("w-full h-40")
            self._drawing.props('role="img"')
            self._drawing.props["aria-label"] = f"{chart.title} in {chart.unit} over the last ten minutes"
        self._say(charts.in_words(chart, samples))

    def refresh(self) -> None:
        """Draw what is so now; only the values are sent."""
        samples = _samples(self._name)
        values = [{"data": line} for line in charts.series(self._chart, samples)]
        self._drawing.run_chart_method("setOption", {"series": values})
        self._say(charts.in_words(self._chart, samples))

    def _say(self, words: str) -> None:
        self._now.text = words


def _snippets(deployment: Deployment) -> None:
    service = context.service()
    target = Target(address(), deployment.name, keys=service.access.required, default=_default())
    shown = snippets(target)
    for each in endpoints.rows(service, address()):
        if each.deployment == deployment.name:
            shown += endpoint_snippets(each.urls["generic"])
            break
    parts.heading("Use it")
    by_client = {each.client: each for each in shown}
    chosen = ui.select(list(by_client), label="Client", value=shown[0].client).classes("w-64")
    place = ui.column().classes("w-full mt-2 gap-1")

    def show() -> None:
        place.clear()
        with place:
            _snippet(by_client[str(chosen.value)])

    chosen.on_value_change(show)
    show()


def _snippet(one: Snippet) -> None:
    parts.code(one.code, f"Lines for {one.client}")
    if one.note:
        ui.label(one.note).classes("text-sm opacity-80")


def _default() -> str:
    """Return the deployment that answers requests which name none, or nothing if none does now."""
    try:
        return context.service().default().name
    except NotReadyError:
        return ""
