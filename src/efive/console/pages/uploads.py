"""Files from the browser: chosen, listed, and kept until they are wanted."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nicegui import events, ui

from efive.console import context, units
from efive.console.paths import checked_name
from efive.errors import InputError, StoreError
from efive.search.folder import explained

if TYPE_CHECKING:
    from nicegui.elements.upload_files import FileUpload


class Picker:
    """A button that asks for files, and the list of those that have come."""

    def __init__(self, label: str, on_change: Callable[[], object] = lambda: None, accept: str = "") -> None:
        """Show the button.

        Args:
            label: on the button.
            on_change: called when the list has changed.
            accept: suffixes with commas between them; none accepts all.
        """
        self.files: dict[str, FileUpload] = {}
        self._changed = on_change
        self._most = context.service().limits.body - (1 << 16)  # what else is in the request
        upload = ui.upload(
            multiple=True, auto_upload=True, max_file_size=self._most, on_upload=self._add, on_rejected=self._refuse
        ).classes("hidden")
        if accept:
            upload.props(f'accept="{accept}"')
        with ui.row().classes("items-center gap-2"):
            ui.button(label, icon="upload_file").props("outline").on(
                "click", js_handler=f'() => runMethod({upload.id}, "pickFiles", [])'
            )
            self._count = ui.label("no files yet").classes("opacity-70").props("role=status")
        self._list = ui.column().classes("gap-0 w-full")

    def _add(self, event: events.UploadEventArguments) -> None:
        try:
            self.files[checked_name(event.file.name)] = event.file
        except InputError as error:
            ui.notify(str(error), type="negative")
        self._show()

    def _refuse(self) -> None:
        ui.notify(
            f"A file was not taken: it is of another kind, or larger than {units.size(self._most)}. "
            "Put it into a folder on the server and point to that instead.",
            type="negative",
            timeout=10_000,
            close_button="Close",
        )

    def _remove(self, name: str) -> None:
        self.files.pop(name, None)
        self._show()

    def _show(self) -> None:
        self._list.clear()
        total = sum(file.size() for file in self.files.values())
        count = "1 file" if len(self.files) == 1 else f"{len(self.files)} files"
        self._count.text = f"{count}, {units.size(total)}" if self.files else "no files yet"
        with self._list:
            for name, file in self.files.items():
                with ui.row().classes("items-center gap-1 no-wrap"):
                    ui.button(icon="close", on_click=lambda name=name: self._remove(name)).props(
                        "flat round dense size=sm"
                    ).props["aria-label"] = f"Remove {name}"
                    ui.label(f"{name}, {units.size(file.size())}").classes("break-all")
        self._changed()

    async def save(self, folder: Path) -> list[Path]:
        """Write the files into a folder, in place of those of the same names there, and return their paths.

        Raises:
            StoreError: if they cannot be written.
        """
        paths = []
        for name, file in self.files.items():
            try:
                await file.save(folder / name)
            except OSError as error:
                raise StoreError(f"{name} cannot be kept on the server: {explained(error)}") from None
            paths.append((folder / name).resolve())
        return paths
