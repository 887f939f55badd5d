"""What each form reads as, what is drawn from it, and the stated outcome of everything that can be wrong with one."""

import gzip
import json
import lzma
from pathlib import Path

import pytest

from efive.errors import InputError
from efive.evaluation.formats import open_task
from efive.evaluation.formats.known import known, language_of
from efive.evaluation.tasks import kind_of

PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


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


@pytest.fixture
def folder(tmp_path):
    """Write files below a folder of that name."""

    def write(name: str, files: dict[str, bytes]) -> Path:
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
        return tmp_path / name

    return write


def only(tasks):
    assert len(tasks) == 1
    return tasks[0]


def names(tasks):
    return [task.about.name for task in tasks]


# --- retrieval ---------------------------------------------------------------------------------------------------


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


# --- sampling and digests ----------------------------------------------------------------------------------------


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


# --- sentences ---------------------------------------------------------------------------------------------------


def test_tatoeba(folder):
    files = {
        "tatoeba.fra-eng.fra": "Un.\u2028Encore.\nDeux.\r\n".encode(),
        "tatoeba.fra-eng.eng": b"One.\nTwo.\n",
        "tatoeba.deu-eng.deu": b"Eins.",
        "tatoeba.deu-eng.eng": b"One.",
    }
    place = folder("tatoeba", files)
    deu, fra = open_task(place)
    assert (deu.about.name, fra.about.name) == ("tatoeba.deu-eng", "tatoeba.fra-eng")
    assert (fra.left, fra.right) == (["Un.\u2028Encore.", "Deux."], ["One.", "Two."])
    assert fra.about.language == "fra-eng"
    assert fra.about.measures[:2] == ("f1", "accuracy")
    assert names(open_task(place, language="fra")) == ["tatoeba.fra-eng"]
    half = only(open_task(place, language="fra", limit=1))
    assert (len(half.left), len(half.right)) == (1, 1)
    assert "1 of 2 pairs" in half.about.sampled
    with pytest.raises(InputError, match="nothing in language 'spa'; its languages: deu, fra"):
        open_task(place, language="spa")
    (place / "tatoeba.deu-eng.eng").write_bytes(b"One.\nTwo.\n")
    with pytest.raises(InputError, match=r"deu has 1 lines and .*eng has 2; line i of one must translate line i"):
        open_task(place)
    (place / "tatoeba.deu-eng.eng").unlink()
    with pytest.raises(InputError, match="eng is missing"):
        open_task(place)


def test_flores_in_one_file_a_language(folder):
    place = folder("flores", {f"{code}.txt": code.encode() for code in ("deu_Latn", "eng_Latn", "fra_Latn")})
    assert names(open_task(place)) == ["flores.deu_Latn-eng_Latn", "flores.fra_Latn-eng_Latn"]
    assert names(open_task(place, language="fra")) == ["flores.fra_Latn-eng_Latn"]
    assert len(open_task(place, language="all")) == 3
    pair = only(open_task(place, language="fra-deu"))
    assert (pair.left, pair.right, pair.about.language) == (["fra_Latn"], ["deu_Latn"], "fra-deu")
    (place / "eng_Latn.txt").unlink()
    with pytest.raises(InputError, match="has no English; choose a pair as the language, such as deu_Latn-fra_Latn"):
        open_task(place)


def test_flores_as_it_was_published(folder):
    files = {f"{split}/{code}.{split}": split.encode() for split in ("dev", "devtest") for code in ("eng", "fra")}
    place = folder("flores101_dataset", files)
    assert only(open_task(place)).left == ["devtest"]
    assert only(open_task(place, split="dev")).left == ["dev"]


def test_notes_are_no_flores(folder):
    with pytest.raises(InputError, match="holds no task"):
        open_task(folder("notes", {"faq.txt": b"a", "log.txt": b"b"}))


def test_ntrex(folder):
    refs = ("ref.fra", "ref.fra-CA", "ref.eng-GB", "ref-2.spa", "src.eng")
    place = folder("NTREX", {f"NTREX-128/newstest2019-{ref}.txt": ref.encode() for ref in refs})
    tasks = open_task(place)
    assert names(tasks) == ["ntrex.fra-eng", "ntrex.fra_CA-eng"]
    assert [task.about.language for task in tasks] == ["fra-eng", "fra-eng"]
    assert tasks[1].left == ["ref.fra-CA"]
    assert tasks[1].right == ["src.eng"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("stsb_de_dev.tsv", b'5.0\tEin "Hund.\tHund.\n0\tHaus.\tBaum.\n'),
        ("stsb_de_dev.tsv", b'sentence1\tsentence2\tscore\nEin "Hund.\tHund.\t5.0\nHaus.\tBaum.\t0\n'),
        ("stsb_de_dev.csv", b'"Score",sentence1,sentence2\n5,"Ein ""Hund.",Hund.\n0,Haus.,Baum.\n'),
        (
            "stsb_de_dev.jsonl",
            jsonl(
                {"sentence1": 'Ein "Hund.', "sentence2": "Hund.", "score": 5},
                {"sentence1": "Haus.", "sentence2": "Baum.", "score": 0},
            ),
        ),
    ],
)
def test_sts(folder, name, content):
    place = folder("sts", {name: content})
    task = only(open_task(place))
    assert task.pairs == [('Ein "Hund.', "Hund."), ("Haus.", "Baum.")]
    assert task.judged == [5.0, 0.0]
    assert (task.about.name, task.about.language, task.about.measures[0]) == ("stsb_de_dev", "de", "spearman")
    assert only(open_task(place / name)).about == task.about


def test_sts_says_what_is_wrong(folder):
    place = folder("sts", {"a.tsv": b"5\tx\ty\n4\tx\n", "b.tsv": b"5\tx\ty\nnan\tx\ty\n", "c.tsv": b"5\tx\ty\n"})
    for name, message in (
        ("a", r"a.tsv, line 2: 2 columns where 3"),
        ("b", "line 2: field 'score'"),
        ("c", "one score"),
    ):
        with pytest.raises(InputError, match=message):
            open_task(place / f"{name}.tsv")


# --- labels and candidates ---------------------------------------------------------------------------------------


def test_classification_and_clustering(folder):
    train = b"great film\tpositive\ndull\tnegative\n"
    test = jsonl({"text": "fine", "label": "positive"}, {"text": "bad", "label": "negative"})
    place = folder("films", {"train.tsv": train, "test.jsonl": test})
    task = only(open_task(place))
    assert task.train == [("great film", "positive"), ("dull", "negative")]
    assert task.test == [("fine", "positive"), ("bad", "negative")]
    assert task.about.measures == ("accuracy", "f1")
    for clusters in (open_task(place, kind="clustering"), open_task(place / "test.jsonl")):
        assert (only(clusters).texts, only(clusters).labels) == (["fine", "bad"], ["positive", "negative"])
    (place / "test.jsonl").write_bytes(test + jsonl({"text": "odd", "label": "mixed"}))
    with pytest.raises(InputError, match=r"has the label 'mixed', which train.tsv never shows"):
        open_task(place)


def test_reranking(folder):
    lines = jsonl(
        {"query": "q", "positive": ["a", "b"], "negative": ["c", "a"]},
        {"query": "r", "positive": [], "negative": ["d"]},
    )
    task = only(open_task(folder("rank", {"test.jsonl": lines}) / "test.jsonl"))
    assert kind_of(task) == "reranking"
    assert task.candidates == {"0": {"0.0": "a", "0.1": "b", "0.2": "c"}}
    assert task.judged == {"0": {"0.0": 1, "0.1": 1}}
    assert task.about.sampled == "1 queries without positive or negative candidates left out"


def test_translations_in_one_file(folder):
    file = folder("bitext", {"x.jsonl": jsonl({"sentence1": "Hund", "sentence2": "dog"})}) / "x.jsonl"
    assert only(open_task(file)).right == ["dog"]


# --- finding -----------------------------------------------------------------------------------------------------


def test_a_folder_of_folders(folder, tmp_path):
    folder("data/one", BEIR)
    folder("data/tatoeba", {"tatoeba.fra-eng.fra": b"Un.", "tatoeba.fra-eng.eng": b"One."})
    folder("data/other", {"notes.txt": b"nothing"})
    assert names(open_task(tmp_path / "data")) == ["one", "tatoeba.fra-eng"]
    assert names(open_task(tmp_path / "data", kind="bitext")) == ["tatoeba.fra-eng"]


def test_what_cannot_be_found_is_said(folder, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_task(tmp_path / "gone")
    with pytest.raises(InputError, match="no kind 'rank' of task; the kinds are mrtydi"):
        open_task(folder("a", BEIR), kind="rank")
    with pytest.raises(InputError, match="holds no task in a form that efive knows"):
        open_task(folder("b", {"notes.txt": b""}))
    with pytest.raises(InputError, match=r"needs train.jsonl and test.jsonl"):
        open_task(folder("c", BEIR), kind="classification")
    with pytest.raises(InputError, match="its first record has name, price; a task in one file has"):
        open_task(folder("d", {"x.jsonl": jsonl({"name": "x", "price": 1})}) / "x.jsonl")
    with pytest.raises(InputError, match=r"notes.txt: a task in one file is .jsonl"):
        open_task(folder("e", {"notes.txt": b""}) / "notes.txt")
    with pytest.raises(InputError, match="a task of kind tatoeba is a folder"):
        open_task(folder("f", {"x.jsonl": b"{}"}) / "x.jsonl", kind="tatoeba")


@pytest.mark.parametrize(
    ("name", "language", "source"),
    [
        ("tydiqa_dev_ko", "ko", "TyDi QA"),
        ("mrtydi-v1.1-arabic", "ar", "mrtydi-v1.1-arabic"),
        ("climate-fever", "en", "Climate-FEVER"),
        ("NanoFEVER", "en", "FEVER"),
        ("my_pairs", "", "my_pairs"),
    ],
)
def test_names_of_sets(name, language, source):
    assert language_of(name) == language
    assert known(name).sources[0] == source


def test_ids_are_dropped_where_mteb_drops_them():
    dropped = {"arguana", "fever", "fiqa", "msmarco", "quora"}
    kept = {"climate-fever", "cqadupstack", "hotpotqa", "nfcorpus", "nq", "scidocs", "scifact", "trec-covid"}
    assert {name for name in dropped | kept if known(name).drop_same_id} == dropped
