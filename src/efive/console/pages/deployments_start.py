"""The dialog that starts a deployment: what it needs is said before."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from nicegui import ui
from nicegui.elements.mixins.value_element import ValueElement

from efive.console import context, deployments, frame, parts, units
from efive.console.deployments import Plan
from efive.console.deployments_form import FOLDER, PRECISIONS, Form, free_name
from efive.deployments.deployment import Phase
from efive.engines.select import ENGINES
from efive.errors import EfiveError
from efive.models.store import BUNDLED, ModelStore
from efive.models.tasks import TASKS

Field = TypeVar("Field", bound=ValueElement[Any])
_PAUSE = 0.25
"""Seconds without a change after which the estimate is made anew."""


async def models() -> dict[str, str]:
    """Return the models to choose from, with what they are called."""
    stored = await asyncio.to_thread(ModelStore(context.service().home).list)
    return {BUNDLED: "bundled (e5-nano)"} | {each.name: f"{each.name} ({units.size(each.bytes)})" for each in stored}


async def ask_for_deployment(model: str = BUNDLED) -> None:
    """Ask what to start, and start it.

    Args:
        model: the choice to begin with: a stored model's name, `bundled`, or a folder.
    """
    choices = await models() | {FOLDER: "A folder on this server …"}
    form = Form(model=model) if model in choices else Form(model=FOLDER, folder=model)
    form.name = free_name(model, context.service().deployments)
    _StartDialog(choices, form).open()


class _StartDialog:
    """Fields, an estimate that follows them, and a button that is there only when it can be."""

    def __init__(self, choices: dict[str, str], form: Form) -> None:
        self._form = form
        self._named = False
        self._change = 0
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-xl gap-2"):
            self._dialog.props["aria-label"] = "Start a deployment"
            self._dialog.on("hide", self._dialog.delete)
            ui.label("Start a deployment").classes("text-lg font-medium").props('role="heading" aria-level="2"')
            self._lay_out(choices)
            self._estimate = ui.label().props('role="status"').classes("text-sm w-full")
            self._refusal = ui.label().props('role="alert"').classes("text-sm w-full text-negative")
            with ui.row().classes("w-full justify-end"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat")
                self._button = parts.acting(ui.button("Start"), self._start)

    def open(self) -> None:
        """Show it."""
        self._dialog.open()
        ui.timer(0, self._preview, once=True)

    def _lay_out(self, choices: dict[str, str]) -> None:
        form, changed = self._form, self._preview
        _field(ui.select(choices, label="Model"), form, "model", self._model_changed)
        folder = _field(ui.input("Folder with the model's files"), form, "folder", self._model_changed)
        folder.bind_visibility_from(form, "model", value=FOLDER)
        name = _field(ui.input("Deployment id"), form, "name", changed)
        name.props('hint="What clients call the model"').on("keydown", self._keep_name)
        allocation_fields(form, changed)
        with ui.row().classes("w-full no-wrap"):
            _field(ui.select(list(map(str, PRECISIONS)), label="Precision"), form, "precision", changed)
            priorities = {False: "normal", True: "low: yields to others"}
            _field(ui.select(priorities, label="Priority"), form, "low_priority", changed)
        with ui.expansion("More").classes("w-full").props("dense"):
            _field(ui.select(list(ENGINES), label="Engine"), form, "engine", changed)
            threads = whole("Threads of each allocation", form, "threads", changed, least=1)
            threads.props('hint="Empty: all, shared out"')
            limit = whole("Tokens of an input, at most", form, "max_tokens", changed, least=8)
            limit.props('hint="Empty: as many as the model reads"')
            limit_fields(form, changed)
            task = ui.input("Task of an instruct model", autocomplete=list(TASKS))
            self._task = _field(task, form, "task", changed)

    def _keep_name(self) -> None:
        self._named = True

    async def _model_changed(self) -> None:
        if not self._named:
            model = self._form.chosen or "e5"
            self._form.name = free_name(model, context.service().deployments)
        await self._preview()

    async def _preview(self) -> None:
        """Say what it would need, once nothing has changed for a moment."""
        self._change += 1
        mine = self._change
        await asyncio.sleep(_PAUSE)
        if mine != self._change:
            return
        service = context.service()
        try:
            wanted = self._form.settings()
            present = next((each for each in service.deployments if each.name == wanted.name), None)
            if present is not None and present.phase not in {Phase.STOPPED, Phase.FAILED}:
                plan = Plan(refusal=f"{wanted.name} is at work already; choose another name, or stop it first")
            else:
                plan = await asyncio.to_thread(deployments.plan, ModelStore(service.home), wanted)
        except EfiveError as error:
            plan = Plan(refusal=str(error))
        if mine == self._change and not self._dialog.is_deleted:
            self._show(plan)

    def _show(self, plan: Plan) -> None:
        needs = f"Needs about {units.size(plan.needed)} of memory; {units.size(plan.free)} are free."
        self._estimate.text = f"{needs} {plan.how}." if plan.needed else ""
        self._refusal.text = plan.refusal
        self._task.visible = plan.instruct
        self._button.set_enabled(not plan.refusal)

    async def _start(self) -> None:
        async def work() -> None:
            service = context.service()
            wanted = self._form.settings()
            plan = await asyncio.to_thread(deployments.plan, ModelStore(service.home), wanted)
            if plan.refusal:
                self._show(plan)
                return
            service.deployments.create(wanted)
            service.deployments.start_soon(wanted.name)
            self._dialog.close()
            ui.notify(f"{wanted.name} is starting; the page Deployments shows how it goes.", type="positive")

        await frame.attempt(work)


def allocation_fields(form: Form, changed: Callable[[], object]) -> None:
    """Ask for a number of allocations, or a range."""
    _field(ui.switch("Adaptive: the number of allocations follows the load"), form, "adaptive", changed)
    with ui.row().classes("w-full").bind_visibility_from(form, "adaptive", value=False):
        whole("Allocations", form, "allocations", changed, least=1)
    with ui.row().classes("w-full no-wrap").bind_visibility_from(form, "adaptive"):
        whole("At least", form, "least", changed)
        whole("At most", form, "most", changed, least=1)
        whole("Idle, seconds", form, "idle", changed, least=1)


def limit_fields(form: Form, changed: Callable[[], object]) -> None:
    """Ask how much may wait."""
    whole("Requests that may wait", form, "requests", changed, least=1)
    whole("Longest wait, in seconds", form, "wait", changed, least=1)


def whole(label: str, form: Form, field: str, changed: Callable[[], object], *, least: int = 0) -> ui.number:
    """Ask for a whole number."""
    return _field(ui.number(label, min=least, precision=0), form, field, changed)


def _field(element: Field, form: Form, name: str, changed: Callable[[], object]) -> Field:
    """Let a field show a value of the form and change it; `changed` hears of what the user changes only."""
    element.bind_value(form, name).classes("flex-1 w-full")
    element.on_value_change(changed)
    return element
