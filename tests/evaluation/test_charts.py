import re

import pytest

from efive.evaluation import charts


def words(svg):
    return [text for text in re.findall(r">([^<>]+)</text>", svg) if not re.fullmatch(r"[−\d.]+", text)]


def test_bars_name_tasks_systems_and_what_is_quoted():
    svg = charts.bars(
        ["sw", "日本"], {"model": [0.5, None], "bm25": [0.2, 0.3]}, {"mE5 (quoted)": [None, 0.6]}, "ndcg_at_10"
    )
    assert sorted(words(svg)) == sorted(["ndcg_at_10", "sw", "日本", "model", "bm25", "mE5 (quoted)"])


def test_negative_values_have_room():
    assert "−0.4" in charts.bars(["a"], {"model": [-0.4]}, {}, "spearman")


def test_systems_keep_their_colour_from_chart_to_chart():
    alone = charts.lines({"model": [0.1, 0.2]}, "k", "recall")
    among = charts.lines({"bm25": [0.1, 0.2], "mine": [0.1, 0.2]}, "k", "recall")
    assert "stroke: var(--series-0)" in alone
    assert "var(--series-1)" in among
    assert "var(--series-0)" in among  # free where there is no model
    assert not re.search(r"#0\dfe0\d", alone + among)  # no stand-in is left


def test_a_map_of_many_languages_has_a_legend_that_fits():
    labels = [f"l{n}" for n in range(40) for _ in range(40 - n)]
    svg = charts.points([[float(n), float(n % 7)] for n in range(len(labels))], labels)
    assert set(words(svg)) == {
        *[f"l{n}" for n in range(20)],
        "others",
    }


def test_intervals_and_histograms():
    svg = charts.intervals(["up", "down", "open"], [(0.1, 0.2, 0.3), (-0.3, -0.2, -0.1), (-0.1, 0.0, 0.1)], "gain")
    assert [f"var(--series-{n})" in svg for n in (2, 3, 7)] == [True] * 3
    svg = charts.histograms([0.0, 0.5, 1.0], {"related": [0, 4], "unrelated": [0, 0]}, "cosine")
    assert {"related", "unrelated", "cosine", "share"} <= set(words(svg))


@pytest.mark.parametrize("label", ["$x^2$", "a_b$", "<b>&amp;</b>", "\\frac"])
def test_labels_are_no_formulas_and_no_markup(label):
    svg = charts.bars([label, "b"], {"model": [0.5, 0.6]}, {}, "f1")
    assert label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in svg
