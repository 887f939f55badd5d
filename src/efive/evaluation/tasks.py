"""What a model is measured on. Data only: reading it is `efive.evaluation.formats`, measuring it the runners.

Names of measures are those of the field in one spelling: `ndcg_at_10`, `mrr_at_100`, `recall_at_100`, `accuracy`,
`f1`, `spearman`, `v_measure`, `map`. The first of a task's measures is its main one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Corpus = Callable[[], Iterator[tuple[str, str]]]
"""Reads the documents from the beginning: id and text, title and body joined by a space as published protocols do."""


@dataclass(frozen=True, slots=True)
class About:
    """What every task says of itself."""

    name: str
    language: str
    """ISO code, two joined by a hyphen for pairs of languages, or empty where it is not known."""
    measures: tuple[str, ...]
    digest: str
    """SHA-256 over the names and contents of its files."""
    protocol: str
    """What is measured how, and who does it so, in a sentence."""
    sources: tuple[str, ...] = ()
    """Names by which model cards would call this data, to see whether a model was trained on it."""
    sampled: str = ""
    """What was left out of the data, and by which rule and seed; empty if nothing was."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Find the documents that answer each query."""

    about: About
    queries: Mapping[str, str]
    judged: Mapping[str, Mapping[str, int]]
    """Relevance of documents by query; what is not named is not relevant. Queries without any are not measured."""
    corpus: Corpus
    documents: int
    drop_same_id: bool = False
    """Whether a document with the query's own id is dropped, as BEIR does for ArguAna, Quora and others."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """Put the candidates of each query in order."""

    about: About
    queries: Mapping[str, str]
    candidates: Mapping[str, Mapping[str, str]]
    """Texts by query and id."""
    judged: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Bitext:
    """Find each sentence's translation on the other side: row i of one is row i of the other."""

    about: About
    left: Sequence[str]
    right: Sequence[str]


@dataclass(frozen=True, slots=True)
class Similarity:
    """Agree with people on how alike two sentences are."""

    about: About
    pairs: Sequence[tuple[str, str]]
    judged: Sequence[float]


@dataclass(frozen=True, slots=True)
class Classification:
    """Tell labels apart by a linear probe on the vectors."""

    about: About
    train: Sequence[tuple[str, str]]
    """Text and label."""
    test: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Clustering:
    """Group texts as their labels do."""

    about: About
    texts: Sequence[str]
    labels: Sequence[str]


Task = Retrieval | Reranking | Bitext | Similarity | Classification | Clustering


def kind_of(task: Task) -> str:
    """Return the kind of a task in lower case: `retrieval`, `bitext` and so on."""
    return type(task).__name__.lower()
