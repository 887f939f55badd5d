"""The bundled model's card: what it says follows from the figures and from how the model was trained."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import card
from figures import curve

FIGURES = {
    "precision": "bf16",
    "window": 96,
    "teacher": {"window": 256},
    "how": {"bm25": "Lucene's", "hybrid": "as hybrid search"},
    "ndcg": {
        "xquad_en": {"model": 0.9, "bm25": 0.96, "hybrid": 0.97, "teacher": 0.94},
        "xquad_ar": {"model": 0.6, "bm25": 0.9, "hybrid": 0.89},
        "scifact": {"model": 0.43, "bm25": 0.66, "hybrid": 0.68, "teacher": 0.64},
    },
    "cross": {"ar": {"model": 0.2, "bm25": 0.1, "hybrid": 0.15, "teacher": 0.04}},
    "means": {"xquad": {"model": 0.777}, "cross": {"model": 0.56}, "tatoeba trained": {"model": 41.7}},
    "hybrid behind bm25": ["xquad_ar"],
    "tatoeba": {"ara": 16.1, "spa": 53.2},
    "flores": {"spa_Latn": 90.0},
    "sts": {"stsb_en_dev": 0.8},
    "cosines": {
        name: {"mean": {kind: {"mean": 0.1, "p5": -0.1, "p95": 0.3} for kind in ("unrelated", "related")}}
        for name in ("XQuAD", "FLORES")
    },
    "pieces": {"spa_Latn": {"unit": "word", "pieces": 1.5, "bytes": 0.001}},
}
DATA = [
    {"name": "wiki_de", "objective": "contrastive", "examples": 100, "languages": ["de"]},
    {"name": "tico19", "objective": "imitate", "examples": 70, "languages": ["en-de", "ru-en"]},
    {"name": "azd_docs", "objective": "imitate", "examples": 5, "languages": ["en"]},
    {"name": "azd_docs", "objective": "contrastive", "examples": 9, "languages": ["en"]},
]
LOG = [
    {"step": 0, "held_out/dev nDCG@10": 0.4},
    *(
        {"step": n, "loss": 1.0, "loss/wiki_de": 3.0 - n / 100, "loss/tico19": 2.0, "loss/azd_docs": 9.0,
         "examples": 60, "tokens": 1000, "examples_per_second": 1.0}
        for n in range(1, 121)
    ),
    {"step": 120, "held_out/dev nDCG@10": 0.6},
]  # fmt: skip
RUN = card.Trained({"seed": 3}, DATA, {"torch": "2.13.0"}, LOG)


def test_aims_and_their_misses():
    english, mono, cross, scifact, tatoeba = card.aims_table(FIGURES).splitlines()[2:]
    assert english.endswith("| .900 | .960 | .970 | .940 | – | .880 | reached |")
    assert mono.endswith("misses the aim by .063, the baseline by .013 |")
    assert cross.endswith("| .370 | .550 | reached |")
    assert scifact.endswith("misses the aim by .150, the baseline by .010 |")
    assert tatoeba.endswith("| 32.0 | 50.0 | misses the aim by 8.3 |")


def test_what_it_is_bad_at():
    said = card.bm25_sentences(FIGURES)
    assert said.startswith("Alone it is behind BM25 on 3 of 3 sets")
    assert said.endswith("on 2, not on xquad_ar.")
    assert card.bm25_sentences(FIGURES | {"hybrid behind bm25": []}).endswith("on each.")
    assert card.weakest_sentence(FIGURES, 1) == "Weakest: ar .600 on XQuAD; ara 16.1 on Tatoeba."


def test_data_with_origins_and_licences():
    examples = card.used([RUN, card.Trained({}, [{"name": "mined", "examples": 7}], {}, [])], ["wiki_ko"], ["mined"])
    lines = card.data_table(examples).splitlines()[2:]
    assert "| German Wikipedia sample | wiki_de | Wikipedia, CC BY-SA | 100 |" in lines
    assert "| microsoft/AZD-for-beginners | azd_docs | MIT | 9 |" in lines, "used twice, read once"
    assert "| Korean Wikipedia 2020 | wiki_ko | Wikipedia, CC BY-SA | – |" in lines
    assert "German Wikipedia sample and Korean Wikipedia 2020." in card.terms_sentence(examples)


def test_a_source_of_unknown_terms_is_refused():
    run = card.Trained({}, [{"name": "found somewhere", "examples": 1, "languages": []}], {}, [])
    with pytest.raises(SystemExit, match="found somewhere"):
        card.used([run], [], [])


def test_every_source_has_a_licence():
    for name, source in card.sources().items():
        assert source["origin"], name
        assert source["licence"], name


def test_the_run_in_numbers():
    row = card.making([RUN]).splitlines()[2]
    assert row == "| 1 | 3 | 120 | 7,200 | 0.1 | 120 | 2.13.0 |"
    assert card.languages([RUN]) == ["de", "en", "ru"]


def test_both_parts_fill_their_templates(monkeypatch, tmp_path):
    parts = {"layers": "6", "hidden": "384", "vocabulary": "9", "parameters": "34 M", "megabytes": "34 MB"}
    monkeypatch.setattr(card, "shape", lambda _model: parts)
    text = card.figures_part(FIGURES, tmp_path) + card.making_part([RUN], card.used([RUN], [], []))
    assert "efive models pull multilingual-e5-small" in text
    assert "in 3 languages: de, en, ru." in text
    assert not re.search(r"\$[a-z_]", text)


def test_how_it_was_made_stays_without_the_training(tmp_path):
    made = card.making_part([RUN], card.used([RUN], [], []))
    (tmp_path / "README.md").write_text("# Figures of yesterday\n\n" + made)
    assert card.kept_making(tmp_path / "README.md") == made
    with pytest.raises(SystemExit, match="name the folders of its training"):
        card.kept_making(tmp_path / "none.md")


def test_losses_by_objective_leave_out_what_cannot_be_told_apart():
    found = curve.losses(LOG, DATA)
    assert found["contrastive"][0] == (1, pytest.approx(2.99))
    assert found["imitate"][-1] == (120, 2.0)
    assert curve.objective_of("loss/azd_docs", DATA) is None
    assert curve.objective_of("loss/imitate/azd_docs", DATA) == "imitate"
    assert curve.held_out(LOG) == {"dev": [(0, 0.4), (120, 0.6)]}


def test_smoothing_and_thinning():
    assert curve.smoothed([(1, 4.0), (2, 4.0)])[1] == (2, pytest.approx(4.0))
    assert curve.smoothed([(1, 0.0), (2, 1.0)], keep=0.5)[1] == (2, pytest.approx(1 / 1.5))
    points = [(n, float(n)) for n in range(1000)]
    assert len(curve.thinned(points)) == 200
    assert curve.thinned(points)[0] == points[0]
    assert curve.thinned(points)[-1] == points[-1]


def test_the_curve_is_small_and_always_the_same(tmp_path):
    for name in ("a.svg", "b.svg"):
        curve.draw([LOG, LOG], [DATA, DATA], tmp_path / name)
    drawn = (tmp_path / "a.svg").read_text()
    assert len(drawn) < curve.LARGEST
    assert ">imitate<" in drawn, "text stays text"
    assert drawn == (tmp_path / "b.svg").read_text()
