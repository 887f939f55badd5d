"""What queries write beside words: dates, counts of clauses, parts of documents."""

import pytest

from efive.server.elastic import dates
from efive.server.elastic.errors import ElasticError
from efive.server.elastic.queries.minimum import at_least
from efive.server.elastic.queries.paths import cut

# -- words and numbers that queries write ------------------------------------------------------------------------------
NOW = dates._EPOCH.replace(year=2024, month=3, day=31, hour=15, minute=20)


@pytest.mark.parametrize(
    ("text", "formats", "first", "last"),
    [
        ("2024", dates.DEFAULT, "2024-01-01T00:00:00.000Z", "2024-01-01T23:59:59.999Z"),
        ("2024||/y", dates.DEFAULT, "2024-01-01T00:00:00.000Z", "2024-12-31T23:59:59.999Z"),
        ("2024-01-31||+1d", dates.DEFAULT, "2024-02-01T00:00:00.000Z", "2024-02-01T00:00:00.000Z"),
        ("2024-02", dates.DEFAULT, "2024-02-01T00:00:00.000Z", "2024-02-01T23:59:59.999Z"),
        ("2024-02-03T04:05", dates.DEFAULT, "2024-02-03T04:05:00.000Z", "2024-02-03T04:05:59.999Z"),
        ("2024-02-03T04:05:06.7+01:00", dates.DEFAULT, "2024-02-03T03:05:06.700Z", "2024-02-03T03:05:06.700Z"),
        (
            "0",
            dates.DEFAULT.replace("strict_date_optional_time||", ""),
            "1970-01-01T00:00:00.000Z",
            "1970-01-01T00:00:00.000Z",
        ),
        ("60", "epoch_second", "1970-01-01T00:01:00.000Z", "1970-01-01T00:01:00.000Z"),
        ("3.2.2024 14:00", "d.M.yyyy HH:mm||yyyy", "2024-02-03T14:00:00.000Z", "2024-02-03T14:00:59.999Z"),
        ("now", dates.DEFAULT, "2024-03-31T15:20:00.000Z", "2024-03-31T15:20:00.000Z"),
        ("now-1M", dates.DEFAULT, "2024-02-29T15:20:00.000Z", "2024-02-29T15:20:00.000Z"),
        ("now-7d/d", dates.DEFAULT, "2024-03-24T00:00:00.000Z", "2024-03-24T23:59:59.999Z"),
        ("now/w", dates.DEFAULT, "2024-03-25T00:00:00.000Z", "2024-03-31T23:59:59.999Z"),
        ("2024-01-31||+1M/M", dates.DEFAULT, "2024-02-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z"),
        ("now/y-1d", dates.DEFAULT, "2023-12-31T00:00:00.000Z", "2024-12-30T23:59:59.999Z"),
    ],
)
def test_dates_are_spans(text, formats, first, last):
    begin, end = dates.span(text, formats, now=NOW)
    assert (dates.shown(begin), dates.shown(end)) == (first, last)


@pytest.mark.parametrize("text", ["yesterday", "2024-13", "2024-02-30", "now+", "now-1x", "now*2", "9999-12-31||+1y"])
def test_what_is_no_date_is_said(text):
    with pytest.raises(ElasticError, match="failed to parse date field"):
        dates.span(text)


@pytest.mark.parametrize(
    ("given_", "clauses", "needed"),
    [("2", 5, 2), ("-2", 5, 3), ("75%", 4, 3), ("75%", 5, 3), ("-25%", 5, 4), ("7", 5, 7), ("-9", 5, 0),
     ("3<90%", 3, 3),
     ("3<90%", 10, 9), ("2<-25% 9<-3", 2, 2), ("2<-25% 9<-3", 9, 7), ("2<-25% 9<-3", 12, 9)],
)  # fmt: skip
def test_minimum_should_match(given_, clauses, needed):
    assert at_least(given_, clauses) == needed


SOURCE = {"a": 1, "b": {"c": [{"d": 1, "e": 2}, {"d": 3}], "f": None}, "b.g": 4}


@pytest.mark.parametrize(
    ("includes", "excludes", "kept"),
    [
        ([], [], SOURCE),
        (["a"], [], {"a": 1}),
        (["b"], ["b.c"], {"b": {"f": None}}),
        (["b.c.d"], [], {"b": {"c": [{"d": 1}, {"d": 3}]}}),
        (["*.e"], [], {"b": {"c": [{"e": 2}]}}),
        ([], ["b*"], {"a": 1}),
        (["b.g"], [], {"b.g": 4}),
        (["z"], [], {}),
    ],
)
def test_sources_are_cut(includes, excludes, kept):
    assert cut(SOURCE, includes, excludes) == kept
