"""Training in a process of its own, which is `efive train`: a server starts it, watches its files and ends it."""

import asyncio
import contextlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from efive.deployments import processes
from efive.errors import InputError, TrainingError
from efive.jsonlines import without_bom

_SHOWN = 20
"""Problems of training data that are told."""
_TRAIN = "train.jsonl"

_MOST = 10**9
Count = Annotated[int, Meta(ge=1, le=_MOST)]
Tokens = Annotated[int, Meta(ge=8, le=_MOST)]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to train; None leaves a setting to `efive train supervised`."""

    model: str = "bundled"
    """Where training starts."""
    train_n_passages: Annotated[int, Meta(ge=1, le=1000)] = 8
    """Passages of each query: one positive, and negatives."""
    epochs: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    max_steps: Count | None = None
    """Updates of the weights, in place of `epochs`."""
    batch_size: Annotated[int, Meta(ge=2, le=_MOST)] = 64
    learning_rate: Annotated[float, Meta(gt=0)] | None = None
    temperature: Annotated[float, Meta(gt=0)] | None = None
    query_tokens: Tokens | None = None
    passage_tokens: Tokens | None = None
    held_out: Annotated[int, Meta(ge=0, le=_MOST)] = 0
    """So many examples, the first, are measured on the way and not trained on."""
    save_every: Count | None = None
    """Steps between checkpoints, from which an interrupted run goes on."""
    seed: Annotated[int, Meta(ge=0, le=_MOST)] | None = None

    def command(self, data: Path, run: Path) -> list[str]:
        """Return what to run; the same again goes on where it was interrupted."""
        values = msgspec.structs.asdict(self) | {"negatives": self.train_n_passages - 1}
        del values["train_n_passages"]
        values["batch"] = values.pop("batch_size")
        options = [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None]
        return [*processes.efive("train", "supervised"), f"--data={data}", f"--output={run}", *options]

    def steps(self, examples: int) -> int:
        """Return how many steps a run over so many examples takes."""
        left = examples - self.held_out
        return self.max_steps or max(1, round((self.epochs or 1) * left / self.batch_size))


class Checked(msgspec.Struct, frozen=True):
    """What a look at training data has found."""

    examples: int = 0
    passages: int = 0
    problems: tuple[str, ...] = ()
    """The first of them, each with its file and line."""
    problem_count: int = 0
    negatives: int = 0
    """That every example has, at least."""


class Progress(msgspec.Struct, frozen=True):
    """The last words of a run's log."""

    step: int = 0
    last: dict[str, Any] = {}
    """What it notes of the step: `loss`, `learning_rate`, `examples_per_second` and others."""
    measured: dict[str, float] = {}
    """The last figures of what is held out."""


async def check(data: Path, negatives: int, environment: Mapping[str, str]) -> Checked:
    """Read all training data in a folder, in a process, and say what is wrong with it.

    Args:
        data: the folder, or a file.
        negatives: how many each example must have.
        environment: of the process.

    Raises:
        InputError: if there is none.
    """
    out, said = await processes.outputs(processes.efive("data", "check", str(data), "--json"), environment)
    if not out:
        raise InputError(processes.last_line(said.decode(errors="replace")) or f"{data} could not be read")
    report = msgspec.json.decode(out)
    # What the reader mends by itself, such as a negative that is also a positive, does not keep anybody from training.
    unusable = [kind for kind in report["problems"].values() if not kind["first"][0]["mended"]]
    folder = data if data.is_dir() else data.parent
    wrong = [f"{each['place'].removeprefix(f'{folder}/')}: {each['message']}" for k in unusable for each in k["first"]]
    count = sum(kind["count"] for kind in unusable)
    least = report["negatives"]["minimum"] if report["negatives"] else 0
    if not wrong and least < negatives:
        wrong = await asyncio.to_thread(_too_few, data, negatives)
        wrong = wrong or [f"an example has only {least} usable negatives; train_n_passages asks for {negatives}"]
        count = len(wrong)
    return Checked(report["examples"], report["corpus"], tuple(wrong[:_SHOWN]), count, least)


class _Ids(msgspec.Struct):
    doc_id: list[int | str] = []


class _Example(msgspec.Struct):
    negatives: _Ids = msgspec.field(default_factory=_Ids)


def _too_few(data: Path, negatives: int) -> list[str]:
    """Return the lines of `train.jsonl` with too few negatives."""
    if not (data / _TRAIN).is_file():
        return []
    decoder, wrong = msgspec.json.Decoder(_Example), list[str]()
    with (data / _TRAIN).open("rb") as file:
        for number, line in enumerate(without_bom(file), 1):
            with contextlib.suppress(msgspec.DecodeError):  # a blank line, or another form
                found = len(decoder.decode(line).negatives.doc_id)
                if found < negatives:
                    wrong.append(f"{_TRAIN}, line {number}: {found} negatives; train_n_passages asks for {negatives}")
    return wrong


async def run(command: list[str], said: Path, environment: Mapping[str, str]) -> None:
    """Run a training process to its end; if the caller is cancelled, it is ended too.

    Args:
        command: of `Plan.command`.
        said: a file for what it prints.
        environment: of the process.

    Raises:
        TrainingError: with its last words if it fails.
    """
    await processes.run(command, said, environment, TrainingError, "training")


def end_orphans(run: Path) -> None:
    """End the process that a server which was killed has left behind, if one still trains into `run`."""
    processes.end_orphans(f"--output={run}")


def progress(run: Path) -> Progress:
    """Return where a run stands."""
    log = _log(run)
    last, measured = _last(log, b'"loss":'), _last(log, b'"held_out/')
    return Progress(max(last.pop("step", 0), measured.pop("step", 0)), last, measured)


def curve(run: Path, after: int, most: int) -> list[dict[str, Any]]:
    """Return the lines of a run's log for the steps behind `after`, at most so many."""
    lines = (msgspec.json.decode(line, type=dict[str, Any]) for line in _log(run).splitlines())
    return list(islice((line for line in lines if line["step"] > after), most))


def _log(run: Path) -> bytes:
    """Return the whole lines of a log that may be growing."""
    try:
        content = (run / "log.jsonl").read_bytes()
    except FileNotFoundError:
        return b""
    return content[: content.rfind(b"\n") + 1]


def _last(log: bytes, mark: bytes) -> dict[str, Any]:
    """Return the last line that has `mark` in it."""
    place = log.rfind(mark)
    if place < 0:
        return {}
    line = log[log.rfind(b"\n", 0, place) + 1 : log.find(b"\n", place)]
    return msgspec.json.decode(line, type=dict[str, Any])
