"""Who says how well a passage answers a query: the encoder that searches, or another model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from efive.nearest import Floats, Halves, Rows, stored_vectors
from efive.training.mining.corpus import Corpus
from efive.training.mining.stages import Watch, digest

if TYPE_CHECKING:
    from efive.encoder import Encoder

Score = Callable[[Sequence[str], Sequence[Rows]], list[Floats]]
"""Called with queries, and rows of the corpus for each; returns a score for each row."""


class Teacher(Protocol):
    """A model that scores pairs."""

    name: str
    """What must stay the same when a run goes on."""
    cosine: bool
    """Whether scores are cosines; else they are logits, which have no zero to take a share of."""

    def prepare(self, corpus: Corpus, content: str, work: Path, watch: Watch) -> Score:
        """Do once what all scores need; `content` is the corpus' hash, and `work` keeps what takes long."""
        ...


def cosines(vectors: Halves, queries: Floats, rows: Sequence[Rows]) -> list[Floats]:
    """Return the cosine of each query's vector with those of its rows."""
    return [np.asarray(vectors[own], dtype=np.float32) @ query for query, own in zip(queries, rows, strict=True)]


def corpus_vectors(corpus: Corpus, content: str, work: Path, encoder: "Encoder", role: str, watch: Watch) -> Halves:
    """Embed the corpus into a file of `work` that is named after all that its vectors depend on, or find it there."""
    described = {"passages": content, "space": encoder.space.fingerprint, "role": role, "tokens": encoder.max_tokens}
    file = work / f"vectors-{digest(described)}.npy"
    with watch("embedding passages", len(corpus), 0) as done:
        return stored_vectors(file, corpus.texts(), encoder, role, done)


class BiEncoderTeacher:
    """Another encoder, by cosine, with its own prefixes (`e5`) or none (`raw`)."""

    cosine = True

    def __init__(self, encoder: "Encoder", role: str = "e5") -> None:
        """Take an encoder; `role` is `e5` or `raw`."""
        self._encoder = encoder
        self._query, self._passage = ("query", "passage") if role == "e5" else ("raw", "raw")
        self.name = f"{encoder.space.fingerprint}, role {role}, {encoder.max_tokens} tokens, {encoder.prompts.query!r}"

    def prepare(self, corpus: Corpus, content: str, work: Path, watch: Watch) -> Score:
        """Embed the corpus."""
        vectors = corpus_vectors(corpus, content, work, self._encoder, self._passage, watch)

        def score(queries: Sequence[str], rows: Sequence[Rows]) -> list[Floats]:
            return cosines(vectors, self._encoder.embed(queries, self._query).vectors, rows)

        return score
