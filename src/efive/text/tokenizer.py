"""One `tokenizer.json`, its stored padding and truncation switched off, so that counts are true."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from efive.errors import InputError, ModelFileError

TokenIds = npt.NDArray[np.int32]

# The library holds some 300 bytes per character while it works: what it gets at once is bounded.
_BATCH_CHARACTERS = 4_000_000
_TEXT_CHARACTERS = 500_000
_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text."""

    id: int
    piece: str
    """As the vocabulary has it."""
    special: bool
    """Whether it stands for no part of the text."""
    start: int
    """First character."""
    end: int
    """Behind the last character."""


class TextTokenizer:
    """Turns model inputs (prefix already added) into token ids, special tokens included."""

    def __init__(self, backend: Tokenizer, *, end_id: int | None = None) -> None:
        """Wrap `backend`; `end_id` is appended where the post-processor leaves it out (e5-mistral)."""
        stored = backend.padding
        named = (backend.token_to_id(name) for name in ("[PAD]", "<pad>"))
        self.pad_id: int | None = stored["pad_id"] if stored else next((i for i in named if i is not None), None)
        """The id that fills rows up; masked wherever it stands."""
        backend.no_padding()
        backend.no_truncation()
        self._backend = backend
        empty: list[int] = backend.encode("").ids
        self._missing_end = [] if end_id is None or empty[-1:] == [end_id] else [end_id]
        probe = backend.encode("a")
        content = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
        if not content:
            raise ModelFileError("the tokenizer makes no token of the letter 'a'; tokenizer.json is damaged")
        self.leading = content[0]
        """Special tokens before the text."""
        self.trailing = len(probe.ids) - 1 - content[-1] + len(self._missing_end)
        """Special tokens after the text."""

    @classmethod
    def load(cls, path: Path, *, end_id: int | None = None) -> "TextTokenizer":
        """Read `tokenizer.json`.

        Raises:
            ModelFileError: if the file is missing or no tokenizer.
        """
        if not path.is_file():
            raise ModelFileError(
                f"{path} is missing; efive reads the Rust tokenizer's tokenizer.json. With transformers: "
                "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it"
            )
        try:
            backend = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ModelFileError(f"{path} is no readable tokenizer: {error}") from error
        return cls(backend, end_id=end_id)

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, added tokens included."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the ids of each text, special tokens included, nothing cut."""
        rows: list[list[int]] = []
        for start, stop in _portions(texts):
            if stop - start == 1 and len(texts[start]) > _TEXT_CHARACTERS:
                rows.append(self._encode_long(texts[start]))
            else:
                rows += [e.ids for e in self._backend.encode_batch_fast(texts[start:stop])]
        return [np.asarray(row + self._missing_end, dtype=np.int32) for row in rows]

    def _encode_long(self, text: str) -> list[int]:
        """Encode a huge text piece by piece, cut at white space; only a huge word is cut within."""
        ids: list[int] = []
        for start, stop in _pieces(text):
            ids += self._backend.encode(text[start:stop], add_special_tokens=False).ids
        empty: list[int] = self._backend.encode("").ids
        return empty[: self.leading] + ids + empty[self.leading :]

    def tokens(self, text: str, *, special: bool = True) -> list["Token"]:
        """Return the tokens of `text` one by one, for people to look at."""
        found = self._backend.encode(text, add_special_tokens=special)
        rows = zip(found.ids, found.tokens, found.special_tokens_mask, found.offsets, strict=True)
        return [Token(id_, piece, bool(mark), *offsets) for id_, piece, mark, offsets in rows]

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Return the text that token ids stand for, as far as they can tell."""
        text: str = self._backend.decode(list(ids), skip_special_tokens=skip_special)
        return text

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens included."""
        return [len(ids) for ids in self.encode(texts)]

    def offsets(self, text: str) -> npt.NDArray[np.int64]:
        """Return the (start, end) characters of each token of `text`, without special tokens, as (n, 2)."""
        return self.spans(text)[1]

    def spans(self, text: str) -> tuple[TokenIds, npt.NDArray[np.int64]]:
        """Return ids and (start, end) characters of the tokens of `text`, without special tokens: (n,), (n, 2)."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        return np.asarray(encoding.ids, dtype=np.int32), np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)

    def cut(self, ids: TokenIds, limit: int, *, keep_end: bool = False, prefix_tokens: int = 0) -> TokenIds:
        """Shorten `ids` to `limit` tokens, keeping the special tokens on both sides.

        With `keep_end` the text's beginning goes, but its first `prefix_tokens` tokens stay.

        Raises:
            InputError: if the limit leaves no room for the text.
        """
        if len(ids) <= limit:
            return ids
        head = self.leading + prefix_tokens
        if limit <= head + self.trailing:
            raise InputError(f"a limit of {limit} tokens leaves no room for text: the prefix takes {head}")
        tail = ids[len(ids) - self.trailing :]
        if keep_end:
            return np.concatenate([ids[:head], ids[len(ids) - (limit - head) :]])
        return np.concatenate([ids[: limit - self.trailing], tail])


def _portions(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Split `texts` into runs of bounded size; a huge text is a run of its own."""
    bounds, start, size = [], 0, 0
    for index, text in enumerate(texts):
        huge = len(text) > _TEXT_CHARACTERS
        if index > start and (huge or size + len(text) > _BATCH_CHARACTERS or len(texts[start]) > _TEXT_CHARACTERS):
            bounds.append((start, index))
            start, size = index, 0
        size += len(text)
    if start < len(texts):
        bounds.append((start, len(texts)))
    return bounds


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Split a huge text into pieces of bounded size that begin at white space where there is any."""
    start = 0
    while len(text) - start > _TEXT_CHARACTERS:
        middle = start + _TEXT_CHARACTERS // 2
        space = _SPACE.search(text, middle, start + _TEXT_CHARACTERS)
        stop = space.start() if space else start + _TEXT_CHARACTERS
        yield start, stop
        start = stop
    yield start, len(text)
