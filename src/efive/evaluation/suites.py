"""Named lists of tasks in a folder of data; what is not there is named and left out."""

from dataclasses import dataclass
from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats.find import CROSSED, open_task
from efive.evaluation.tasks import Task

_XQUAD = ("en", "es", "ru", "zh", "ar", "vi")
_CROSS = ("es", "vi", "zh", "ru", "ar")
_TYDIQA = ("ar", "en", "fi", "ko", "sw")
_MRTYDI = (
    *("arabic", "bengali", "english", "finnish", "indonesian", "japanese", "korean", "russian", "swahili", "telugu"),
    "thai",
)
_BEIR = (
    *("msmarco", "trec-covid", "nfcorpus", "nq", "hotpotqa", "fiqa", "arguana", "webis-touche2020", "cqadupstack"),
    *("quora", "dbpedia-entity", "scidocs", "fever", "climate-fever", "scifact"),
)

SUITES: dict[str, tuple[str, ...]] = {
    "small": (
        *(f"xquad_{code}" for code in _XQUAD),
        *(f"xquad_{code}{CROSSED}xquad_en" for code in _CROSS),
        *(f"tydiqa_dev_{code}" for code in _TYDIQA),
        "jaquad_dev_ja",
        "arcd_test_ar",
        "scifact",
        "cisi",
        "tatoeba",
        "flores",
        "sts",
    ),
    "mrtydi": tuple(f"mrtydi-v1.1-{name}" for name in _MRTYDI),
    "miracl": ("miracl",),
    "beir": _BEIR,
    "bitext": ("tatoeba", "flores", "ntrex"),
}
"""Addresses of tasks by suite, relative to a folder of data; of `small` a few minutes are enough."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The tasks of a suite."""

    tasks: list[Task]
    absent: list[str]
    """Addresses of which nothing is there."""


def open_suite(name: str, data: Path, *, limit: int | None = None, seed: int = 0) -> Opened:
    """Open what there is of a suite below `data`.

    Raises:
        InputError: if there is no such suite, nothing of it is there, or something that is there cannot be used.
    """
    if name not in SUITES:
        raise InputError(f"no suite {name!r}; the suites are {', '.join(SUITES)}")
    there = [address for address in SUITES[name] if _is_there(address, data)]
    if not there:
        raise InputError(f"{data} holds nothing of the suite {name}, which is {', '.join(SUITES[name])}")
    tasks = [task for address in there for task in open_task(data / address, limit=limit, seed=seed)]
    return Opened(tasks, [address for address in SUITES[name] if address not in there])


def _is_there(address: str, data: Path) -> bool:
    return all((data / part).is_dir() for part in address.split(CROSSED))
