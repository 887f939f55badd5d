"""What each form of a retrieval task reads as, and the stated outcome of everything that can be wrong with one."""

import gzip
import lzma

import pytest
from task_files import BEIR, DOCUMENTS, QRELS, QUERIES, TEXTS, jsonl, names, only

from efive.errors import InputError
from efive.evaluation.formats import open_task

PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("packed", PACK)
def test_beir(folder, packed):
    task = only(open_task(folder("xquad_es", {name + packed: PACK[packed](data) for name, data in BEIR.items()})))
    assert list(task.corpus()) == TEXTS == list(task.corpus())  # it can be read again
    assert task.documents == 3
    assert task.queries == {"1": "where does tea grow?", "2": "what needs yeast?"}
    assert task.judged == {"1": {"a": 2}, "2": {"b": 1, "c": 0}}
    assert not task.drop_same_id
    assert (task.about.name, task.about.language) == ("xquad_es", "es")
    assert task.about.measures[0] == "ndcg_at_10"
    assert task.about.sources == ("XQuAD", "SQuAD")
    assert not task.about.sampled


def test_the_split_is_test_unless_another_is_published_or_asked_for(folder):
    splits = {f"qrels/{split}.tsv": b"1\ta\t1\n" for split in ("dev", "test", "train")}
    files = {"corpus.jsonl": DOCUMENTS, "queries.jsonl": QUERIES} | splits
    assert names(open_task(folder("nfcorpus", files))) == ["nfcorpus"]
    assert names(open_task(folder("nfcorpus", files), split="train")) == ["nfcorpus:train"]
    marco = only(open_task(folder("msmarco", files)))
    assert marco.about.name == "msmarco"
    assert "dev split" in marco.about.protocol
    assert marco.drop_same_id
    assert names(open_task(folder("msmarco", files), split="test")) == ["msmarco:test"]
    with pytest.raises(InputError, match=r"no qrels/eval.tsv; its splits: dev, test, train"):
        open_task(folder("nfcorpus", files), split="eval")


def test_questions_of_one_folder_on_passages_of_another(folder, tmp_path):
    folder("xquad_es", BEIR | {"queries.jsonl": jsonl({"_id": "1", "text": "¿té?"}, {"_id": "2", "text": "¿pan?"})})
    folder("xquad_en", BEIR)
    task = only(open_task(f"{tmp_path}/xquad_es@xquad_en"))
    assert (task.about.name, task.about.language) == ("xquad_es@xquad_en", "es-en")
    assert task.queries["1"] == "¿té?"
    assert list(task.corpus()) == TEXTS
    assert task.about.digest != only(open_task(tmp_path / "xquad_en@xquad_es")).about.digest
    with pytest.raises(InputError, match="'xquad_de' is no folder"):
        open_task(tmp_path / "xquad_es@xquad_de")


def test_the_two_folders_may_lie_anywhere(folder, tmp_path, monkeypatch):
    folder("here/xquad_es", BEIR)
    folder("there/below/xquad_en", BEIR)
    monkeypatch.chdir(tmp_path)
    absolute = only(open_task(f"{tmp_path}/here/xquad_es@{tmp_path}/there/below/xquad_en"))
    mixed = only(open_task(f"here/xquad_es@{tmp_path}/there/below/xquad_en"))
    assert absolute.about == mixed.about
    assert absolute.about.name == "xquad_es@xquad_en"


MRTYDI = {
    "collection/docs.jsonl.gz": gzip.compress(
        jsonl({"id": "7#0", "contents": "Nairobi ni mji."}, {"id": "7#1", "title": "Mlima", "text": "Kenya"})
    ),
    "topic.test.tsv": b"0\tNairobi ni nini?\n",
    "qrels.test.txt": b"0 Q0 7#0 1\n",
    "topic.dev.tsv": b"5\tMlima gani?\n",
    "qrels.dev.txt": b"5\tQ0\t7#1\t1\n",
}


def test_mrtydi(folder):
    place = folder("mrtydi-v1.1-swahili", MRTYDI)
    task = only(open_task(place))
    assert list(task.corpus()) == [("7#0", "Nairobi ni mji."), ("7#1", "Mlima Kenya")]
    assert (task.queries, task.judged) == ({"0": "Nairobi ni nini?"}, {"0": {"7#0": 1}})
    assert task.about.measures == ("mrr_at_100", "mrr_at_10", "recall_at_100", "ndcg_at_10")
    assert (task.about.name, task.about.language) == ("mrtydi_sw", "sw")
    assert only(open_task(place, split="dev")).judged == {"5": {"7#1": 1}}
    with pytest.raises(InputError, match=r"no topic.train.tsv"):
        open_task(place, split="train")


def test_mrtydi_as_it_lies_on_the_hub(folder):
    corpus = {"corpus.jsonl.gz": gzip.compress(jsonl({"docid": "7#0", "title": "Nairobi", "text": "ni mji"}))}
    topics = {"ir-format-data/topics.test.txt": b"0\tnini?\n", "ir-format-data/qrels.test.txt": b"0 Q0 7#0 1\n"}
    task = only(open_task(folder("mrtydi-v1.1-swahili", corpus | topics)))
    assert list(task.corpus()) == [("7#0", "Nairobi ni mji")]
    with pytest.raises(InputError, match=r"no collection/docs.jsonl.gz"):
        open_task(folder("topics", topics))


def miracl(language: str) -> dict[str, bytes]:
    at, corpus = f"miracl-v1.0-{language}", f"miracl-corpus-v1.0-{language}"
    shards = {n: gzip.compress(jsonl({"docid": f"{n}#0", "title": "T", "text": str(n)})) for n in (0, 2, 10)}
    return {
        f"{at}/topics/topics.miracl-v1.0-{language}-dev.tsv": b"3#0\tnini?\n",
        f"{at}/topics/topics.miracl-v1.0-{language}-test-a.tsv": b"9#0\tunjudged\n",
        f"{at}/qrels/qrels.miracl-v1.0-{language}-dev.tsv": b"3#0\tQ0\t10#0\t1\n3#0\tQ0\t2#0\t0\n",
        **{f"{corpus}/docs-{n}.jsonl.gz": data for n, data in shards.items()},
    }


def test_miracl(folder, tmp_path):
    place = folder("miracl", miracl("sw") | miracl("yo"))
    tasks = open_task(place)
    assert [(t.about.name, t.about.language) for t in tasks] == [("miracl_sw", "sw"), ("miracl_yo", "yo")]
    assert [name for name, _ in tasks[0].corpus()] == ["0#0", "2#0", "10#0"]
    assert tasks[0].judged == {"3#0": {"10#0": 1, "2#0": 0}}
    assert tasks[0].about.measures == ("ndcg_at_10", "recall_at_100")
    assert names(open_task(place, language="yo")) == ["miracl_yo"]
    # The corpus may lie beside the topics.
    assert only(open_task(place / "miracl-v1.0-yo")).documents == 3
    with pytest.raises(InputError, match=r"no qrels.miracl-v1.0-sw-test-a.tsv"):
        open_task(place, split="test-a", language="sw")
    with pytest.raises(InputError, match="no data in language 'de'; its languages: sw, yo"):
        open_task(place, language="de")


@pytest.mark.parametrize(
    ("name", "relevance"),
    [
        ("relevance.tsv", b"0\tp\n1\t1\t3\n"),
        ("relevance.tsv", b"query\tpassage\n0\tp\n1\t1\n"),
        ("relevance.csv", b'query,passage,score\n0,"p",1\n1,1,2\n'),
        ("relevance.jsonl", jsonl({"query": 0, "passage": "p"}, {"query": "1", "passage": 1, "relevance": 3})),
    ],
)
def test_a_users_own_files_without_ids(folder, name, relevance):
    files = {
        "queries.jsonl": jsonl({"query": "first?"}, {"text": "second?"}),
        "passages.jsonl": jsonl({"id": "p", "passage": "one"}, {"text": "two"}, {"text": "three"}),
        name: relevance,
    }
    task = only(open_task(folder("mine", files)))
    assert task.queries == {"0": "first?", "1": "second?"}
    assert list(task.corpus()) == [("p", "one"), ("1", "two"), ("2", "three")]
    assert {query: set(grades) for query, grades in task.judged.items()} == {"0": {"p"}, "1": {"1"}}
    assert task.about.sources == ("mine",)


def test_a_file_of_pairs(folder):
    pairs = jsonl(
        {"query": "q1", "passage": "one"},
        {"query": "q2", "positives": ["two", {"title": "T", "text": "three"}], "negatives": ["four"]},
        {"query": "q1", "passage": "two"},
    )
    task = only(open_task(folder("own", {"faq.jsonl": pairs}) / "faq.jsonl"))
    assert list(task.corpus()) == [("p0", "one"), ("p1", "two"), ("p2", "T three"), ("p3", "four")]
    assert task.queries == {"0": "q1", "1": "q2"}
    assert task.judged == {"0": {"p0": 1, "p1": 1}, "1": {"p1": 1, "p2": 1}}
    assert task.documents == 4
    table = folder("table", {"faq.tsv": b"query\tpassage\nq1\tone\n"})
    assert only(open_task(table)).queries == {"0": "q1"}  # the folder's only file


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"corpus.jsonl": DOCUMENTS + b"{\n"}, r"corpus.jsonl, line 4: broken JSON"),
        ({"corpus.jsonl": DOCUMENTS + b'"d"\n'}, r"corpus.jsonl, line 4: .* where a JSON object is needed"),
        ({"corpus.jsonl": DOCUMENTS + jsonl({"_id": "d"})}, r"corpus.jsonl, line 4: no field 'text'"),
        ({"corpus.jsonl": DOCUMENTS + jsonl({"_id": "d", "text": 5})}, r"line 4: field 'text' is 5, not a string"),
        ({"corpus.jsonl": DOCUMENTS + b"\xff\n"}, r"line 4: byte 0"),
        ({"corpus.jsonl": DOCUMENTS + b'{"_id": "d", "text": "\\ud800"}\n'}, r"line 4: .* lone surrogate"),
        ({"corpus.jsonl": DOCUMENTS + DOCUMENTS}, r"line 4: a second document with the id 'a'"),
        ({"corpus.jsonl": b""}, "corpus of x is empty"),
        ({"corpus.jsonl": jsonl({"_id": "z", "text": "z"})}, "3 of the 3 judged documents of x are not in its corpus"),
        ({"queries.jsonl": QUERIES + QUERIES}, r"queries.jsonl, line 3: a second query with the id '1'"),
        ({"queries.jsonl": jsonl({"_id": "1", "text": " "})}, r"line 1: the query '1' is empty"),
        ({"queries.jsonl": jsonl({"_id": "9", "text": "?"})}, "judges none of the 1 queries; the first judges '1'"),
        ({"qrels/test.tsv": QRELS + b"1\n"}, r"test.tsv, line 5: 1 columns"),
        ({"qrels/test.tsv": QRELS + b"1\ta\tmuch\n"}, r"test.tsv, line 5: the relevance is \"much\""),
        ({"qrels/test.tsv": b"1\ta\tmuch\n"}, r"test.tsv, line 1: the relevance"),
        ({"qrels/test.tsv": b"1\ta\t0\n"}, "no query of x has a relevant document"),
        ({"qrels/test.tsv": None}, "has no judgements: qrels/test.tsv"),
        ({"corpus.jsonl": None, "corpus.jsonl.gz": gzip.compress(DOCUMENTS)[:-9]}, r"corpus.jsonl.gz cannot be read"),
        ({"corpus.jsonl.gz": gzip.compress(DOCUMENTS)}, "has both corpus.jsonl and corpus.jsonl.gz"),
    ],
)
def test_what_is_wrong_is_named(folder, changed, message):
    files = {name: data for name, data in (BEIR | changed).items() if data is not None}
    with pytest.raises(InputError, match=message):
        open_task(folder("x", files))


def test_published_judgements_may_be_incomplete_a_users_own_may_not(folder):
    judged = QRELS + b"2\tgone\t1\n8\ta\t1\n"
    assert (
        "1 judged documents are not in the corpus"
        in only(open_task(folder("x", BEIR | {"qrels/test.tsv": judged}))).about.sampled
    )
    own = {"queries.jsonl": QUERIES, "passages.jsonl": DOCUMENTS}
    with pytest.raises(InputError, match=r"relevance.tsv, line 2: there is no query '8'"):
        open_task(folder("y", own | {"relevance.tsv": b"1\ta\t1\n8\ta\t1\n"}))
    with pytest.raises(InputError, match="the first is 'gone'"):
        open_task(folder("z", own | {"relevance.tsv": b"1\ta\t1\n2\tgone\t1\n"}))
