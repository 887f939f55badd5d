"""What is being done with models, with its progress."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from efive.console import parts
from efive.console.models_adding import Adding, Job, Phase

_LOOK = 0.5
"""Seconds between looks."""
_ENDED = {
    Phase.DONE: ("check_circle", "Done: it can be deployed.", "text-positive"),
    Phase.FAILED: ("error", "", "text-negative"),
    Phase.CANCELLED: ("cancel", "Cancelled: the models are as they were.", ""),
}


async def _nothing() -> None:
    """Nobody waits for the end."""


def show_jobs(adding: Adding, changed: Callable[[], Awaitable[object]] = _nothing, *, of: str = "") -> None:
    """Show the jobs as they go on.

    Args:
        adding: the jobs.
        changed: called when one has ended.
        of: the model that they are to be about; empty shows all.
    """
    place = ui.column().classes("w-full gap-2 my-3")
    shown: list[tuple[Job, Phase]] = []
    updates: list[Callable[[], None]] = []

    async def look() -> None:
        now = [(job, job.phase) for job in adding.jobs if of in {"", job.order.name}]
        if now == shown:
            for update in updates:
                update()
            return
        ended = any(each not in shown and each[1] is not Phase.RUNNING for each in now)  # perhaps between two looks
        shown[:] = now
        updates.clear()
        place.clear()
        with place:
            updates.extend(_show(adding, job) for job, _ in now)
        if ended:
            await changed()

    ui.timer(_LOOK, look)


def _show(adding: Adding, job: Job) -> Callable[[], None]:
    with ui.card().classes("w-full p-3 gap-1"):
        with ui.row().classes("w-full items-center no-wrap"):
            ui.label(job.title).classes("font-medium grow break-words min-w-0")
            if job.phase is Phase.RUNNING:
                parts.acting(ui.button("Cancel").props("flat dense"), lambda: adding.cancel(job))
            else:
                parts.icon_button("close", f"Dismiss: {job.title}").on_click(lambda: adding.forget(job))
        if job.phase is Phase.RUNNING:
            return _progress(job)
        icon, text, colour = _ENDED[job.phase]
        with ui.row().classes(f"no-wrap items-center gap-1 {colour}").props('role="status"'):
            ui.icon(icon)
            if (job.phase, job.order.kind) == (Phase.DONE, "verify"):
                text = "Intact: every file has the checksum that it came with."
            if (job.phase, job.order.kind) == (Phase.CANCELLED, "pull"):
                text = "Cancelled. What was fetched is kept: another pull goes on from there."
            ui.label(job.error or text).classes("break-words min-w-0")
    return lambda: None


def _progress(job: Job) -> Callable[[], None]:
    bar = ui.linear_progress(value=0, show_value=False, size="8px")
    bar.props["aria-label"] = job.title
    numbers = ui.label().classes("text-sm")

    def update() -> None:
        fraction = job.fraction
        bar.props["indeterminate"] = fraction is None
        bar.value = fraction or 0.0
        numbers.text = job.progress()

    update()
    return update
