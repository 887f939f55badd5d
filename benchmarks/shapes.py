"""The published shapes of the E5 models that the benchmark runs on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """What decides a model's cost: its layers and its vocabulary."""

    name: str
    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int
    xlm_roberta: bool = False
    multilingual: bool = False
    kv_heads: int = 0
    """Of Mistral, whose query heads share keys and values; 0 for the encoders."""

    @property
    def mistral(self) -> bool:
        """Whether it is e5-mistral's kind."""
        return self.kv_heads > 0

    @property
    def matrices(self) -> int:
        """Weights of one layer's matrices."""
        h = self.hidden
        if self.mistral:
            return 2 * h * h + 2 * h * (h // self.heads) * self.kv_heads + 3 * h * self.feed_forward
        return 4 * h * h + 2 * h * self.feed_forward

    @property
    def parameters(self) -> int:
        """Number of weights, pooler included."""
        h, ff = self.hidden, self.feed_forward
        if self.mistral:
            return self.vocabulary * h + self.layers * (self.matrices + 2 * h) + h
        positions, types = (514, 1) if self.xlm_roberta else (512, 2)
        embeddings = (self.vocabulary + positions + types) * h + 2 * h
        layer = 4 * (h * h + h) + 2 * h * ff + ff + h + 4 * h
        return embeddings + self.layers * layer + h * h + h


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("e5-small-v2", 12, 384, 12, 1536, 30_522),
        Shape("multilingual-e5-small", 12, 384, 12, 1536, 250_037, multilingual=True),
        Shape("e5-base-v2", 12, 768, 12, 3072, 30_522),
        Shape("multilingual-e5-large", 24, 1024, 16, 4096, 250_002, xlm_roberta=True, multilingual=True),
        Shape("e5-mistral-7b-instruct", 32, 4096, 32, 14_336, 32_000, multilingual=True, kv_heads=8),
    )
}
