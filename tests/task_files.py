"""Files of evaluation tasks, written by tests: those of formats, drawing and finding share them."""

import json
from collections.abc import Callable
from pathlib import Path

Write = Callable[[str, dict[str, bytes]], Path]


def jsonl(*values) -> bytes:
    return b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values)


DOCUMENTS = jsonl(
    {"_id": "a", "title": "Tea", "text": "grows in Assam."},
    {"_id": "b", "title": "", "text": "Bread needs yeast."},
    {"_id": "c", "text": "Kenya."},
)
QUERIES = jsonl({"_id": "1", "text": "where does tea grow?"}, {"_id": "2", "text": "what needs yeast?"})
QRELS = b"query-id\tcorpus-id\tscore\n1\ta\t2\n2\tb\t1\n2\tc\t0\n"
BEIR = {"corpus.jsonl": DOCUMENTS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS}
TEXTS = [("a", "Tea grows in Assam."), ("b", "Bread needs yeast."), ("c", "Kenya.")]


def writer(root: Path) -> Write:
    """Return what writes files below a folder of that name."""

    def write(name: str, files: dict[str, bytes]) -> Path:
        for path, content in files.items():
            (root / name / path).parent.mkdir(parents=True, exist_ok=True)
            (root / name / path).write_bytes(content)
        return root / name

    return write


def only(tasks):
    assert len(tasks) == 1
    return tasks[0]


def names(tasks):
    return [task.about.name for task in tasks]
