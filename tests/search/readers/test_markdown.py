from efive.search.readers.markdown import front_matter, parse


def parts(text):
    return [(section.headings, text[section.start : section.end]) for section in parse(text).sections]


def test_headings_make_the_sections_and_are_no_part_of_them():
    text = (
        "intro\n\n# One\n\ntext\n\nTwo `code` *x* &amp; [link](u)\n---\n\nmore\n\n### Deep #\n\ndeep\n\n# Last\n\nend\n"
    )
    assert parts(text) == [
        ((), "intro"),
        (("One",), "text"),
        (("One", "Two code x & link"), "more"),
        (("One", "Two code x & link", "Deep"), "deep"),
        (("Last",), "end"),
    ]
    assert parse(text).title == "One"


def test_what_only_looks_like_a_heading():
    text = "# H\n\n```\n# code\n```\n\n    # indented\n\n> # quoted\n\n<!--\n# comment\n-->\n"
    assert [headings for headings, _ in parts(text)] == [("H",)]


def test_indentation_of_the_first_line_stays():
    assert parts("# H\n\n    code\n") == [(("H",), "    code")]


def test_headings_without_text_make_no_section_unless_there_is_nothing_else():
    assert parts("# One\n## Two\n# Three\n\ntext\n") == [(("Three",), "text")]
    assert parts("# One\n## Two\n") == [((), "# One\n## Two")]


def test_windows_line_ends():
    text = "# One\r\n\r\ntext\r\n\r\nTwo\r\n---\r\nmore\r\n"
    assert parts(text) == [(("One",), "text"), (("One", "Two"), "more")]


def test_front_matter_becomes_metadata_and_no_section():
    text = "---\ntitle: 'A: b'\ntags: [x, \"y z\"]\ndraft: true\n---\nintro\n\n## Two\n\ntext\n"
    parsed = parse(text)
    assert parsed.title == "A: b"
    assert parsed.metadata == {"tags": ["x", "y z"], "draft": True}
    assert parts(text) == [(("A: b",), "intro"), (("A: b", "Two"), "text")]


def test_front_matter_holds_plain_values():
    block = "a: 1\nb: -2.5\nc: 2024-05-01\nd: no # comment\nlist:\n  - x\n  - 'y'\n"
    block += "object:\n  k: v\ne: |\n  text\nf: &x 1\ng:\n"
    assert front_matter(block) == {"a": 1, "b": -2.5, "c": "2024-05-01", "d": "no", "list": ["x", "y"]}


def test_a_rule_is_no_front_matter():
    assert parts("text\n\n---\n\nmore\n") == [((), "text\n\n---\n\nmore")]
    assert parse("---\n").metadata == {}
