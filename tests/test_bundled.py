"""The model in the box: exact, within the published bounds, and good enough to be worth its place."""

import numpy as np
import pytest
import transformers

from efive import Encoder
from efive.engines.base import Precision
from efive.engines.native_import import instruction_sets
from efive.evaluation.formats import open_task
from efive.evaluation.runner import Settings, evaluate
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


def skip_unbuilt(engine, precision):
    if engine == "native" and not instruction_sets(Precision(precision)):
        pytest.skip("the native engine is not built here, or this processor lacks what it needs")


@pytest.mark.parametrize("engine", ["openvino", "native"])
@pytest.mark.parametrize("precision", BOUNDS)
def test_reduced_precisions_stay_within_their_bounds(exact, precision, engine):
    skip_unbuilt(engine, precision)
    with Encoder.load(engine=engine, precision=precision) as encoder:
        cosines = (encoder.embed_passages(TEXTS).vectors * exact.embed_passages(TEXTS).vectors).sum(axis=1)
    assert cosines.min() >= BOUNDS[precision]


def test_it_finds_answers_to_the_probe_s_questions(exact):
    scores = exact.embed_queries([q for q, _ in PROBE]).vectors @ exact.embed_passages([p for _, p in PROBE]).vectors.T
    right = float((scores.argmax(axis=1) == np.arange(len(PROBE))).mean())
    assert right >= 0.45, "of 32 questions in 30 languages; by chance it would be 0.03"


@pytest.mark.parametrize("engine", ["openvino", "native"])
def test_int8_costs_at_most_half_a_point_of_ndcg(shared_data, engine):
    """The retrieval half of the int8 gate, on 1,190 English questions."""
    skip_unbuilt(engine, "int8")
    found, tasks = {}, open_task(shared_data / "eval" / "xquad_en")
    for precision in ("fp32", "int8"):
        with Encoder.load(engine=engine, precision=precision) as encoder:
            (result,) = evaluate(encoder, tasks, Settings(baselines=(), distributions=False)).tasks
        found[precision] = result.systems["model"].scores["ndcg_at_10"]
    assert found["fp32"] >= 0.88
    assert found["int8"] >= found["fp32"] - 0.005
