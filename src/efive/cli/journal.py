"""How far a run came, kept beside its output, so that the same command goes on where it stopped."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from efive.errors import InputError


def part_of(output: Path) -> Path:
    """Return where an unfinished output lies: a file, or for Parquet a folder."""
    return output.with_name(output.name + ".part")


class Journal:
    """Notes in `OUTPUT.progress.json`, from block to block; none for stdout and for input that cannot be read again."""

    def __init__(self, output: Path | None, run: dict[str, Any] | None) -> None:
        """Describe a run to `output` by JSON values that must stay the same; None is a run that cannot go on."""
        self.output = output
        self.run = run
        self.records = 0
        """Records done."""
        self.reached = 0
        """How far the writer came."""

    @property
    def lasting(self) -> bool:
        """Whether an interrupted run can go on."""
        return self.output is not None and self.run is not None

    def begin(self, *, restart: bool) -> None:
        """Take up an earlier run's notes, or begin anew.

        Raises:
            InputError: if the output is there already, or the notes are of a run with other input or options.
        """
        if self.output is None:
            return
        notes = _notes(self.output)
        if restart:
            notes.unlink(missing_ok=True)
        elif notes.exists():
            self._take_up(notes)
        if not self.reached:
            _discard(part_of(self.output))

    def _take_up(self, notes: Path) -> None:
        if self.run is None:
            raise InputError(
                f"{notes} is of an interrupted run on a file, and this run reads a pipe; "
                "name another --output, or use --restart to begin anew"
            )
        try:
            noted = json.loads(notes.read_text(encoding="utf-8"))
            before, self.records, self.reached = dict(noted["run"]), int(noted["records"]), int(noted["reached"])
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{notes} is damaged; use --restart to begin anew") from None
        if changed := [key for key, value in self.run.items() if before.get(key) != value]:
            listed = ", ".join(f"{key} (was {before.get(key)}, is {self.run[key]})" for key in changed)
            raise InputError(
                f"{notes} is of an interrupted run with another {listed}. Give the command as it was to go on, "
                "or use --restart to begin anew"
            )

    def note(self, records: int, reached: int) -> None:
        """Note that `records` more records are safe on disk."""
        self.records += records
        self.reached = reached
        if self.output is None or self.run is None:
            return
        state = {"run": self.run, "records": self.records, "reached": self.reached}
        draft = _notes(self.output).with_suffix(".tmp")
        draft.write_text(json.dumps(state), encoding="utf-8")
        draft.replace(_notes(self.output))

    def clear(self) -> None:
        """Forget the notes."""
        if self.output is not None:
            _notes(self.output).unlink(missing_ok=True)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within the block Ctrl-C ends the program with a message and exit code 130."""
        try:
            yield
        except KeyboardInterrupt:
            if self.lasting:
                ending = "they are safe, the same command (without --restart) goes on"
            elif self.output is None:
                ending = "an interrupted run can go on if it has a file as input and --output"
            else:
                ending = "input from a pipe cannot be taken up again; a file can"
            click.echo(f"efive: interrupted after {self.records} texts; {ending}", err=True)
            sys.exit(130)


def check_output(output: Path | None, source: Path | None, *, restart: bool) -> None:
    """Refuse an output that could not be written, or would overwrite something, before any work is done.

    Raises:
        InputError: saying what to do instead.
    """
    if output is None:
        return
    if not output.absolute().parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}; create it first")
    if output.exists() and not output.is_file():
        raise InputError(f"{output} is no plain file; leave --output out and redirect stdout instead")
    if source is not None and output.exists() and output.samefile(source):
        raise InputError(f"{output} is the input itself; name another --output")
    if output.exists() and not restart and not _notes(output).exists():
        raise InputError(f"{output} exists; name another --output, or use --restart to replace it")


def _notes(output: Path) -> Path:
    return output.with_name(output.name + ".progress.json")


def _discard(part: Path) -> None:
    """Delete the unfinished output of an earlier run; of a folder, only what efive wrote."""
    if not part.is_dir():
        part.unlink(missing_ok=True)
        return
    for file in (*part.glob("*.parquet"), *part.glob("joined")):
        file.unlink()
    part.rmdir()
