"""The folder of a run: what was asked, what it read, how it went, where it can go on.

RUN/
├── config.json       the settings
├── data.json         sources: files, SHA-256, examples
├── environment.json  versions of efive, torch and Python, the machine
├── log.jsonl         one line per step, and one per measurement
├── tensorboard/      the same curves
├── checkpoints/      step-00000200/ {model/, state.pt}: the last ones
├── data/             token tables and teacher's vectors; may be deleted after the run
└── model/            the result
"""

import json
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from efive import __version__
from efive.errors import InputError

_STATE = "state.pt"


class RunFolder:
    """Reads and writes a run's folder; with `writes` false, as in all processes but the first, it only reads."""

    def __init__(self, root: Path, *, writes: bool = True, keep: int = 2) -> None:
        self.root = root
        self.writes = writes
        self.keep = keep
        self.model = root / "model"
        self.log = root / "log.jsonl"
        self._checkpoints = root / "checkpoints"

    def begin(self, settings: dict[str, Any], wait: Callable[[], None] = lambda: None) -> None:
        """Start a run here, or go on with the one that is here.

        Args:
            settings: the run's.
            wait: for the other processes, which look at the folder too before the first one writes there.

        Raises:
            InputError: if the folder holds a finished run, or one with other settings, or something else.
        """
        config = self.root / "config.json"
        if config.is_file():
            before = json.loads(config.read_text(encoding="utf-8"))
            if changed := _changes(before, settings):
                raise InputError(
                    f"{self.root} holds a run with other settings: {'; '.join(changed)}. "
                    "Give them as they were to go on, or name another output folder"
                )
        elif self.root.exists() and any(path.name != "data" for path in self.root.iterdir()):
            raise InputError(f"{self.root} is not empty and holds no run; name a new folder")
        if self.model.exists():
            raise InputError(f"{self.root} holds a finished run; its model is {self.model}. Name another output folder")
        wait()
        if self.writes:
            self.root.mkdir(parents=True, exist_ok=True)
            self.write("config.json", settings)
            self.write("environment.json", environment())

    def write(self, name: str, content: Any) -> None:  # noqa: ANN401 - any JSON value
        """Write a JSON file."""
        if self.writes:
            draft = self.root / (name + ".part")
            draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            draft.replace(self.root / name)

    def latest(self, *, mapped: bool = False) -> tuple[Path, dict[str, Any]] | None:
        """Return the last whole checkpoint's folder and its state, or None; `mapped` tensors are read when used."""
        folders = sorted(self._checkpoints.glob("step-*[0-9]"))
        if not folders:
            return None
        # Written by this program; holds only tensors and plain values.
        return folders[-1], torch.load(folders[-1] / _STATE, map_location="cpu", weights_only=True, mmap=mapped)

    def latest_model(self) -> Path | None:
        """Return the model folder of the last checkpoint, or None."""
        folders = sorted(self._checkpoints.glob("step-*[0-9]"))
        return folders[-1] / "model" if folders else None

    def draft(self, step: int) -> Path:
        """Return an empty folder in which the checkpoint of `step` is made ready."""
        folder = self._checkpoints / f"step-{step:08d}.part"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def commit(self, draft: Path, state: dict[str, Any]) -> Path:
        """Complete a checkpoint with the state; it exists whole or not at all. Old ones go."""
        torch.save(state, draft / _STATE)
        folder = draft.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
        for old in sorted(self._checkpoints.glob("step-*[0-9]"))[: -self.keep]:
            shutil.rmtree(old)
        return folder


def _changes(before: Any, after: Any, path: str = "") -> list[str]:  # noqa: ANN401 - any JSON value
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before and after[key])]  # younger than the run, and off
        return [c for key in keys for c in _changes(before.get(key), after.get(key), f"{path}.{key}".strip("."))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [c for i, (b, a) in enumerate(zip(before, after, strict=True)) for c in _changes(b, a, f"{path}[{i}]")]
    return [] if before == after else [f"{path} was {json.dumps(before)} and is {json.dumps(after)}"]


def environment() -> dict[str, str]:
    """Return what the run's figures depend on besides its settings."""
    described = {"efive": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in ("torch", "tokenizers", "numpy"):
        try:
            described[package] = version(package)
        except PackageNotFoundError:  # pragma: no cover - all three are requirements
            described[package] = "unknown"
    return described


class Log:
    """`log.jsonl` and the same numbers for TensorBoard."""

    def __init__(self, run: RunFolder, step: int) -> None:
        """Go on after `step`: lines of later steps, of a run that was killed, are taken away."""
        self._file = None
        self._board: Any = None
        if not run.writes:
            return
        if run.log.is_file():
            kept = [line for line in run.log.read_text(encoding="utf-8").splitlines() if _step(line) <= step]
            run.log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        self._file = run.log.open("a", encoding="utf-8")
        try:
            from tensorboardX import SummaryWriter  # noqa: PLC0415 - optional
        except ImportError:
            return
        self._board = SummaryWriter(str(run.root / "tensorboard"), purge_step=step, write_to_disk=True)

    def add(self, step: int, values: dict[str, Any]) -> None:
        """Note the numbers of a step."""
        if self._file is None:
            return
        self._file.write(json.dumps({"step": step} | values, ensure_ascii=False) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the torn last line of a killed run
        return 1 << 62


def read_log(root: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log."""
    path = root / "log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
