import pytest

from efive.evaluation.quoted import figures, quoted


@pytest.mark.parametrize("name", ["mrtydi-v1.1-swahili", "Mr. TyDi sw", "mr-tydi_sw"])
def test_names_of_a_benchmark_are_found_however_they_are_written(name):
    found = {entry.model: entry.scores for entry in quoted(name, "sw") if "mrr_at_100" in entry.scores}
    assert found["BM25 (tuned)"] == {"mrr_at_100": 0.396}
    assert found["BM25+mDPR"] == {"mrr_at_100": 0.405}
    assert found["multilingual-e5-small"] == {"mrr_at_100": 0.654}


def test_figures_over_a_whole_benchmark_stand_beside_no_task_of_it():
    assert {entry.scores["f1"] for entry in quoted("tatoeba", "")} == {0.639}
    assert quoted("tatoeba.deu-eng", "de-en") == []
    assert {e.model: e.scores for e in quoted("beir", "")}["multilingual-e5-large-instruct"] == {"ndcg_at_10": 0.525}


def test_figures_of_the_published_split_stand_beside_no_other():
    assert quoted("miracl_ar", "ar") != []
    assert quoted("mrtydi_sw:dev", "sw") == quoted("miracl_ar:train", "ar") == []


def test_a_pair_is_found_in_either_order_and_spelling():
    assert quoted("bucc", "en-de") == quoted("bucc", "de-en") == quoted("bucc.v2", "deu_Latn-eng_Latn") != []


def test_what_nobody_published_is_not_made_up():
    assert quoted("my-own-task", "sw") == quoted("mrtydi", "xx") == []
    static = [entry for entry in quoted("xquad_hi", "hi") if entry.model.startswith("static")]
    assert static == []  # published for Thai only


def test_the_average_row_of_the_cards_is_the_average_of_its_languages():
    by_model: dict[str, dict[str, float]] = {}
    for figure in figures():
        if figure.benchmark == "Mr. TyDi" and figure.measure == "mrr_at_100":
            by_model.setdefault(figure.model, {})[figure.language] = figure.value
    assert len(by_model) == 6
    for values in by_model.values():
        average = values.pop("")
        assert sum(values.values()) / 11 == pytest.approx(average, abs=0.0011)


def test_every_figure_is_a_share_with_a_source():
    for figure in figures():
        assert 0 < figure.value < 1
        assert "arXiv:" in figure.source
