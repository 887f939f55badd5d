"""Recipes: a model from nothing but data and a teacher, as steps that share a folder.

A recipe is a TOML file with a list of `[[step]]`. Each has a name, says what it does (`do`), and gives that thing's
options, in which `{data}`, `{teacher}` and `{run}` stand for folders and `{shared.NAME}` for a value of the table
`[shared]`. A training step may list its sources in groups (`[[step.group]]`), each with common options. Its output is
`{run}/NAME`. A step whose output is there is not done again, and a training or mining step that was interrupted goes
on, so the same command continues a recipe.

For a test, a step's `smoke` table overrides its options: the whole recipe in two minutes, on little data.
"""

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from tokenizers import Tokenizer

from efive.encoder import Encoder
from efive.errors import InputError, TruncationWarning
from efive.training import settings as run_settings
from efive.training.data.formats import open_sets
from efive.training.mining.choice import Mining
from efive.training.mining.miner import mine
from efive.training.mining.stages import Place
from efive.training.recipe_data import Chosen, TextChoice, bitext, grouped_texts
from efive.training.tokens import Selection
from efive.training.trainer import Report, train
from efive.training.vocabulary.alignment import AlignmentOptions
from efive.training.vocabulary.tokenizer import TrainingOptions, train_tokenizer, write_tokenizer
from efive.training.vocabulary.transplant import RowOptions, gather, transplant

Say = Callable[[str], None]


class TokenizerStep(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Train a vocabulary."""

    data: str
    texts: TextChoice
    size: int
    shares: dict[str, float] = {}
    """Share of each language in the training text; 1 where it is not named."""
    everyday_share: float = 0.75
    """Of a language's share, what everyday sources get."""
    everyday_shares: dict[str, float] = {}
    """The same for single languages."""
    training: TrainingOptions = TrainingOptions()


class TransplantStep(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Put the vocabulary under the teacher's layers; its rows come from aligned bitext."""

    data: str
    teacher: str
    tokenizer: str
    texts: TextChoice
    pairs_per_language: int = 40_000
    english_texts: int = 25_000
    alignment: AlignmentOptions = AlignmentOptions()
    rows: RowOptions = RowOptions()


class MineStep(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Find hard negatives."""

    sets: tuple[str, ...]
    model: str
    languages: tuple[str, ...] = ()
    limit: int | None = None
    max_tokens: int | None = None
    """Tokens of a passage that are read; None is the model's own limit."""
    options: Mining = Mining()


class CompactStep(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Write a model with int8 rows."""

    model: str


@dataclass(frozen=True, slots=True)
class Folders:
    """What a recipe's placeholders stand for."""

    run: Path
    data: Path
    teacher: Path
    cache: Path


def cook(
    recipe: Path,
    folders: Folders,
    *,
    smoke: bool = False,
    report: Callable[[Report], None] = lambda _report: None,
    say: Say = lambda _line: None,
) -> Path:
    """Do the steps of a recipe and return the folder of the last one's output.

    Raises:
        InputError: naming the step and option that cannot be used.
    """
    steps = _steps(recipe, folders, smoke=smoke)
    folders.run.mkdir(parents=True, exist_ok=True)
    output = folders.run
    for do, name, values in steps:
        output = folders.run / name
        where = f"{recipe}, step {name}"
        if do == "train":
            settings = run_settings.parse(values, where)
            if not (output / "model").exists():
                say(f"{name}: trains")
                train(settings, output, cache=folders.cache, report=report, say=say)
            output /= "model"
        elif not output.exists():
            say(f"{name}: {do}")
            kind, work = _STEPS[do]
            work(_convert(values, kind, where), output)
    return output


def _steps(recipe: Path, folders: Folders, *, smoke: bool) -> list[tuple[str, str, dict[str, Any]]]:
    content = run_settings.read(recipe)
    steps = content.get("step", [])
    shared = content.get("shared", {})
    found = []
    for number, step in enumerate(steps, 1):
        values = dict(step)
        do, name = values.pop("do", None), values.pop("name", None)
        if do not in {"train", *_STEPS} or not isinstance(name, str) or not name.isidentifier():
            known = ", ".join(["train", *_STEPS])
            raise InputError(f"{recipe}, step {number}: needs a name (letters and digits) and do = one of {known}")
        over = values.pop("smoke", {})
        if smoke:
            values |= over
        if "group" in values:
            values["sources"] = [source for group in values.pop("group") for source in _sources(group)]
        found.append((do, name, _filled(values, folders, shared)))
    if not found:
        raise InputError(f"{recipe} has no [[step]]")
    return found


def _sources(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a group's sources: `files` names each with its weight, `limits` some; the rest holds for all."""
    common = {key: value for key, value in group.items() if key not in {"files", "limits", "folder", "suffix"}}
    limits = group.get("limits", {})
    return [
        {"path": f"{group.get('folder', '{data}')}/{name}{group.get('suffix', '.jsonl')}", "weight": weight}
        | ({"limit": limits[name]} if name in limits else {})
        | common
        for name, weight in group.get("files", {}).items()
    ]


def _filled(value: Any, folders: Folders, shared: dict[str, Any]) -> Any:  # noqa: ANN401 - TOML values
    """Put folders for `{run}` and so on, and for `"{shared.NAME}"` the value NAME of the table [shared]."""
    if isinstance(value, dict):
        return {key: _filled(inner, folders, shared) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, folders, shared) for inner in value]
    if not isinstance(value, str):
        return value
    if value.startswith("{shared."):
        name = value.removeprefix("{shared.").removesuffix("}")
        if name not in shared:
            raise InputError(f"{value} is asked for, but the recipe has no {name} in its [shared] table")
        return _filled(shared[name], folders, shared)
    for name in ("run", "data", "teacher"):
        value = value.replace("{" + name + "}", str(getattr(folders, name)))
    return value


def _convert(values: dict[str, Any], kind: type, where: str) -> Any:  # noqa: ANN401 - one of the steps above
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error}") from None


@contextmanager
def _draft(output: Path) -> Iterator[Path]:
    """Give a folder that becomes `output` when all went well."""
    draft = output.with_name(output.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    yield draft
    draft.rename(output)


def _tokenizer(step: TokenizerStep, output: Path) -> None:
    texts = grouped_texts(open_sets(Path(step.data)), step.texts)
    weights = {}
    for group in texts:
        language, kind = group.split("/")
        everyday = step.everyday_shares.get(language, step.everyday_share)
        weights[group] = step.shares.get(language, 1.0) * (everyday if kind == "everyday" else 1 - everyday)
    with _draft(output) as draft:
        write_tokenizer(train_tokenizer(texts, step.size, weights=weights, options=step.training), draft)


def _transplant(step: TransplantStep, output: Path) -> None:
    tokenizer = Tokenizer.from_file(str(Path(step.tokenizer) / "tokenizer.json"))
    sets = open_sets(Path(step.data))
    english = grouped_texts(sets, step.texts).get("en/everyday", [])[: step.english_texts]
    pairs = bitext(sets, step.texts, step.pairs_per_language)
    evidence = gather(tokenizer, pairs, english=english, options=step.alignment)
    with _draft(output) as draft:
        transplant(Path(step.teacher), tokenizer, evidence, draft, options=step.rows)


def _mine(step: MineStep, output: Path) -> None:
    sets = [data for path in step.sets for data in open_sets(Path(path))]
    chosen = [Chosen(data, Selection(step.languages, limit=step.limit)) for data in sets]
    with Encoder.load(step.model, max_tokens=step.max_tokens) as encoder, warnings.catch_warnings():
        if step.max_tokens is not None:  # then cutting is what the recipe asks for
            warnings.simplefilter("ignore", TruncationWarning)
        found = mine(chosen, encoder, Place(output), step.options)
    (output / "statistics.txt").write_text("\n".join(found.lines()) + "\n", encoding="utf-8")


def _compact(step: CompactStep, output: Path) -> None:
    with _draft(output) as draft, Encoder.load(step.model, precision="fp32") as encoder:
        encoder.save(draft, compact=True)


_STEPS: dict[str, tuple[type, Callable[[Any, Path], None]]] = {
    "tokenizer": (TokenizerStep, _tokenizer),
    "transplant": (TransplantStep, _transplant),
    "mine": (MineStep, _mine),
    "compact": (CompactStep, _compact),
}
