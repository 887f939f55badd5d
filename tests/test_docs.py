"""The documentation cannot lie: its code runs, its commands parse, its links lead somewhere, nothing is missing."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import test_layers

from efive.cli import cli
from efive.models import store

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ALL = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
# benchmarks.md shows a development checkout, not an installed efive.
TAUGHT = [ROOT / "README.md", *sorted([*DOCS.glob("guides/*.md"), *DOCS.glob("concepts/*.md")])]

_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_DEVELOPERS_PATH = re.compile(r"(?<![\w.])(/work|/tmp|/root)\b|(?<![\w/-])(\.\./)*shared/")

pages = pytest.mark.parametrize("page", ALL, ids=lambda p: p.relative_to(ROOT).as_posix())
taught = pytest.mark.parametrize("page", TAUGHT, ids=lambda p: p.relative_to(ROOT).as_posix())


def blocks(page: Path, *languages: str) -> list[tuple[int, str, str]]:
    """The fenced blocks of a page in these languages: line number of the first line, info string, text."""
    text = page.read_text(encoding="utf-8")
    found = [(text.count("\n", 0, m.start()) + 2, m[1].strip(), m[2]) for m in _BLOCK.finditer(text)]
    return [block for block in found if block[1].split(" ")[0] in languages]


def outside_blocks(page: Path) -> str:
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


# --- fresh -------------------------------------------------------------------------------------------------------


def test_the_reference_is_fresh():
    run = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


# --- links and paths ---------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", outside_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pages
def test_links_lead_somewhere(page):
    for target in _LINK.findall(outside_blocks(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page}: {target} leads nowhere"
        assert file.is_relative_to(ROOT), f"{page}: {target} leads out of the repository"
        assert not anchor or anchor in anchors(file), f"{page}: {target} names no heading of {file.name}"


@pages
def test_no_page_names_a_developers_machine(page):
    found = _DEVELOPERS_PATH.search(page.read_text(encoding="utf-8"))
    assert found is None, f"{page} names {found}"


def test_the_index_lists_every_page():
    listed = {
        (DOCS / target.partition("#")[0]).resolve() for target in _LINK.findall(outside_blocks(DOCS / "README.md"))
    }
    missing = {p for p in DOCS.rglob("*.md") if p.name != "README.md"} - listed
    assert not missing, f"docs/README.md does not list {missing}"


# --- code --------------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(tiny_models, tmp_path, monkeypatch):
    """What a reader of the guides has: a bundled model, some pulled ones, an empty working folder."""
    monkeypatch.setattr(store, "_BUNDLED_FOLDER", tiny_models["bert"])
    kept = store.ModelStore()  # below the test's own HOME
    kept.copy(tiny_models["bert-multilingual"], "multilingual-e5-small")
    kept.copy(tiny_models["xlm-roberta"], "multilingual-e5-large-instruct")
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)


@taught
@pytest.mark.usefixtures("reader")
@pytest.mark.filterwarnings("ignore::efive.errors.EfiveWarning")  # pages show what they warn of
def test_python_blocks_run(page):
    names: dict[str, object] = {}
    for line, info, text in blocks(page, "python"):
        code = compile("\n" * (line - 1) + text, str(page), "exec")
        if "no-run" not in info.split():
            exec(code, names)


# --- commands ----------------------------------------------------------------------------------------------------


def efive_commands(text: str) -> list[list[str]]:
    """The arguments of every `efive …` in a console block: after a prompt, in a pipe, after variables."""
    found = []
    prompted = re.findall(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)", text, re.MULTILINE)
    for line in prompted:
        lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="|;<>&")
        lexer.whitespace_split = True
        command: list[str] = []
        words = iter([*lexer, ";"])
        for word in words:
            if word.strip("|;<>&"):
                command.append(word)
            elif "<" in word or ">" in word:
                next(words)  # a file
            else:
                while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
                    command.pop(0)
                if command[:1] == ["efive"]:
                    found.append(command[1:])
                command = []
    return found


def parse(arguments: list[str]) -> None:
    """Let click read a command line; nothing runs.

    Raises:
        click.UsageError: for an unknown command or option, or a value that an option does not take.
    """
    context = cli.make_context("efive", list(arguments))
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


@pages
def test_commands_parse(page):
    for _, _, text in blocks(page, "console"):
        for arguments in efive_commands(text):
            try:
                parse(arguments)
            except click.exceptions.Exit:
                pass  # --help, --version
            except click.UsageError as error:
                pytest.fail(f"{page}: efive {shlex.join(arguments)}: {error.format_message()}")


@pytest.mark.parametrize(
    "line",
    [
        "efive embed x --rolle query",
        "efive embed x",
        "efive encode x",
        "cat x | efive embed --role qury",
        "A=b efive x",
    ],
)
def test_a_wrong_command_would_be_seen(line):
    (arguments,) = efive_commands(f"$ {line}  # why not\n")
    with pytest.raises(click.UsageError):
        parse(arguments)


def test_output_in_a_console_block_is_no_command():
    assert efive_commands("$ efive models list\nefive embed is not typed here\n$ ls > efive\n") == [["models", "list"]]


# --- complete ----------------------------------------------------------------------------------------------------


def reference():
    path = ROOT / "scripts" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_error_has_its_paragraph():
    page = (DOCS / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^#+ `(\w+)`", page, re.MULTILINE))
    assert {error.code for error in reference().error_classes()} <= described


def test_every_warning_is_explained():
    page = (DOCS / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
    module = reference()
    missing = [w.__name__ for w in module.below(module.EfiveWarning) if w.__name__ not in page]
    assert not missing


def test_the_arrows_are_those_that_are_kept():
    """docs/architecture.md and tests/test_layers.py say the same of every room."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    ground = test_layers.GROUND
    described = {room: set(re.findall(r"`(\w+)`", may)) for room, may in rows}
    kept = {room: test_layers.GROUND_MAY[room] if room in ground else may for room, may in test_layers.MAY.items()}
    assert described == kept
