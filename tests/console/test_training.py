"""Training in the console: data checked, jobs that outlive the server, and a model that is deployed."""

import asyncio
import json
import re

import pytest
from choosing import choose

from efive.console import training
from efive.console.training import ConsoleTraining, Curves, Gain, curves, gains, passages_for, plan_of, thinned
from efive.console.work import Work
from efive.deployments.training import Checked, Plan
from efive.errors import DeploymentError, InputError
from efive.models.store import ModelStore
from efive.server.app import Options, running
from efive.server.jobs import ENDED, Phase, new_id
from efive.server.training import TrainingJob, run_of

PASSAGES = [{"contents": f"the answer to question {i} is {i * 31}"} for i in range(24)]
EXAMPLES = [
    {"query": f"question {i}", "positives": {"doc_id": [i]}, "negatives": {"doc_id": [i + 12, (i + 1) % 12]}}
    for i in range(12)
]


@pytest.fixture
def data(tmp_path):
    """SambaStudio's two files."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, rows in (("passages.jsonl", PASSAGES), ("train.jsonl", EXAMPLES)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def served(start, bert):
    return start("--model", f"tiny={bert}")


def test_plans_are_made_of_what_a_form_gives():
    values = {"model": "bundled", "batch_size": 8.0, "max_steps": None, "learning_rate": 1e-5, "seed": 3.0}
    assert plan_of(values) == Plan(batch_size=8, learning_rate=1e-5, seed=3)
    assert plan_of({"seed": "", "epochs": None}) == Plan()
    with pytest.raises(InputError, match="batch_size"):
        plan_of({"batch_size": 1.0})
    with pytest.raises(InputError, match="max_steps"):
        plan_of({"max_steps": 1.5})


def test_questions_get_as_many_negatives_as_all_have():
    assert passages_for(Checked(10, negatives=0)) == 1
    assert passages_for(Checked(10, negatives=3)) == 4
    assert passages_for(Checked(10, negatives=30)) == 8


def test_curves_are_thinned_to_means():
    assert thinned([(1, 2.0), (2, 4.0)]) == [(1, 2.0), (2, 4.0)]
    assert thinned([(step, float(step)) for step in range(1, 7)], 3) == [(2, 1.5), (4, 3.5), (6, 5.5)]


def test_a_log_becomes_curves_and_gains(tmp_path):
    lines = [
        {"step": 0, "held_out/data nDCG@10": 0.25},
        {"step": 1, "loss": 3.0},
        {"step": 2, "loss": float("nan")},
        {"step": 2, "held_out/data nDCG@10": 0.75},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line).replace("NaN", "null") + "\n" for line in lines[:2]))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write(json.dumps(lines[3]) + '\n{"step": 3, "lo')
    found = curves(tmp_path)
    assert found == Curves([(1, 3.0)], {"nDCG@10": [(0, 0.25), (2, 0.75)]})
    assert gains(found) == [Gain("nDCG@10", 0.25, 0.75)]
    assert gains(Curves([], {"nDCG@10": [(50, 0.5), (100, 0.75)]})) == []  # the start model was not measured


def test_jobs_of_the_api_are_shown_too(apart, tmp_path):
    async def run():
        async with running(Options(tmp_path / "served")) as service:
            theirs = TrainingJob(id="1", project="shop", created=2.0, data="shop/tea", plan=Plan())
            service.state.put("samba.training", "1", theirs)
            work = Work(service)
            ours = ConsoleTraining(id="2", project="console", created=1.0, name="mine", data="/data", plan=Plan())
            service.state.put("console.training", "2", ours)
            found = training.everything(work.trainings)
            await work.close()
            return found, theirs, ours, service.home

    found, theirs, ours, home = apart(run())
    assert found == [
        (theirs, home / "samba" / "training" / "1" / "run"),
        (ours, home / "console" / "training" / "2" / "run"),
    ]


async def until(jobs, job, *phases):
    while jobs.get(job.id).phase not in phases:
        await asyncio.sleep(0.05)
    return jobs.get(job.id)


def test_jobs_outlive_the_server_and_pauses(apart, tmp_path, bert, data):
    home = tmp_path / "served"
    plan = Plan(model=str(bert), train_n_passages=3, batch_size=4, temperature=0.05, max_steps=40, held_out=4,
                save_every=4)  # fmt: skip

    async def stopped_at_work():
        async with running(Options(home)) as service:
            work = Work(service)
            checked = await training.check(service, str(data))
            assert (checked.examples, checked.passages, checked.negatives) == (12, 24, 2)
            job = training.start(work.trainings, new_id(), "mine", data, plan, checked)
            while not list(run_of(work.trainings, job).glob("checkpoints/step-*[0-9]")):
                await asyncio.sleep(0.05)
            paused = await work.trainings.pause(job)
            assert paused.phase is Phase.PAUSED
            await work.close()
            return job

    async def gone_on_with(job):
        async with running(Options(home)) as service:
            work = Work(service)
            jobs = work.trainings
            await asyncio.sleep(0.2)
            assert jobs.get(job.id).phase is Phase.PAUSED
            with pytest.raises(DeploymentError, match="when it is completed"):
                await training.deploy(jobs, job, "mine")
            jobs.again(job)
            done = await until(jobs, job, *ENDED)
            assert done.phase is Phase.COMPLETED, done.reason
            found = curves(run_of(jobs, job))
            assert [step for step, _ in found.loss] == list(range(1, 41))
            assert {gain.measure for gain in gains(found)} == {"nDCG@10", "RR@10", "R@100"}
            with pytest.raises(InputError, match="cannot be a deployment's name"):
                await training.deploy(jobs, job, "my model")
            await training.deploy(jobs, job, "mine")
            assert ModelStore(home).names() == ("mine",)
            with pytest.raises(DeploymentError, match="there is a deployment mine already"):
                await training.deploy(jobs, job, "mine")
            await service.deployments.start("mine")
            await training.delete(jobs, job)
            assert service.deployments.get("mine").phase == "ready"
            assert jobs.all() == []
            await work.close()

    apart(gone_on_with(apart(stopped_at_work())))


def test_what_cannot_be_trained_on_does_not_start(apart, tmp_path, data):
    async def run():
        async with running(Options(tmp_path / "served")) as service:
            left = training.datasets(service, "left")  # by somebody who uploaded files and went away
            left.mkdir(parents=True)
            work = Work(service)
            jobs = work.trainings
            checked = await training.check(service, str(data))
            for name, plan, words in (
                ("../x", Plan(train_n_passages=3), "cannot be a model's name"),
                ("mine", Plan(train_n_passages=8), "the data has 2 negatives for every question, so 3 at most"),
                ("mine", Plan(train_n_passages=3, held_out=11), "too few are left"),
            ):
                with pytest.raises(InputError, match=words):
                    training.start(jobs, new_id(), name, data, plan, checked)
            assert jobs.all() == []
            await work.close()
            assert not left.exists()

    apart(run())


@pytest.mark.slow
@pytest.mark.browser
def test_bad_lines_are_named_before_anything_starts(page, data):
    lines = (data / "train.jsonl").read_text().splitlines()
    lines[4], lines[7] = '{"query: "broken"}', lines[7].replace("[7]", "[77]")
    (data / "train.jsonl").write_text("\n".join(lines) + "\n")
    page.goto("training")
    page.get_by_text("Nothing has been trained here yet").wait_for()
    page.get_by_role("button", name="New training").click()
    page.get_by_label("Name of the new model").fill("mine")
    choose(page, sorted(data.iterdir()))
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("alert").get_by_text("2 problems; mend these lines").wait_for()
    page.get_by_text(re.compile("train.jsonl, line 5: broken JSON")).wait_for()
    page.get_by_text(re.compile("train.jsonl, line 8: doc_id 77")).wait_for()

    pairs = data.parent / "pairs.jsonl"
    pairs.write_text("".join(f'{{"query": "q{n}", "positive": "p{n}"}}\n' for n in range(9)))
    page.get_by_role("radio", name="On the server").click()
    page.get_by_label("Folder or file on the server").fill(str(pairs))
    page.get_by_role("button", name="Check the data").click()
    page.get_by_text("9 questions").wait_for()
    page.get_by_role("radio", name="Files from here").click()  # not what was checked last
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("alert").get_by_text("2 problems").wait_for()
    assert page.url.endswith("/new-training")


@pytest.mark.slow
@pytest.mark.browser
def test_a_job_that_fails_says_why_and_can_be_deleted(page, tmp_path, data):
    page.goto("new-training")
    page.get_by_label("Name of the new model").fill("mine")
    page.get_by_role("radio", name="On the server").click()
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("name a folder with passages.jsonl").wait_for()
    page.get_by_label("Folder or file on the server").fill(str(data))
    page.get_by_role("button", name="Check the data").click()
    page.get_by_text("12 questions, 24 passages, at least 2 negatives each; no problems.").wait_for()
    assert page.get_by_label("Passages of a question").input_value() == "3"
    (data / "train.jsonl").unlink()
    page.get_by_role("button", name="Start training").click()
    page.get_by_text(re.compile("no train.jsonl.*What is done is kept")).wait_for(timeout=120_000)
    other = page.context.new_page()
    other.goto(page.url)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    for each in (page, other):
        each.get_by_text("Nothing has been trained here yet").wait_for()
