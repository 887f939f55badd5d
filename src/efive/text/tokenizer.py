"""One `tokenizer.json`, its stored padding and truncation switched off, so that counts are true."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from efive.errors import InputError, ModelFileError

TokenIds = npt.NDArray[np.int32]

# Longer texts are tokenised alone: the library holds every token's string and offsets while it works.
_BATCH_CHARACTERS = 4_000_000


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
        encodings: list[Any] = []
        for start, stop in _portions(texts):
            encodings += self._backend.encode_batch_fast(texts[start:stop])
        return [np.asarray(e.ids + self._missing_end, dtype=np.int32) for e in encodings]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens included."""
        counts: list[int] = []
        for start, stop in _portions(texts):
            counts += [len(e) for e in self._backend.encode_batch_fast(texts[start:stop])]
        return [n + len(self._missing_end) for n in counts]

    def offsets(self, text: str) -> npt.NDArray[np.int64]:
        """Return the (start, end) characters of each token of `text`, without special tokens, as (n, 2)."""
        spans = self._backend.encode(text, add_special_tokens=False).offsets
        return np.asarray(spans, dtype=np.int64).reshape(-1, 2)

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
    """Split `texts` into runs of bounded size, so that a few huge texts do not multiply memory."""
    bounds, start, size = [], 0, 0
    for index, text in enumerate(texts):
        if size and size + len(text) > _BATCH_CHARACTERS:
            bounds.append((start, index))
            start, size = index, 0
        size += len(text)
    if start < len(texts):
        bounds.append((start, len(texts)))
    return bounds
