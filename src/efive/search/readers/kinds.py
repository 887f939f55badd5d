"""Which kind of file a name stands for."""

from pathlib import Path

from efive.errors import InputError

KINDS = ("text", "markdown", "rst", "html", "pdf", "code", "jsonl", "csv", "parquet")

_SUFFIXES = {
    "text": ".txt .text .log",
    "markdown": ".md .markdown .mdown .mkd .mdx .qmd .rmd",
    "rst": ".rst .rest",
    "html": ".html .htm .xhtml",
    "pdf": ".pdf",
    "jsonl": ".jsonl .ndjson",
    "csv": ".csv .tsv",
    "parquet": ".parquet .pq",
}
_LANGUAGES = {
    "assembly": ".s .asm",
    "c": ".c .h",
    "c++": ".cc .cpp .cxx .hh .hpp .hxx",
    "c#": ".cs",
    "clojure": ".clj .cljs",
    "css": ".css .scss .less",
    "cuda": ".cu .cuh",
    "dart": ".dart",
    "dockerfile": ".dockerfile",
    "elixir": ".ex .exs",
    "erlang": ".erl .hrl",
    "fortran": ".f .f90 .f95",
    "go": ".go",
    "graphql": ".graphql",
    "groovy": ".groovy .gradle",
    "haskell": ".hs",
    "ini": ".ini .cfg .conf",
    "java": ".java",
    "javascript": ".js .mjs .cjs .jsx",
    "julia": ".jl",
    "kotlin": ".kt .kts",
    "lisp": ".lisp .el .scm",
    "lua": ".lua",
    "make": ".mk .cmake",
    "matlab": ".m",
    "nix": ".nix",
    "objective-c": ".mm",
    "ocaml": ".ml .mli",
    "pascal": ".pas",
    "perl": ".pl .pm",
    "php": ".php",
    "powershell": ".ps1",
    "protobuf": ".proto",
    "python": ".py .pyi .pyx",
    "r": ".r",
    "ruby": ".rb",
    "rust": ".rs",
    "scala": ".scala",
    "shell": ".sh .bash .zsh .fish",
    "solidity": ".sol",
    "sql": ".sql",
    "swift": ".swift",
    "terraform": ".tf",
    "tex": ".tex .sty .bib",
    "toml": ".toml",
    "typescript": ".ts .tsx .mts .cts",
    "verilog": ".v .sv",
    "vue": ".vue",
    "svelte": ".svelte",
    "yaml": ".yaml .yml",
    "zig": ".zig",
}
# Read when they are named, but left out of folders: data rather than text.
_NAMED_ONLY = {".json": "json", ".xml": "xml"}
_NAMES = {
    "text": "readme license licence copying notice authors changelog changes contributing todo news",
    "make": "makefile gnumakefile cmakelists.txt",
    "dockerfile": "dockerfile containerfile",
    "ruby": "gemfile rakefile",
}
_KIND = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_LANGUAGE = {suffix: language for language, suffixes in _LANGUAGES.items() for suffix in suffixes.split()}
_NAME = {name: what for what, names in _NAMES.items() for name in names.split()}

_ADVICE = {
    "convert it to Markdown, for example `pandoc -t markdown`": ".docx .odt .epub .rtf .fb2",
    "save it as .docx and convert that to Markdown, or save it as PDF": ".doc .odp .ppt .pptx .pages .key",
    "convert it to Markdown: `jupyter nbconvert --to markdown`": ".ipynb",
    "export its sheets as .csv": ".xls .xlsx .ods .numbers",
    "convert it to PDF": ".djvu .ps .eps .xps .mobi .azw3",
    "unpack it": ".7z .bz2 .gz .rar .tar .tgz .xz .zip .zst",
    "find its text with OCR or a transcription": ".bmp .gif .jpeg .jpg .mp3 .mp4 .png .tiff .wav .webp",
    "export its tables as .csv or .jsonl": ".db .sqlite .sqlite3 .duckdb .feather .arrow",
}
_ADVICES = {suffix: advice for advice, suffixes in _ADVICE.items() for suffix in suffixes.split()}


def kind_of(path: Path) -> str | None:
    """Return the kind of a file by its name, or None where the name does not tell."""
    name, suffix = path.name.lower(), path.suffix.lower()
    if name in _NAME:
        return "text" if _NAME[name] == "text" else "code"
    return _KIND.get(suffix) or ("code" if suffix in _LANGUAGE or suffix in _NAMED_ONLY else None)


def language_of(path: Path) -> str | None:
    """Return the language of a source file by its name, or None where the name does not tell."""
    suffix = path.suffix.lower()
    named = _NAME.get(path.name.lower(), "text")
    return named if named != "text" else _LANGUAGE.get(suffix) or _NAMED_ONLY.get(suffix)


def in_folders(path: Path) -> bool:
    """Return whether a file of that name is read when only a folder above it was named."""
    stem = path.stem.lower()
    return kind_of(path) is not None and path.suffix.lower() not in _NAMED_ONLY and not stem.endswith(".min")


def refuse_unreadable(path: Path) -> None:
    """Refuse the kinds of files that are known and not read.

    Raises:
        InputError: with what to convert such a file to.
    """
    advice = _ADVICES.get(path.suffix.lower())
    if advice:
        raise InputError(f"efive does not read {path.suffix.lower()} files; {advice}")
