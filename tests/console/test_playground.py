"""The playground: texts as the model reads them, compared, and on a plane."""

import asyncio
import html
import itertools
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from efive.console import playground, playground_heatmap, playground_plane
from efive.console.languages import LANGUAGES, guess
from efive.console.playground import Line
from efive.console.playground_examples import EXAMPLES, LONG
from efive.console.playground_tokens import Kind, read, to_html
from efive.console.projection import plane
from efive.deployments.settings import Settings
from efive.errors import InputError
from efive.inputs import Overflow, Role
from efive.preparation import Request, Silence
from efive.server.app import Options, running

HOSTILE = "<img src=x onerror=alert(1)> & \"quotes\" 'too' </bdi></div><script>alert(2)</script>"
TEXTS = [
    "Cats sleep a lot.",
    "  spaces  before,\nlines\tand tabs ",
    "Привет, 世界! مرحبا",
    "rare: 𒀀𒁀 👩‍👩‍👧 e\u0301",
    "query: a prefix of the user's own",
    HOSTILE,
    "a",
]


# -- tokens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("overflow", [Overflow.END, Overflow.START])
@pytest.mark.parametrize("text", [*TEXTS, LONG, "世界" * 700], ids=range(len(TEXTS) + 2))
def test_a_reading_is_what_the_encoder_does(nano, text, role, overflow):
    prepared = nano.prepare([text], Request(role, overflow), notices=Silence())
    usage, span = prepared.usage[0], prepared.spans[0]
    found = read(nano, text, role, overflow)
    assert (found.seen, found.used, found.truncated) == (usage.tokens_seen, usage.tokens_used, usage.truncated)
    assert sum(part.tokens for part in found.parts) + found.special == usage.tokens_seen
    whole = "".join(part.text for part in found.parts)
    assert whole == nano.prompts.of(role) + (text.removeprefix("query: ") if role is not Role.RAW else text)
    kept = "".join(part.text for part in found.parts if part.kind is not Kind.CUT)
    if usage.truncated:
        assert text[span.start : span.end].strip() in kept
        assert len(kept.strip()) <= len(nano.prompts.of(role)) + span.end - span.start + 1
    else:
        assert kept == whole


def test_the_prefix_is_marked_and_kept_whatever_is_cut(nano):
    found = read(nano, LONG, Role.PASSAGE, Overflow.START)
    assert "".join(part.text for part in found.parts if part.kind is Kind.PREFIX).strip() == "passage:"
    assert [part.kind for part in found.parts if part.kind is not Kind.GAP][2] is Kind.CUT
    assert found.parts[-1].text.strip() == "."
    raw = read(nano, "passage: x", Role.RAW, Overflow.END)
    assert not any(part.kind is Kind.PREFIX for part in raw.parts)


def test_bytes_of_one_character_are_one_part(nano):
    found = read(nano, "x 𒀀", Role.RAW, Overflow.END)
    assert found.parts[-1].text == "𒀀"
    assert found.parts[-1].tokens > 1
    assert f'<sup title="tokens of this part">{found.parts[-1].tokens}</sup>' in to_html(found)


@pytest.mark.parametrize("text", [HOSTILE, HOSTILE * 80])
def test_nothing_of_a_text_is_markup(nano, text):
    shown = to_html(read(nano, text, Role.QUERY, Overflow.END))
    assert set(re.findall(r"</?([a-z]+)", shown)) <= {"div", "span", "bdi", "del", "sup"}
    assert "<img" not in shown
    plain = html.unescape(re.sub(r"<sup.*?</sup>|<[^>]+>", "", shown))
    assert plain.startswith(f"query: {HOSTILE[:50]}")


def test_a_long_cut_part_is_counted_not_shown(nano):
    shown = to_html(read(nano, LONG + " end" * 3000, Role.QUERY, Overflow.END))
    assert re.search(r"<del title=\"cut: [\d]+ tokens\">.* … [\d,]+ more characters</del>", shown, re.S)
    assert len(shown) < 60_000


# -- the table ---------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_colours_grow_lighter_and_numbers_can_be_read_on_all_of_them():
    steps = [playground_heatmap.colour(share) for share in np.linspace(0, 1, 101)]
    light = [luminance(step) for step in steps]
    assert all(b > a for a, b in itertools.pairwise(light))
    for step in steps:
        ink = luminance({"#000": "#000000", "#fff": "#ffffff"}[playground_heatmap.ink(step)])
        brighter, darker = max(ink, luminance(step)), min(ink, luminance(step))
        assert (brighter + 0.05) / (darker + 0.05) >= 4.5
    assert playground_heatmap.colour(-1) == steps[0]
    assert playground_heatmap.colour(2) == steps[-1]


def test_the_table_has_all_numbers_and_escapes_labels():
    cosines = np.array([[1, -0.001], [-0.001, 1]], dtype=np.float32)
    shown = playground_heatmap.to_html(cosines, ["1 <b>", "2 de"], "All & each")
    assert re.findall(r">(-?\d\.\d\d)</td>", shown) == ["1.00", "0.00", "0.00", "1.00"]
    assert "<b>" not in shown
    assert shown.count("1 &lt;b&gt;") == 2
    assert "All &amp; each" in shown


# -- the map -----------------------------------------------------------------------------------------------------


def test_the_plane_keeps_distances_of_what_is_flat():
    rng = np.random.default_rng(3)
    flat = rng.normal(size=(12, 2)) * [3, 1]
    turned = (flat @ np.linalg.qr(rng.normal(size=(16, 16)))[0][:2] + 5).astype(np.float32)
    points, kept = plane(turned)
    assert kept == pytest.approx(1.0, abs=1e-5)
    for a, b in ((0, 1), (3, 9), (11, 2)):
        assert np.linalg.norm(points[a] - points[b]) == pytest.approx(np.linalg.norm(flat[a] - flat[b]), rel=1e-4)
    assert np.var(points[:, 0]) > np.var(points[:, 1])
    np.testing.assert_allclose(plane(turned[::-1])[0][::-1], points, atol=1e-4)  # not mirrored


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_plane_of_few_or_equal_points_is_finite(count):
    points, kept = plane(np.ones((count, 8), dtype=np.float32))
    assert points.shape == (count, 2)
    assert not points.any()
    assert kept == 1.0


# -- languages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        *((text, language) for text, language, _ in EXAMPLES),
        ("Il gatto dorme sul divano della casa.", "it"),
        ("De kat slaapt op de bank en het regent.", "nl"),
        ("Nie wiem, jak się to nazywa.", "pl"),
        ("Kedi bir evde uyur ve süt için ağlar.", "tr"),
        ("Щоб рости, рослинам потрібні вода і світло.", "uk"),
        ("植物が育つには水と光が必要です。", "ja"),
        ("식물이 자라려면 물과 빛이 필요하다.", "ko"),
        ("पौधों को पानी चाहिए।", "hi"),
        ("12345 !?", "other"),
        ("", "other"),
    ],
)
def test_languages_are_guessed(text, language):
    assert guess(text) == language
    assert language in LANGUAGES


def test_the_user_s_choice_of_a_language_stays():
    line = Line("Water", language="de")
    line.guess()
    assert line.language == "de"  # its text has not changed
    line.text = "Вода"
    line.guess()
    assert line.language == "ru"
    line.own, line.language = True, "uk"
    line.text = "Світло"
    line.guess()
    assert line.language == "uk"


# -- a comparison ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(tmp_path_factory, nano):
    """The first texts, one of them as a passage, and an empty one."""

    async def work():
        settings = Settings(name="e5", model="bundled", precision="fp32", threads=1)
        async with running(Options(tmp_path_factory.mktemp("server"), (settings,))) as service:
            await service.deployments.start("e5")
            lines = [*playground.beginning(), Line(LONG, role="passage"), Line("  ")]
            found = await playground.compare(service, "e5", lines, Overflow.END)
            for wrong, said in (
                ([Line("one"), Line("")], "fewer than two"),
                ([Line(str(n)) for n in range(41)], "41 texts"),
                ([Line("a"), Line("b" * 20_001)], "text 2 has 20,001"),
            ):
                with pytest.raises(InputError, match=said):
                    await playground.compare(service, "e5", wrong, Overflow.END)
            return found

    with ThreadPoolExecutor(1) as apart:  # Playwright has an event loop in this thread
        return apart.submit(asyncio.run, work()).result()


def test_vectors_are_the_encoder_s_each_in_its_role(compared, nano):
    queries = nano.embed_queries([text for text, _, _ in EXAMPLES]).vectors
    np.testing.assert_allclose(compared.vectors[:-1], queries, atol=1e-5)
    with pytest.warns(UserWarning, match="cut to 512"):
        passage = nano.embed_passages([LONG]).vectors[0]
    np.testing.assert_allclose(compared.vectors[-1], passage, atol=1e-5)
    assert compared.readings[-1].truncated
    assert len(compared.lines) == len(EXAMPLES) + 1  # the empty one is left out
    assert compared.label(1) == "2 de"


def test_translations_are_each_other_s_neighbours(compared):
    hits = 0
    for number, (_, _, meaning) in enumerate(EXAMPLES):
        near = compared.neighbours(number)
        assert [value for _, value in near] == sorted((value for _, value in near), reverse=True)
        assert number not in [other for other, _ in near]
        hits += sum(EXAMPLES[other][2] == meaning for other, _ in near[:6] if other < len(EXAMPLES))
    assert hits == len(EXAMPLES) * 6


def test_the_map_has_a_point_for_each_text_and_joins_translations(compared):
    series = playground_plane.options(compared)["series"]
    kinds = Counter(each["type"] for each in series)
    assert kinds == {"line": 3, "scatter": 8}
    assert sum(len(each["data"]) for each in series if each["type"] == "scatter") == len(compared.lines)
    looks = {(each["symbol"], each["itemStyle"]["color"]) for each in series if each["type"] == "scatter"}
    assert len(looks) == 8
    json.dumps(series)  # only plain numbers


# -- in a browser ------------------------------------------------------------------------------------------------


@pytest.fixture
def expect():
    sync = pytest.importorskip("playwright.sync_api")
    sync.expect.set_options(timeout=120_000)
    return sync.expect


@pytest.mark.browser
def test_texts_are_compared_cut_found_and_drawn(page, served, expect):
    page.goto("playground")
    expect(page.get_by_role("button", name="Compare")).to_be_enabled()
    documents = "\n".join(json.dumps({"id": n, "text": t}) for n, t in (("sun", "The sun is hot."), ("war", "A war.")))
    httpx.post(f"{served.url}/collections/notes/documents", content=documents).raise_for_status()
    expect(page.get_by_role("group", name="Text 1", exact=True)).to_be_visible()
    page.get_by_role("textbox", name="Text 1", exact=True).fill(HOSTILE)
    page.get_by_role("button", name="Add one that is too long").click()
    expect(page.get_by_role("group", name="Text 22")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    table = page.get_by_role("table", name="Cosine of each text with each")
    expect(table.get_by_role("rowheader")).to_have_count(22)
    expect(table.get_by_role("row").nth(2).get_by_role("cell").nth(1)).to_have_text("1.00")

    page.get_by_role("tab", name="Tokens").click()
    expect(page.get_by_text(re.compile(r"^cut: \d+ of \d+ tokens are not read$"))).to_have_count(1)
    expect(page.get_by_role("deletion")).to_contain_text("more characters")
    assert page.locator("img").count() == 0  # what was typed is text

    page.get_by_role("tab", name="Neighbours").click()
    page.get_by_label("Text", exact=True).click()
    page.get_by_role("option", name="8 en: The Second World War").click()
    near = page.get_by_role("table").filter(has_text="1945")
    expect(near.get_by_role("row").nth(1)).to_contain_text("1945")
    page.get_by_label("Collection").click()
    page.get_by_role("option", name="notes").click()
    expect(page.get_by_text("war: A war.")).to_be_visible()

    page.get_by_role("tab", name="Map").click()
    expect(page.get_by_role("img", name="Map of the texts").locator("canvas")).to_be_visible()


@pytest.mark.browser
def test_without_a_live_deployment_it_says_what_to_do(page, served, expect):
    httpx.post(f"{served.url}/deployments/e5/stop").raise_for_status()
    try:
        page.goto("playground")
        expect(page.get_by_text("No deployment is live.")).to_be_visible()
        expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    finally:
        httpx.post(f"{served.url}/deployments/e5/start").raise_for_status()
    expect(page.get_by_role("button", name="Compare")).to_be_enabled()  # without reloading
