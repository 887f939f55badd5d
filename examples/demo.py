"""Search efive's own documentation in several languages, with the bundled model: `make demo`."""

import time
from pathlib import Path

from efive import Encoder

DOCS = Path(__file__).parents[1] / "docs"
QUESTIONS = (
    "what happens to a text that is too long?",
    "Wie bringe ich ein Modell auf einen Rechner ohne Netz?",
    "pourquoi les scores sont-ils tous si proches de 1 ?",
    "¿cómo continúo una ejecución interrumpida?",
    "какие движки есть и как выбрать точность?",
    "为什么查询和段落要加前缀？",
)


def paragraphs() -> list[tuple[Path, int, str]]:
    """Every paragraph of the guides and concepts, with its file and line."""
    found = []
    for path in sorted([*DOCS.glob("guides/*.md"), *DOCS.glob("concepts/*.md")]):
        line = 1
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            text = block.strip()
            if len(text) > 60 and not text.startswith(("```", "|", "#")):
                found.append((path, line + block[: len(block) - len(block.lstrip())].count("\n"), text))
            line += block.count("\n") + 2
    return found


def main() -> None:
    """Embed the documentation and answer the questions."""
    start = time.perf_counter()
    encoder = Encoder.load(max_tokens=128)
    print(f"loaded in {time.perf_counter() - start:.2f} s: {encoder.reason}")  # noqa: T201
    passages = paragraphs()
    start = time.perf_counter()
    index = encoder.embed_passages([text for _, _, text in passages], overflow="chunk", overlap=16)
    seconds = time.perf_counter() - start
    tokens = sum(usage.tokens_used for usage in index.usage)
    print(f"embedded {len(passages)} paragraphs, {tokens} tokens, in {seconds:.1f} s; space {index.space.fingerprint}")  # noqa: T201
    scores = encoder.embed_queries(QUESTIONS).vectors @ index.vectors.T
    for question, row in zip(QUESTIONS, scores, strict=True):
        best = index.spans[int(row.argmax())]
        path, line, text = passages[best.input]
        passage = " ".join(text[best.start : best.end].split())
        print(f"\n{question}\n  {row.max():.3f}  {path.relative_to(DOCS.parent)}:{line}\n  {passage[:160]}")  # noqa: T201


if __name__ == "__main__":
    main()
