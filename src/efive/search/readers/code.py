"""Source code: Python by its functions and classes, other languages as they are."""

import ast
import warnings
from collections.abc import Iterator
from itertools import pairwise

from efive.search.documents import Document, Section
from efive.search.readers.files import File, Options, Parsed
from efive.search.readers.kinds import language_of
from efive.search.readers.outline import line_starts, visible
from efive.search.readers.text import decode


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield the one document of a source file."""
    yield file.document("code", parse(decode(file.contents(options.max_bytes)), language_of(file.path)))


def parse(text: str, language: str | None) -> Parsed:
    """Return source code, with its sections if it is Python that parses."""
    parts = _python(text) if language == "python" else []
    return Parsed(text, parts, metadata={"language": language} if language else {})


def _python(text: str) -> list[Section]:
    """Return a section for each function and class of the module, and for the code between them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a wrong `\d` in somebody's code
            body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    starts = line_starts(text)
    cuts: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
            while first and text.startswith("#", starts[first - 1]) and starts[first - 1] >= cuts[-1][0]:
                first -= 1  # a comment right above belongs to it
            end = node.end_lineno or node.lineno
            cuts += [(starts[first], (node.name,)), (starts[end], ())]
    cuts.append((len(text), ()))
    parts = [visible(text, start, end, headings) for (start, headings), (end, _) in pairwise(cuts)]
    return [part for part in parts if part]
