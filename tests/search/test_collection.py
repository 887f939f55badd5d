"""Collection: adding, changing, asking, and the space it remembers."""

import random
import threading

import numpy as np
import pytest

from efive import Collection, Document, Encoder
from efive.errors import CollectionError, CollectionNotFoundError, InputError, SpaceMismatchError

ANIMALS = [
    Document("cat", "The cat sleeps on the warm roof.", {"legs": 4, "kind": "mammal", "tags": ["pet", "small"]}),
    Document("eagle", "An eagle circles above the valley.", {"legs": 2, "kind": "bird", "wild": True}),
    Document("snake", "A snake sheds its skin in spring.", {"legs": 0, "wild": True}),
]
LONG = " ".join(f"Sentence number {n} says something about dogs." for n in range(40))


@pytest.fixture
def animals(collection):
    collection.add(ANIMALS)
    return collection


def names(hits):
    return [hit.document for hit in hits]


@pytest.mark.parametrize("mode", ["hybrid", "dense", "text"])
def test_a_passage_finds_itself(animals, mode):
    for document in ANIMALS:
        hit = animals.search(document.text, 1, mode=mode)[0]
        assert hit.document == document.id
        assert hit.passage.text == document.text
        assert (hit.passage.start, hit.passage.end, hit.passage.line) == (0, len(document.text), 1)
        assert hit.passage.metadata == document.metadata


def test_the_cosine_is_the_encoders(animals, encoder):
    hit = animals.search("cats on roofs", 1, where="kind = 'mammal'")[0]
    query = encoder.embed_queries(["cats on roofs"]).vectors[0]
    passage = encoder.embed_passages([ANIMALS[0].text]).vectors[0]
    assert hit.cosine == pytest.approx(float(query @ passage), abs=2e-3)  # float16 on the disk


def test_highlights_are_the_words_of_the_question(animals):
    hit = animals.search("roof", 1, mode="text")[0]
    assert [hit.passage.text[start:end] for start, end in hit.highlights] == ["roof"]


def test_where_no_word_matches_the_best_sentence_is_highlighted(collection):
    text = "Sleep is good. Cats like fish."
    collection.add([Document("a", text)])
    hit = collection.highlight("zzz", collection.search("zzz", 1))[0]
    assert [text[start:end] for start, end in hit.highlights] in (["Sleep is good."], ["Cats like fish."])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("legs >= 2", {"cat", "eagle"}),
        ({"legs": {"$gte": 2}}, {"cat", "eagle"}),
        ("wild = true", {"eagle", "snake"}),
        ("not exists(kind)", {"snake"}),
        ("tags has 'pet'", {"cat"}),
        ("nothing = 1", set()),
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "dense", "text"])
def test_filters_hold_in_every_mode(animals, where, expected, mode):
    assert set(names(animals.search("the cat eagle snake in", 10, where=where, mode=mode))) == expected


def test_pages_follow_each_other(collection):
    collection.add(Document(f"d{n}", f"Sentence number {n} about dogs.") for n in range(25))
    for mode in ("hybrid", "dense", "text"):
        whole = names(collection.search("sentence about dogs", 25, mode=mode))
        assert len(set(whole)) == 25
        pages = [collection.search("sentence about dogs", 10, offset=start, mode=mode) for start in (0, 10, 20)]
        assert [name for page in pages for name in names(page)] == whole
        assert [hit.rank for page in pages for hit in page] == list(range(1, 26))


def test_a_document_is_ranked_by_its_best_passage(collection, encoder):
    collection.add([Document("long", LONG), Document("short", "Dogs bark.")])
    query = "Sentence number 17 says something about dogs."
    hits = collection.search(query, 10, mode="dense")
    assert sorted(names(hits)) == ["long", "short"]
    long = next(hit for hit in hits if hit.document == "long")
    asked = encoder.embed_queries([query]).vectors[0]
    best = max(float(v @ asked) for entry in collection.entries() if entry.document.id == "long" for v in entry.vectors)
    assert long.cosine == pytest.approx(best, abs=2e-3)


def test_documents_of_many_passages_do_not_crowd_out_the_others(collection):
    collection.add([Document("book", " ".join([LONG] * 30)), *(Document(f"d{n}", f"Note {n}.") for n in range(5))])
    assert len(collection.search("Sentence number says something about dogs", 6)) == 6


def test_near_duplicates_can_be_left_out(collection):
    texts = ["Dogs bark at night.", "Dogs bark at night!", "The tide rises twice a day in most harbours."]
    collection.add(Document(str(n), text) for n, text in enumerate(texts))
    assert len(collection.search("dogs", 10)) == 3
    kept = names(collection.search("dogs", 10, unique=0.98))
    assert "2" in kept
    assert len(kept) == 2


def test_many_near_duplicates_do_not_crowd_out_the_others(collection):
    same = "How to boil an egg: put it into water for ten minutes."
    collection.add([*(Document(f"same{n}", same) for n in range(150)), Document("soft", "Boil soft eggs six minutes.")])
    for mode in ("hybrid", "dense", "text"):
        assert set(names(collection.search("boil egg", 2, unique=0.99, mode=mode))) > {"soft"}, mode


def test_pages_of_a_large_collection_neither_repeat_nor_leave_out(collection):
    draw = random.Random(1)
    words = [f"word{n}" for n in range(16)]
    collection.add(Document(f"d{n}", " ".join(draw.choices(words, k=draw.randint(4, 12)))) for n in range(600))
    for fusion in ("normalised", "ranks"):
        whole = names(collection.search("word1 word2 word3 word4", 120, fusion=fusion))
        assert len(set(whole)) == 120
        pages = [
            names(collection.search("word1 word2 word3 word4", 10, offset=start, fusion=fusion))
            for start in range(0, 120, 10)
        ]
        assert [name for page in pages for name in page] == whole


def test_adding_again_embeds_only_what_has_changed(animals):
    changed = [ANIMALS[0], Document("eagle", ANIMALS[1].text, {"legs": 3}), Document("snake", "The snake left.")]
    done = animals.add(changed)
    assert (done.new, done.unchanged, done.metadata, done.passages) == (1, 1, 1, 1)
    assert [d.metadata for d in animals.get(["eagle"])] == [{"legs": 3}]
    assert [d.text for d in animals.get(["snake", "cat"])] == ["The snake left.", ANIMALS[0].text]
    assert animals.stats().documents == 3
    assert names(animals.search("x", 10, where="legs = 3")) == ["eagle"]


def test_a_shorter_text_leaves_no_passages_behind(collection):
    collection.add([Document("a", LONG), Document("b", "Other.")])
    assert collection.stats().passages > 5
    collection.add([Document("a", "Short now.")])
    assert collection.stats().passages == 2
    assert collection.search("Sentence number 39", 10, mode="text") == []


def test_of_equal_ids_the_last_one_counts(collection):
    done = collection.add([Document("a", "First text."), Document("a", "Second text.")])
    assert done.new == 1
    assert collection.get(["a"])[0].text == "Second text."


def test_what_is_refused_is_named_and_the_rest_is_stored(collection):
    refused = []
    documents = [Document("a", "Good."), Document("b", " "), Document("c", "Good too.")]
    done = collection.add(documents, refused=refused.append)
    assert [str(error) for error in refused] == ["document 'b' has no text"]
    assert (done.new, done.refused) == (2, 1)


def test_without_a_taker_the_first_refusal_ends_the_call_after_what_came_before(collection):
    with pytest.raises(InputError, match="'b' has no text"):
        collection.add([Document("a", "Good."), Document("b", " "), Document("c", "Never seen.")])
    assert sorted(collection.ids()) == ["a"]


def test_update_changes_text_or_metadata(animals):
    animals.update("cat", metadata={"legs": 3})
    animals.update("snake", text="A new text entirely.")
    assert animals.get(["cat"])[0] == Document("cat", ANIMALS[0].text, {"legs": 3}, [], [])
    assert animals.search("new text entirely", 1, mode="text")[0].document == "snake"
    assert animals.get(["snake"])[0].metadata == ANIMALS[2].metadata
    with pytest.raises(InputError, match="no document 'dog'"):
        animals.update("dog", text="x")


def test_delete_by_id_and_by_condition(animals):
    assert animals.delete(["cat", "nobody"]) == 1
    assert animals.delete(where="wild = true") == 2
    assert animals.stats().documents == 0
    assert animals.search("cat", 10) == []
    with pytest.raises(InputError, match="either ids or a condition"):
        animals.delete()


@pytest.mark.parametrize("where", ["", " ", {}])
def test_an_empty_condition_deletes_nothing(animals, where):
    with pytest.raises(InputError, match="would remove everything"):
        animals.delete(where=where)
    assert animals.stats().documents == 3


def test_ids_that_are_one_text_or_none(animals):
    for call in (animals.get, animals.delete):
        with pytest.raises(InputError, match="ids is one str"):
            call("cat")
        with pytest.raises(InputError, match="lone surrogate"):
            call(["\udcff"])


def test_what_one_thread_has_begun_another_one_closes(collection, encoder):
    writer = threading.Thread(target=collection.add, args=(ANIMALS,))
    writer.start()
    writer.join()
    collection.close()
    with Collection.open(collection.path, encoder) as other:
        assert other.add([Document("dog", "Dogs bark.")]).new == 1


@pytest.mark.parametrize("vectors", ["float32", "float16", "int8", "binary"])
def test_every_kind_of_vector_finds(tmp_path, encoder, vectors):
    texts = [document.text for document in ANIMALS]
    with Collection.open(tmp_path / "c", encoder, vectors=vectors) as collection:
        collection.add(Document(str(n), text) for n, text in enumerate(texts))
        found = [collection.search(text, 1, mode="dense")[0] for text in texts]
    assert names(found) == ["0", "1", "2"]
    with Collection.open(tmp_path / "c", encoder) as again:
        assert again.stats().vectors == vectors
        assert names(again.search(texts[2], 1, mode="dense")) == ["2"]


def test_metadata_of_several_types_in_one_field(collection):
    values = ["2000", 2000, 2000.5, True, ["2000", "x"], None]
    documents = [Document(str(n), "Text.", {} if v is None else {"year": v}) for n, v in enumerate(values)]
    collection.add(documents)
    assert sorted(collection.ids("year = 2000")) == ["1"]
    assert sorted(collection.ids("year = '2000'")) == ["0", "4"]
    assert sorted(collection.ids("year > 1999")) == ["1", "2"]
    assert sorted(collection.ids("not exists(year)")) == ["5"]
    assert {d.id: d.metadata for d in collection.get(list("012345"))} == {d.id: d.metadata for d in documents}


def test_nested_metadata_and_odd_names(collection):
    metadata = {"a.b": 1, "c": {"d": "x"}, "with space": "y", "tick`": 2, "日本": "z", "quote'": "it's"}
    collection.add([Document("a", "Text.", metadata)])
    for where in ("`a.b` = 1", "c.d = 'x'", "`with space` = 'y'", "日本 = 'z'", "`quote'` = \"it's\""):
        assert list(collection.ids(where)) == ["a"], where
    assert collection.get(["a"])[0].metadata == metadata


def test_a_new_collection_is_made_by_the_first_document(tmp_path, encoder):
    with pytest.raises(CollectionNotFoundError, match=r"no collection at .*efive index"):
        Collection.open(tmp_path / "c", encoder, create=False)
    with Collection.open(tmp_path / "c", encoder) as collection:
        with pytest.raises(CollectionNotFoundError):
            collection.search("x")
        collection.add([])
        assert collection.stats().documents == 0
        assert collection.search("x") == []


def test_another_model_is_refused_with_the_way_out(animals, tiny_models, tmp_path):
    with (
        Encoder.load(tiny_models["xlm-roberta"], precision="fp32") as other,
        pytest.raises(SpaceMismatchError, match=r"the weights .* differ.* `efive migrate"),
    ):
        Collection.open(tmp_path / "notes", other)


def test_full_text_needs_no_encoder(animals, tmp_path):
    animals.close()
    with Collection.open(tmp_path / "notes") as plain:
        assert names(plain.search("eagle", mode="text")) == ["eagle"]
        with pytest.raises(InputError, match="needs an encoder"):
            plain.search("eagle")
        with pytest.raises(InputError, match="needs an encoder"):
            plain.add(ANIMALS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"k": 9_000, "offset": 2_000}, "both together at most 10000"),
        ({"mode": "magic"}, "no mode 'magic'; the modes are hybrid, dense, text"),
        ({"fusion": "magic"}, "no fusion 'magic'"),
        ({"unique": 2.0}, "unique is 2.0"),
        ({"limit": 3}, "no option 'limit'"),
        ({"where": "year >"}, "column"),
    ],
)
def test_options_that_cannot_be_used_are_named(animals, options, says):
    with pytest.raises(InputError, match=says):
        animals.search("x", **options)


def test_an_empty_query_and_an_address_that_is_no_folder(animals, encoder):
    with pytest.raises(InputError, match="query is empty"):
        animals.search(" ")
    with pytest.raises(InputError, match="s3://bucket/x: a collection is a folder"):
        Collection.open("s3://bucket/x", encoder)


def test_confidence_needs_a_calibration(animals):
    assert animals.search("cat", 1)[0].confidence is None
    with pytest.raises(CollectionError, match="not calibrated"):
        animals.search("cat", min_confidence=0.5)


def test_confidence_is_about_vectors(collection):
    collection.add(Document(f"d{n}", f"Sentence {n} about {n * 7} stones and the number {n * n}.") for n in range(60))
    assert collection.calibrate() is not None
    hits = collection.search("a warm roof", 60, mode="dense")
    certain = [hit.confidence for hit in hits]
    assert certain[0] > certain[20]
    least = (certain[0] + certain[20]) / 2
    sure = {hit.document for hit in hits if hit.confidence > least}
    for mode in ("dense", "hybrid"):
        assert set(names(collection.search("a warm roof", 60, mode=mode, min_confidence=least))) == sure
    with pytest.raises(InputError, match="mode text has no confidence"):
        collection.search("a warm roof", mode="text", min_confidence=0.0)


def test_a_collection_that_has_become_too_small_is_not_calibrated(collection, encoder):
    collection.add(Document(f"d{n}", f"Sentence {n} about {n * 7} stones and the number {n * n}.") for n in range(60))
    assert collection.calibrate() is not None
    collection.delete([f"d{n}" for n in range(50)])
    assert collection.calibrate() is None
    with Collection.open(collection.path, encoder) as again:
        assert again.stats().calibration is None


def test_export_comes_back_by_index(animals, tmp_path, encoder):
    from efive.search.indexing import Watcher, index

    for name in ("out.jsonl", "out.parquet"):
        assert animals.export(tmp_path / name, vectors=name.endswith("jsonl")) == 3
    for name in ("out.jsonl", "out.parquet"):
        with Collection.open(tmp_path / name.replace(".", "-"), encoder) as again:
            index(again, [tmp_path / name], Watcher(pytest.fail))
            assert {d.split("#")[1] for d in again.ids()} == {"cat", "eagle", "snake"}
    with pytest.raises(InputError, match=r"end its name in \.jsonl or \.parquet"):
        animals.export(tmp_path / "out.csv")


def test_the_same_documents_one_by_one_or_at_once(tmp_path, encoder):
    with Collection.open(tmp_path / "a", encoder) as one, Collection.open(tmp_path / "b", encoder) as other:
        one.add(ANIMALS)
        for document in ANIMALS:
            other.add([document])
        other.rebuild()
        for mode in ("hybrid", "dense", "text"):
            found = [c.search("the cat sheds its skin", 3, mode=mode) for c in (one, other)]
            assert names(found[0]) == names(found[1])
            assert np.allclose([h.score for h in found[0]], [h.score for h in found[1]], atol=1e-4)
