"""Which sentence of a passage answers, where no word of the question stands in it."""

from collections.abc import Sequence
from dataclasses import replace

from efive.encoder import Encoder
from efive.search.searching import Hit
from efive.search.terms import Span
from efive.text.chunking import sentence_ends


def highlighted(encoder: Encoder, query: str, hits: Sequence[Hit]) -> list[Hit]:
    """Return the hits; those without a highlight get their best sentence, by its cosine with the query."""
    spans = [sentences(hit.passage.text) if not hit.highlights else [] for hit in hits]
    texts = [hit.passage.text[start:end] for hit, own in zip(hits, spans, strict=True) for start, end in own]
    if not texts:
        return list(hits)
    scores = encoder.embed_passages(texts).vectors @ encoder.embed_queries([query]).vectors[0]
    marked, at = [], 0
    for hit, own in zip(hits, spans, strict=True):
        best = own[int(scores[at : at + len(own)].argmax())] if own else None
        marked.append(replace(hit, highlights=[best]) if best else hit)
        at += len(own)
    return marked


def sentences(text: str) -> list[Span]:
    """Return where the sentences of `text` are, without the white space between them."""
    ends = sorted({*sentence_ends(text), len(text.rstrip())})
    starts = [0, *ends[:-1]]
    spans = (
        (start + len(text[start:end]) - len(text[start:end].lstrip()), end)
        for start, end in zip(starts, ends, strict=True)
    )
    return [(start, end) for start, end in spans if end > start]
