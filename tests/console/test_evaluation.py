"""Evaluation in the console: runs found, started, read and compared."""

import pytest
import runs
import task_files

from efive.console import evaluation_runs
from efive.console.evaluation import EvaluationJob, start
from efive.console.work import Work
from efive.errors import InputError
from efive.evaluation.results import SystemResult
from efive.server.app import Options, running


@pytest.fixture(scope="module")
def served(start, bert):
    return start("--model", f"tiny={bert}")


def test_runs_are_found_and_other_files_are_not(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own / "1", other):
        folder.mkdir(parents=True)
    runs.run().write(own / "1" / "run.json")
    runs.run(name="later").write(other / "later.json")
    (other / "package.json").write_text('{"name": "no run"}')
    (other / "broken.json").write_text('{"model": {"name"')
    (other / "nested.json").write_text('{"model": ' + "[" * 100_000)
    found = evaluation_runs.find(own, [other])
    assert {(each.model, each.path.name, each.tasks) for each in found} == {
        ("tiny", "run.json", 1),
        ("later", "later.json", 1),
    }
    assert found[0].main == "mrr_at_100 0.438"
    runs.run(name="changed").write(other / "later.json")
    assert {each.model for each in evaluation_runs.find(own, [other])} == {"tiny", "changed"}


def test_folders_are_remembered_and_runs_compared(apart, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    better = runs.task(by_query={"q1": 1.0, "q2": 1.0, "q3": 1.0, "q4": 1.0})
    elsewhere = runs.task(data={"digest": "f" * 64, "queries": 4, "sampled": ""})
    for name, task in (("a", runs.task()), ("b", better), ("c", elsewhere)):
        runs.run(task, name=name).write(folder / f"{name}.json")

    async def run():
        async with running(Options(tmp_path / "served")) as service:
            with pytest.raises(InputError, match="is not on the server"):
                evaluation_runs.add_folder(service, str(tmp_path / "gone"))
            evaluation_runs.add_folder(service, str(folder))
            keys = {each.model: each.key for each in await evaluation_runs.runs(service)}
            comparison = await evaluation_runs.compared(service, keys["a"], keys["b"])
            assert comparison.tasks[0].gain == pytest.approx(0.5625)
            with pytest.raises(InputError, match="measured on different data"):
                await evaluation_runs.compared(service, keys["a"], keys["c"])
            with pytest.raises(InputError, match="choose two"):
                await evaluation_runs.compared(service, keys["a"], keys["a"])
            evaluation_runs.remove_folder(service, str(folder))
            with pytest.raises(InputError, match="not there any more"):
                await evaluation_runs.open_run(service, keys["a"])

    apart(run())


def test_what_cannot_be_measured_does_not_start(apart, tmp_path):
    async def run():
        async with running(Options(tmp_path / "served")) as service:
            work = Work(service)
            jobs = work.evaluations
            for options, words in (
                ({}, "name a task"),
                ({"task": "/nowhere"}, "is not on the server"),
                ({"suite": "tiny", "data": "/"}, "no suite"),
            ):
                with pytest.raises(InputError, match=words):
                    start(jobs, "bundled", **options)
            assert jobs.all() == []
            await work.close()

    apart(run())


def test_the_command_is_the_one_that_people_would_type(tmp_path):
    job = EvaluationJob(id="1", project="console", created=0, model="tiny", suite="small", data="/data", limit=9)
    command = " ".join(job.command(tmp_path, tmp_path / "cache"))
    assert "-m efive evaluate --model=tiny" in command
    assert "--no-baselines --suite=small --data=/data --limit=9" in command


@pytest.mark.slow
@pytest.mark.browser
def test_two_evaluations_are_compared(page, tmp_path, bert):
    tea = task_files.writer(tmp_path)("tea", task_files.BEIR)
    page.goto("evaluation")
    page.get_by_text("There are no runs yet").wait_for()
    for model in ("bundled", str(bert)):
        page.goto(f"new-evaluation?model={model}")
        page.get_by_role("button", name="Evaluate").click()
        page.get_by_text("name a task").wait_for()
        page.get_by_label("Folder or file on the server").fill(str(tea))
        page.get_by_role("button", name="Evaluate").click()
        page.get_by_text("on tea").first.wait_for()
    for name in ("bundled", "bert"):
        page.get_by_role("link", name=name, exact=True).wait_for(timeout=120_000)
        page.get_by_role("checkbox", name=f"Compare {name}").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("paired bootstrap resamples").wait_for()
    table = page.get_by_role("region", name="ndcg_at_10")
    assert table.get_by_role("row").nth(1).get_by_role("cell").all_inner_texts()[:2] == ["tea", "1.000"]

    page.get_by_role("link", name="All runs").click()
    page.get_by_role("link", name="bundled", exact=True).click()
    page.get_by_role("heading", name="retrieval").wait_for()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Report").click()
    opened.value.get_by_role("heading", name="bundled measured").wait_for()


@pytest.mark.slow
@pytest.mark.browser
def test_nothing_in_a_run_is_markup(page, tmp_path):
    bad = "<img src=x onerror=alert(1)>"
    quoted = 'm" onclick="document.title=1" :title="document.title=2'
    task = runs.task(bad, measures=[quoted], systems={"model": SystemResult({quoted: 0.5})}, quoted=[], extras={})
    runs.run(task, name=bad).write(tmp_path / "bad.json")
    page.goto("evaluation")
    page.get_by_role("button", name="Folders in which runs are looked for").click()
    page.get_by_label("Folder on the server").fill(str(tmp_path / "gone"))
    page.get_by_role("button", name="Look there too").click()
    page.get_by_text("is not on the server").wait_for()
    page.get_by_label("Folder on the server").fill(str(tmp_path))
    page.get_by_role("button", name="Look there too").click()
    page.get_by_role("link", name=bad).click()
    page.get_by_role("heading", name="retrieval").wait_for()
    key = page.url.rpartition("/")[2]
    assert bad in page.get_by_role("region", name="retrieval").inner_text()
    page.goto(f"comparison?a={key}&b={key}")
    page.get_by_text("A and B are the same run").wait_for()
    page.goto(f"evaluation-report/{key}")
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
@pytest.mark.browser
def test_an_evaluation_that_cannot_be_says_why(page, tmp_path):
    (tmp_path / "empty").mkdir()
    page.goto("new-evaluation")
    page.get_by_label("Folder or file on the server").fill(str(tmp_path / "empty"))
    page.get_by_role("button", name="Evaluate").click()
    page.get_by_role("alert").wait_for(timeout=120_000)
    assert "empty" in page.get_by_role("alert").inner_text()
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_role("alert").wait_for(state="detached")
