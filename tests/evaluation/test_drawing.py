"""What is drawn from a task's files, and the digest of them."""

import pytest
from task_files import BEIR, QRELS, jsonl, only

from efive.errors import InputError
from efive.evaluation.formats import open_task


@pytest.fixture
def large(folder):
    return folder(
        "large",
        {
            "corpus.jsonl": jsonl(*({"_id": f"d{n}", "text": f"text {n}"} for n in range(100))),
            "queries.jsonl": jsonl(*({"_id": f"q{n}", "text": f"query {n}"} for n in range(20))),
            "qrels/test.tsv": b"".join(b"q%d\td%d\t%d\n" % (n, 2 * n, n > 0) for n in range(20)),
        },
    )


def test_queries_are_drawn_and_documents_stay(large):
    task = only(open_task(large, limit=5, seed=3))
    assert len(task.queries) == 5 == len(task.judged)
    assert task.documents == 100 == len(list(task.corpus()))
    assert task.about.sampled.startswith("1 queries without a relevant document left out; 5 of 19 queries")
    assert "seed 3" in task.about.sampled
    assert task.queries == only(open_task(large, limit=5, seed=3)).queries
    assert task.queries != only(open_task(large, limit=5, seed=4)).queries


def test_documents_are_drawn_around_what_is_judged(large):
    task = only(open_task(large, limit=5, documents=30))
    corpus = dict(task.corpus())
    assert len(corpus) == task.documents == 30
    assert {document for grades in task.judged.values() for document in grades} <= set(corpus)
    assert all(corpus[name] == f"text {name[1:]}" for name in corpus)
    assert "30 of 100 documents: all 5 that are judged" in task.about.sampled
    other = only(open_task(large, limit=5, documents=30, seed=1))
    assert set(dict(other.corpus())) != set(corpus)
    assert only(open_task(large, documents=2)).documents == 19  # never fewer than are judged
    with pytest.raises(InputError, match="limit is 0"):
        open_task(large, limit=0)


def test_the_digest_is_of_names_and_contents(folder):
    def digest(name, changed):
        return only(open_task(folder(name, BEIR | changed))).about.digest

    same = digest("one", {})
    assert digest("two", {"README.md": b"not part of the task"}) == same
    assert digest("three", {"qrels/test.tsv": QRELS.replace(b"2\tc\t0", b"2\tc\t1")}) != same
