"""The first page: how the server is, what is here, and what to do next."""

from datetime import UTC, datetime

from nicegui import run, ui

from efive.console import about, context, frame, hardware, overview, parts, units
from efive.console.hardware import Fit, Machine
from efive.console.history import Following
from efive.console.models_adding import adding_of
from efive.console.overview import Condition, Facts, Health, Step

_LOOK = 2.0
"""Seconds between looks."""
_LOOKS = {
    Health.GOOD: ("check_circle", "text-positive"),
    Health.WAITING: ("hourglass_top", ""),
    Health.BAD: ("error", "text-negative"),
}


@ui.page("/")
async def page() -> None:
    """Show everything in short."""
    with frame.page("Overview"):
        machine = await run.io_bound(hardware.look)
        if machine is None:  # the server ends
            return
        recommended = next((n for n, v in hardware.judge(machine).items() if v.fit is Fit.RECOMMENDED), None)
        _Live(recommended).begin(await _facts(recommended))
        parts.heading("This machine")
        await _machine(machine)


async def _facts(recommended: str | None) -> Facts:
    service, store = context.service(), context.kept(adding_of).store
    return Facts(
        [(each.name, each.phase, each.reason) for each in service.deployments],
        await run.io_bound(store.names) or (),
        recommended,
        len(await run.io_bound(service.collections.names) or ()),
        len(service.access.all()),
    )


class _Live:
    """What changes while one looks."""

    def __init__(self, recommended: str | None) -> None:
        self._recommended = recommended
        with ui.row().classes("items-center gap-2 no-wrap mb-3").props('role="status"'):
            self._icon = ui.icon("circle", size="1.6rem")
            self._said = ui.label().classes("text-lg min-w-0 break-words")
        with ui.row().classes("gap-3"):
            self._numbers = {
                title: _number(title, path)
                for title, path in (
                    ("Deployments live", "/deployments"),
                    ("Tokens a second", "/deployments"),
                    ("Models stored", "/models"),
                    ("Collections", "/collections"),
                    ("Keys", "/settings"),
                )
            }
        parts.heading("Next steps")
        self._place = ui.element("ol").classes("m-0 p-0 w-full")
        self._steps: list[Step] = []

    def begin(self, facts: Facts) -> None:
        """Show what is so now, and what changes."""
        self._show(facts)
        ui.timer(_LOOK, self._look)

    async def _look(self) -> None:
        self._show(await _facts(self._recommended))

    def _show(self, facts: Facts) -> None:
        self._show_condition(overview.condition(facts))
        history = context.kept(Following).history
        last = [history.last(name) for name, _, _ in facts.deployments]
        live = sum(phase == "ready" for _, phase, _ in facts.deployments)
        self._numbers["Deployments live"].text = f"{live} of {len(facts.deployments)}"
        self._numbers["Tokens a second"].text = units.number(sum(each.tokens for each in last if each))
        self._numbers["Models stored"].text = str(len(facts.models))
        self._numbers["Collections"].text = str(facts.collections)
        self._numbers["Keys"].text = str(facts.keys) if facts.keys else "none"
        steps = overview.steps(facts)
        if steps != self._steps:
            self._steps = steps
            self._place.clear()
            with self._place:
                for step in steps:
                    _step(step)

    def _show_condition(self, condition: Condition) -> None:
        icon, colour = _LOOKS[condition.health]
        self._icon.name = icon
        self._icon.classes(replace=colour)
        self._said.text = condition.text


def _number(title: str, path: str) -> ui.label:
    with ui.card().classes("min-w-36 gap-1 p-3"):
        value = ui.label().classes("text-2xl font-medium tabular-nums")
        ui.link(title, path)
    return value


def _step(step: Step) -> None:
    with ui.element("li").classes("flex no-wrap gap-3 items-start py-2"):
        icon = ui.icon("check_circle" if step.done else "radio_button_unchecked", size="1.5rem")
        icon.classes("text-positive" if step.done else "opacity-70")
        icon.props(f'role="img" aria-label="{"Done" if step.done else "To do"}"')
        with ui.element("div").classes("min-w-0"):
            ui.link(step.title, step.path).classes("font-medium")
            ui.label(step.text).classes("opacity-80")


async def _machine(machine: Machine) -> None:
    service = context.service()
    place = await run.io_bound(about.place, service) or []
    since = datetime.fromtimestamp(context.since(), UTC).strftime("%Y-%m-%d %H:%M UTC")
    parts.facts(
        [
            ("Processor", f"{machine.hardware.processor}, {machine.hardware.cpus} to use"),
            ("Instructions", ", ".join(machine.hardware.instruction_sets) or "none that matter"),
            ("Memory", units.size(machine.memory)),
            ("GPU", f"{machine.gpu.name}, {units.size(machine.gpu.memory)}" if machine.gpu else "none that is used"),
            ("Variant", machine.hardware.variant),
            *place,
            ("Started", since),
        ]
    )
