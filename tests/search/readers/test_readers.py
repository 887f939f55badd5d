"""What holds for every reader, whatever it reads."""

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.errors import InputError
from efive.search.readers import code, html, markdown, restructured
from efive.search.readers.text import decode

_PIECES = (
    *(
        "# h\n",
        "## `x`\n",
        "a\n===\n",
        "b\n---\n",
        "---\n",
        "title: t\n",
        "```\n",
        "> # q\n",
        "- # l\n",
        "\n",
        "\r\n",
        "\r",
        "\t",
    ),
    *(
        "<h1>",
        "</h1>",
        "<h2>a",
        "<p>",
        "<p hidden>",
        "<pre>",
        "</pre>",
        "<td>",
        "<tr>",
        "<table>",
        "<li>",
        "<title>",
        "<!--",
    ),
    *(
        "<script>",
        "</script>",
        "<![if x]>",
        "<![CDATA[",
        "&amp;",
        "&#10;",
        "&#0;",
        "<nav>",
        "</nav>",
        "<br/>",
        "<svg/>",
        "<a",
    ),
    *(
        "====\n",
        "T\n",
        "~~~\n",
        ".. include:: /etc/hostname\n",
        ".. x::\n\n   ",
        ":ref:`a <b>`",
        "* a\n",
        "::\n\n  ",
        "| a\n",
    ),
    *(
        "def f():\n",
        "    pass\n",
        "@d\n",
        "class C: pass\n",
        "x = '\\d'\n",
        "# c\n",
        "word",
        " ",
        "\x0c",
        "\x1c",
        "\x85",
        "\u2028",
        "\0",
    ),
)
texts = st.text() | st.lists(st.sampled_from(_PIECES), max_size=25).map("".join)
PARSERS = {
    "markdown": markdown.parse,
    "rst": restructured.parse,
    "html": html.parse,
    "python": lambda text: code.parse(text, "python"),
}


@pytest.mark.parametrize("kind", PARSERS)
@given(texts)
def test_sections_lie_in_the_text_and_in_order(kind, text):
    parsed = PARSERS[kind](text)
    for section in parsed.sections:
        assert 0 <= section.start < section.end <= len(parsed.text)
        assert parsed.text[section.start : section.end].strip()
    assert all(before.end <= after.start for before, after in pairwise(parsed.sections))
    assert not parsed.lines or len(parsed.lines) == len(parsed.text.split("\n"))
    assert all(1 <= line <= text.count("\n") + 1 for line in parsed.lines)
    assert list(parsed.lines) == sorted(parsed.lines)
    if kind != "html":
        assert parsed.text == text


@given(texts)
def test_source_code_is_covered(text):
    covered = "".join(text[s.start : s.end] for s in code.parse(text, "python").sections)
    assert not covered or "".join(covered.split()) == "".join(text.split())


@given(st.binary() | texts.map(lambda t: t.encode("utf-16")) | texts.map(lambda t: t.encode("cp1252", "ignore")))
def test_bytes_are_text_or_refused(raw):
    try:
        decode(raw).encode()
    except InputError as error:
        assert str(error).startswith("it ")  # noqa: PT017 - it need not be raised


@pytest.mark.parametrize(("suffix", "loads"), [("txt", set()), ("md", {"markdown_it"}), ("rst", {"docutils"})])
def test_only_the_reader_of_a_file_is_loaded(tmp_path, suffix, loads):
    (tmp_path / f"a.{suffix}").write_text("hello")
    script = (
        "import sys; from pathlib import Path; from efive.search.readers.choice import read; "
        "from efive.search.readers.files import File; list(read(File.of(Path(sys.argv[1])))); "
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    command = [sys.executable, "-c", script, str(tmp_path / f"a.{suffix}")]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    heavy = {"docutils", "markdown_it", "pypdfium2", "pyarrow", "charset_normalizer", "pathspec", "numpy"}
    assert loaded & heavy == loads
