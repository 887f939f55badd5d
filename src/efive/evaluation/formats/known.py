"""Public sets by the names of their folders: what cards call them, their language, their peculiarities."""

import re
from dataclasses import dataclass

from efive.evaluation.formats.choice import base


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a set beyond its files."""

    sources: tuple[str, ...]
    language: str = ""
    split: str = ""
    """The split that is published, where it is not the test split."""
    drop_same_id: bool = False
    """Whether mteb drops the document with the query's own id (`ignore_identical_ids`)."""


_SETS = {
    "arcd": Known(("ARCD",), "ar"),
    "arguana": Known(("ArguAna",), "en", drop_same_id=True),
    "cisi": Known(("CISI",), "en"),
    "climatefever": Known(("Climate-FEVER", "ClimateFEVER"), "en"),
    "cqadupstack": Known(("CQADupStack",), "en"),
    "dbpedia": Known(("DBPedia", "DBpedia-Entity"), "en"),
    "dbpediaentity": Known(("DBPedia", "DBpedia-Entity"), "en"),
    "fever": Known(("FEVER",), "en", drop_same_id=True),
    "fiqa": Known(("FiQA",), "en", drop_same_id=True),
    "fiqa2018": Known(("FiQA",), "en", drop_same_id=True),
    "hotpotqa": Known(("HotpotQA",), "en"),
    "jaquad": Known(("JaQuAD",), "ja"),
    "jsts": Known(("JSTS", "JGLUE"), "ja"),
    "korsts": Known(("KorSTS",), "ko"),
    "msmarco": Known(("MS MARCO", "MS-MARCO", "MSMARCO"), "en", "dev", drop_same_id=True),
    "nfcorpus": Known(("NFCorpus",), "en"),
    "nq": Known(("Natural Questions", "NQ"), "en"),
    "quora": Known(("Quora",), "en", drop_same_id=True),
    "quoraretrieval": Known(("Quora",), "en", drop_same_id=True),
    "scidocs": Known(("SCIDOCS",), "en"),
    "scifact": Known(("SciFact",), "en"),
    "stsb": Known(("STS-B", "STSb", "STSBenchmark", "STS Benchmark")),
    "touche2020": Known(("Touché 2020", "Touche2020"), "en"),
    "treccovid": Known(("TREC-COVID",), "en"),
    "tydiqa": Known(("TyDi QA", "TyDiQA")),
    "webistouche2020": Known(("Touché 2020", "Touche2020"), "en"),
    "xquad": Known(("XQuAD", "SQuAD")),
}
MRTYDI = Known(("Mr. TyDi", "MrTyDi", "TyDi QA"))
# Eleven of MIRACL's languages have their questions from Mr. TyDi.
MIRACL = Known(("MIRACL", "Mr. TyDi", "MrTyDi"), split="dev")
TATOEBA = Known(("Tatoeba",))
FLORES = Known(("FLORES", "FLORES-200", "FLORES-101"))
NTREX = Known(("NTREX", "NTREX-128"))

# The eleven of Mr. TyDi's folders.
_NAMES = {
    "arabic": "ar",
    "bengali": "bn",
    "english": "en",
    "finnish": "fi",
    "indonesian": "id",
    "japanese": "ja",
    "korean": "ko",
    "russian": "ru",
    "swahili": "sw",
    "telugu": "te",
    "thai": "th",
}
_CODES = frozenset(
    [
        "af",
        "am",
        "ar",
        "as",
        "az",
        "be",
        "bg",
        "bn",
        "br",
        "bs",
        "ca",
        "cs",
        "cy",
        "da",
        "de",
        "el",
        "en",
        "eo",
        "es",
        "et",
        "eu",
        "fa",
        "fi",
        "fr",
        "fy",
        "ga",
        "gd",
        "gl",
        "gu",
        "ha",
        "he",
        "hi",
        "hr",
        "hu",
        "hy",
        "id",
        "is",
        "it",
        "ja",
        "jv",
        "ka",
        "kk",
        "km",
        "kn",
        "ko",
        "ku",
        "ky",
        "la",
        "lo",
        "lt",
        "lv",
        "mg",
        "mk",
        "ml",
        "mn",
        "mr",
        "ms",
        "my",
        "ne",
        "nl",
        "no",
        "om",
        "or",
        "pa",
        "pl",
        "ps",
        "pt",
        "ro",
        "ru",
        "sa",
        "sd",
        "si",
        "sk",
        "sl",
        "so",
        "sq",
        "sr",
        "su",
        "sv",
        "sw",
        "ta",
        "te",
        "th",
        "tl",
        "tr",
        "ug",
        "uk",
        "ur",
        "uz",
        "vi",
        "xh",
        "yi",
        "yo",
        "zh",
        "zu",
    ]
)
_PARTS = re.compile(r"[^A-Za-z0-9]+")
_NO_LANGUAGE = re.compile(r"train|dev|devtest|test|valid|validation|v?\d+")


def known(name: str) -> Known:
    """Return what is known of the set with a folder or file of that name; cards may call any by its own name."""
    parts = _PARTS.split(name.lower().removeprefix("nano"))
    for length in range(len(parts), 0, -1):
        if found := _SETS.get("".join(parts[:length])):
            return found
    return Known((name,))


def language_of(name: str) -> str:
    """Return the language that a name such as `tydiqa_dev_ko` ends with, or that of a known set, or nothing."""
    for part in reversed(_PARTS.split(name.lower())):
        if part in _NAMES or part in _CODES:
            return _NAMES.get(part, part)
        if not _NO_LANGUAGE.fullmatch(part):
            break
    return known(name).language


def code_of(word: str) -> str:
    """Return the code of a language that goes by its English name in published sets; any other word as it is."""
    return _NAMES.get(word.lower(), word.lower())


def joined_languages(*codes: str) -> str:
    """Return the languages of two sides, one if they are the same, none if one is not known."""
    bare = [base(code) for code in codes]
    return bare[0] if len(set(bare)) == 1 else "-".join(bare) if all(bare) else ""
