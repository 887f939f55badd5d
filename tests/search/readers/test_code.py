from efive.search.readers.code import parse

SOURCE = '''"""Module."""

import os

# About f.
@cache
def f():
    return "\\d"


LIMIT = 3


class C:
    def g(self):
        pass
'''


def test_python_by_functions_and_classes():
    parsed = parse(SOURCE, "python")
    found = [(s.headings, SOURCE[s.start : s.end]) for s in parsed.sections]
    assert found == [
        ((), '"""Module."""\n\nimport os'),
        (("f",), '# About f.\n@cache\ndef f():\n    return "\\d"'),
        ((), "LIMIT = 3"),
        (("C",), "class C:\n    def g(self):\n        pass"),
    ]
    assert parsed.metadata == {"language": "python"}


def test_python_that_does_not_parse_and_other_languages_are_one_section():
    assert parse("def f(:\n", "python").sections == []
    assert parse("(" * 10_000, "python").sections == []
    assert parse(SOURCE, "rust").sections == []
