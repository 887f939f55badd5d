"""The one entry point: what lies at an address, as tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats import beir, bitext, labels, own, reranking, sts, trec
from efive.evaluation.formats.choice import Choice
from efive.evaluation.formats.files import LINES, TABLES, Record, parted, records
from efive.evaluation.tasks import Task

Open = Callable[[Path, Choice], list[Task]]
CROSSED = "@"
"""Between the folder of the questions and that of the passages."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to keep a task on disk."""

    kinds: tuple[str, ...]
    """Names by which a user may ask for it, its own first."""
    opens: Open
    folder: Callable[[Path], bool] | None = None
    """Says whether a folder is in this form."""
    record: Callable[[Record], bool] | None = None
    """Says whether a file is in this form, by its first record."""


# The order decides where several would do.
FORMS = (
    Form(("mrtydi", "retrieval"), trec.open_mrtydi, trec.sees_mrtydi),
    Form(("miracl", "retrieval"), trec.open_miracl, trec.sees_miracl),
    Form(("beir", "retrieval"), beir.open_folder, beir.sees),
    Form(("own", "retrieval"), own.open_folder, own.sees_folder),
    Form(("tatoeba", "bitext"), bitext.open_tatoeba, bitext.sees_tatoeba),
    Form(("ntrex", "bitext"), bitext.open_ntrex, bitext.sees_ntrex),
    Form(("flores", "bitext"), bitext.open_flores, bitext.sees_flores),
    Form(("classification",), labels.open_classification, labels.sees_split),
    Form(("sts", "similarity"), sts.open_folder, sts.sees_folder),
    Form(("reranking",), reranking.open_file, record=reranking.sees_record),
    Form(("pairs", "own", "retrieval"), own.open_file, record=own.sees_record),
    Form(("sts", "similarity"), sts.open_file, record=sts.sees_record),
    Form(("translations", "bitext"), bitext.open_file, record=bitext.sees_record),
    Form(("clustering",), labels.open_clustering, labels.sees_test, labels.sees_record),
)
KINDS = tuple(dict.fromkeys(kind for form in FORMS for kind in form.kinds))


def open_task(
    address: str | Path,
    *,
    kind: str | None = None,
    language: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    documents: int | None = None,
    seed: int = 0,
) -> list[Task]:
    """Open the tasks that lie at an address.

    Args:
        address: A folder or file in a known form, a folder of such folders, or `A@B`: the questions of folder A on
            the passages of folder B beside it.
        kind: One of `KINDS`, where the files do not tell their form.
        language: Of the data, where its name does not tell it. Where there are several, which one to take: `fra` for
            French with English, `fra-deu` for a pair, `all` for every pair.
        split: Which split; default the published one, else test, dev or the first.
        limit: At most so many queries, or pairs or texts that are measured, drawn at random.
        documents: At most so many documents: all judged ones, and others drawn at random.
        seed: Of what is drawn.

    Raises:
        InputError: naming the file and the line that cannot be used, or what is missing.
    """
    choice = Choice(language, split, limit, documents, seed)
    if kind is not None and kind not in KINDS:
        raise InputError(f"no kind {kind!r} of task; the kinds are {', '.join(KINDS)}")
    path = Path(address)
    if not path.exists() and CROSSED in str(address):
        return [beir.open_crossed(*_crossed(str(address)), choice)]
    if not path.exists():
        raise InputError(f"{path} does not exist; name a folder or a file of a task")
    return _open_folder(path, kind, choice) if path.is_dir() else _open_file(path, kind, choice)


def _crossed(address: str) -> tuple[Path, Path]:
    """Return the two folders of an address `A@B`."""
    first, _, second = address.rpartition(CROSSED)
    beside = Path(first).parent / second
    folders = Path(first), beside if beside.is_dir() else Path(second)
    for folder, given in zip(folders, (first, second), strict=True):
        if not given or not folder.is_dir():
            raise InputError(f"{address}: {given!r} is no folder; QUESTIONS@PASSAGES are two folders beside each other")
    return folders


def _open_folder(folder: Path, kind: str | None, choice: Choice) -> list[Task]:
    wanted = [form for form in FORMS if form.folder and (kind is None or kind in form.kinds)]
    for form in wanted:
        if form.folder and form.folder(folder):
            return form.opens(folder, choice)
    if kind is not None and len(wanted) == 1:
        return wanted[0].opens(folder, choice)  # which says what is missing
    if tasks := _below(folder, kind, choice):
        return tasks
    raise InputError(
        f"{folder} holds no {kind or 'task'} in a form that efive knows: corpus.jsonl, queries.jsonl and qrels/; "
        "queries, passages and relevance; train and test; tables of sentences; or name one file"
    )


def _below(folder: Path, kind: str | None, choice: Choice) -> list[Task]:
    """Return the tasks of a folder's folders, or those of its only file."""
    tasks: list[Task] = []
    for place in sorted(each for each in folder.iterdir() if each.is_dir()):
        if any(form.folder and form.folder(place) for form in FORMS if kind is None or kind in form.kinds):
            tasks += _open_folder(place, kind, choice)
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and parted(file)[1] in (*LINES, *TABLES)]
    if not tasks and len(files) == 1:
        return _open_file(files[0], kind, choice)
    return tasks


def _open_file(file: Path, kind: str | None, choice: Choice) -> list[Task]:
    if parted(file)[1] not in (*LINES, *TABLES):
        raise InputError(f"{file}: a task in one file is {', '.join((*LINES, *TABLES))}, packed with .gz or .xz or not")
    wanted = [form for form in FORMS if form.record and (kind is None or kind in form.kinds)]
    if not wanted:
        raise InputError(f"{file}: a task of kind {kind} is a folder; name the folder")
    if kind is not None and len(wanted) == 1:
        return wanted[0].opens(file, choice)
    first = next(records(file, sts.COLUMNS), None)  # no other table can be told without a header
    if first is None:
        raise InputError(f"{file} is empty")
    for form in wanted:
        if form.record and form.record(first):
            return form.opens(file, choice)
    have = ", ".join(map(str, first.values))
    raise InputError(
        f"{file}: its first record has {have[:200] or 'nothing'}; a task in one file has query and passage (or "
        "positives), query, positive and negative, sentence1, sentence2 and score, or text and label"
    )
