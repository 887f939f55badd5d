import math

import pytest
from runs import run, task

from efive.errors import InputError
from efive.evaluation.gate import Requirement, check, check_tasks, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ndcg_at_10>=0.62", Requirement("*", "ndcg_at_10", ">=", 0.62)),
        (" mrtydi-sw : mrr_at_100 > 6e-1 ", Requirement("mrtydi-sw", "mrr_at_100", ">", 0.6)),
        ("tatoeba.*:f1<1", Requirement("tatoeba.*", "f1", "<", 1)),
        ("a:b:f1<=1", Requirement("a:b", "f1", "<=", 1)),
        ("xquad_es@xquad_en:map>=.5", Requirement("xquad_es@xquad_en", "map", ">=", 0.5)),
    ],
)
def test_the_grammar(text, expected):
    assert parse(text) == expected
    assert parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "ndcg_at_10", "ndcg_at_10=0.6", "ndcg@10>=0.6", ">=0.6", "f1>=high", "f1>=nan"])
def test_what_is_no_requirement_is_quoted(text):
    with pytest.raises(InputError) as error:
        parse(text)
    assert repr(text) in str(error.value)


def test_a_requirement_is_of_the_model_and_of_every_task_that_has_the_measure():
    two = run(task(scores={"mrr_at_100": 0.7}), task("other", "en", {"mrr_at_100": 0.5}))
    assert check(two, [parse("mrr_at_100>=0.5")]) == []
    assert check(two, [parse("mrr_at_100>0.5"), parse("mrtydi-*:mrr_at_100<0.1")]) == [
        "other: mrr_at_100 is 0.5000, required is > 0.5",
        "mrtydi-sw: mrr_at_100 is 0.7000, required is < 0.1",
    ]


def test_nan_reaches_nothing():
    broken = run(task(scores={"f1": math.nan}))
    assert len(check(broken, [parse("f1>=0"), parse("f1<=1")])) == 2


@pytest.mark.parametrize("text", ["ndcg_at_10>=0.1", "elsewhere:mrr_at_100>=0.1"])
def test_a_requirement_that_fits_nothing_is_an_error(text):
    with pytest.raises(InputError, match="mrtydi-sw:mrr_at_100"):
        check(run(), [parse(text)])


def test_a_task_that_will_not_be_measured_is_named_beforehand():
    check_tasks([parse("mrtydi-*:f1>=0"), parse("f1>=0")], ["mrtydi-sw"])
    with pytest.raises(InputError, match=r"mrtydi-ko.*the tasks are mrtydi-sw"):
        check_tasks([parse("mrtydi-ko:f1>=0")], ["mrtydi-sw"])
