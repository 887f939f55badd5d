"""Write model folders of the published E5 shapes with random weights, in the layout of the published models.

    python benchmarks/weights.py e5-small-v2 --to .peers/models [--vocab bert-base-uncased/vocab.txt]

Needs numpy, safetensors and tokenizers; no torch, no network.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from shapes import SHAPES, Shape
from vocabularies import UNIGRAM_SIZE, generated_wordpiece_vocabulary, read_wordpiece_vocabulary, unigram, wordpiece

Tensors = dict[str, npt.NDArray[np.float32] | npt.NDArray[np.float16]]


class _Weights:
    """Draws tensors from one seeded stream, at the scale of trained models (0.02-0.05)."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.tensors: Tensors = {}

    def normal(self, name: str, shape: tuple[int, ...], scale: float, mean: float = 0.0, *, half: bool = False) -> None:
        drawn = self._rng.standard_normal(shape, dtype=np.float32)
        drawn *= scale
        drawn += mean
        self.tensors[name] = drawn.astype(np.float16) if half else drawn

    def linear(self, name: str, inputs: int, outputs: int) -> None:
        self.normal(f"{name}.weight", (outputs, inputs), float(np.clip(inputs**-0.5, 0.02, 0.05)))
        self.normal(f"{name}.bias", (outputs,), 0.05)

    def layer_norm(self, name: str, size: int) -> None:
        self.normal(f"{name}.weight", (size,), 0.1, mean=1.0)
        self.normal(f"{name}.bias", (size,), 0.1)


def random_weights(shape: Shape, seed: int = 0) -> Tensors:
    """Return every tensor of the model, named as in the published checkpoints."""
    if shape.mistral:
        return _mistral_weights(shape, seed)
    made, h = _Weights(seed), shape.hidden
    positions, types = (514, 1) if shape.xlm_roberta else (512, 2)
    made.normal("embeddings.word_embeddings.weight", (shape.vocabulary, h), 0.05)
    made.normal("embeddings.position_embeddings.weight", (positions, h), 0.02)
    made.normal("embeddings.token_type_embeddings.weight", (types, h), 0.02)
    made.layer_norm("embeddings.LayerNorm", h)
    for layer in (f"encoder.layer.{i}" for i in range(shape.layers)):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            made.linear(f"{layer}.attention.{part}", h, h)
        made.layer_norm(f"{layer}.attention.output.LayerNorm", h)
        made.linear(f"{layer}.intermediate.dense", h, shape.feed_forward)
        made.linear(f"{layer}.output.dense", shape.feed_forward, h)
        made.layer_norm(f"{layer}.output.LayerNorm", h)
    made.linear("pooler.dense", h, h)
    return made.tensors


def _mistral_weights(shape: Shape, seed: int) -> Tensors:
    """Return a Mistral model's tensors in float16, as it is published: seven billion weights fill any memory."""
    made, h = _Weights(seed), shape.hidden
    kv = h // shape.heads * shape.kv_heads
    products = {f"self_attn.{n}_proj": (rows, h) for n, rows in (("q", h), ("k", kv), ("v", kv), ("o", h))}
    products |= {f"mlp.{n}_proj": (shape.feed_forward, h) for n in ("gate", "up")}
    products["mlp.down_proj"] = (h, shape.feed_forward)
    made.normal("embed_tokens.weight", (shape.vocabulary, h), 0.05, half=True)
    for layer in (f"layers.{i}" for i in range(shape.layers)):
        for name, size in products.items():
            made.normal(f"{layer}.{name}.weight", size, 0.02, half=True)
        for name in ("input_layernorm", "post_attention_layernorm"):
            made.normal(f"{layer}.{name}.weight", (h,), 0.1, mean=1.0, half=True)
    made.normal("norm.weight", (h,), 0.1, mean=1.0, half=True)
    return made.tensors


def model_config(shape: Shape) -> dict[str, Any]:
    """Return the content of config.json."""
    shared = {
        "attention_probs_dropout_prob": 0.1,
        "classifier_dropout": None,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.feed_forward,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": shape.vocabulary,
    }
    if shape.mistral:
        own = {"architectures": ["MistralModel"], "model_type": "mistral", "bos_token_id": 0, "eos_token_id": 2}
        own |= {"hidden_act": "silu", "num_key_value_heads": shape.kv_heads, "rms_norm_eps": 1e-5, "pad_token_id": 1}
        own |= {"rope_theta": 10_000.0, "sliding_window": 4096, "torch_dtype": "float16"}
        return shared | own | {"max_position_embeddings": 32_768}
    if shape.xlm_roberta:
        own = {"architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "bos_token_id": 0}
        own |= {"eos_token_id": 2, "pad_token_id": 1, "layer_norm_eps": 1e-5}
        return shared | own | {"max_position_embeddings": 514, "type_vocab_size": 1}
    own = {"architectures": ["BertModel"], "model_type": "bert", "pad_token_id": 0, "layer_norm_eps": 1e-12}
    if shape.multilingual:
        own["tokenizer_class"] = "XLMRobertaTokenizer"
    return shared | own | {"max_position_embeddings": 512, "type_vocab_size": 2}


def _write_json(path: Path, content: Any) -> None:  # noqa: ANN401
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_tokenizer(folder: Path, shape: Shape, vocabulary: Path | None) -> None:
    if shape.multilingual:
        unigram(min(shape.vocabulary, UNIGRAM_SIZE)).save(str(folder / "tokenizer.json"))
        special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>"}
        special |= {"pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"}
        config = special | {"tokenizer_class": "PreTrainedTokenizerFast" if shape.mistral else "XLMRobertaTokenizer"}
    else:
        pieces = read_wordpiece_vocabulary(vocabulary) if vocabulary else generated_wordpiece_vocabulary()
        wordpiece(pieces).save(str(folder / "tokenizer.json"))
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
        special = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
        special |= {"mask_token": "[MASK]"}
        config = special | {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(folder / "tokenizer_config.json", config | {"model_max_length": 512})


def _write_sentence_transformers(folder: Path, shape: Shape) -> None:
    """Mean pooling (Mistral's: the last token), then L2 normalisation, and E5's prefixes for efive to put."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    _write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    used = "lasttoken" if shape.mistral else "mean_tokens"
    modes = ("mean_tokens", "cls_token", "max_tokens", "mean_sqrt_len_tokens", "lasttoken")
    pooling = {"word_embedding_dimension": shape.hidden} | {f"pooling_mode_{mode}": mode == used for mode in modes}
    prompts = {"query": "query: ", "document": "passage: "}
    _write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    _write_json(folder / "1_Pooling" / "config.json", pooling)
    (folder / "2_Normalize").mkdir(exist_ok=True)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})


def write_model(shape: Shape, folder: Path, *, vocabulary: Path | None = None, seed: int = 0) -> Path:
    """Write the model folder unless it is already complete; return it."""
    weights = folder / "model.safetensors"
    if weights.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", model_config(shape))
    _write_tokenizer(folder, shape, vocabulary)
    _write_sentence_transformers(folder, shape)
    partial = folder / "model.safetensors.partial"
    save_file(random_weights(shape, seed), str(partial), metadata={"format": "pt"})
    partial.rename(weights)  # last: the file's presence says that the folder is complete
    return folder


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("models", nargs="+", choices=list(SHAPES))
    parser.add_argument("--to", type=Path, default=Path(".peers/models"), help="parent of the model folders")
    parser.add_argument("--vocab", type=Path, help="vocab.txt of the English models (default: made up)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.models:
        print(write_model(SHAPES[name], options.to / name, vocabulary=options.vocab, seed=options.seed))


if __name__ == "__main__":
    main()
