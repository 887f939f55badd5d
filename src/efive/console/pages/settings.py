"""Settings: who may use the server, where it is, what it logs."""

from datetime import UTC, datetime

from nicegui import run, ui

from efive.console import about, context, dialogs, frame, logs, parts, tables
from efive.console.gate import SESSIONS, token_of
from efive.console.keys import Shown, consequence, shown
from efive.console.pages.settings_key import ask_for_key
from efive.console.tables import Cell


@ui.page("/settings")
async def settings() -> None:
    """Show keys, the server, the log."""
    with frame.page("Settings"):
        parts.heading("Keys")
        _keys()
        parts.heading("Addresses")
        _doors()
        parts.heading("Server")
        service = context.service()
        pairs = await run.io_bound(lambda: about.place(service) + about.limits(service) + about.versions())
        parts.facts(pairs or [])
        parts.heading("Log")
        _log()


# -- keys ----------------------------------------------------------------------------------------------------------


@ui.refreshable
def _keys() -> None:
    access = context.service().access
    mine = SESSIONS.key_of(token_of(ui.context.client.request.headers))
    _elsewhere()
    keys = [shown(key, mine) for key in access.all()]
    if not keys and not access.required:
        ui.label(
            "There are no keys: everybody at this machine may do everything here, and nobody from elsewhere can "
            "reach it. From the first key on, every program and this console need one."
        ).classes("max-w-2xl")
    if keys:
        heads = ("Name", "For", "Limit", "Made", "Id", "Actions")
        tables.table("Keys", heads, [_key(key) for key in keys])
    ui.button("Make a key", icon="add", on_click=lambda: ask_for_key(_keys.refresh)).classes("mt-3")


def _key(key: Shown) -> list[Cell]:
    def revoke() -> None:
        parts.acting(parts.icon_button("delete", f"Revoke {key.name}"), lambda: _revoke(key))

    name = f"{key.name} (yours)" if key.mine else key.name
    return [name, key.scopes, key.rates, lambda: ui.label(key.made).classes("whitespace-nowrap"), key.id, revoke]


async def _revoke(key: Shown) -> None:
    access = context.service().access
    if await dialogs.confirm(f"Revoke the key {key.name}?", consequence(access, key), "Revoke"):
        done = access.revoke(key.id)
        ui.notify(f"{key.name} is revoked." if done else f"{key.name} was gone already.", type="positive")
        _keys.refresh()


def _elsewhere() -> None:
    """Tell of keys that `efive keys` made or revoked while the server runs."""
    access = context.service().access
    made, revoked = access.elsewhere()
    if not made and not revoked:
        return

    async def reread() -> None:
        access.reread()
        _keys.refresh()

    names = [f"{key.name} was made" for key in made] + [f"{key.name} was revoked" for key in revoked]
    with ui.card().classes("w-full mb-2").props('role="status"'):
        ui.label(f"`efive keys` was used since the server started: {', '.join(names)}. It does not know yet.")
        parts.acting(ui.button("Take the changes over"), reread)


# -- the server ----------------------------------------------------------------------------------------------------


def _doors() -> None:
    base = str(ui.context.client.request.base_url)
    base = base.removesuffix("/").removesuffix(frame.root())

    def address(path: str) -> Cell:
        return lambda: ui.label(base + path).classes("font-mono whitespace-nowrap")

    rows = [
        (door.name, address(door.path), lambda said=door.clients: ui.label(said).classes("min-w-64"))
        for door in about.DOORS
    ]
    tables.table("Addresses", ("Door", "Address", "For"), rows)


# -- the log -------------------------------------------------------------------------------------------------------


def _log() -> None:
    with ui.row().classes("items-center gap-4"):
        level = ui.select({value: name for name, value in logs.LEVELS.items()}, value=min(logs.LEVELS.values()))
        level.props('label="Show" outlined dense').classes("min-w-52")
        requests = ui.switch("Single requests", value=False)
    shown_log = ui.log(max_lines=1000).classes("w-full h-80 text-xs")
    shown_log.props('role="log" aria-label="Log" tabindex="0"')
    last = 0

    def more() -> None:
        nonlocal last
        for line in logs.MEMORY.lines(after=last, least=level.value, requests=requests.value):
            shown_log.push(_text(line))
            last = line.number

    def again() -> None:
        nonlocal last
        shown_log.clear()
        last = 0
        more()

    level.on_value_change(again)
    requests.on_value_change(again)
    more()
    ui.timer(1.0, more)


def _text(line: logs.Line) -> str:
    time = datetime.fromtimestamp(line.time, UTC).strftime("%H:%M:%S.%f")[:-3]
    first = f"{time} {logs.name(line.level):<7} {line.logger}: {line.message} {line.fields}".rstrip()
    return f"{first}\n{line.stack}".rstrip()
