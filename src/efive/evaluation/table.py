"""Runs as tables: a grid for each kind of task, shown on a terminal, as Markdown or by the report's template.

Where several systems were measured they stand side by side, in a section for each measure; where it is the model
alone, the measures do. Published figures are rows of their own, marked as quoted.
"""

import math
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from efive.evaluation.grid import Grid, Row, number
from efive.evaluation.language_grids import language_grids
from efive.evaluation.results import MODEL, Run, TaskResult

_FIRST = ("bm25", MODEL)
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LOOKS = {"measured": "", "quoted": "dim italic", "mean": "bold", "heading": "bold cyan"}


class _Notes:
    """Texts below a grid. Those that differ in numbers and languages only are one, with … where they differ."""

    def __init__(self, told: Sequence[tuple[TaskResult, Sequence[str]]]) -> None:
        """Take what is to be told of each task."""
        self._keys = {(task.name, text): _key(text, task) for task, texts in told for text in texts}
        variants: dict[str, list[str]] = {}
        for (_, text), key in self._keys.items():
            variants.setdefault(key, []).append(text)
        self._texts = {key: _merged(texts) for key, texts in variants.items()}
        of = [{self._keys[task.name, text] for text in texts} for task, texts in told]
        self._shared = [key for key in self._texts if all(key in keys for keys in of)]
        self.remarks = tuple(self._texts[key] for key in self._shared)
        """What holds for every task."""
        self.notes: list[str] = []

    def of(self, task: TaskResult, texts: Iterable[str]) -> str:
        """Return the marks of a task."""
        keys = [self._keys[task.name, text] for text in texts]
        return self.marks(self._texts[key] for key in keys if key not in self._shared)

    def marks(self, texts: Iterable[str]) -> str:
        """Return the superscripts of some footnotes; a text that was noted before keeps its number."""
        numbers = set()
        for text in texts:
            if text not in self.notes:
                self.notes.append(text)
            numbers.add(self.notes.index(text) + 1)
        return ",".join(map(str, sorted(numbers))).translate(_SUPERSCRIPTS)


def _key(text: str, task: TaskResult) -> str:
    codes = {task.name, *task.language.split("-")}
    return " ".join("…" if word in codes or word[:1].isdigit() else word for word in text.split())


def _merged(texts: Sequence[str]) -> str:
    words = zip(*(text.split() for text in texts), strict=True)
    return " ".join(each[0] if len(set(each)) == 1 else "…" for each in words)


def grids(run: Run) -> list[Grid]:
    """Return one grid for each kind of task, kinds and tasks in the order of the run, then those across languages."""
    kinds: dict[str, list[TaskResult]] = {}
    for task in run.tasks:
        kinds.setdefault(task.kind, []).append(task)
    return [_grid(kind, tasks) for kind, tasks in kinds.items()] + language_grids(run)


def systems_of(tasks: Sequence[TaskResult]) -> list[str]:
    """Return the systems of some tasks: BM25 and the model first, then the others in the order they come."""
    present = dict.fromkeys(name for task in tasks for name in task.systems)
    return [name for name in _FIRST if name in present] + [name for name in present if name not in _FIRST]


def summary(run: Run) -> list[str]:
    """Return what was measured, where and how fast, in a few lines."""
    model = run.model
    name, space = model.get("name", "?"), model.get("space", "?")
    how = [str(model[key]) for key in ("engine", "precision", "device") if model.get(key)]
    cost = {key: sum(task.cost.get(key, 0.0) for task in run.tasks) for key in ("texts", "seconds")}
    lines = [
        f"{name}, {', '.join(how)}" if how else str(name),
        f"space {space}",
        f"{run.created}, seed {run.seed}",
    ]
    if cost["texts"] and cost["seconds"]:
        rate = cost["texts"] / cost["seconds"]
        lines.append(f"{cost['texts']:,.0f} texts embedded in {_duration(cost['seconds'])}, {rate:,.0f} texts/s")
    return lines


def markdown(run: Run) -> str:
    """Return all grids as Markdown; the best value of a row is bold, quoted rows are italic."""
    failed = [f"Not measured: {_escaped(each.name)}: {_escaped(each.reason)}  " for each in run.failed]
    notes = [f"Note: {_escaped(text)}  " for text in run.extras.get("notes", ())]
    return "\n".join([*(_markdown(grid) for grid in grids(run)), *failed, *notes])


def show(run: Run, console: Console | None = None) -> None:
    """Print all grids, their footnotes and a summary on a terminal."""
    console = console or Console(highlight=False)
    for grid in grids(run):
        console.print(_terminal(grid))
        for remark in grid.remarks:
            console.print(Text(f" {remark}", style="dim"))
        for place, note in enumerate(grid.notes, 1):
            console.print(Text(f" {str(place).translate(_SUPERSCRIPTS)} {note}", style="dim"))
        console.print()
    for failure in run.failed:
        console.print(Text(f"not measured: {failure.name}: {failure.reason}", style="red"))
    for text in run.extras.get("notes", ()):
        console.print(Text(f"note: {text}", style="yellow"))
    for line in summary(run):
        console.print(Text(line, style="dim"))


def _grid(kind: str, tasks: list[TaskResult]) -> Grid:
    systems = systems_of(tasks)
    measures = list(dict.fromkeys(measure for task in tasks for measure in task.measures))
    told = [(task, _remarks(task)) for task in tasks]
    notes = _Notes(told)
    marks = {task.name: notes.of(task, texts) for task, texts in told}
    rows: list[Row] = []
    if len(systems) < 2:
        rows = _lines(tasks, marks, [(system, measure) for system in systems for measure in measures], notes)
        return Grid(kind, tuple(measures), tuple(rows), notes.remarks, tuple(notes.notes))
    for measure in measures:
        having = [task for task in tasks if measure in task.measures]
        rows.append(Row(measure, ("",) * len(systems), look="heading"))
        rows += _lines(having, marks, [(system, measure) for system in systems], notes)
    return Grid(kind, tuple(systems), tuple(rows), notes.remarks, tuple(notes.notes))


def _remarks(task: TaskResult) -> list[str]:
    sampled = [f"sampled: {task.data['sampled']}"] if task.data.get("sampled") else []
    told = [f"{name}: {system.note}" for name, system in task.systems.items() if system.note]
    return [task.protocol, *task.contamination, *sampled, *told]


def _lines(tasks: list[TaskResult], marks: dict[str, str], columns: list[tuple[str, str]], notes: _Notes) -> list[Row]:
    """Return the rows of some tasks; a column is a system and a measure."""
    rows = []
    systems = list(dict.fromkeys(system for system, _ in columns))
    table = []
    for task in tasks:
        values = [task.systems[s].scores.get(m) if s in task.systems else None for s, m in columns]
        table.append(values)
        rows.append(Row(task.name, tuple(map(number, values)), marks[task.name], task.language, _best(values, columns)))
        for entry in task.quoted:
            own = _column_of(entry.model, systems)
            values = [entry.scores.get(m) if s == own and m in task.measures else None for s, m in columns]
            if any(value is not None for value in values):
                mark = notes.marks([entry.source])
                rows.append(Row(entry.model, tuple(map(number, values)), mark, "quoted", look="quoted"))
    if len(tasks) > 1:
        means = [_mean(values) for values in zip(*table, strict=True)]
        rows.append(Row(f"mean of {len(tasks)}", tuple(map(number, means)), best=_best(means, columns), look="mean"))
    return rows


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _column_of(model: str, systems: list[str]) -> str:
    """Return the system that a published one is of the kind of."""
    if model.startswith("BM25+"):
        return next((name for name in systems if name.startswith("hybrid")), MODEL)
    return "bm25" if model.startswith("BM25") and "bm25" in systems else MODEL


def _best(values: Sequence[float | None], columns: Sequence[tuple[str, str]]) -> frozenset[int]:
    """Return the places of the highest value, where the columns are systems: measures do not compete."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    if len(known) < 2 or len({measure for _, measure in columns}) > 1:
        return frozenset()
    return frozenset(place for place, value in enumerate(values) if value == max(known))


def _terminal(grid: Grid) -> Table:
    table = Table(title=grid.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", overflow="fold")
    table.add_column("language", no_wrap=True)
    for name in grid.columns:
        table.add_column(name.replace("_", "\n", 1), justify="right", no_wrap=True)
    for row in grid.rows:
        cells = [Text(cell, style="bold green" if place in row.best else "") for place, cell in enumerate(row.cells)]
        label = Text(("  " if row.look == "quoted" else "") + row.label + row.marks)
        table.add_row(label, row.language, *cells, style=_LOOKS[row.look])
    return table


def _markdown(grid: Grid) -> str:
    head = ["task", "language", *grid.columns]
    lines = [f"### {grid.title}", "", _bar(head), _bar(["---", "---", *["---:"] * len(grid.columns)])]
    for row in grid.rows:
        around = {"quoted": "*", "mean": "**", "heading": "**"}.get(row.look, "")
        label = f"{around}{_escaped(row.label)}{around}{row.marks}"
        cells = [f"**{cell}**" if place in row.best else cell for place, cell in enumerate(row.cells)]
        lines.append(_bar([label, row.language, *cells]))
    below = [f"{_escaped(text)}  " for text in grid.remarks]
    below += [f"{str(place).translate(_SUPERSCRIPTS)} {_escaped(note)}  " for place, note in enumerate(grid.notes, 1)]
    return "\n".join([*lines, *([""] if below else []), *below, ""])


def _bar(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    for character in "\\|*<":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
