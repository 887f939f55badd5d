"""Exactness: every engine and precision beside transformers and sentence-transformers, on every kind."""

import numpy as np
import pytest
import tiny
import torch
import transformers
from sentence_transformers import SentenceTransformer

from efive import Encoder
from efive.engines.base import Precision
from efive.engines.native_import import instruction_sets

BOUNDS = {"fp32": 1 - 1e-6, "bf16": 0.999, "int8": 0.99}
CASES = [
    *[(kind, "openvino", p) for kind in ("bert", "bert-multilingual", "xlm-roberta") for p in BOUNDS],
    *[(kind, "native", p) for kind in ("bert", "bert-multilingual", "xlm-roberta") for p in BOUNDS],
    *[(kind, "torch", p) for kind in tiny.KINDS for p in ("fp32", "bf16")],
]
LONG = " ".join(tiny.TEXTS)


def reference(folder, texts):
    """Plain transformers, one text at a time: no batching, no padding, nothing of efive's."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    last = model.config.model_type == "mistral"
    vectors = []
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        if last:
            ids = [*ids, tokenizer.eos_token_id] if ids[-1] != tokenizer.eos_token_id else ids
        if len(ids) > 512:
            ids = [*ids[:511], ids[-1]]
        with torch.no_grad():
            hidden = model(torch.tensor([ids])).last_hidden_state[0]
        vector = hidden[-1] if last else hidden.mean(0)
        vectors.append((vector / vector.norm()).numpy())
    return np.stack(vectors)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """128 units wide: the width from which int8 quantises activations too, not the weights alone."""
    root = tmp_path_factory.mktemp("wide")
    return {kind: tiny.make(kind, root / kind, hidden=128) for kind in tiny.KINDS}


@pytest.fixture(scope="module")
def references(models):
    """Reference vectors of the probe texts and a text beyond the limit, as passages, by kind."""
    texts = [*tiny.TEXTS, LONG]
    prefix = {"mistral": ""}
    return {k: reference(f, [prefix.get(k, "passage: ") + t for t in texts]) for k, f in models.items()}


@pytest.mark.parametrize(("kind", "engine", "precision"), CASES)
@pytest.mark.filterwarnings("ignore:.*was cut to 512")
def test_vectors_equal_the_reference(models, references, kind, engine, precision):
    if engine == "native" and not instruction_sets(Precision(precision)):
        pytest.skip("the native engine is not built here, or this processor lacks what it needs")
    with Encoder.load(models[kind], engine=engine, precision=precision) as encoder:
        vectors = encoder.embed_passages([*tiny.TEXTS, LONG]).vectors
    expected = references[kind]
    cosines = (vectors * expected).sum(axis=1)
    assert cosines.min() >= BOUNDS[precision]
    if precision == "fp32":
        assert np.abs(vectors - expected).max() <= 1e-5
    else:  # a precision that changes nothing would not be that precision
        assert np.abs(vectors - expected).max() > 1e-5


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_saved_folder_gives_the_same_vectors_in_sentence_transformers(tiny_models, tmp_path, kind):
    folder = tmp_path / "saved"
    with Encoder.load(tiny_models[kind], engine="torch", precision="fp32") as encoder:
        encoder.save(folder)
        queries, passages = encoder.embed_queries(tiny.TEXTS[:8]), encoder.embed_passages(tiny.TEXTS[:8])
    model = SentenceTransformer(str(folder), device="cpu")
    texts = tiny.TEXTS[:8]
    assert np.abs(model.encode_query(texts, normalize_embeddings=True) - queries.vectors).max() <= 1e-5
    assert np.abs(model.encode_document(texts, normalize_embeddings=True) - passages.vectors).max() <= 1e-5
    assert reference(folder, ["passage: a"] if kind != "mistral" else ["a"]).shape == (1, 64)


def test_instruct_queries_carry_the_instruction(tiny_models):
    with Encoder.load(tiny_models["mistral"], precision="fp32", task="question-answering") as encoder:
        ours = encoder.embed_queries(["why is the sky blue"]).vectors
    full = (
        "Instruct: Given a question, retrieve Wikipedia passages that answer the question\nQuery: why is the sky blue"
    )
    assert np.abs(ours - reference(tiny_models["mistral"], [full])).max() <= 1e-5
