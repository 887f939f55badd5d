import json
import re
from html.parser import HTMLParser

import pytest
from runs import bitext, run, task

from efive.evaluation.compare import compare
from efive.evaluation.report import queries_of, report, write_report
from efive.evaluation.results import Failure, SystemResult
from efive.evaluation.side_by_side import page

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """What a page is made of; refuses what is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.scripts, self.ids, self.words = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.words).append(data)

    def data(self):
        return [json.loads(text) for text in self.scripts if text.startswith("{")]


@pytest.fixture(scope="module")
def evil():
    """A run in which every text is markup."""
    by_query = {EVIL: 0.0, "q\"'&": 1.0}
    found = task(
        EVIL,
        "ja",
        by_query=by_query,
        protocol=EVIL,
        contamination=[EVIL],
        extras={
            "texts": {"queries": {EVIL: f"asked {EVIL}"}, "documents": {"d1": f"said {EVIL}", "d2": "東京 </script>"}},
            "relevant": {EVIL: ["d9"]},
            "map": {"points": [[0, 1], [1, 0]], "labels": [EVIL, "日本"]},
            "recall": {EVIL: [0.1, 0.2]},
        },
    )
    other = task("日本", "ja", quoted=[])
    made = run(found, other, name=EVIL)
    made.failed.append(Failure("broken", "retrieval", "", EVIL))
    return made


def test_no_text_becomes_markup(evil):
    text = report(evil)
    parsed = Page(text)
    assert parsed.tags.count("script") == 3  # the rankings of two tasks, and what shows them
    assert "alert(1)" not in "".join(each for each in parsed.scripts if not each.startswith("{"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_comparison_has_no_text_as_markup_either(evil):
    losing = run(task(EVIL, "ja", by_query={EVIL: 1.0, "q\"'&": 0.0}, extras=evil.tasks[0].extras))
    parsed = Page(page(compare(evil, losing), evil, losing))
    assert parsed.tags.count("script") == 2
    assert [title for title, _ in parsed.data()[0]["lists"][EVIL]] == ["A", "B"]
    assert parsed.data()[0]["texts"]["d2"] == "東京 </script>"


@pytest.mark.parametrize("show", [report, lambda one: page(compare(one, one), one, one)])
def test_a_page_needs_nothing_besides_itself(show):
    text = show(run(task(), bitext("a", "de-en", 0.4), bitext("b", "fr-en", 0.6)))
    parsed = Page(text)
    references = [v for name, v in parsed.attributes if name in {"src", "href", "xlink:href", "action", "data"}]
    assert all(value.startswith("#") for value in references)
    assert re.findall(r"https?://|@import|url\((?!#)", text) == []
    assert "prefers-color-scheme: dark" in text
    assert ("name", "viewport") in parsed.attributes


def test_drawings_share_no_ids_and_point_at_their_own():
    text = report(run(task("a", "ja"), task("b", "ko")))
    parsed = Page(text)
    assert len(parsed.ids) == len(set(parsed.ids))
    targets = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text))
    assert {a or b for a, b in targets} <= set(parsed.ids)
    assert text.count("<svg") == 1 + 2 * 3  # bars of both; recall, scores and map of each


def test_every_query_is_there_worst_first_with_what_was_found():
    parsed = Page(report(run()))
    queries = [value for name, value in parsed.attributes if name == "data-query"]
    assert queries == ["q3", "q4", "q2", "q1"]
    [data] = parsed.data()
    assert data["texts"] == {"d1": "a first document", "d2": "a second"}
    assert data["lists"]["q1"] == [["", [["d1", "0.900", True], ["d2", "0.800", False]]]]
    assert data["lists"]["q2"][1] == ["Relevant, and not among these", [["d3", "", True]]]
    assert {"question q1", "question q2", "question q3", "question q4"} <= set(parsed.words)


def test_the_record_is_complete():
    words = " ".join(Page(report(run())).words)
    for said in ("efive evaluate --suite small", "e5-0123", "openvino", "processor", "2026-01-01", "0" * 64, "0.987"):
        assert said in words


def test_what_was_not_kept_is_not_missed():
    bare = run(task(extras={}, by_query={"q1": 0.5}), bitext("b", "", 0.5))
    bare.tasks[0].systems["model"].best.clear()
    asked = queries_of(bare.tasks[0])
    assert [(each.id, each.text, each.found) for each in asked] == [("q1", "", [])]
    assert "q1" in Page(report(bare)).words


def test_of_translations_those_that_were_not_found_are_there():
    system = SystemResult({"f1": 0.5}, {"0": 1.0, "1": 0.0}, each="accuracy")
    texts = {"queries": {"1": "eins — one"}, "documents": {}}
    parsed = Page(report(run(task("t", "de-en", kind="bitext", systems={"model": system}, extras={"texts": texts}))))
    assert [value for name, value in parsed.attributes if name == "data-query"] == ["1"]
    assert {"1 of 2 translations were not found", "eins — one"} <= set(parsed.words)


def test_notes_are_told():
    one = run()
    one.extras["notes"] = [f"the map is missing: {EVIL}"]
    assert f"Note: the map is missing: {EVIL}" in Page(report(one)).words


def test_a_lone_surrogate_does_not_cost_the_report(tmp_path):
    write_report(run(task(protocol="broken \ud800 text")), tmp_path / "report.html")
    assert "broken ? text" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_comparisons_show_what_changed_losses_first():
    after = run(task(by_query={"q1": 0.5, "q2": 0.5, "q3": 0.5, "q4": 0.25}))
    parsed = Page(page(compare(run(), after), run(), after))
    assert [value for name, value in parsed.attributes if name == "data-query"] == ["q1", "q3"]
    assert {"-0.500", "+0.500", "question q1"} <= set(parsed.words)
