"""Scores of a cross-encoder, which reads query and passage together; sentence-transformers runs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from efive.errors import DependencyError, InputError
from efive.nearest import Floats, Rows
from efive.training.mining.corpus import Corpus
from efive.training.mining.scorers import Score
from efive.training.mining.stages import Watch


class CrossEncoderTeacher:
    """A cross-encoder with one output, from a folder; its scores are logits."""

    cosine = False

    def __init__(self, folder: Path, device: str | None = None, batch: int = 64) -> None:
        """Load the model; nothing is downloaded.

        Raises:
            DependencyError: if sentence-transformers is not installed.
            InputError: if the folder is no cross-encoder with one output.
        """
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} is no model folder: it has no config.json; name the folder of a cross-encoder")
        try:
            import torch  # noqa: PLC0415 - optional, and heavy
            from sentence_transformers import CrossEncoder  # noqa: PLC0415
        except ImportError as error:
            raise DependencyError(
                "a cross-encoder needs sentence-transformers; install it with pip install sentence-transformers"
            ) from error
        try:
            self._model: Any = CrossEncoder(str(folder), device=device, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{folder} cannot be loaded as a cross-encoder: {error}") from error
        if self._model.num_labels != 1:
            raise InputError(f"{folder} has {self._model.num_labels} outputs; a teacher needs one, its score")
        self._plain = torch.nn.Identity()
        self._batch = batch
        weights = [file for file in sorted(folder.iterdir()) if file.suffix in {".safetensors", ".bin"}]
        state = [f"{file.name} of {file.stat().st_size} bytes from {file.stat().st_mtime_ns}" for file in weights]
        self.name = f"{folder.resolve()}, {', '.join(state)}"

    def prepare(self, corpus: Corpus, content: str, work: Path, watch: Watch) -> Score:  # noqa: ARG002 - the protocol
        """Nothing to do before: each pair is read together."""

        def score(queries: Sequence[str], rows: Sequence[Rows]) -> list[Floats]:
            texts = [corpus.texts_at(own) for own in rows]
            pairs = [(query, text) for query, own in zip(queries, texts, strict=True) for text in own]
            logits = self._model.predict(
                pairs, batch_size=self._batch, show_progress_bar=False, activation_fn=self._plain
            )
            ends = np.cumsum([len(own) for own in rows])[:-1]
            return [np.asarray(part, dtype=np.float32) for part in np.split(np.asarray(logits), ends)]

        return score
