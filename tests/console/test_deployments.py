"""Deployments and endpoints: what their pages know, and what a user does with them in a browser."""

import math
import re
import shutil
import subprocess
import time
from dataclasses import replace

import httpx
import pytest
from served import serving

from efive.console import charts, endpoints, units
from efive.console.charts import CHARTS
from efive.console.deployments import plan
from efive.console.deployments_form import FOLDER, Form, changed, form_of, free_name
from efive.console.history import INTERVAL, MOST, History, Totals, quantile, totals
from efive.deployments import memory
from efive.deployments.deployment import Deployment
from efive.deployments.manager import Deployments
from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.errors import DeploymentError, InputError
from efive.models import checkpoint
from efive.models.store import BUNDLED, ModelStore
from efive.server.app import Options, running

INFINITE = float("inf")


# -- what the dialog asks for ------------------------------------------------------------------------------------


def test_a_form_makes_the_settings_that_it_says(tmp_path):
    form = Form(model=FOLDER, folder=f" {tmp_path} ", name=" shop ", threads=2.0, low_priority=True, precision="int8")
    expected = Settings(name="shop", model=str(tmp_path), threads=2, low_priority=True, precision="int8")
    assert form.settings() == expected
    adaptive = replace(form, adaptive=True, least=0, most=3, idle=60)
    assert adaptive.settings().range == (0, 3)
    assert adaptive.settings().idle == 60
    assert form_of(adaptive.settings()).adaptive


def test_a_folder_is_kept_from_the_root_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Form(model=FOLDER, folder="model", name="a").settings().model == str(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "two words"}, "two words"),
        ({"name": "a:query"}, "a:query"),
        ({"name": "../.."}, "../.."),
        ({"name": "a/.."}, "a/.."),
        ({"model": FOLDER}, "folder"),
        ({"allocations": None}, "allocations"),
        ({"allocations": 1.5}, "1.5"),
        ({"allocations": 65}, "65"),
        ({"adaptive": True, "least": 3, "most": 2}, "from 3 to 2"),
        ({"adaptive": True, "idle": None}, "idle"),
        ({"threads": 0}, "threads"),
        ({"threads": math.inf}, "threads"),
        ({"wait": math.nan}, "wait"),
        ({"model": FOLDER, "folder": "~nobody_of_this_name/x"}, "nobody_of_this_name"),
        ({"wait": 0}, "wait"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(change, said):
    with pytest.raises(InputError, match=re.escape(said)):
        replace(Form(name="a"), **change).settings()


def test_settings_that_the_dialog_does_not_ask_for_outlast_an_update():
    present = Settings(name="a", model=BUNDLED, cache=5, max_tokens=64, least=1, most=4, idle=33.0, low_priority=True)
    assert changed(present, form_of(present)) == present
    fixed = changed(present, replace(form_of(present), adaptive=False, allocations=2))
    assert (fixed.adaptive, fixed.allocations, fixed.cache) == (False, 2, 5)


def test_a_new_name_is_one_that_nothing_has(tmp_path, apart):
    async def names() -> list[str]:
        known = Deployments(ModelStore(tmp_path), State(tmp_path / "state"))
        found = []
        for _ in range(3):
            found.append(free_name(BUNDLED, known))
            known.create(Settings(name=found[-1], model=BUNDLED))
        return [*found, *(free_name(model, known) for model in ("/models/shop", "Léa's: 2", "نموذج"))]

    assert apart(names()) == ["e5", "e5-2", "e5-3", "shop", "Lea-s-2", "e5-4"]


# -- what it would need ------------------------------------------------------------------------------------------


def test_the_estimate_is_what_the_start_itself_asks_for(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 4 << 30)
    store = ModelStore(tmp_path)
    found = plan(store, Settings(name="a", model=BUNDLED, precision="fp32", allocations=2))
    shape = checkpoint.read(store.resolve(BUNDLED)).architecture
    assert found.needed == 2 * memory.estimate(shape, "fp32")
    assert found.refusal == ""
    assert "fp32: asked for" in found.how
    with pytest.raises(DeploymentError) as refused:
        memory.require(shape, "fp32", 2, "a", free=found.needed - 1)
    assert "2 allocations" in str(refused.value)


def test_what_does_not_fit_is_refused_before_it_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 4 << 30)
    found = plan(ModelStore(tmp_path), Settings(name="a", model=BUNDLED, allocations=64))
    assert found.needed > found.free
    assert "64 allocations" in found.refusal
    adaptive = plan(ModelStore(tmp_path), Settings(name="a", model=BUNDLED, least=0, most=64))
    assert adaptive.refusal == ""  # it begins with one


def test_models_that_cannot_be_started_are_refused_with_the_reason(tmp_path):
    store = ModelStore(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(store.resolve(BUNDLED), broken)
    (broken / "model.safetensors").write_bytes(b"torn")
    assert "model.safetensors" in plan(store, Settings(name="a", model=str(broken))).refusal
    assert "is not on this machine" in plan(store, Settings(name="a", model="multilingual-e5-large")).refusal
    assert "takes no instruction" in plan(store, Settings(name="a", model=BUNDLED, task="retrieval")).refusal
    assert "native" in plan(store, Settings(name="a", model=BUNDLED, engine="native", device="cuda")).refusal


# -- what it did -------------------------------------------------------------------------------------------------


def test_quantiles_lie_where_the_requests_do():
    buckets = {0.1: 0.0, 0.2: 50.0, 0.4: 100.0, INFINITE: 100.0}
    assert quantile(buckets, 0.5) == pytest.approx(0.2)
    assert quantile(buckets, 0.75) == pytest.approx(0.3)
    assert quantile(buckets, 0.99) == pytest.approx(0.396)
    assert quantile({0.1: 0.0, INFINITE: 3.0}, 0.5) == 0.1  # no more is known
    assert quantile({0.1: 0.0, INFINITE: 0.0}, 0.5) is None
    assert quantile({}, 0.5) is None


def test_samples_are_rates_and_old_ones_go():
    one, history = Deployment(Settings(name="a", model=BUNDLED)), History()
    for step in range(MOST + 10):
        done = Totals(requests=6.0 * step, cut=2.0 * step, buckets={0.1: 6.0 * step, INFINITE: 6.0 * step})
        history.look([one], {"a": done}, 100.0 + 2 * step)
    samples = history.of("a")
    assert len(samples) == MOST
    assert samples[-1].requests == pytest.approx(3.0)
    assert samples[-1].cut == pytest.approx(1.0)
    assert samples[-1].p50 == pytest.approx(0.05)
    history.look([one], {"a": Totals(requests=4.0)}, 100.0 + 2 * (MOST + 10))  # the server's counts began anew
    assert history.of("a")[-1].requests == pytest.approx(2.0)
    history.look([], {}, 1e6)
    assert history.of("a") == ()


def test_totals_are_those_of_the_requests_that_were_sent(tmp_path):
    settings = Settings(name="e5", model=BUNDLED, threads=1, max_tokens=16)
    with serving(Options(tmp_path, (settings,))) as server:
        for texts in (["short"], ["short", "word " * 40]):
            httpx.post(f"{server.url}/embed", json={"model": "e5", "role": "query", "texts": texts}).raise_for_status()
        model = {"model": "e5:query", "input": "another"}
        httpx.post(f"{server.url}/openai/v1/embeddings", json=model).raise_for_status()
        wrong = {"model": "e5", "role": "query", "texts": ["a"], "dimensions": 100_000}
        assert httpx.post(f"{server.url}/embed", json=wrong).is_error
        found = totals(server.service.telemetry)["e5"]
    assert (found.requests, found.cut, found.errors) == (3, 1, 1)
    assert found.buckets[INFINITE] == 3


def test_charts_have_room_for_all_samples_and_say_the_newest():
    history = History()
    one = Deployment(Settings(name="a", model=BUNDLED))
    assert charts.in_words(CHARTS[0], history.of("a")) == "nothing yet"
    for step in range(3):
        history.look([one], {"a": Totals(requests=50.0 * step)}, 100.0 + step * INTERVAL)
    requests = CHARTS[1]
    assert [len(line) for line in charts.series(requests, history.of("a"))] == [MOST, MOST]
    assert charts.series(requests, history.of("a"))[0][-3:] == [0, 25, 25]
    assert charts.in_words(requests, history.of("a")) == "answered 25, failed 0 requests/s"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.01234, "0.0123"), (9.999, "10"), (20, "20"), (12.34, "12.3"), (200, "200"), (999.6, "1,000")],
)
def test_numbers_have_three_digits(value, shown):
    assert units.number(value) == shown


# -- endpoints ---------------------------------------------------------------------------------------------------


def test_an_endpoint_takes_its_deployment_along_unless_another_uses_it(tmp_path, apart):
    async def walk() -> None:
        async with running(Options(tmp_path, (Settings(name="e5", model=BUNDLED, threads=1),))) as service:
            await service.deployments.delete("e5")
            assert endpoints.deployed(service, BUNDLED) is None
            first, _ = endpoints.make(service, " shop ", "one", BUNDLED, 1)
            second, _ = endpoints.make(service, "shop", "two", BUNDLED, 32)
            assert endpoints.deployed(service, BUNDLED) == second.deployment == "shop/one"
            rows = endpoints.rows(service, "http://here")
            assert [(each.path, each.batch_size) for each in rows] == [("shop/one", 1), ("shop/two", 32)]
            assert rows[0].urls["generic"] == "http://here/samba/api/predict/generic/shop/one"
            await endpoints.remove(service, first)
            assert [each.name for each in service.deployments] == ["shop/one"]  # the second uses it
            await endpoints.remove(service, second)
            third, _ = endpoints.make(service, "shop", "three", str(ModelStore(tmp_path).resolve(BUNDLED)), 1)
            await endpoints.remove(service, third)
            assert third.deployment not in [each.name for each in service.deployments]
            assert endpoints.rows(service, "http://here") == []

    apart(walk())


# -- in a browser ------------------------------------------------------------------------------------------------


@pytest.fixture
def expect():
    sync = pytest.importorskip("playwright.sync_api")
    sync.expect.set_options(timeout=120_000)
    return sync.expect


@pytest.mark.slow
@pytest.mark.browser
def test_from_the_dialog_to_live_to_gone(page, served, expect):
    page.goto("deployments")
    expect(page.get_by_label("State of e5")).to_contain_text("Live")
    page.get_by_role("button", name="Start a deployment").click()
    dialog = page.get_by_role("dialog", name="Start a deployment")
    dialog.get_by_label("Deployment id").fill("second")
    dialog.get_by_label("Allocations", exact=True).fill("64")
    start = dialog.get_by_role("button", name="Start", exact=True)
    expect(dialog.get_by_role("alert")).to_contain_text("64 allocations")
    expect(start).to_be_disabled()
    dialog.get_by_label("Allocations", exact=True).fill("1")
    dialog.get_by_label("Priority").click()
    page.get_by_role("option", name="low").click()
    expect(dialog.get_by_role("status")).to_contain_text("are free")
    expect(start).to_be_enabled()
    start.dblclick()
    state = page.get_by_label("State of second")
    expect(state).to_contain_text("Live")  # nothing was reloaded
    assert len(httpx.get(f"{served.url}/deployments").json()["deployments"]) == 2
    assert httpx.get(f"{served.url}/deployments/second").json()["settings"]["low_priority"]

    page.get_by_role("link", name="second").click()
    expect(page.get_by_role("heading", name="second")).to_be_visible()
    page.get_by_role("button", name="Update").click()
    change = page.get_by_role("dialog", name="Update second")
    change.get_by_text("Adaptive").click()
    change.get_by_label("At least").fill("4")
    expect(change.get_by_role("alert")).to_contain_text("from 4 to 2")
    change.get_by_label("At least").fill("1")
    change.get_by_role("button", name="Save").click()
    expect(page.get_by_text("1 of 1 (1 to 2)")).to_be_visible()
    assert httpx.get(f"{served.url}/deployments/second").json()["settings"]["most"] == 2

    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(state).to_contain_text("Live")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(state).to_contain_text("Stopped")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(state).to_contain_text("Live")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile(r"/console/deployments$"))
    expect(page.get_by_role("link", name="second")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_of_a_deployment_shows_its_load_and_lines_that_run(page, served, expect):
    page.goto("deployments/e5")
    latency = page.get_by_text(re.compile(r"^median [\d.,]+, 99 % [\d.,]+ ms$"))
    cut = page.get_by_text(re.compile(r"^[\d.]*[1-9][\d.]* texts/s$"))
    until = time.monotonic() + 200
    while not (latency.is_visible() and cut.is_visible()) and time.monotonic() < until:
        body = {"model": "e5", "role": "passage", "texts": [f"text at {time.monotonic()} " + "word " * 600]}
        httpx.post(f"{served.url}/embed", json=body).raise_for_status()
        page.wait_for_timeout(100)
    expect(latency).to_be_visible()
    expect(cut).to_be_visible()
    assert page.locator("canvas").count() == len(CHARTS)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    code = page.evaluate("navigator.clipboard.readText()")
    assert code == page.get_by_role("region", name="Lines for curl").inner_text()
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert '"dimension":384' in done.stdout
    page.get_by_label("Client").click()
    page.get_by_role("option", name="pinecone").click()
    expect(page.get_by_role("region", name="Lines for pinecone")).to_contain_text(f"{served.url}/pinecone")


@pytest.mark.slow
@pytest.mark.browser
def test_an_endpoint_s_key_is_shown_once_and_opens_it(page, served, expect):
    page.goto("deployments")
    page.get_by_role("button", name="New endpoint").click()
    dialog = page.get_by_role("dialog", name="New endpoint")
    dialog.get_by_label("Project").fill("no project")
    dialog.get_by_label("Endpoint", exact=True).fill("search")
    dialog.get_by_label("Batch size").click()
    page.get_by_role("option", name="32 texts at once").click()
    dialog.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("cannot be a project's name")).to_be_visible()
    dialog.get_by_label("Project").fill("shop")
    dialog.get_by_role("button", name="Make it").click()
    shown = page.get_by_role("dialog", name="The key of shop/search")
    key = shown.get_by_role("region", name="Key").inner_text()
    shown.get_by_role("button", name="I have it").click()
    url = f"{served.url}/samba/api/predict/generic/shop/search"
    answer = httpx.post(url, json={"instances": ["query: a"] * 32}, headers={"key": key})
    assert len(answer.json()["predictions"]) == 32
    expect(page.get_by_role("row", name="shop/search")).to_contain_text("Live")
    page.get_by_role("button", name="Delete shop/search").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="shop/search")).to_have_count(0)
    assert httpx.post(url, json={"instances": ["a"]}, headers={"key": key}).status_code == 404


@pytest.mark.slow
@pytest.mark.browser
def test_a_deployment_that_is_not_there_says_so(page, expect):
    page.goto("deployments/never-made")
    expect(page.get_by_text("There is no deployment never-made")).to_be_visible()
    page.get_by_role("link", name="All deployments").click()
    expect(page.get_by_role("link", name="e5")).to_be_visible()


@pytest.mark.slow
@pytest.mark.browser
def test_the_dialog_is_used_and_left_by_keyboard_alone(page, served, expect):
    page.goto("deployments")
    expect(page.get_by_label("State of e5")).to_contain_text("Live")
    opener = page.get_by_role("button", name="Start a deployment")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Start a deployment")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Start", exact=True)).to_be_enabled()
    start, steps = dialog.get_by_role("button", name="Start", exact=True), 0
    while not start.evaluate("element => element === document.activeElement"):
        page.keyboard.press("Tab")
        steps += 1
        assert steps < 30
    page.keyboard.press("Enter")
    expect(page.get_by_label("State of e5-2")).to_contain_text("Live")
    httpx.delete(f"{served.url}/deployments/e5-2").raise_for_status()
    expect(page.get_by_role("link", name="e5-2")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("path", ["deployments", "deployments/e5", "playground"])
def test_nothing_comes_from_elsewhere_and_a_phone_shows_all_of_it(page, served, expect, path):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(path)
    expect(page.get_by_text("e5", exact=True).first).to_be_visible()
    assert all(url.startswith((served.url, "data:", "blob:")) for url in asked)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
