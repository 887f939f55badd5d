"""The playground: texts in several languages, and what a model makes of them."""

from nicegui import ui

from efive.console import context, dialogs, frame, parts, playground, playground_heatmap, playground_tokens
from efive.console.languages import LANGUAGES
from efive.console.pages.playground_results import Results
from efive.console.playground import MEANINGS, MOST, Line
from efive.console.playground_examples import LONG
from efive.deployments.deployment import Phase
from efive.inputs import Overflow, Role

_CUTS = {str(Overflow.END): "cut the end", str(Overflow.START): "cut the beginning"}
_ROLES = [str(role) for role in Role]
_COLUMNS = {"Role": "w-28", "Language": "w-32", "Meaning": "w-20"}


@ui.page("/playground")
def page(deployment: str = "") -> None:
    """Show the playground.

    Args:
        deployment: the choice to begin with.
    """
    ui.add_head_html(playground_heatmap.STYLE + playground_tokens.STYLE)
    with frame.page("Playground"):
        _Playground(deployment)


def _live() -> list[str]:
    return [each.name for each in context.service().deployments if each.phase is Phase.READY]


class _Playground:
    """Texts to change, and the last comparison."""

    def __init__(self, deployment: str) -> None:
        self._lines = playground.beginning()
        names = _live()
        with ui.row().classes("items-end gap-3 w-full"):
            self._deployment = ui.select(names, label="Deployment", value=_first(names, deployment)).classes("w-56")
            self._cut = ui.select(_CUTS, label="Of texts that are too long", value=str(Overflow.END)).classes("w-64")
            self._button = parts.acting(ui.button("Compare", icon="compare_arrows"), self._compare)
        self._hint = ui.row().classes("items-center")
        with self._hint:
            ui.label("No deployment is live.").classes("text-negative")
            ui.link("Start one", "/deployments")
        with ui.tabs().classes("w-full mt-3").props("align=left dense no-caps outside-arrows mobile-arrows") as tabs:
            texts = ui.tab("Texts")
            others = [ui.tab(name) for name in Results.NAMES]
        self._tabs = tabs
        with ui.tab_panels(tabs, value="Texts").classes("w-full bg-transparent").props("keep-alive"):
            self._panel = ui.tab_panel(texts).classes("px-0")
            self._results = Results(others)
        self._follow()
        ui.timer(2.0, self._follow)
        ui.timer(0, self._fill, once=True)  # behind the first paint, which so many inputs would hold up

    async def _fill(self) -> None:
        with self._panel:
            self._place = ui.column().classes("w-full gap-2")
            self._buttons()
        self._lay_out()
        if self._deployment.value:
            await self._compute()

    def _buttons(self) -> None:
        with ui.row().classes("gap-2 mt-3"):
            empty = ui.button("Add a text", icon="add", on_click=lambda: self._append(Line(""))).props("outline")
            long = Line(LONG, role=str(Role.PASSAGE), language="en")
            too_long = ui.button("Add one that is too long", on_click=lambda: self._append(long)).props("flat")
            self._adding = (empty, too_long)
            parts.acting(ui.button("Begin again").props("flat"), self._begin_again)

    def _lay_out(self) -> None:
        self._place.clear()
        with self._place:
            with (
                ui.row()
                .classes("w-full gap-2 flex-nowrap text-sm opacity-80 max-sm:hidden")
                .props('aria-hidden="true"')
            ):
                for head, width in (("", "w-6"), ("Text", "grow basis-64"), *_COLUMNS.items(), ("", "w-8")):
                    ui.label(head).classes(width)
            for number, line in enumerate(self._lines, 1):
                self._line(number, line)
        self._offer_more()

    def _offer_more(self) -> None:
        for button in self._adding:
            button.set_enabled(len(self._lines) < MOST)

    def _line(self, number: int, line: Line) -> None:
        with ui.row().classes("w-full items-center gap-2 sm:flex-nowrap border-b border-gray-400/30 pb-1") as row:
            row.props('role="group"').props["aria-label"] = f"Text {number}"
            ui.label(str(number)).classes("w-6 text-right opacity-80")
            text = ui.textarea(on_change=line.guess).bind_value(line, "text")
            text.props(f'autogrow dense dir="auto" rows=1 debounce=300 maxlength={playground.LONGEST}')
            text.props["aria-label"] = f"Text {number}"
            text.classes("grow basis-64 max-sm:basis-3/5 max-h-40 overflow-auto")
            _choice(_ROLES, line, "role", f"Role of text {number}").classes(_COLUMNS["Role"])
            language = _choice(LANGUAGES, line, "language", f"Language of text {number}").classes(_COLUMNS["Language"])
            language.on("popup-show", lambda: setattr(line, "own", True))
            _choice(list(MEANINGS), line, "meaning", f"Meaning of text {number}").classes(_COLUMNS["Meaning"])
            remove = parts.icon_button("close", f"Remove text {number}")
            remove.classes("max-sm:order-1").on_click(lambda: self._remove(line))

    def _append(self, line: Line) -> None:
        if len(self._lines) < MOST:
            self._lines.append(Line(line.text, line.role, line.language))
            with self._place:  # to lay all of them out takes its time
                self._line(len(self._lines), self._lines[-1])
            self._offer_more()

    def _remove(self, line: Line) -> None:
        self._lines = [each for each in self._lines if each is not line]
        self._lay_out()

    async def _begin_again(self) -> None:
        if not await dialogs.confirm("Begin again?", "The texts here are replaced by the first ones.", "Begin again"):
            return
        self._lines = playground.beginning()
        self._lay_out()

    def _follow(self) -> None:
        """Offer the deployments that are live now."""
        names = _live()
        if names != self._deployment.options:
            self._deployment.set_options(names, value=_first(names, str(self._deployment.value or "")))
        self._hint.visible = not names
        self._button.set_enabled(bool(names))

    async def _compare(self) -> None:
        if await self._compute() and self._tabs.value == "Texts":
            self._tabs.value = Results.NAMES[0]

    async def _compute(self) -> bool:
        """Compare the texts as they are now; say whether that worked."""

        async def work() -> None:
            service, cut = context.service(), Overflow(str(self._cut.value))
            found = await playground.compare(service, str(self._deployment.value), self._lines, cut)
            self._results.show(found, await service.collections.run(service.collections.names))

        return await frame.attempt(work)


def _first(names: list[str], wanted: str) -> str | None:
    return wanted if wanted in names else next(iter(names), None)


def _choice(options: list[str] | dict[str, str], line: Line, field: str, name: str) -> ui.select:
    select = (
        ui.select(options).bind_value(line, field).props("dense options-dense borderless").classes("max-sm:order-2")
    )
    select.props["aria-label"] = name
    return select
