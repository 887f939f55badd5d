"""From drawn examples to model inputs: which texts are encoded, and how they belong together. Pure numpy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from efive.inputs import Role
from efive.text.tokenizer import TokenIds
from efive.training.sampling import Draw, hash_of, rotated
from efive.training.teacher import UNREAD, TeacherVectors
from efive.training.tokens import Frame, TokenizedSet

Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
_NONE = -1
_SPAN = (5, 18)
"""Shortest and longest span, in tokens, that stands in for a query."""
_DROPPED = 0.2
"""Share of a span's tokens that are left out, so that matching words alone does not find the passage."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How examples of one source become inputs."""

    frame: Frame
    query_tokens: int
    passage_tokens: int
    negatives: int
    symmetric: bool
    spans: float
    seed: int


@dataclass(slots=True)
class Inputs:
    """One batch, ready to be encoded: n queries, then m distinct passages."""

    texts: list[TokenIds]
    queries: int
    members: Longs
    """(n, g) passages of each query, the positive first, -1 where there is none."""
    query_keys: Longs
    passage_keys: Longs
    scores: Floats | None = None
    """(n, g) a teacher's scores."""
    targets: Floats | None = None
    """(n + m, d) a teacher's vectors, one per text."""

    @property
    def rows(self) -> int:
        """Rows of the loss."""
        return self.queries if self.targets is None else len(self.texts)

    @property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(len(text) for text in self.texts)


class _Passages:
    """The distinct passages of a batch."""

    def __init__(self) -> None:
        self.texts: list[TokenIds] = []
        self.keys: list[int] = []
        self._seen: dict[int, int] = {}

    def add(self, text: TokenIds, key: int) -> int:
        """Return the index of a passage, encoding equal ones once."""
        index = self._seen.setdefault(key, len(self.texts))
        if index == len(self.texts):
            self.texts.append(text)
            self.keys.append(key)
        return index


def contrastive_inputs(draw: Draw, data: TokenizedSet, recipe: Recipe, *, scored: bool = False) -> Inputs:
    """Return queries with a positive and hard negatives each; with `scored`, a teacher's scores too."""
    passage_role = Role.QUERY if recipe.symmetric else Role.PASSAGE
    rng = np.random.default_rng([recipe.seed, draw.stratum, draw.number])
    passages = _Passages()
    queries, query_keys = [], []
    members = np.full((len(draw.examples), 1 + recipe.negatives), _NONE, dtype=np.int64)
    scores = np.zeros(members.shape, dtype=np.float32)
    for row, (example, epoch) in enumerate(zip(draw.examples.tolist(), draw.epochs.tolist(), strict=True)):
        chosen, chosen_scores = _chosen(data, example, epoch + recipe.seed, recipe.negatives)
        query, key = data.queries[example], int(data.queries.keys[example])
        content, first_key = data.passages[int(chosen[0])], int(data.passages.keys[chosen[0]])
        if recipe.spans and rng.random() < recipe.spans:
            query, content = _span(content, recipe.frame.room(passage_role, recipe.passage_tokens), rng)
            key = first_key = -1 - row  # of this batch alone: neither query nor window stands in the set
        queries.append(recipe.frame.build(query, Role.QUERY, recipe.query_tokens))
        query_keys.append(key)
        members[row, 0] = passages.add(recipe.frame.build(content, passage_role, recipe.passage_tokens), first_key)
        for column, passage in enumerate(chosen[1:].tolist(), 1):
            text = recipe.frame.build(data.passages[passage], passage_role, recipe.passage_tokens)
            members[row, column] = passages.add(text, int(data.passages.keys[passage]))
        scores[row, : len(chosen)] = chosen_scores
    return Inputs(
        texts=queries + passages.texts,
        queries=len(queries),
        members=members,
        query_keys=np.asarray(query_keys, dtype=np.int64),
        passage_keys=np.asarray(passages.keys, dtype=np.int64),
        scores=scores if scored else None,
    )


def _chosen(data: TokenizedSet, example: int, offset: int, negatives: int) -> tuple[Longs, Floats]:
    """Return the passage rows of an example in an epoch and their scores: a positive, then negatives."""
    positives, others = data.positives.rows(example), data.negatives.rows(example)
    which = offset % len(positives)
    turn = rotated(len(others), negatives, offset)
    rows = np.concatenate([positives[which : which + 1], others[turn]])
    first, rest = data.positives.scores(example), data.negatives.scores(example)
    if first is None or rest is None:
        return rows, np.zeros(len(rows), dtype=np.float32)
    return rows, np.concatenate([first[which : which + 1], rest[turn]])


def _span(content: TokenIds, limit: int, rng: np.random.Generator) -> tuple[TokenIds, TokenIds]:
    """Return a thinned span of a window of a passage, and the window."""
    start = int(rng.integers(0, max(1, len(content) - limit + 1)))
    window = content[start : start + limit]
    length = int(rng.integers(_SPAN[0], _SPAN[1] + 1))
    begin = int(rng.integers(0, max(1, len(window) - length + 1)))
    span = window[begin : begin + length]
    return span[rng.random(len(span)) >= _DROPPED], window


def imitation_inputs(draw: Draw, data: TokenizedSet, teacher: TeacherVectors, recipe: Recipe) -> Inputs:
    """Return texts with the teacher's vectors: of themselves, or of what they translate.

    Of a symmetric source both sides take the same role, every other pair `passage`, so that both prefixes are learned.
    """
    texts: list[TokenIds] = []
    rows: list[int] = []
    for example in draw.examples.tolist():
        query_role = passage_role = (Role.QUERY, Role.PASSAGE)[hash_of(recipe.seed, example) % 2]
        if not recipe.symmetric:
            query_role, passage_role = Role.QUERY, Role.PASSAGE
        limits = {Role.QUERY: recipe.query_tokens, Role.PASSAGE: recipe.passage_tokens}
        if recipe.symmetric:
            limits = dict.fromkeys(limits, max(limits.values()))
        passage = int(data.positives.rows(example)[0])
        for row, content, role in zip(
            teacher.rows[example].tolist(),
            (data.queries[example], data.passages[passage]),
            (query_role, passage_role),
            strict=True,
        ):
            if row != UNREAD:
                texts.append(recipe.frame.build(content, role, limits[role]))
                rows.append(row)
    nothing = np.empty(0, dtype=np.int64)
    return Inputs(
        texts=texts,
        queries=len(texts),
        members=nothing.reshape(0, 1),
        query_keys=nothing,
        passage_keys=nothing,
        targets=teacher.vectors[np.asarray(rows)].astype(np.float32),
    )
