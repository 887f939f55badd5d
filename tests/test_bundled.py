"""The model in the box: exact, within the published bounds, and good enough to be worth its place."""

import csv
import json

import ir_measures
import numpy as np
import pytest
import transformers
from ir_measures import nDCG

from efive import Encoder
from efive.models import store
from efive.probe import PROBE

if not (store._BUNDLED_FOLDER / "config.json").is_file():
    pytest.skip("this build has no bundled model", allow_module_level=True)

TEXTS = [text for pair in PROBE for text in pair]
BOUNDS = {"bf16": 0.999, "int8": 0.99}


@pytest.fixture(scope="module")
def exact():
    with Encoder.load(precision="fp32") as encoder:
        yield encoder


def test_fp32_equals_transformers(exact, tmp_path):
    exact.save(tmp_path / "plain")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "plain")
    model = transformers.AutoModel.from_pretrained(tmp_path / "plain", attn_implementation="eager").eval()
    expected = []
    for text in TEXTS:
        batch = tokenizer("passage: " + text, return_tensors="pt")
        vector = model(**batch).last_hidden_state.detach()[0].mean(0)
        expected.append((vector / vector.norm()).numpy())
    assert np.abs(exact.embed_passages(TEXTS).vectors - np.stack(expected)).max() <= 1e-5


@pytest.mark.parametrize("precision", BOUNDS)
def test_reduced_precisions_stay_within_their_bounds(exact, precision):
    with Encoder.load(precision=precision) as encoder:
        cosines = (encoder.embed_passages(TEXTS).vectors * exact.embed_passages(TEXTS).vectors).sum(axis=1)
    assert cosines.min() >= BOUNDS[precision]


def test_it_finds_answers_to_the_probe_s_questions(exact):
    scores = exact.embed_queries([q for q, _ in PROBE]).vectors @ exact.embed_passages([p for _, p in PROBE]).vectors.T
    right = float((scores.argmax(axis=1) == np.arange(len(PROBE))).mean())
    assert right >= 0.45, "of 32 questions in 30 languages; by chance it would be 0.03"


def ndcg_at_10(encoder, folder):
    """nDCG@10 of a BEIR folder; a passage is as good as its best window of 96 tokens."""
    corpus, queries = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    rows = list(csv.reader((folder / "qrels" / "test.tsv").read_text().splitlines(), delimiter="\t"))[1:]
    passages = encoder.embed_passages([d["text"] for d in corpus], overflow="chunk", overlap=16)
    scores = encoder.embed_queries([q["text"] for q in queries]).vectors @ passages.vectors.T
    best = np.full((len(queries), len(corpus)), -1.0, dtype=np.float32)
    for column, span in enumerate(passages.spans):
        np.maximum(best[:, span.input], scores[:, column], out=best[:, span.input])
    run = [
        ir_measures.ScoredDoc(queries[q]["_id"], corpus[d]["_id"], float(best[q, d]))
        for q in range(len(queries))
        for d in np.argsort(-best[q])[:20]
    ]
    qrels = [ir_measures.Qrel(query, document, int(relevance)) for query, document, relevance in rows]
    return ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10]


def test_int8_costs_at_most_half_a_point_of_ndcg(shared_data):
    """The retrieval half of the int8 gate, on 1,190 English questions."""
    found = {}
    for precision in ("fp32", "int8"):
        with Encoder.load(precision=precision, max_tokens=96) as encoder:
            found[precision] = ndcg_at_10(encoder, shared_data / "eval" / "xquad_en")
    print(found)
    assert found["fp32"] >= 0.88
    assert found["int8"] >= found["fp32"] - 0.005
