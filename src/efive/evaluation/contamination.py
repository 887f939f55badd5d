"""What a model's makers say it was trained on, held against what a task is made of.

A sentence for every overlap that is known. That none is known shows nothing: cards are incomplete, texts are copied,
and pairs crawled from the web hold a bit of everything. So nothing here ever says that a model is clean.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from efive.models.family import FAMILY

NO_CARD = "unknown: no card"

# arXiv 2212.03533, section 4; 2402.05672, sections 2 and 3; 2401.00368, section 4 and its appendix.
_CCPAIRS = ("Reddit", "StackExchange", "Wikipedia", "S2ORC", "Common Crawl", "CC-News")
_MULTILINGUAL_PAIRS = (
    "Wikipedia", "mC4", "CC-News", "NLLB", "Reddit", "S2ORC", "StackExchange", "xP3", "SBERT's training data",
)  # fmt: skip
_ENGLISH = ("MS MARCO", "Natural Questions", "NLI")
_MULTILINGUAL = (
    "MS MARCO", "Natural Questions", "TriviaQA", "SQuAD", "NLI", "ELI5", "NLLB", "DuReader", "FEVER", "HotpotQA",
    "Quora", "Mr. TyDi", "MIRACL",
)  # fmt: skip
_MISTRAL = (
    "ELI5", "HotpotQA", "FEVER", "MIRACL", "MS MARCO", "Natural Questions", "NLI", "SQuAD", "TriviaQA", "Quora",
    "Mr. TyDi", "DuReader", "T2Ranking",
)  # fmt: skip
# Models that are no E5 and that E5 models are made from, by their cards.
_OTHERS = {
    "all-MiniLM-L6-v2": (
        "Reddit", "S2ORC", "WikiAnswers", "PAQ", "StackExchange", "MS MARCO", "GooAQ", "Yahoo Answers",
        "CodeSearchNet", "SearchQA", "ELI5", "NLI", "Quora", "Natural Questions", "SQuAD", "TriviaQA", "WikiHow",
        "Simple Wikipedia",
    ),
}  # fmt: skip
_UNPUBLISHED = "unknown: what the v2 models were fine-tuned on beside {known} is not published"

# Names for one thing, as cards, papers and benchmarks write them.
_ALIASES = (
    {"msmarco", "msmarcopassage", "msmarcodocument"},
    {"nq", "naturalquestions"},
    {"nli", "allnli", "snli", "multinli", "mnli"},
    {"quora", "quoraduplicates", "quoraquestionpairs", "quoraretrieval", "qqp"},
    {"stsb", "stsbenchmark"},
    {"fiqa", "fiqa2018"},
    {"flores", "flores101", "flores200"},
    {"ntrex", "ntrex128"},
    {"touche2020", "webistouche2020"},
)
_MADE_OF = {
    "xquad": "squad",  # translated from its development set
    "mrtydi": "tydiqa",
    "miracl": "mrtydi",  # the questions of eleven languages
    "cqadupstack": "stackexchange",
    "askubuntudupquestions": "stackexchange",
    "scifact": "s2orc",
    "scidocs": "s2orc",
}
_TRAINING = re.compile(
    r"\b(pre-?)?train(ed|ing)?\b|\bfine-?tun|\bsupervis|\bdata(sets?)?\b|\bcorpora\b|\bmade\b", re.IGNORECASE
)
_MEASURING = re.compile(r"\b(evaluat|benchmark|results?\b|scores?\b|metrics?\b|held.out)", re.IGNORECASE)
_TRAINED_ON = re.compile(
    r"\b(pre-?train|train|fine-?tun|initiali[sz]|distill)\w*\b[^.]{0,60}\b(on|with|from|data)\b|\bteacher\b",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_WORDS = re.compile(r"[^\W_]+")
_SHOWN = 100
_LONGEST = 4
"""Words of a set's name."""
_MODELS = (*FAMILY, *_OTHERS)
_MODEL = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, _MODELS))})(?![\w-])")


@dataclass(frozen=True, slots=True)
class Mention:
    """A statement about training data."""

    text: str
    """The line, or the name itself."""
    where: str
    """Who says it and where."""
    line: bool = False
    """Whether `text` is a line of prose or a table, which may also say that something was left out."""
    weak: bool = False
    """Whether it is of pairs gathered from the web, without anybody's judgements."""


@dataclass(frozen=True, slots=True)
class Card:
    """What README.md says of training."""

    mentions: tuple[Mention, ...]
    bases: tuple[str, ...]
    """Models that this one was made from, by the list at its top or by what it says of its training."""


def contamination(folder: Path, sources: Sequence[str]) -> list[str]:
    """Say what is known of a model's training on what a task is made of.

    Args:
        folder: of the model; its name or its card may tell which published model it is or comes from.
        sources: names by which cards call the task's data: `About.sources`.

    Returns:
        A sentence for each overlap, at least one sentence in all; what begins with `unknown` is no overlap.
    """
    if not sources:
        return ["unknown: the task does not say what it is made of"]
    card = read_card(folder)
    names = [name for name in _MODELS if name == folder.name]
    names += [name for name in (card.bases if card else ()) if name not in names]
    known = [mention for name in names for mention in _of_model(name, derived=name != folder.name)]
    mentions = [*(card.mentions if card else ()), *known]
    found = _overlaps(mentions, sources)
    if any(name.endswith("-v2") and name in FAMILY for name in names):
        found.append(_UNPUBLISHED.format(known=", ".join(_ENGLISH)))
    if found:
        return found
    if card is None and not names:
        return [NO_CARD]
    if not mentions:
        return ["unknown: the card does not say what the model was trained on"]
    return [f"unknown: no training on {_listed(sources)} is stated, which does not show that there was none"]


def read_card(folder: Path) -> Card | None:
    """Read what a model's README.md says of its training; None if there is no such file."""
    file = folder / "README.md"
    if not file.is_file():
        return None
    front, body = _divided(file.read_text(encoding="utf-8", errors="replace"))
    stated = tuple(_stated(body))
    told = [*_strings(front.get("base_model")), *(mention.text for mention in stated)]
    bases = dict.fromkeys(name for text in told for name in _MODEL.findall(text))
    named = [Mention(name, "its card's list of datasets") for name in _strings(front.get("datasets"))]
    return Card((*named, *stated), tuple(bases))


def _divided(text: str) -> tuple[dict[str, object], str]:
    """Return the YAML block at the top, empty if there is none that can be read, and the rest."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return {}, text
    end = next((n for n, line in enumerate(lines[1:], 1) if line.strip() == "---"), 0)
    try:
        front = yaml.safe_load("\n".join(lines[1:end]))
    except (yaml.YAMLError, ValueError):
        front = None
    return front if isinstance(front, dict) else {}, "\n".join(lines[end + 1 :])


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _stated(body: str) -> Iterator[Mention]:
    """Yield the lines of sections about training, and elsewhere those that say what was trained on."""
    above: list[tuple[int, str]] = []
    fenced = False
    for line in body.splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line)
        if heading:
            depth = len(heading[1])
            above = [*(each for each in above if each[0] < depth), (depth, heading[2])]
        elif line.strip() and (_about_training(above) or _TRAINED_ON.search(line)):
            where = f'its card, "{above[-1][1]}"' if above else "its card"
            yield Mention(line.strip(), where, line=True)


def _about_training(above: Iterable[tuple[int, str]]) -> bool:
    """Say whether the headings above a line are about training; of several, the innermost that says anything."""
    for _, heading in reversed(list(above)):
        if _MEASURING.search(heading):
            return False
        if _TRAINING.search(heading):
            return True
    return False


def _of_model(name: str, *, derived: bool) -> Iterator[Mention]:
    """Yield what papers and cards say of a published model."""
    of = f"{name}, which it was made from" if derived else name
    if name in _OTHERS:
        yield from (Mention(each, f"the card of {of}") for each in _OTHERS[name])
        return
    multilingual, mistral = name.startswith("multilingual"), "mistral" in name
    if not mistral:
        for each in _MULTILINGUAL_PAIRS if multilingual else _CCPAIRS:
            yield Mention(each, f"the paper on {of}", weak=True)
    if not name.endswith("-unsupervised"):
        for each in _MISTRAL if mistral else _MULTILINGUAL if multilingual else _ENGLISH:
            yield Mention(each, f"the paper on {of}")


def _overlaps(mentions: Sequence[Mention], sources: Sequence[str]) -> list[str]:
    """Return a sentence for each source and place that names it, and for each that names what it is made of."""
    said: dict[tuple[str, str], str] = {}
    used: set[Mention] = set()
    for names in (_direct, kin):
        for mention in mentions:
            source, run = _match(_runs(mention.text), sources, names)
            if source and mention not in used:
                used.add(mention)
                said.setdefault((source, mention.where), _sentence(mention, source, run, same=names is _direct))
    return list(said.values())


def _runs(text: str) -> list[str]:
    words = _WORDS.findall(text.lower())
    return ["".join(words[i : i + n]) for n in range(1, _LONGEST + 1) for i in range(len(words) - n + 1)]


def _sentence(mention: Mention, source: str, run: str, *, same: bool) -> str:
    if mention.line:
        what = f"{source} is named" if same else f"what shares texts with {source} is named"
        return f"{what} where the model's training is told of ({mention.where}): {_excerpt(mention.text, run)}"
    how = "pre-trained, on pairs that nobody judged," if mention.weak else "trained"
    on = mention.text if same else f"{mention.text}, which shares texts with {source}"
    return f"{how} on {on}, according to {mention.where}"


def _match(runs: Sequence[str], sources: Sequence[str], names: Callable[[str], frozenset[str]]) -> tuple[str, str]:
    """Return the first source one of whose names overlaps with those of a run of words, and the run."""
    for source in sources:
        wanted = names(source)
        for run in runs:
            if names(run) & wanted:
                return source, run
    return "", ""


def _excerpt(text: str, run: str) -> str:
    """Return the text around a run of words."""
    found = re.search(r"[\W_]*".join(map(re.escape, run)), text, re.IGNORECASE)
    middle = found.start() if found else 0
    start = max(0, min(middle - _SHOWN // 2, len(text) - _SHOWN))
    end = start + _SHOWN
    return ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")


@cache
def kin(name: str) -> frozenset[str]:
    """Return the names of a set, and those of what it is made of."""
    found = set(_direct(name))
    new = found
    while new:
        new = {other for each in new if each in _MADE_OF for other in _direct(_MADE_OF[each])} - found
        found |= new
    return frozenset(found)


@cache
def _direct(name: str) -> frozenset[str]:
    """Return a name without its punctuation, and its other names."""
    bare = "".join(_WORDS.findall(name.lower()))
    return frozenset({bare, *(alias for group in _ALIASES if bare in group for alias in group)} - {""})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
