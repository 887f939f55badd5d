"""Tiny models of every architecture kind, made by transformers itself: the reference that efive must equal."""

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer

from efive.probe import PROBE

TEXTS = [text for pair in PROBE for text in pair]
KINDS = ("bert", "bert-multilingual", "xlm-roberta", "mistral")


def _tokenizer(name: str) -> Tokenizer:
    return Tokenizer.from_file(str(Path(__file__).parent / "data" / f"{name}.json"))


def wordpiece() -> Tokenizer:
    """The English models' tokenizer: lower-casing WordPiece between [CLS] and [SEP]."""
    return _tokenizer("wordpiece")


def unigram() -> Tokenizer:
    """The multilingual models' tokenizer: SentencePiece unigram with fairseq's ids, <s> text </s>."""
    return _tokenizer("unigram")


def llama_bpe() -> Tokenizer:
    """e5-mistral's tokenizer: Llama-type BPE with byte fallback that adds <s> and, as new files do, no </s>."""
    return _tokenizer("llama_bpe")


def make(kind: str, folder: Path, *, seed: int = 0, scale: float = 0.12, hidden: int = 64) -> Path:
    """Write a random model of `kind` in Hugging Face layout and return its folder."""
    torch.manual_seed(seed)
    tokenizer = {"bert": wordpiece, "mistral": llama_bpe}.get(kind, unigram)()
    shared = {
        "vocab_size": tokenizer.get_vocab_size() + 7,  # as published: more rows than ids
        "hidden_size": hidden,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 5 * hidden // 2,
    }
    if kind == "mistral":
        config = transformers.MistralConfig(
            **shared, num_key_value_heads=2, max_position_embeddings=1024, sliding_window=256, rms_norm_eps=1e-5,
            pad_token_id=2, bos_token_id=1, eos_token_id=2,
        )  # fmt: skip
        model = transformers.MistralModel(config)
    elif kind == "xlm-roberta":
        config = transformers.XLMRobertaConfig(
            **shared, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1
        )
        model = transformers.XLMRobertaModel(config)
    else:
        config = transformers.BertConfig(**shared, max_position_embeddings=512, layer_norm_eps=1e-12)
        model = transformers.BertModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * scale
            parameter.copy_(1 + noise if "norm" in name.lower() and name.endswith("weight") else noise)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {
        "bert": {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"},
        "mistral": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"},
    }.get(kind, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"})
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **special})
    )
    return folder
