"""What each form of a task on sentences reads as: translations, similarities, labels, candidates."""

import pytest
from task_files import jsonl, names, only

from efive.errors import InputError
from efive.evaluation.formats import open_task
from efive.evaluation.tasks import kind_of


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
