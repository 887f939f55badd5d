"""Collections in the console: files in, questions, hits; as data, and in a browser."""

import asyncio
import re

import pytest
from choosing import choose

from efive.console.collections import summaries, uploads
from efive.console.collections_indexing import Indexings, Phase
from efive.console.collections_search import Asked, compare, elsewhere, fault_of, marked, search
from efive.console.paths import check_path, checked_name
from efive.deployments.settings import Settings
from efive.errors import CollectionBusyError, InputError, ModelNotFoundError
from efive.server.app import Options, running

HOSTILE = "Cats eat <img src=x onerror=\"document.title='hacked'\"> fish & mice."


@pytest.fixture(scope="module")
def served(start, bert):
    return start("--model", f"tiny={bert}")


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "cats.md").write_text(f"# Cats\n\n{HOSTILE}\n\n# Dogs\n\nDogs bark at the postman.")
    (folder / "train.txt").write_text("The train leaves at nine in the morning.")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 10)
    return folder


async def ended(indexing):
    while indexing.phase is Phase.RUNNING:
        await asyncio.sleep(0.02)
    return indexing


@pytest.fixture
def with_server(tmp_path, bert, apart):
    """Does some work with a service in this process."""

    async def serving(work):
        settings = Settings(name="tiny", model=str(bert), threads=1)
        async with running(Options(tmp_path / "served", [settings])) as service:
            await service.deployments.start("tiny")
            return await work(service)

    return lambda work: apart(serving(work))


def test_an_indexing_counts_what_is_safe_and_names_what_is_refused(with_server, bert, files):
    async def work(service):
        indexings = Indexings()
        first = indexings.start(service, "pets", [files], "tiny")
        with pytest.raises(CollectionBusyError, match="is being indexed already"):
            indexings.start(service, "pets", [files])
        await ended(first)
        (files / "train.txt").unlink()
        again = await ended(indexings.start(service, "pets", [files]))
        return first, again, await summaries(service)

    first, again, (pets,) = with_server(work)
    assert first.phase is Phase.DONE, first.reason
    assert (first.documents, first.passages, first.refused_count) == (2, 3, 1)
    assert "binary.txt" in first.refused[0]
    assert "1 unchanged, 1 removed, 1 refused" in again.describe()
    assert (pets.documents, pets.passages, pets.model, pets.calibration) == (1, 2, str(bert), "")


def test_a_cancelled_indexing_keeps_what_is_safe_and_goes_on(with_server, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(600):
        (folder / f"{number}.txt").write_text(f"Document {number} is about the number {number * 7}.")

    async def work(service):
        indexings = Indexings()
        indexing = indexings.start(service, "many", [folder], "tiny")
        while not indexing.files:
            await asyncio.sleep(0.001)
        indexings.cancel("many")
        await ended(indexing)
        rest = await ended(indexings.start(service, "many", [folder], "tiny"))
        return indexing, rest, await summaries(service)

    indexing, rest, (many,) = with_server(work)
    assert indexing.phase is Phase.CANCELLED
    assert indexing.documents < 600
    assert rest.phase is Phase.DONE
    assert many.documents == 600
    assert many.calibration  # made by itself once there is enough


def test_what_cannot_be_indexed_is_refused_at_once(with_server, files):
    async def work(service):
        with pytest.raises(ModelNotFoundError):
            Indexings().start(service, "pets", [files], "nobody")
        with pytest.raises(InputError, match="is not on the server"):
            Indexings().start(service, "pets", [files / "gone"], "tiny")
        with pytest.raises(InputError, match="cannot be a collection's name"):
            Indexings().start(service, "../pets", [files], "tiny")

    with_server(work)


def test_deleting_takes_uploads_and_leaves_folders(with_server, files):
    async def work(service):
        indexings = Indexings()
        own = uploads(service, "pets")
        own.mkdir(parents=True)
        (own / "note.txt").write_text("A note.")
        await ended(indexings.start(service, "pets", [files, own], "tiny"))
        await indexings.delete(service, "pets")
        return await summaries(service), own.exists()

    assert with_server(work) == ([], False)
    assert (files / "cats.md").exists()


def test_modes_side_by_side(with_server, files):
    async def work(service):
        await ended(Indexings().start(service, "pets", [files], "tiny"))
        asked = Asked("postman", where='name = "cats.md"')
        return await compare(service, "pets", asked), await search(service, "pets", asked)

    found, hybrid = with_server(work)
    assert set(found) == {"hybrid", "dense", "text"}
    (hit,) = found["text"]
    assert hit.passage.text[slice(*hit.highlights[0])] == "postman"
    assert elsewhere(found, "text", hit) == "hybrid 1, dense 1"
    assert [each.document for each in hybrid] == [each.document for each in found["hybrid"]]


def test_marks_are_the_only_markup():
    text = '<b>"fish" & mice</b>'
    assert marked(text, [(4, 8), (3, 9)]) == "&lt;b&gt;<mark>&quot;fish&quot;</mark> &amp; mice&lt;/b&gt;"
    assert marked("a<", [(1, 2)]) == "a<mark>&lt;</mark>"
    assert marked("plain", []) == "plain"


def test_conditions_are_explained():
    assert fault_of("") is None
    assert fault_of('kind = "text"') is None
    assert "breaks at column" in fault_of("kind =")


@pytest.mark.parametrize(
    ("name", "words"), [("", "name a folder"), ("notes", "absolute"), ("/" + "a" * 300, "cannot be a path")]
)
def test_paths_that_cannot_be(name, words):
    with pytest.raises(InputError, match=words):
        check_path(name)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "x" * 201, "a\nb"])
def test_uploads_stay_in_their_folder(name):
    with pytest.raises(InputError):
        checked_name(name)


@pytest.mark.browser
def test_files_that_the_server_cannot_keep_are_said(page, files, served):
    folder = served.home / "console" / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lost").write_text("a file where the folder of the uploads is to be")
    page.goto("collections")
    page.get_by_role("button", name="New collection").click()
    page.get_by_label("Name").fill("lost")
    choose(page, sorted(files.iterdir()))
    page.get_by_role("button", name="Index").click()
    page.get_by_text(re.compile("cannot be kept on the server: .*lost")).wait_for()


@pytest.mark.browser
def test_from_files_to_an_answer(page, files):
    page.goto("collections")
    page.get_by_role("button", name="New collection").click()
    page.get_by_label("Name").fill("pets")
    page.get_by_role("button", name="Index").click()
    page.get_by_text("Choose at least one file first").wait_for()
    choose(page, sorted(files.iterdir()))
    page.get_by_role("button", name="Index").click()

    page.get_by_text("pets: done").wait_for()
    page.get_by_text("1 refused or left out").click()
    page.get_by_text(re.compile("binary.txt: .*binary")).wait_for()
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_text("2 documents, 3 passages").wait_for()

    page.get_by_label("Question or words").fill("what do cats eat?")
    page.keyboard.press("Enter")
    hits = page.get_by_role("list", name="Hits").get_by_role("listitem")
    cats = hits.filter(has_text="cats.md")
    assert HOSTILE in cats.inner_text()
    assert "Cats" in cats.locator("mark").all_inner_texts()

    cats.get_by_role("button", name="Open cats.md").press("Enter")
    page.get_by_role("dialog").get_by_text("Dogs bark at the postman.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Open cats.md")
    assert "hacked" not in page.title()

    page.get_by_label("Filter").fill("kind = ")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("breaks at column").wait_for()
    page.get_by_label("Filter").fill('kind = "text"')
    page.get_by_role("spinbutton", name="Hits").fill("0.4")
    page.get_by_role("switch", name="All modes side by side").click()
    page.get_by_role("button", name="Search").click()
    for mode in ("hybrid", "dense", "text"):
        page.get_by_role("region", name=mode).wait_for()
    assert "train.txt" in page.get_by_role("region", name="dense").inner_text()

    page.get_by_role("button", name="Calibrate").click()
    page.get_by_text("too few documents").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="Collections", level=1).wait_for()
    page.get_by_role("link", name="pets", exact=True).wait_for(state="detached")


@pytest.mark.browser
def test_a_folder_of_the_server_and_bad_input_beside_its_field(page, files):
    page.goto("new-collection")
    page.get_by_role("radio", name="A folder on the server").click()
    page.get_by_label("Folder or file on the server").fill("/nowhere/at/all")
    page.get_by_role("button", name="Index").click()
    page.get_by_text("give it a name").wait_for()
    page.get_by_label("Name").fill("../folder")
    page.get_by_role("button", name="Index").click()
    page.get_by_text("cannot be a collection's name").wait_for()
    page.get_by_label("Name").fill("folder")
    page.get_by_role("button", name="Index").click()
    page.get_by_text("/nowhere/at/all is not on the server").wait_for()
    page.get_by_label("Folder or file on the server").fill(str(files))
    page.get_by_role("button", name="Index").click()
    page.get_by_text("folder: done").wait_for()
    page.goto("collections")
    row = page.get_by_role("row", name=re.compile("^folder"))
    assert "not calibrated" in row.inner_text()
