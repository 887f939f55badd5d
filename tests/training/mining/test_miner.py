"""Mining: what becomes a negative, what does not, and that a run goes on as if it had not been interrupted."""

import json

import numpy as np
import pytest
import questions

from efive.errors import InputError
from efive.training.data.formats import open_set
from efive.training.mining import miner
from efive.training.mining.choice import Mining, choose
from efive.training.mining.corpus import Survey
from efive.training.mining.miner import mine
from efive.training.mining.scorers import BiEncoderTeacher
from efive.training.mining.stages import Place

WIDE = Mining(negatives=4, from_rank=1, to_rank=10, max_ratio=None)


@pytest.fixture
def pairs(tmp_path):
    return open_set(questions.pair_file(tmp_path))


@pytest.fixture
def indexed(tmp_path):
    return open_set(questions.corpus_folder(tmp_path))


def texts(folder, line, side="negatives"):
    passages = [row["contents"] for row in questions.rows(folder / "passages.jsonl")]
    return [passages[int(row)] for row in line[side]["doc_id"]]


@pytest.mark.parametrize("form", ["pairs", "indexed"])
def test_the_output_is_a_training_set_with_the_same_positives(request, nano, tmp_path, form):
    found = mine([request.getfixturevalue(form)], nano, Place(tmp_path / "out"), WIDE)
    mined = open_set(tmp_path / "out")
    passages = list(mined.passages())
    examples = list(mined.examples())
    assert [(e.query, passages[e.positives[0]], e.language) for e in examples] == questions.PAIRS
    assert all(len(e.negatives) == len(e.negative_scores) == len(set(e.negatives)) for e in examples)
    assert len(passages) == len(set(passages)) == found.passages
    assert set(passages) >= {p for _, p, _ in questions.PAIRS}
    assert ("Eggs keep for three weeks in the refrigerator." in passages) == (form == "indexed")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["mining.json", "passages.jsonl", "train.jsonl"]


def test_scores_are_the_encoder_s_cosines_and_ranks_those_of_its_search(indexed, nano, tmp_path):
    mine([indexed], nano, Place(tmp_path / "out"), Mining(3, 2, 6, None, 0.0, "hardest"))
    lines = questions.rows(tmp_path / "out" / "train.jsonl")
    passages = list(open_set(tmp_path / "out").passages())
    scores = nano.embed_queries([q for q, _, _ in questions.PAIRS]).vectors @ nano.embed_passages(passages).vectors.T
    for line, row in zip(lines, scores, strict=True):
        positive = int(line["positives"]["doc_id"][0])
        order = np.argsort(-row, kind="stable").tolist()
        rank = order.index(positive) + 1
        assert line["rank"] == (rank if rank <= 6 else None)
        order.remove(positive)
        window = [r for r in order[1:6] if row[r] < row[positive]]
        assert [int(r) for r in line["negatives"]["doc_id"]] == window[:3]
        assert line["dropped"] == 5 - len(window)
        assert np.allclose(line["negatives"]["score"], row[window[:3]], atol=1e-3)
        assert np.allclose(line["positives"]["score"], row[positive], atol=1e-3)


def test_statistics_are_those_of_the_output(indexed, nano, tmp_path):
    found = mine([indexed], nano, Place(tmp_path / "out"), Mining(3, 1, 5, 0.9))
    lines = questions.rows(tmp_path / "out" / "train.jsonl")
    counts = [len(line["negatives"]["doc_id"]) for line in lines]
    assert (found.full, found.fewer, found.none) == (counts.count(3), sum(0 < c < 3 for c in counts), counts.count(0))
    assert found.queries == len(questions.PAIRS) == found.full + found.fewer + found.none
    assert found.dropped == sum(line["dropped"] for line in lines) > 0
    assert found.mrr == pytest.approx(np.mean([1 / line["rank"] if line["rank"] else 0 for line in lines]))
    assert found.negative_score == pytest.approx(np.mean([s for line in lines for s in line["negatives"]["score"]]))
    assert found.negative_score < found.positive_score
    noted = json.loads((tmp_path / "out" / "mining.json").read_text())
    assert noted["statistics"]["dropped"] == found.dropped


def test_a_marked_answer_is_never_a_negative(nano, tmp_path):
    """Neither as another row of the same text, nor as the positive of the same query on another line."""
    query, answer = questions.PAIRS[0][:2]
    other = "Boil an egg for five minutes if it shall be soft."
    records = [
        {"query": query, "passage": answer},
        {"query": query, "passage": other},
        {"query": "another question", "passage": "something else", "negatives": [f"  {answer} ", "a third thing"]},
    ]
    file = questions.jsonl(tmp_path / "pairs.jsonl", records)
    mine([open_set(file)], nano, Place(tmp_path / "out"), Mining(3, 1, 3, None, 0.0, "hardest"))
    lines = questions.rows(tmp_path / "out" / "train.jsonl")
    for line in lines[:2]:
        found = texts(tmp_path / "out", line)
        assert set(found) <= {"something else", "a third thing"}
        assert len(found) + line["dropped"] == 2
    assert len(questions.rows(tmp_path / "out" / "passages.jsonl")) == 4


def test_false_negatives_are_dropped(nano, tmp_path):
    """A rewording of the answer that nobody marked scores a little less than the answer, and is one all the same."""
    query, answer, _ = questions.PAIRS[2]
    reworded = "Find the hole, sand the rubber around it, add glue, and press a patch on."
    records = [{"query": query, "passage": answer, "negatives": [reworded, *questions.EXTRA]}]
    data = open_set(questions.jsonl(tmp_path / "pairs.jsonl", records))
    limits = {"none": (None, 0.0), "ratio": (0.95, 0.0), "margin": (None, 0.03)}
    for name, (ratio, margin) in limits.items():
        found = mine([data], nano, Place(tmp_path / name), Mining(9, 1, 9, ratio, margin, "hardest"))
        (line,) = questions.rows(tmp_path / name / "train.jsonl")
        expected = set(questions.EXTRA) | ({reworded} if name == "none" else set())
        assert set(texts(tmp_path / name, line)) == expected
        assert line["dropped"] == found.dropped == (name != "none")


@pytest.mark.parametrize(
    ("positive", "ratio", "margin", "left"),
    [
        (0.8, None, 0.0, [0.79, 0.75, 0.4, -0.1]),
        (0.8, 0.95, 0.0, [0.75, 0.4, -0.1]),
        (0.8, None, 0.3, [0.4, -0.1]),
        (0.8, 0.95, 0.3, [0.4, -0.1]),
        (0.8, 0.4, 0.3, [-0.1]),
        (-0.05, 0.95, 0.0, [-0.1]),
        (-0.1, 0.95, 0.0, []),
    ],
)
def test_the_limit_is_the_stricter_of_ratio_and_margin(positive, ratio, margin, left):
    scores = np.array([0.85, 0.8, 0.79, 0.75, 0.4, -0.1], dtype=np.float32)
    chosen, dropped = choose(scores, np.float32(positive), Mining(7, 1, 9, ratio, margin, "hardest"), 0)
    assert scores[chosen].tolist() == pytest.approx(left)
    assert dropped == len(scores) - len(left)


def test_the_random_choice_depends_on_seed_and_number_alone():
    scores = np.linspace(0.1, 0.5, 90, dtype=np.float32)

    def chosen(seed, number):
        return choose(scores, 0.9, Mining(5, 1, 90, seed=seed), number)[0].tolist()

    assert chosen(0, 0) == chosen(0, 0)
    assert len({tuple(chosen(seed, number)) for seed in range(3) for number in range(3)}) == 9
    drawn = {row for number in range(200) for row in chosen(0, number)}
    assert drawn == set(range(90)), "every candidate has its chance"


def test_same_language_ranks_passages_of_the_positive_s_language_only(pairs, nano, tmp_path):
    mine([pairs], nano, Place(tmp_path / "out"), Mining(4, 1, 4, 1.0, languages="same"))
    language = {passage: lang for _, passage, lang in questions.PAIRS}
    count = {lang: list(language.values()).count(lang) for lang in set(language.values())}
    for line in questions.rows(tmp_path / "out" / "train.jsonl"):
        found = texts(tmp_path / "out", line)
        assert {language[text] for text in found} <= {line["language"]}
        # ranks count within the language: the window is full wherever the language has enough passages
        assert len(found) + line["dropped"] == min(4, count[line["language"]] - 1)


def test_the_passages_language_of_a_crosslingual_pair_is_the_second(nano, tmp_path):
    records = [
        {"query": "a", "passage": "eins", "lang": "en-de"},
        {"query": "b", "passage": "zwei", "lang": "de"},
        {"query": "c", "passage": "three", "lang": "en"},
        {"query": "d", "passage": "unknown"},
    ]
    data = open_set(questions.jsonl(tmp_path / "pairs.jsonl", records))
    survey = Survey([data]).read(lambda _: None)
    corpus = survey.corpus(tmp_path / "p.jsonl")
    codes = survey.languages_of(corpus).tolist()
    assert codes == [survey.languages["de"], survey.languages["de"], survey.languages["en"], 0]


def test_a_bi_encoder_teacher_s_scores_are_written_and_decide(indexed, nano, tmp_path):
    found = {}
    for role, (asked, answered) in {"e5": ("query", "passage"), "raw": ("raw", "raw")}.items():
        mine([indexed], nano, Place(tmp_path / role), WIDE, teacher=BiEncoderTeacher(nano, role))
        vectors = nano.embed(open_set(tmp_path / role).passages(), answered).vectors
        found[role] = questions.rows(tmp_path / role / "train.jsonl")
        for line in found[role]:
            query = nano.embed([line["query"]], asked).vectors[0]
            positive = line["positives"]["score"][0]
            assert positive == pytest.approx(vectors[int(line["positives"]["doc_id"][0])] @ query, abs=1e-3)
            for row, score in zip(*line["negatives"].values(), strict=True):
                assert score == pytest.approx(vectors[int(row)] @ query, abs=1e-3)
                assert score < positive
    assert [line["dropped"] for line in found["e5"]] != [line["dropped"] for line in found["raw"]]


@pytest.mark.parametrize("stop", ["embedding passages", "mining"])
def test_a_run_that_is_interrupted_goes_on_to_the_same_result(pairs, nano, tmp_path, monkeypatch, stop):
    from contextlib import contextmanager

    monkeypatch.setattr(miner, "QUERIES", 4)
    mine([pairs], nano, Place(tmp_path / "whole"), WIDE)

    @contextmanager
    def watch(what, _total, before):
        seen = []

        def done(steps):
            seen.append(steps)
            if what == stop and len(seen) == 2:
                raise KeyboardInterrupt

        yield done

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        mine([pairs], nano, Place(out), WIDE, watch=watch)
    assert not (out / "train.jsonl").exists()
    part = out / "train.jsonl.part"
    if stop == "mining":
        with part.open("a") as file:
            file.write('{"query_id": "8", "qu')  # a line that was being written
    began = {}

    @contextmanager
    def look(what, _total, before):
        began[what] = before
        yield lambda _: None

    mine([pairs], nano, Place(out), WIDE, watch=look)
    assert began["mining"] == (8 if stop == "mining" else 0)
    for name in ("train.jsonl", "passages.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_cannot_go_on_is_refused(pairs, nano, tmp_path):
    out = tmp_path / "out"
    mine([pairs], nano, Place(out), WIDE)
    with pytest.raises(InputError, match="is complete"):
        mine([pairs], nano, Place(out), WIDE)
    with pytest.raises(InputError, match=r"another seed \(was 0, is 1\)"):
        mine([pairs], nano, Place(out), Mining(4, 1, 10, None, seed=1))
    found = mine([pairs], nano, Place(out, restart=True), Mining(2, 1, 10, None, seed=1))
    assert found.full + found.fewer + found.none == len(questions.PAIRS)
    assert all(len(line["negatives"]["doc_id"]) <= 2 for line in questions.rows(out / "train.jsonl"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(InputError, match="holds other things"):
        mine([pairs], nano, Place(tmp_path / "full"), WIDE)
    empty = open_set(questions.jsonl(tmp_path / "empty.jsonl", []))
    with pytest.raises(InputError, match="empty: no examples"):
        mine([empty], nano, Place(tmp_path / "of-empty"), WIDE)


def test_a_work_folder_is_kept_and_serves_another_run(pairs, nano, tmp_path):
    work = tmp_path / "work"
    mine([pairs], nano, Place(tmp_path / "a", work), WIDE)
    (vectors,) = work.iterdir()
    before = vectors.stat().st_mtime_ns
    embedded = []
    whole = nano.stream
    try:
        nano.stream = lambda texts, role, **o: whole((embedded.append(t) or t for t in texts), role, **o)
        mine([pairs], nano, Place(tmp_path / "b", work), Mining(2, 1, 10, None))
    finally:
        del nano.stream
    assert [vectors] == list(work.iterdir())
    assert vectors.stat().st_mtime_ns >= before
    assert set(embedded) == {q for q, _, _ in questions.PAIRS}, "no passage is embedded again"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"from_rank": 0}, "ranks begin with 1"),
        ({"from_rank": 9, "to_rank": 8}, "ranks 9 to 8 are none"),
        ({"negatives": 6, "from_rank": 1, "to_rank": 5}, "6 negatives cannot come"),
        ({"max_ratio": 1.5}, "max_ratio is 1.5"),
        ({"margin": -1.0}, "margin is -1.0"),
        ({"pick": "best"}, "pick is one of"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        Mining(**options)
