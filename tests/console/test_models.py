"""The models page: what it judges, brings, checks and deletes."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from efive.console import hardware, models, models_card, sending
from efive.console.hardware import Fit, Gpu, Machine
from efive.console.models_adding import Adding, Phase
from efive.engines.hardware import Hardware
from efive.errors import DeploymentError, InputError, ModelNotFoundError
from efive.models import bundles
from efive.models.family import FAMILY
from efive.models.store import BUNDLED, ModelStore

sys.path.append(str(Path(__file__).parents[1] / "models"))
from hub_server import Hub

NAME = "someone/a-model"


def machine(cpus=4, sets=("avx512-bf16", "avx2"), gibibytes=16, gpu=None):
    return Machine(Hardware("a processor", cpus, sets), gibibytes << 30, gpu)


# -- what suits a machine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (machine(cpus=2), "multilingual-e5-small"),
        (machine(cpus=4), "multilingual-e5-base"),
        (machine(cpus=64, gibibytes=128), "multilingual-e5-large"),
        (machine(cpus=64, gibibytes=2), "multilingual-e5-small"),  # fast enough for more, and no room for it
        (machine(cpus=1, sets=()), "multilingual-e5-small"),  # none is fast: the fastest
        (machine(cpus=2, gpu=Gpu("a GPU", 24 << 30)), "multilingual-e5-large"),
        (machine(gibibytes=1), None),
    ],
)
def test_one_model_is_recommended(here, expected):
    verdicts = hardware.judge(here)
    assert set(verdicts) == set(FAMILY)
    recommended = [name for name, verdict in verdicts.items() if verdict.fit is Fit.RECOMMENDED]
    assert recommended == ([expected] if expected else [])
    for verdict in verdicts.values():
        assert (verdict.fit is Fit.TOO_LARGE) == (verdict.needs > here.room)


def test_more_of_everything_never_makes_a_model_suit_less():
    order = [Fit.TOO_LARGE, Fit.SLOW, Fit.FITS]
    less, more = hardware.judge(machine(cpus=2, gibibytes=8)), hardware.judge(machine(cpus=16, gibibytes=64))
    for name in FAMILY:
        fits = [Fit.FITS if each[name].fit is Fit.RECOMMENDED else each[name].fit for each in (less, more)]
        assert order.index(fits[0]) <= order.index(fits[1]), name


# -- cards ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlanguage: en\nlicense: mit\n---\n# E", ("en",)),
        ("---\nlanguage: [en, 'de']\n---\n", ("en", "de")),
        ("---\ntags:\n- x\nlanguage:\n- multilingual\n- af\n- zh-Hans\nlicense: mit\n---\n", ("af", "zh-Hans")),
        ("---\nlanguage:\n  - multilingual\n---\n", ("multilingual",)),
        ("# language: de\n", ()),
    ],
)
def test_languages_are_those_of_the_card(card, expected):
    assert models_card.languages(card, "mine") == expected


def test_languages_of_the_family_are_known_without_a_card():
    assert models_card.languages("", "multilingual-e5-small") == ("multilingual",)
    assert models_card.languages("", "mine", "intfloat/e5-base-v2") == ("en",)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](data:text/html,x)",
        "[a](/console/sign-out)",
        "![a](https://tracker.example/p.png)",
        "<style>body { display: none }</style>",
        '<form action="https://evil.example">',
    ],
)
def test_a_hostile_card_does_nothing(hostile):
    html = models_card.html(f"---\nlicense: mit\n---\n# A card\n\n{hostile}\n")
    assert html.startswith("<h3>A card</h3>")
    for tag in ("<script", "<img", "<style", "<form", "href="):
        assert tag not in html


def test_links_within_a_card_lead_to_its_headings():
    html = models_card.html("See [below](#how-it-was-made).\n\n## Data\n\n## How it was made\n")
    assert 'href="#card-how-it-was-made"' in html
    assert '<h4 id="card-how-it-was-made">How it was made</h4>' in html
    assert "<h4>Data</h4>" in html


# -- the store -----------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "home")


def test_a_damaged_model_is_listed_with_what_is_wrong(store, bert):
    store.copy(bert, "whole")
    store.copy(bert, "torn")
    store.copy(bert, "unreadable")
    (store.models / "torn" / "config.json").unlink()
    (store.models / "unreadable" / "efive.json").write_text("{")
    found = {model.name: model for model in models.installed(store, {})}
    assert list(found) == [BUNDLED, "torn", "unreadable", "whole"]
    assert (found["whole"].fault, found["whole"].shape) == ("", "3 layers, 64 dimensions, 512 tokens")
    assert "config.json" in found["torn"].fault
    assert "manifest" in found["unreadable"].fault
    assert models.space(store, found["whole"]).startswith("e5-")
    with pytest.raises(InputError):
        models.one(store, "../whole", {})


def test_a_deployed_model_is_not_deleted(store, bert):
    folder = store.copy(bert, "mine").folder
    with pytest.raises(DeploymentError, match="mine is the model of live"):
        models.remove(store, "mine", {folder.resolve(): ["live"]})
    models.remove(store, "mine", {})
    assert not folder.exists()


# -- jobs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Hub() as hub:
        yield hub


@pytest.fixture
def run(store, apart):
    """Run a coroutine function on the jobs of the store; end them all."""

    async def running(work):
        adding = Adding(store)
        try:
            return await work(adding)
        finally:
            await adding.close()

    return lambda work: apart(running(work))


async def ended(job, seconds=240):
    async with asyncio.timeout(seconds):
        while job.phase is Phase.RUNNING:
            await asyncio.sleep(0.05)
    return job


def test_a_pull_says_how_far_it_is_and_ends_with_the_model(run, hub, store, bert):
    hub.publish(NAME, bert)

    async def work(adding):
        job = adding.pull(NAME, endpoint=hub.endpoint)
        with pytest.raises(InputError, match="going on"):
            adding.pull(NAME, endpoint=hub.endpoint)
        return await ended(job)

    job = run(work)
    assert (job.phase, job.error) == (Phase.DONE, "")
    files = [path for path in (store.models / "a-model").iterdir() if path.name != "efive.json"]
    assert job.total == sum(path.stat().st_size for path in files) > 0


def test_without_a_network_a_pull_says_so(run):
    async def work(adding):
        return await ended(adding.pull("e5-small", endpoint="http://127.0.0.1:9"))

    job = run(work)
    assert job.phase is Phase.FAILED
    assert "could not fetch intfloat/e5-small" in job.error
    assert "without a network" in job.error


def test_a_job_that_is_cancelled_leaves_no_process_and_no_model(run, store, bert, tmp_path):
    big = shutil.copytree(bert, tmp_path / "big")
    with (big / "padding.json").open("wb") as file:
        file.truncate(8 << 30)  # a hole: nothing on the disk

    async def work(adding):
        job = adding.copy(str(big), "mine")
        async with asyncio.timeout(240):
            while not job.done:
                await asyncio.sleep(0.02)
        assert 0 < job.fraction < 1
        await adding.cancel(job)
        return job

    assert run(work).phase is Phase.CANCELLED
    assert store.names() == ()
    assert not list((store.home / "incoming").iterdir())


@pytest.fixture
def forked(tmp_path):
    """A file that is there once a fork of this process has run Python."""
    seen = [tmp_path / "forked"]
    os.register_at_fork(after_in_child=lambda: [path.touch() for path in seen])
    yield seen[0]
    seen.clear()


def test_a_job_runs_no_python_in_a_fork_of_the_server(store, bert, forked):
    async def work():
        adding = Adding(store)
        job = await ended(adding.copy(str(bert), "mine"))
        await adding.close()
        return job

    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the server's
        assert runner.run(work()).phase is Phase.DONE
    assert not forked.exists()


def test_copies_bundles_and_checks(run, store, bert, tmp_path):
    bundles.export_bundle(bert, tmp_path / "a.efive", source="here", revision="")

    async def work(adding):
        jobs = [
            await ended(adding.copy(str(bert), "copied")),
            await ended(adding.unpack(str(tmp_path / "a.efive"), "unpacked", keep=False)),
            await ended(adding.verify("copied")),
        ]
        (store.models / "copied" / "config.json").write_text("{}")
        return [*jobs, await ended(adding.verify("copied")), await ended(adding.unpack(str(bert / "config.json")))]

    *good, altered, no_bundle = run(work)
    assert [job.phase for job in good] == [Phase.DONE] * 3
    assert store.names() == ("copied", "unpacked")
    assert not (tmp_path / "a.efive").exists()
    assert "config.json" in altered.error
    assert "no bundle of efive" in no_bundle.error


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (lambda adding: adding.pull("nonsense"), "neither a family name"),
        (lambda adding: adding.pull(NAME, endpoint="file:///etc"), "no address of a mirror"),
        (lambda adding: adding.pull(NAME, revision="../x"), "no branch"),
        (lambda adding: adding.copy(""), "name a folder"),
        (lambda adding: adding.copy("~nobody_of_this_name/x"), "cannot be a path"),
        (lambda adding: adding.copy("/" + 300 * "x"), "cannot be a path"),
        (lambda adding: adding.copy(__file__), "no folder"),
        (lambda adding: adding.copy("/", "../x"), "cannot be a model's name"),
        (lambda adding: adding.copy("/", 300 * "x"), "200 bytes at most"),
        (lambda adding: adding.unpack("/nowhere"), "is not on the server"),
        (lambda adding: adding.unpack("/"), "no file"),
    ],
)
def test_what_cannot_be_is_refused_before_it_begins(run, order, said):
    async def work(adding):
        with pytest.raises((InputError, ModelNotFoundError), match=said):
            order(adding)
        assert not adding.jobs

    run(work)


# -- in a browser --------------------------------------------------------------------------------------------------


def dialog(page, name):
    return page.get_by_role("dialog").filter(has=page.get_by_role("heading", name=name))


def row(page, name):
    return page.get_by_role("region", name="Models on this server").get_by_role("row").filter(has_text=name)


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_says_what_is_here_and_what_suits(page):
    page.goto("models")
    row(page, "bundled").get_by_text("Deployed as e5").wait_for()
    row(page, "bundled").get_by_text("e5-18f464e1c670ef2c").wait_for()
    published = page.get_by_role("region", name="Published models").get_by_role("row")
    assert published.count() == len(FAMILY) + 1
    assert "Recommended" in published.nth(1).inner_text()
    page.get_by_role("link", name="bundled").click()
    page.get_by_role("heading", name="e5-nano").wait_for()


@pytest.mark.slow
@pytest.mark.browser
def test_a_folder_becomes_a_model_that_is_verified_deployed_and_deleted(page, served, bert):
    page.goto("models")
    page.get_by_role("button", name="From a folder").click()
    asked = dialog(page, "From a folder")
    asked.get_by_label("Folder on the server").fill("/no/such/folder")
    asked.get_by_role("button", name="Copy").click()
    asked.get_by_role("alert").get_by_text("/no/such/folder is not on the server").wait_for()
    asked.get_by_label("Folder on the server").fill(str(bert))
    asked.get_by_label("Name").fill("mine")
    asked.get_by_label("Name").press("Enter")
    asked.get_by_role("button", name="Copy").click()
    page.get_by_text("Done: it can be deployed").wait_for()
    row(page, "mine").get_by_text("Ready to deploy").wait_for()
    page.get_by_role("button", name="Dismiss: Copying mine").click()
    page.get_by_role("button", name="Verify mine").click()
    page.get_by_text("Intact: every file").wait_for()

    made = {"name": "live", "model": "mine", "precision": "fp32", "threads": 1}
    httpx.post(f"{served.url}/deployments", json=made, timeout=240).raise_for_status()
    page.reload()
    row(page, "mine").get_by_text("Deployed as live").wait_for()
    page.get_by_role("button", name="Delete mine").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("mine is the model of live; delete that deployment first").wait_for()
    httpx.delete(f"{served.url}/deployments/live", timeout=240).raise_for_status()
    page.get_by_role("button", name="Delete mine").click()
    page.get_by_role("dialog").get_by_text("Delete mine?").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Delete mine").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("mine is deleted").wait_for()
    row(page, "mine").wait_for(state="detached")


@pytest.mark.slow
@pytest.mark.browser
def test_a_models_own_page_has_it_under_any_name_and_checks_it(page, served, bert):
    name = "50% a?b#c نموذج " + 60 * "x"
    ModelStore(served.home).copy(bert, name)
    page.goto("models")
    page.get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, level=2).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name=f"Verify {name}").click()
    page.get_by_text("Intact: every file").wait_for()


@pytest.mark.slow
@pytest.mark.browser
def test_without_a_network_the_page_says_what_else_there_is(page):
    page.goto("models")
    page.get_by_role("button", name="Pull multilingual-e5-small", exact=True).click()
    page.get_by_text("could not fetch intfloat/multilingual-e5-small").wait_for()
    page.get_by_role("button", name="Pull from the hub").click()
    asked = dialog(page, "Pull from the hub")
    asked.get_by_label("Model", exact=True).fill("nonsense")
    asked.get_by_role("button", name="Pull", exact=True).click()
    asked.get_by_role("alert").get_by_text("neither a family name").wait_for()
    page.keyboard.press("Escape")
    asked.wait_for(state="detached")
    page.get_by_role("button", name="Dismiss: Pulling multilingual-e5-small").click()
    page.get_by_text("could not fetch").wait_for(state="detached")


def test_a_file_that_the_server_cannot_keep_is_given_up(tmp_path, apart):
    async def sent():
        token, coming = sending.begin(tmp_path, 6)
        coming.path.unlink()  # as little can be written as on a full disk

        async def piece():
            return {"type": "http.request", "body": b"abc"}

        scope = {"type": "http", "method": "PUT", "path_params": {"token": token}, "query_string": b"at=0"}
        answers = [await sending.receive(Request({**scope, "headers": []}, piece)) for _ in range(2)]
        return [answer.status_code for answer in answers], coming

    codes, coming = apart(sent())
    assert codes == [507, 410]
    assert coming.ended.is_set()
    assert coming.fault == "No such file or directory"


@pytest.mark.slow
@pytest.mark.browser
def test_a_bundle_is_sent_from_the_browser_in_pieces(page, served, bert, tmp_path):
    fat = shutil.copytree(bert, tmp_path / "fat")
    (fat / "filling.txt").write_bytes(bytes(9 << 20))
    bundles.export_bundle(fat, tmp_path / "fat.efive", source="here", revision="")
    page.goto("models")
    page.get_by_role("button", name="From a bundle").click()
    name = dialog(page, "From a bundle").get_by_label("Name")
    for given in ("a/b", ""):
        name.fill(given)
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Send a file").click()
        chooser.value.set_files(tmp_path / "fat.efive")
        if given:  # refused before it is sent
            page.get_by_text("'a/b' cannot be a model's name").wait_for()
            assert not list((served.home / "incoming").glob("*.part"))
    row(page, "fat").get_by_text("Ready to deploy").wait_for()
    assert (served.home / "models" / "fat" / "filling.txt").stat().st_size == 9 << 20
    assert not [path for path in (served.home / "incoming").iterdir() if path.name.endswith(".part")]
