"""One run with its tables, two runs compared, and a new evaluation."""

from fastapi import Response
from nicegui import app, ui

from efive.console import context, frame
from efive.console.evaluation import start
from efive.console.evaluation_runs import compared, open_run
from efive.console.pages import evaluation
from efive.console.pages.evaluation_tables import show_comparison, show_run
from efive.console.training import models
from efive.console.work import current
from efive.errors import EfiveError
from efive.evaluation.suites import SUITES

_FIELD = "outlined dense"


@ui.page("/evaluation/{key}")
def run_page(key: str) -> None:
    """Show a run."""
    with frame.page("Run"):
        ui.link("All runs", "/evaluation").classes("text-sm")
        place = ui.column().classes("w-full gap-1").props("aria-live=polite")

        async def show() -> None:
            try:
                found, run = await open_run(context.service(), key)
            except EfiveError as error:
                with place:
                    frame.empty("This run cannot be shown", str(error))
                return
            with place:
                with ui.row().classes("w-full items-center"):
                    ui.label(f"{found.model}").classes("text-lg font-medium break-all")
                    ui.space()
                    ui.link("Report with charts and queries", f"/evaluation-report/{key}", new_tab=True)
                    job = next((j for j in current().evaluations.all() if j.id == found.path.parent.name), None)
                    if job is not None:
                        ui.button("Delete", icon="delete", on_click=lambda: evaluation.delete(job)).props(
                            "outline dense color=negative"
                        )
                show_run(run)
                ui.label(str(found.path)).classes("text-xs opacity-80 break-all mt-3")

        ui.timer(0, show, once=True)


@app.get("/evaluation-report/{key}")
async def report_page(key: str) -> Response:
    """Return the report of a run: a page that stands alone, all texts in it escaped."""
    service = context.service()
    try:
        found, run = await open_run(service, key)
        own = found.path.with_name("report.html")
        if await service.collections.run(own.is_file) and found.path.name == "run.json":
            return Response(await service.collections.run(own.read_bytes), media_type="text/html")
        from efive.evaluation.report import report  # noqa: PLC0415 - an extra

        return Response(await service.collections.run(lambda: report(run)), media_type="text/html")
    except EfiveError as error:
        return Response(str(error), 404, media_type="text/plain")


@ui.page("/comparison")
def comparison_page(a: str = "", b: str = "") -> None:
    """Compare two runs."""
    with frame.page("Comparison"):
        ui.link("All runs", "/evaluation").classes("text-sm")
        place = ui.column().classes("w-full gap-1").props("aria-live=polite")

        async def show() -> None:
            try:
                (first, _), (second, _) = await open_run(context.service(), a), await open_run(context.service(), b)
                found = await compared(context.service(), a, b)
            except EfiveError as error:
                with place:
                    frame.empty("These runs cannot be compared", str(error))
                return
            with place:
                ui.label(f"A: {first.model}, {first.created}, {first.path}").classes("text-sm break-all")
                ui.label(f"B: {second.model}, {second.created}, {second.path}").classes("text-sm break-all")
                show_comparison(found)

        ui.timer(0, show, once=True)


@ui.page("/new-evaluation")
def new_evaluation(model: str = "") -> None:
    """Ask what is to be measured on what, and start."""
    with frame.page("New evaluation"):
        _Form(model)


class _Form:
    """What is asked for before an evaluation."""

    def __init__(self, model: str) -> None:
        known = models(context.service())
        known += [model] if model and model not in known else []
        with ui.column().classes("w-full max-w-xl gap-3"):
            self._model = ui.select(known, label="Model", value=model or known[0]).classes("w-full").props(_FIELD)
            self._what = ui.radio({"task": "A task", "suite": "A suite of tasks"}, value="task").props("inline")
            with ui.column().classes("w-full gap-0").bind_visibility_from(self._what, "value", value="task"):
                self._task = ui.input("Folder or file on the server").classes("w-full").props(_FIELD)
                ui.label(
                    "In a form of BEIR, TREC, STS, bitext or our own; a folder of several is all of them."
                ).classes("text-sm opacity-80")
            with ui.column().classes("w-full gap-3").bind_visibility_from(self._what, "value", value="suite"):
                self._suite = ui.select(list(SUITES), label="Suite", value=next(iter(SUITES))).classes("w-full")
                self._suite.props(_FIELD)
                self._data = ui.input("Folder on the server that has its tasks").classes("w-full").props(_FIELD)
            self._limit = ui.number("At most so many queries or texts of each task", min=1, precision=0)
            self._limit.classes("w-full").props(_FIELD)
            self._baselines = ui.switch("BM25 and hybrids beside the model", value=True)
            self._go = ui.button("Evaluate", icon="play_arrow", on_click=self._start)

    async def _start(self) -> None:
        suite = self._what.value == "suite"
        field = self._data if suite else self._task
        field.error = None
        self._go.disable()
        try:
            start(
                current().evaluations, str(self._model.value), task="" if suite else self._task.value,
                suite=str(self._suite.value) if suite else "", data=self._data.value,
                limit=int(self._limit.value) if self._limit.value else None, baselines=self._baselines.value,
            )  # fmt: skip
            ui.navigate.to("/evaluation")
        except EfiveError as error:
            field.error = str(error)
        finally:
            self._go.enable()
