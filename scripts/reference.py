"""Write what the code already says into the documentation; with `--check`, fail where the two differ.

- `docs/reference/cli.md`: the help text of every command.
- `docs/reference/api.md`: the public names of `efive` and every class that can be reached from them.
- `docs/reference/models.md`: the family, the tasks of the instruct models.
- `docs/reference/training.md`: the settings of a training run, the functions of `efive.training`.
- Blocks between `<!-- reference: NAME -->` and `<!-- /reference -->` in any other page.

The words come from docstrings and help texts: mend them there, then run `make docs`.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import FunctionType
from typing import Any, get_args, get_type_hints, is_typeddict

import click

import efive
from efive import training
from efive.cli import cli
from efive.errors import EfiveError, EfiveWarning
from efive.models.family import FAMILY, FamilyMember
from efive.models.tasks import TASKS
from efive.training import settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTE = "<!-- Written by scripts/reference.py (`make docs`). Mend the docstring or help text, not this page. -->"
_BLOCK = re.compile(r"(<!-- reference: (\S+) -->\n).*?(<!-- /reference -->)", re.DOTALL)


# --- the command line -------------------------------------------------------------------------------------------


def commands(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context for `command` and everything below it, as wide on every machine."""
    width = {"terminal_width": 100, "max_content_width": 100}
    context = command.make_context(name, [], parent, resilient_parsing=True, **width)
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from commands(found, below, context)


def cli_page() -> str:
    """Return docs/reference/cli.md."""
    parts = [
        "# Commands",
        NOTE,
        (
            "Data goes to stdout, everything else to stderr. The exit code is 0 when all went well, 1 when efive "
            "refused something (one line on stderr says what and what to do), 2 for options that it does not know, "
            "130 after Ctrl-C. Examples are in [the guide](../guides/embed-cli.md)."
        ),
    ]
    for context in commands(cli, "efive"):
        help_text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
        parts.append(f"## {context.command_path}\n\n```text\n{help_text}\n```")
    parts.append(
        "## Environment\n\n"
        "| variable | what it does |\n|---|---|\n"
        "| `EFIVE_HOME` | the folder that commands keep models in, instead of `~/.efive` |\n"
        "| `HF_ENDPOINT` | the hub that `efive models pull` asks, where `--endpoint` names none |"
    )
    return _page(parts)


# --- Python ------------------------------------------------------------------------------------------------------


def public_classes() -> list[type]:
    """Return the classes of `efive.__all__` and those that their fields and methods name, errors left out."""
    found: list[type] = []
    waiting = [getattr(efive, name) for name in ("Encoder", *efive.__all__)]
    while waiting:
        each = waiting.pop(0)
        if each in found or issubclass(each, BaseException):
            continue
        found.append(each)
        waiting += _named_by(each)
    return found


def _named_by(cls: type) -> list[type]:
    """Return efive's public classes in the annotations of `cls`."""
    hints = list(get_type_hints(cls, include_extras=True).values()) if not issubclass(cls, Enum) else []
    for name, value in vars(cls).items():
        if not name.startswith("_"):
            function = _function(value)
            hints += get_type_hints(function).values() if function else []
    reached: list[type] = []
    while hints:
        hint = hints.pop(0)
        if isinstance(hint, type) and hint.__module__.startswith("efive.") and not hint.__name__.startswith("_"):
            reached.append(hint)
        hints += [inner for inner in get_args(hint) if not isinstance(inner, str | list)]
    return reached


def _function(value: object) -> FunctionType | None:
    inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    return inner if isinstance(inner, FunctionType) else None


def _body(cls: type) -> list[ast.stmt]:
    node = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(node, ast.ClassDef)
    return node.body


def api_page() -> str:
    """Return docs/reference/api.md."""
    parts = [
        "# Python",
        NOTE,
        (
            f"`efive` exports {_listed(efive.__all__)}. The other classes on this page come back from their methods. "
            "Whatever is not on this page may change. Examples are in [the guide](../guides/embed-python.md)."
        ),
    ]
    parts += [part for cls in public_classes() for part in _class(cls)]
    return _page([*parts, "## Errors", *_errors()])


def _class(cls: type) -> list[str]:
    parts = [f"## {cls.__name__}", _prose(cls.__doc__)]
    if issubclass(cls, Enum):
        parts.append("Values: " + ", ".join(f"`{member.value}`" for member in cls) + ".")
    elif rows := _fields(cls):
        parts.append(_table(["option" if is_typeddict(cls) else "field", "type", "meaning"], rows))
    for node in _body(cls):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            parts += _method(cls, node)
    return parts


def _fields(cls: type) -> list[list[str]]:
    rows: list[list[str]] = []
    body = _body(cls)
    for node, after in zip(body, [*body[1:], None], strict=True):
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id[0] != "_":
            default = f" = {ast.unparse(node.value)}" if node.value else ""
            rows.append([f"`{node.target.id}`", f"`{_type(node.annotation)}{default}`", _line(str(text))])
    return rows


def _method(cls: type, node: ast.FunctionDef) -> list[str]:
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    owner = cls.__name__ if "classmethod" in decorators else cls.__name__.lower()
    kind = "property" if "property" in decorators else "method"
    if kind == "property":
        shown = f"{owner}.{node.name}" + (f": {_type(node.returns)}" if node.returns else "")
    else:
        node.args.args.pop(0)  # self or cls
        shown = _signature(f"{owner}.{node.name}", node.args, node.returns)
    return [f"### {cls.__name__}.{node.name}", f"```text\n{shown}\n```", _prose(ast.get_docstring(node))]


def _signature(name: str, arguments: ast.arguments, returns: ast.expr | None) -> str:
    required = [None] * (len(arguments.args) - len(arguments.defaults))
    each = [_argument(*pair) for pair in zip(arguments.args, [*required, *arguments.defaults], strict=True)]
    if arguments.kwonlyargs:
        each.append("*")
        each += [_argument(*pair) for pair in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        each.append(f"**{_argument(arguments.kwarg, None)}")
    result = f" -> {_type(returns)}" if returns else ""
    flat = f"{name}({', '.join(each)}){result}"
    if len(flat) <= 100:
        return flat
    return f"{name}(\n" + "".join(f"    {one},\n" for one in each) + f"){result}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    annotated = argument.arg + (f": {_type(argument.annotation)}" if argument.annotation else "")
    return annotated + (f" = {ast.unparse(default)}" if default else "")


def _type(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Constant):  # a name in quotes
        return str(annotation.value)
    shown = re.sub(r"Annotated\[(\w+), Meta\([^)]*\)\]", r"\1", ast.unparse(annotation))
    named = {"Floats": "NDArray[float32]", "Count": "int", "Positive": "float", "Share": "float"}
    return re.sub(r"\b(Floats|Count|Positive|Share)\b", lambda m: named[m[1]], shown)


def _prose(docstring: str | None) -> str:
    """Turn a docstring with Google's sections into Markdown."""
    lines: list[str] = []
    section = False
    for line in inspect.cleandoc(docstring or "Not described.").splitlines():
        if line in {"Args:", "Raises:"}:
            section = True
            lines += [f"**{line.removesuffix(':')}**", ""]
        elif section and (item := re.fullmatch(r"    (\w+): (.*)", line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        elif section and line.startswith("        "):
            lines.append("  " + line.strip())
        else:
            section = section and bool(line)
            lines.append(line.strip() if section else line)
    return "\n".join(lines)


# --- errors ------------------------------------------------------------------------------------------------------


def below(cls: type) -> list[type]:
    """Return `cls` and all its subclasses, parents first."""
    return [cls, *(each for child in cls.__subclasses__() for each in below(child))]


def error_classes() -> list[type[EfiveError]]:
    """Return every error of efive, wherever it is defined."""
    for module in walk_packages(efive.__path__, "efive."):
        with suppress(ImportError):  # of an extra that is not installed
            import_module(module.name)
    return below(EfiveError)


def _errors() -> list[str]:
    drawn = re.search(r"EfiveError\n(?:[│├└ ].*\n)+", import_module("efive.errors").__doc__ or "")
    words = [[f"`{e.code}`", f"`{e.__name__}`", _line(e.__doc__ or "")] for e in error_classes()]
    notices = [[f"`{w.__name__}`", _line(w.__doc__ or "")] for w in below(EfiveWarning)]
    return [
        f"```text\n{drawn[0].rstrip() if drawn else ''}\n```",
        (
            "`error.code` is the word. It never changes; the sentence may become clearer. What to do about each is in "
            "[troubleshooting](../guides/troubleshooting.md)."
        ),
        _table(["word", "class", "raised when"], words),
        "## Warnings",
        "Python shows them; the command line prints them on stderr. Each kind is said once per call.",
        _table(["class", "given when"], notices),
    ]


# --- models ------------------------------------------------------------------------------------------------------


def _member(m: FamilyMember) -> list[str]:
    a = m.architecture
    prefixes = "instruction" if m.instruct else "`query: ` / `passage: `"
    shape = [m.name, str(a.layers), str(a.hidden), f"{m.parameters / 1e6:,.0f} M", f"{a.vocabulary:,}"]
    return [*shape, str(a.kind), m.pooling, prefixes, m.licence]


def family_table() -> str:
    """Return the family as a table."""
    head = ["model", "layers", "dimension", "parameters", "vocabulary", "kind", "pooling", "prefixes", "licence"]
    return _table(head, [_member(m) for m in FAMILY.values()])


def prefix_table() -> str:
    """Return what each group of models wants before a text."""
    groups: dict[tuple[str, str], list[str]] = {}
    for m in FAMILY.values():
        query = "Instruct: {task}\nQuery: " if m.instruct else m.prompts.query
        groups.setdefault((query, m.prompts.passage), []).append(m.name)
    rows = [[f"`{q!r}`", f"`{p!r}`" if p else "nothing", ", ".join(names)] for (q, p), names in groups.items()]
    return _table(["before a query", "before a passage", "models"], rows)


def models_page() -> str:
    """Return docs/reference/models.md."""
    evaluated = [[m.name, f"`{m.repository}`", f"`{m.evaluated_revision}`"] for m in FAMILY.values()]
    return _page(
        [
            "# Models",
            NOTE,
            (
                "efive reads 512 tokens with each, prefix and special tokens included. How to get and keep them is in "
                "[the guide](../guides/models.md)."
            ),
            "## The family",
            family_table(),
            "Parameters count BERT's unused pooler, as published counts do.",
            "## Prefixes",
            prefix_table(),
            "`\\n` is a line break. [Which one when](../concepts/prefixes.md).",
            "## Evaluated revisions",
            (
                "The first digits of the commit that the public benchmark mteb evaluates, where one is known; "
                "`efive models pull --revision` takes the whole commit."
            ),
            _table(["model", "hub", "commit"], [[n, h, c if c != "``" else "–"] for n, h, c in evaluated]),
            "## Tasks of the instruct models",
            (
                "`task=` and `--task` take one of these names, or a sentence of your own. The sentences are what the "
                "models were trained and evaluated with; other words give other vectors."
            ),
            _table(["name", "instruction"], [[f"`{name}`", sentence] for name, sentence in TASKS.items()]),
        ]
    )


# --- training ----------------------------------------------------------------------------------------------------


def training_page() -> str:
    """Return docs/reference/training.md."""
    parts = [
        "# Training",
        NOTE,
        (
            "The settings of a run, as they stand in a TOML file for `--config`, and as `--set NAME=VALUE` takes them. "
            "[The guide](../guides/train.md) tells which ones matter."
        ),
    ]
    tables = {
        settings.Settings: "Settings",
        settings.Source: "`[[sources]]`",
        settings.Learning: "`[learning]`",
        settings.Loss: "`[loss]`",
        settings.Lora: "`[lora]`",
    }
    for cls, title in tables.items():
        parts += [f"## {title}", _prose(cls.__doc__), _table(["setting", "type", "meaning"], _fields(cls))]
    parts += ["## Functions", f"`efive.training` exports {_listed(training.__all__)}."]
    for name in training.__all__:
        function = getattr(training, name)
        node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(node, ast.FunctionDef)
        shown = _signature(name, node.args, node.returns)
        parts += [f"### {name}", f"```text\n{shown}\n```", _prose(ast.get_docstring(node))]
    return _page(parts)


# --- pages -------------------------------------------------------------------------------------------------------


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"


BLOCKS = {"family": family_table, "prefixes": prefix_table}


def pages() -> dict[Path, str]:
    """Return every page that this script writes, or writes a block of."""
    made = {
        DOCS / "reference" / "cli.md": cli_page(),
        DOCS / "reference" / "api.md": api_page(),
        DOCS / "reference" / "models.md": models_page(),
        DOCS / "reference" / "training.md": training_page(),
    }
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if path not in made and "<!-- reference: " in text:
            made[path] = _BLOCK.sub(lambda m: m[1] + BLOCKS[m[2]]() + "\n" + m[3], text)
    return made


def main() -> None:
    """Write the pages, or with `--check` say which are stale."""
    arguments: list[Any] = sys.argv[1:]
    if arguments not in ([], ["--check"]):
        sys.exit("usage: python scripts/reference.py [--check]")
    stale = []
    for path, text in pages().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.relative_to(ROOT).as_posix())
        if not arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale and arguments:
        sys.exit(f"stale: {', '.join(stale)}. Run `make docs`")
    sys.stdout.write(f"{'wrote ' + ', '.join(stale) if stale else 'all fresh'}\n")


if __name__ == "__main__":
    main()
