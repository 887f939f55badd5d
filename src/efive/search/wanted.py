"""What a new generation of passages shall be like, and how its vectors are kept."""

from dataclasses import dataclass

import numpy as np

from efive.encoder import Encoder
from efive.errors import InputError
from efive.probe import PROBE
from efive.search import terms
from efive.search.folder import Settings
from efive.search.lance.codec import Codec, Vectors
from efive.search.passages import Shape


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new generation shall be like."""

    window: int | None = None
    """Tokens of a passage; None is what the model is best at."""
    overlap: int | None = None
    """Tokens that neighbouring passages share, at most; None is a quarter of the window."""
    vectors: Vectors = Vectors.FLOAT16
    model: str = ""
    """What to call the model in the collection's settings."""

    def settings(self, encoder: Encoder) -> Settings:
        """Return the settings of a generation that `encoder` fills."""
        window = self.window or encoder.window
        shape = Shape(window, window // 4 if self.overlap is None else self.overlap)
        center = list[float]()
        if self.vectors.compressed:
            center = encoder.embed_passages([answer for _, answer in PROBE]).vectors.mean(axis=0).tolist()
        return Settings(encoder.space, shape, self.vectors, center, terms.VERSION, self.model)


def codec_of(settings: Settings) -> Codec:
    """Return how the vectors of a generation are kept."""
    center = settings.center or [0.0] * settings.space.dimension
    return Codec(Vectors(settings.vectors), np.asarray(center, dtype=np.float32))


def vectors_named(name: str) -> Vectors:
    """Return a way to keep vectors by its name.

    Raises:
        InputError: if there is none.
    """
    try:
        return Vectors(name)
    except ValueError:
        raise InputError(f"vectors cannot be kept as {name!r}; there are {', '.join(Vectors)}") from None
