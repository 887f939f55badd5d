import io
from dataclasses import replace

import pytest
from rich.console import Console
from runs import bitext, run, task

from efive.errors import InputError
from efive.evaluation.compare import compare
from efive.evaluation.differences import VERDICT, sections, show
from efive.evaluation.results import SystemResult

MANY = {f"q{n:02}": (n % 5) / 5 for n in range(60)}


def shifted(by):
    return {query: value + by for query, value in MANY.items()}


def test_a_run_is_like_itself():
    found = compare(run(), run()).tasks[0]
    assert (found.verdict, found.gain, found.p, found.counts) == ("same", 0, 1, (0, 4, 0))


def test_a_shift_is_better_one_way_and_worse_the_other():
    a, b = run(task(by_query=MANY)), run(task(by_query=shifted(0.1)))
    up, down = compare(a, b).tasks[0], compare(b, a).tasks[0]
    assert (up.verdict, down.verdict) == ("better", "worse")
    assert up.gain == pytest.approx(0.1) == pytest.approx(-down.gain)
    assert up.counts == (60, 0, 0)


def test_p_is_corrected_for_the_number_of_tasks():
    changed = {query: value + (0.3 if n % 3 else -0.2) for n, (query, value) in enumerate(MANY.items())}
    a, b = task(by_query=MANY), task(by_query=changed)
    alone = compare(run(a), run(b)).tasks[0]
    others = [task(f"t{n}", by_query=MANY) for n in range(9)]
    among = compare(run(a, *others), run(b, *others)).tasks[0]
    assert among.difference == alone.difference
    assert among.p == pytest.approx(10 * alone.p)


def test_losses_come_first_and_add_up_to_the_difference():
    after = MANY | {"q07": 1.4, "q11": -0.8}
    found = compare(run(task(by_query=MANY)), run(task(by_query=after))).tasks[0]
    assert (next(iter(found.changes)), list(found.changes)[-1]) == ("q11", "q07")
    assert sum(found.changes.values()) / 60 == pytest.approx(found.gain)
    assert found.counts == (1, 58, 1)


def test_every_shared_measure_is_there_and_the_main_one_first():
    found = compare(run(), run()).tasks[0]
    assert list(found.before) == ["mrr_at_100", "recall_at_100"]


def test_without_values_of_queries_nothing_is_claimed():
    other = replace(bitext("t", "de-en", 0.9), data=bitext("t", "de-en", 0.5).data)
    found = compare(run(bitext("t", "de-en", 0.5)), run(other)).tasks[0]
    assert (found.verdict, found.difference, found.p) == ("untested", None, None)
    assert found.gain == pytest.approx(0.4)


def matched(f1, found):
    """A bitext run: F1 is its main measure, and each sentence has an accuracy."""
    by_query = {str(n): float(n < found) for n in range(50)}
    system = SystemResult({"f1": f1, "accuracy": found / 50}, by_query, each="accuracy")
    return run(task("t", "de-en", kind="bitext", measures=["f1", "accuracy"], systems={"model": system}))


def test_translations_are_tested_by_accuracy_beside_f1():
    found = compare(matched(0.5, 30), matched(0.4, 20)).tasks[0]
    assert (found.tested, found.verdict, found.counts) == ("accuracy", "worse", (0, 40, 10))
    assert found.gain == pytest.approx(-0.2)
    rows = sections(compare(matched(0.5, 30), matched(0.4, 20)))
    assert list(rows) == ["f1", "accuracy"]
    assert [rows[measure][0][VERDICT] for measure in rows] == ["", "worse"]


def test_what_queries_have_must_be_the_same_measure():
    other = matched(0.4, 20)
    other.tasks[0].systems["model"] = replace(other.tasks[0].systems["model"], each="f1")
    assert compare(matched(0.5, 30), other).tasks[0].verdict == "untested"


def test_main_measures_that_differ_are_not_subtracted():
    scores = {"mrr_at_100": 0.5, "recall_at_100": 0.9}
    a = task(measures=["mrr_at_100", "recall_at_100"], scores=scores, by_query=dict.fromkeys(MANY, 0.5))
    b = task(measures=["recall_at_100", "mrr_at_100"], scores=scores, by_query=dict.fromkeys(MANY, 0.9))
    found = compare(run(a), run(b)).tasks[0]
    assert (found.tested, found.verdict, found.difference, found.changes) == ("mrr_at_100", "same", None, {})


def test_another_part_of_the_data_is_refused():
    whole, part = ({**task().data, "sampled": note} for note in ("", "9 of 90 pairs, drawn with seed 1"))
    with pytest.raises(InputError, match=r"different parts .*\(all; 9 of 90 pairs, drawn with seed 1\)"):
        compare(run(task(data=whole)), run(task(data=part)))


def test_other_data_is_refused():
    other = task(data={"digest": "f" * 64})
    with pytest.raises(InputError, match=r"mrtydi-sw \(sw\).*different data.*000000000000 and ffffffffffff"):
        compare(run(), run(other))


def test_other_queries_are_refused():
    with pytest.raises(InputError, match=r"different queries \(4 and 1\)"):
        compare(run(), run(task(by_query={"q9": 1.0})))


def test_runs_without_a_task_in_common_are_refused():
    with pytest.raises(InputError, match=r"share no task.*mrtydi-sw.*mrtydi-ko"):
        compare(run(), run(task("mrtydi-ko", "ko")))
    with pytest.raises(InputError, match="'hybrid_rrf'"):
        compare(run(), run(), system="hybrid_rrf")


def test_what_may_not_have_been_meant_is_warned_of():
    other = task(roles={"queries": "raw", "documents": "raw"})
    warnings = compare(run(), run(other, task("more"), window=256)).warnings
    assert warnings[0] == "window differs: 128 and 256"
    expected = "queries query, documents passage and queries raw, documents raw, in mrtydi-sw"
    assert warnings[1] == f"retrieval: roles differ: {expected}"
    assert warnings[2] == "only the second run has more"


def test_the_terminal_says_who_won():
    console = Console(file=io.StringIO(), width=100)
    a, b = (
        run(task(by_query=MANY), bitext("t", "de-en", 0.5)),
        run(task(by_query=shifted(-0.1)), bitext("t", "de-en", 0.5)),
    )
    show(compare(a, b), console)
    text = console.file.getvalue()
    assert "worse" in text
    assert "0 / 0 / 60" in text
    assert "-0.100…-0.100" in text
    assert "t (de-en)" in text
