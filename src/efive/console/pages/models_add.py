"""The dialogs that bring a model: from the hub, from a folder, from a bundle."""

import contextlib
from collections.abc import Callable, Iterator

from nicegui import events, ui

from efive.console import frame, parts, sending, units
from efive.console.models_adding import Adding
from efive.errors import EfiveError
from efive.models.family import FAMILY
from efive.models.store import check_name

_SEND = """
async (event) => {
  const file = event.target.files[0];
  event.target.value = "";
  if (!file) return;
  window.efiveFile = file;
  emit({name: file.name, size: file.size});
}
"""
_PIECES = """
(async () => {
  const file = window.efiveFile;
  let at = 0, faults = 0;
  while (at < file.size && faults < 10) {
    try {
      const answer = await fetch(`URL?at=${at}`, {method: "PUT", body: file.slice(at, at + PIECE)});
      if (answer.status === 410 || answer.status === 401 || answer.status === 403) return;
      const {received} = await answer.json();
      faults = received > at ? 0 : faults + 1;
      at = received;
    } catch {
      faults += 1;
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
})()
"""


def ask_for_pull(adding: Adding) -> None:
    """Ask which model to fetch from the hub."""
    with _dialog("Pull from the hub") as (dialog, _):
        ui.label("The only thing here that uses the network. What was fetched before an interruption is kept.")
        name = ui.input("Model", autocomplete=list(FAMILY)).props("outlined autofocus").classes("w-full")
        name.props('hint="multilingual-e5-small, or owner/model of any E5 model"')
        with ui.expansion("A revision, or a mirror of the hub").classes("w-full"):
            revision = ui.input("Branch, tag or commit", value="main").props("outlined").classes("w-full")
            mirror = ui.input("Mirror", placeholder="https://…").props("outlined").classes("w-full")
        begin = lambda: adding.pull(name.value, revision=revision.value, endpoint=mirror.value)  # noqa: E731
        _end(dialog, "Pull", begin, name)


def ask_for_folder(adding: Adding) -> None:
    """Ask for a model's folder on the server."""
    with _dialog("From a folder") as (dialog, _):
        ui.label(
            "A model's folder on the server's own disk, in Hugging Face layout, such as a training run's. It is copied."
        )
        path = ui.input("Folder on the server").props("outlined autofocus").classes("w-full")
        name = ui.input("Name", placeholder="the folder's").props("outlined").classes("w-full")
        _end(dialog, "Copy", lambda: adding.copy(path.value, name.value), path)


def ask_for_bundle(adding: Adding) -> None:
    """Ask for a bundle: a file on the server, or one to send."""
    with _dialog("From a bundle") as (dialog, card):
        ui.label("One file that carries a model; `efive models export-bundle` writes one on another machine.")
        name = ui.input("Name", placeholder="the bundle's own").props("outlined").classes("w-full")
        _sent(adding, name, dialog)
        path = ui.input("Or a file on the server").props("outlined").classes("w-full")
        _end(dialog, "Unpack", lambda: adding.unpack(path.value, name.value), path)
        card.classes("gap-3")


def _sent(adding: Adding, name: ui.input, dialog: ui.dialog) -> None:
    """Offer to send a file from the browser."""
    token = ""

    def give_up() -> None:
        sending.end(token)

    async def chosen(event: events.GenericEventArguments) -> None:
        nonlocal token
        size = int(event.args["size"])
        try:
            if name.value.strip():
                check_name(name.value.strip())  # before all of it is sent for nothing
            token, coming = sending.begin(adding.store.home / "incoming", size)
        except EfiveError as error:
            said.text = str(error)
            return
        choose.disable()
        timer = ui.timer(0.3, lambda: said.set_text(f"{units.size(coming.received)} of {units.size(size)} sent"))
        address = f"{frame.root()}/send/{token}"
        ui.run_javascript(_PIECES.replace("URL", address).replace("PIECE", str(sending.PIECE)))
        await coming.ended.wait()
        timer.cancel()
        if coming.complete:
            sending.end(token, keep=True)
            if await frame.attempt(lambda: _unpack(adding, str(coming.path), name.value)):
                dialog.close()
            else:
                coming.path.unlink(missing_ok=True)
                said.text = ""
                choose.enable()
        elif not said.is_deleted:
            said.text = f"The server could not keep the file: {coming.fault}. Mend that, and send it again."
            choose.enable()

    with ui.row().classes("items-center"):
        field = ui.element("input").props('type="file" class="hidden" aria-label="Bundle file"').classes("hidden")
        field.on("change", chosen, js_handler=_SEND)
        choose = ui.button("Send a file from this computer", icon="upload_file").props("outline")
        choose.on("click", js_handler=f"() => getHtmlElement({field.id}).click()")
        said = ui.label().props('role="status"')
    dialog.on("hide", give_up)
    ui.context.client.on_delete(give_up)


async def _unpack(adding: Adding, path: str, name: str) -> None:
    adding.unpack(path, name, keep=False)


@contextlib.contextmanager
def _dialog(title: str) -> Iterator[tuple[ui.dialog, ui.card]]:
    with ui.dialog() as dialog, ui.card().classes("w-full max-w-lg") as card:
        dialog.props["aria-label"] = title
        ui.label(title).classes("text-lg font-medium").props('role="heading" aria-level="2"')
        yield dialog, card
    dialog.on("hide", dialog.delete)
    dialog.open()


def _end(dialog: ui.dialog, action: str, begin: Callable[[], object], field: ui.input) -> None:
    """End a dialog with its buttons; what is wrong is said above them."""
    fault = ui.label().props('role="alert"').classes("text-negative break-words")

    async def act() -> None:
        try:
            begin()
        except EfiveError as error:
            fault.text = str(error)
            return
        dialog.close()

    with ui.row().classes("w-full justify-end"):
        ui.button("Cancel", on_click=dialog.close).props("flat")
        parts.acting(ui.button(action), act)
    field.on("keydown.enter", act)
