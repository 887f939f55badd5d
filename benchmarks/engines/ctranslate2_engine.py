"""CTranslate2's encoder with what it leaves to its user: sorted batches of 32, mean pooling, L2."""

from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

from engines import Vectors

_BATCH = 32


class CTranslate2:
    """One loaded encoder and its tokenizer."""

    bare_texts = False
    version = ctranslate2.__version__

    def __init__(self, encoder: ctranslate2.Encoder, tokenizer: Tokenizer, max_tokens: int) -> None:
        """Wrap `encoder`; texts are cut at `max_tokens`."""
        self._encoder, self._tokenizer = encoder, tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        used = encoder.compute_type
        self.precision = {"float32": "fp32", "int8_float32": "int8"}.get(used, used)

    def embed(self, texts: list[str], role: str) -> Vectors:  # noqa: ARG002
        """Return one unit vector per text."""
        ids = [e.ids for e in self._tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        pooled = []
        for start in range(0, len(order), _BATCH):
            batch = [ids[i] for i in order[start : start + _BATCH]]
            hidden = np.asarray(self._encoder.forward_batch(batch).last_hidden_state)
            mask = np.arange(hidden.shape[1]) < np.array([len(row) for row in batch])[:, None]
            pooled.append((hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1)[:, None])
        sorted_vectors = np.concatenate(pooled)
        vectors = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def load(folder: str, threads: int, *, compute_type: str = "float32") -> CTranslate2:
    """Load the converted model from the folder's `ctranslate2/`."""
    encoder = ctranslate2.Encoder(
        str(Path(folder) / "ctranslate2"),
        device="cpu",
        compute_type=compute_type,
        inter_threads=1,
        intra_threads=threads,
    )
    return CTranslate2(encoder, Tokenizer.from_file(str(Path(folder) / "tokenizer.json")), max_tokens=512)
