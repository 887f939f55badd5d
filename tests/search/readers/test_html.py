import pytest

from efive.search.readers.choice import read
from efive.search.readers.files import File
from efive.search.readers.html import parse


def text(source):
    return parse(source).text


def test_blocks_are_lines_and_space_is_one():
    assert (
        text("<p>one\n  <b>two</b>three &amp; four</p><ul><li>a<li>b</ul>c<br>d")
        == "one twothree & four\n\na\nb\n\nc\nd"
    )


def test_what_is_not_shown_is_not_read():
    hidden = (
        "<script>1</script><style>2</style><nav>3<nav>4</nav>5</nav><noscript>6</noscript><template>7</template>"
        "<div hidden>8<div>9</div></div><p style='color:red; display: none'>10</p><svg><title>11</title></svg><svg/>"
    )
    assert parse(f"a{hidden}b").text.replace("\n", "") == "ab"
    assert parse(f"a{hidden}b").title is None


def test_headings_make_sections():
    source = "<title>Page</title><p>intro<h1>One C#<a href=#>¶</a></h1>text<h2>Two</h2><p>more<h1>Last</h1>end"
    parsed = parse(source)
    found = [(s.headings, parsed.text[s.start : s.end]) for s in parsed.sections]
    assert found == [(("Page",), "intro"), (("One C#",), "text"), (("One C#", "Two"), "more"), (("Last",), "end")]
    assert parsed.title == "Page"


def test_preformatted_text_stays():
    assert text("<pre>a&#10;b&#x0A;c&#100;</pre>") == "a\nb\ncd"
    assert text("<pre>\n  a\n\n    b  c\n</pre>d") == "  a\n\n    b  c\n\nd"


def test_rows_are_lines_and_cells_are_apart():
    rows = "<tr><th>a<th>b</tr><tr><td><p>1</p></td><td><div>2</div></td></tr>"
    assert text(f"<table>{rows}</table>") == "a | b\n1 | 2"


def test_each_line_knows_its_source():
    source = "<html>\n<p>one\ntwo</p>\n\n<pre>\nx\ny\n</pre>\n<ul>\n<li>\n z</ul>"
    parsed = parse(source)
    lines = dict(zip(parsed.text.split("\n"), parsed.lines, strict=True))
    assert {line: lines[line] for line in ("one two", "x", "y", "z")} == {"one two": 2, "x": 6, "y": 7, "z": 11}


@pytest.mark.parametrize(
    "source", ["<p>a<![if x]>b", "<a <b>a b</i></p></html>", "a b<!-- open", "a b<script>", "<title>T<p>a b"]
)
def test_broken_pages_are_read(source):
    assert parse(source).text.replace("\n", "").replace(" ", "").startswith(("ab", "<ab"))


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="windows-1251">', "cp1251"),
        ("<meta http-equiv=Content-Type content='text/html; charset=KOI8-R'>", "koi8-r"),
        ('<?xml version="1.0" encoding="iso-8859-5"?>', "iso-8859-5"),
        ("<meta charset=utf-16>", "utf-8"),
        ("", "utf-8"),
        ("", "utf-16"),
    ],
)
def test_encodings(tmp_path, head, encoding):
    (tmp_path / "a.html").write_bytes(f"{head}<p>Съешь же ещё".encode(encoding))
    [document] = read(File.of(tmp_path / "a.html"))
    assert document.text == "Съешь же ещё"
