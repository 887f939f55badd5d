"""How finely a vocabulary cuts each language: pieces per word, and how many of them are mere bytes."""

import re
from pathlib import Path

from tokenizers import Tokenizer

from efive.evaluation.formats.files import lines

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
UNSPACED = ("zho", "jpn", "tha", "khm", "lao", "mya")
"""Languages without spaces between words: their unit is the character."""


def fertility(model: Path, folder: Path) -> dict[str, dict[str, float | str]]:
    """Return, for each language of FLORES, pieces per unit, the unit, and the share of pieces that are bytes.

    Unknown pieces count as bytes: both say that the vocabulary has no piece for what stands there.
    """
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    strange = {
        number
        for piece, number in tokenizer.get_vocab().items()
        if _BYTE.fullmatch(piece) or piece in {"<unk>", "[UNK]"}
    }
    found: dict[str, dict[str, float | str]] = {}
    for path in sorted(folder.glob("*.txt")):
        texts = [text for _, text in lines(path)]
        unit = "character" if path.stem.startswith(UNSPACED) else "word"
        units = sum(len("".join(text.split()) if unit == "character" else text.split()) for text in texts)
        ids = [i for encoded in tokenizer.encode_batch_fast(texts, add_special_tokens=False) for i in encoded.ids]
        found[path.stem] = {
            "unit": unit,
            "pieces": len(ids) / units,
            "bytes": sum(i in strange for i in ids) / len(ids),
        }
    return found
