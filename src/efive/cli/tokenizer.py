"""`efive tokenizer`: train a vocabulary, and measure how finely it cuts texts."""

import gzip
import lzma
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from efive.cli.options import bar_settings
from efive.errors import InputError
from efive.jsonlines import decode, encodable, parse, shown, without_bom

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open}


@click.group(name="tokenizer")
def command() -> None:
    """Train a multilingual vocabulary and measure vocabularies."""


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--size", type=click.IntRange(min=300), required=True, help="Pieces in all, 256 bytes included.")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option("--field", "fields", multiple=True, help="Fields that hold texts.  [default: query, passage]")
@click.option("--language-field", default="lang", show_default=True, help="Field with `xx`, or `xx-yy`: one per text.")
@click.option("--weights", help="Shares of the training text, as en=20,ru=10; others get 1.  [default: length^0.5]")
@click.option("--characters", type=click.IntRange(min=1), default=50_000_000, show_default=True, help="Training text.")
@click.option("--coverage", type=click.FloatRange(0.9, 1), default=0.9999, show_default=True, help="Of characters.")
@click.option("--keep-case", is_flag=True, help="Do not lower-case.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
def train(
    files: tuple[Path, ...],
    output: Path,
    fields: tuple[str, ...],
    language_field: str,
    weights: str | None,
    **how: Any,  # noqa: ANN401
) -> None:
    """Train a Unigram tokenizer on JSONL FILES (.jsonl, .jsonl.gz, .jsonl.xz).

    The folder gets tokenizer.json and what transformers' PreTrainedTokenizerFast reads. The same input gives the
    same file.
    """
    from efive.training.vocabulary.tokenizer import TrainingOptions, WordCounter, train_from_counts, write_tokenizer

    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"{output} exists and is no empty folder; name a new one")
    shares = parse_weights(weights)
    options = TrainingOptions(
        lowercase=not how["keep_case"],
        coverage=how["coverage"],
        characters=how["characters"],
        threads=how["threads"],
    )
    counter = WordCounter(lowercase=options.lowercase)
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    from tqdm import tqdm

    for language, text in tqdm(read_texts(files, fields, language_field), unit=" texts", **bar_settings()):
        counter.add(counted[language], text)
    tokenizer = train_from_counts(counted, how["size"], weights=shares, options=options)
    write_tokenizer(tokenizer, output)
    click.echo(f"efive: {tokenizer.get_vocab_size()} pieces in {output}", err=True)


@command.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--field", "fields", multiple=True, help="Fields that hold texts.  [default: query, passage]")
@click.option("--language-field", default="lang", show_default=True)
def measure(model: Path, files: tuple[Path, ...], fields: tuple[str, ...], language_field: str) -> None:
    """Print pieces per word, byte share and pieces per character of each language of FILES."""
    from tokenizers import Tokenizer

    from efive.training.vocabulary.tokenizer import Fertility, fertility

    path = model / "tokenizer.json" if model.is_dir() else model
    if not path.is_file():
        raise InputError(f"{path} is missing; name a folder with a tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    sums: dict[str, Fertility] = {}
    for language, text in read_texts(files, fields, language_field):
        one = fertility(tokenizer, [text])
        sums[language] = sums[language] + one if language in sums else one
    click.echo("language\tpieces/word\tbyte share\tpieces/character")
    for language, found in sorted(sums.items()):
        click.echo(f"{language}\t{found.pieces_per_word:.3f}\t{found.byte_share:.5f}\t{found.pieces_per_character:.3f}")


def parse_weights(text: str | None) -> dict[str, float] | None:
    """Return `en=20,ru=10` as a mapping; None stays None.

    Raises:
        InputError: naming the part that is no NAME=NUMBER with a number above 0.
    """
    if text is None:
        return None
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            raise InputError(f"--weights: {part!r} is no NAME=NUMBER, such as en=20") from None
        if not 0 < weights[name.strip()] < 1e9:
            raise InputError(f"--weights: {part!r} must be above 0; leave the language's files out instead")
    return weights


def read_texts(files: tuple[Path, ...], fields: tuple[str, ...], language_field: str) -> Iterator[tuple[str, str]]:
    """Yield the language and text of each field of each line; `xx-yy` gives the first field xx and the others yy.

    Raises:
        InputError: naming file and line of what cannot be used.
    """
    names = fields or ("query", "passage")
    for path in files:
        for number, line in enumerate(_lines(path), 1):
            if not line.strip():
                continue
            try:
                yield from _texts(parse(decode(line)), names, language_field)
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}") from None


def _texts(record: object, names: tuple[str, ...], language_field: str) -> Iterator[tuple[str, str]]:
    if not isinstance(record, dict):
        raise InputError(f"{shown(record)} where a JSON object is needed")
    first, _, second = str(record.get(language_field, "")).partition("-")
    for index, name in enumerate(names):
        text = record.get(name)
        if not isinstance(text, str):
            raise InputError(f"{name!r} is {shown(text)}, not a text; name other fields with --field")
        yield (second or first) if index else first, encodable(text, name)


def _lines(path: Path) -> Iterator[bytes]:
    opener = _OPENERS.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as file:
            yield from without_bom(file)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
