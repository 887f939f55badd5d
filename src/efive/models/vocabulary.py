"""A list of pieces, as Elasticsearch's tools upload it, made into a `tokenizer.json`."""

from collections.abc import Sequence
from typing import Any

from efive.errors import ModelError

BERT, XLM_R = "bert", "xlm_roberta"
"""The names that Elasticsearch has for the tokenizers of the E5 family."""
_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_XLM_R_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_TILDE, _KEPT = "\uff5e", "\U000f0000"
"""The full-width tilde, and a private character that stands for it while NFKC would make it another."""


def tokenizer_json(kind: str, pieces: Sequence[str], scores: Sequence[float], *, lower_case: bool) -> dict[str, Any]:
    """Return the content of a `tokenizer.json` that makes the same ids as the tokenizer the pieces come from.

    Args:
        kind: `bert` (WordPiece) or `xlm_roberta` (SentencePiece's unigram model).
        pieces: in the order of their ids.
        scores: log probabilities of the pieces, for `xlm_roberta`.
        lower_case: for `bert`, whether texts are made lower case.

    Raises:
        ModelError: if the pieces are not such a vocabulary.
    """
    ids = {piece: index for index, piece in enumerate(pieces)}
    if len(ids) < len(pieces):
        twice = next(piece for index, piece in enumerate(pieces) if ids[piece] != index)
        raise ModelError(f"the vocabulary has the piece {twice!r} twice")
    if kind == BERT:
        return _wordpiece(ids, lower_case=lower_case)
    if kind == XLM_R:
        return _unigram(ids, pieces, scores)
    raise ModelError(f"E5 models have the tokenization {BERT} or {XLM_R}, not {kind}")


def _wordpiece(ids: dict[str, int], *, lower_case: bool) -> dict[str, Any]:
    _need(ids, _BERT_SPECIAL[:4])
    return {
        **_around(ids, _BERT_SPECIAL, "[CLS]", "[SEP]"),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": lower_case,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def _unigram(ids: dict[str, int], pieces: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    _need(ids, _XLM_R_SPECIAL[:4])
    if len(scores) != len(pieces):
        raise ModelError(f"the vocabulary has {len(pieces)} pieces and {len(scores)} scores; each piece needs one")
    spaces = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        **_around(ids, _XLM_R_SPECIAL, "<s>", "</s>"),
        # An uploaded vocabulary does not say how texts are normalised. XLM-R's own table is SentencePiece's nmt_nfkc:
        # NFKC, but for the full-width tilde, after a few rules for spaces and control characters, which Nmt has too.
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Nmt"},
                _replace({"String": _TILDE}, _KEPT),
                {"type": "NFKC"},
                _replace({"String": _KEPT}, _TILDE),
                _replace({"Regex": " {2,}"}, " "),
            ],
        },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces]},
        "decoder": spaces,
        "model": {
            "type": "Unigram",
            "unk_id": ids["<unk>"],
            "byte_fallback": False,
            "vocab": [[piece, float(score)] for piece, score in zip(pieces, scores, strict=True)],
        },
    }


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _around(ids: dict[str, int], special: Sequence[str], first: str, last: str) -> dict[str, Any]:
    """Return what all tokenizers share: special tokens, and the two that stand around a text."""

    def token(name: str, type_id: int = 0) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": type_id}}

    def text(name: str, type_id: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": type_id}}

    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": name, **flags}
            for index, name in sorted((ids[name], name) for name in special if name in ids)
        ],
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token(first), text("A", 0), token(last)],
            "pair": [token(first), text("A", 0), token(last), text("B", 1), token(last, 1)],
            "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in (first, last)},
        },
    }


def _need(ids: dict[str, int], special: Sequence[str]) -> None:
    if missing := [name for name in special if name not in ids]:
        raise ModelError(f"the vocabulary lacks {', '.join(missing)}")
