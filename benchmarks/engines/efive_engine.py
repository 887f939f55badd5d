"""efive through its ordinary interface: bare texts in, prefixes added by the encoder."""

from importlib.metadata import PackageNotFoundError, version

from efive import Encoder
from engines import Vectors


class Efive:
    """One loaded encoder."""

    bare_texts = True

    def __init__(self, encoder: Encoder) -> None:
        """Wrap `encoder` and repeat what it says of itself."""
        self._encoder = encoder
        self.precision = str(encoder.engine_info.precision)
        try:
            self.version = version("efive")
        except PackageNotFoundError:
            self.version = "checkout"

    def embed(self, texts: list[str], role: str) -> Vectors:
        """Return one unit vector per text."""
        embed = self._encoder.embed_queries if role == "query" else self._encoder.embed_passages
        return embed(texts).vectors


def load(
    folder: str, threads: int, *, engine: str = "openvino", precision: str = "auto", device: str | None = None
) -> Efive:
    """Load the folder."""
    return Efive(Encoder.load(folder, engine=engine, precision=precision, device=device, threads=threads))
