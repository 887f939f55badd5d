"""The unmodified `eland_import_hub_model` of eland 9.2.0 against a server with a key.

eland pins torch 2.7.1 and transformers below 5. Its environment, `.clients/eland-9.2.0` by `scripts/clients.sh eland`,
has the newest transformers 4 and the torch of the environment that runs these tests, whatever version that is.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest
import sentencepiece
import tiny
from served import serving
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers.utils import sentencepiece_model_pb2_new

from efive import Encoder
from efive.cli.import_model import derived_id
from efive.deployments.state import State
from efive.server.access import Access, Scope
from efive.server.app import Options

pytestmark = pytest.mark.clients

ENVIRONMENT = Path(__file__).parents[4] / ".clients" / "eland-9.2.0"
TEXTS = ["What is photosynthesis?", "Plants make sugar of light.", "Как дела? ～", "ﬁne ① 一个句子。"]


@pytest.fixture(scope="module")
def importing():
    """`eland_import_hub_model` in its own environment, without a network."""
    if not (ENVIRONMENT / "ready").is_file():
        pytest.skip("scripts/clients.sh eland makes its environment")

    def run(folder, url, key, *options):
        command = [ENVIRONMENT / "bin" / "eland_import_hub_model", "--hub-model-id", folder]
        command += ["--task-type", "text_embedding", "--url", url, "--es-api-key", key, *options]
        clean = {"PATH": os.defpath, "HOME": str(folder.parent), "HF_HUB_OFFLINE": "1"}
        return subprocess.run(command, capture_output=True, text=True, timeout=240, env=clean, check=False)

    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("eland")
    state = State(home / "server.sqlite")
    _, secret = Access(state).create("eland", [Scope.MANAGE])
    state.close()
    with serving(Options(home)) as running:
        yield running, secret


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny models as the hub has E5's: with the files that slow tokenizers read."""
    root = tmp_path_factory.mktemp("folders")
    bert = tiny.make("bert", root / "e5-tiny")
    words = json.loads((bert / "tokenizer.json").read_text())["model"]["vocab"]
    (bert / "vocab.txt").write_text("".join(f"{word}\n" for word in sorted(words, key=words.__getitem__)))
    _say(bert, tokenizer_class="BertTokenizer", do_lower_case=True)
    (root / "texts.txt").write_text("\n".join([*tiny.TEXTS, *TEXTS] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(root / "texts.txt"), model_prefix=str(root / "pieces"), vocab_size=600, model_type="unigram",
        normalization_rule_name="nmt_nfkc", hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    tokenizer, found = _xlm_r(root / "pieces.model"), {"bert": bert}
    for kind in ("bert-multilingual", "xlm-roberta"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tiny, "unigram", lambda: tokenizer)
            folder = found[kind] = tiny.make(kind, root / kind)
        shutil.copyfile(root / "pieces.model", folder / "sentencepiece.bpe.model")
        _say(folder, tokenizer_class="XLMRobertaTokenizer")
    return found


def _xlm_r(path: Path) -> Tokenizer:
    """The fast tokenizer of a SentencePiece model as E5's folders have it, fairseq's ids and the model's own table."""
    model = sentencepiece_model_pb2_new.ModelProto()
    model.ParseFromString(path.read_bytes())
    learned = [(piece.piece, piece.score) for piece in model.pieces[3:]]
    special = [(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = Tokenizer(models.Unigram([*special, *learned, ("<mask>", 0.0)], unk_id=3))
    tokenizer.normalizer = normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens([name for name, _ in special] + ["<mask>"])
    return tokenizer


def _say(folder, **settings):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def _vectors(http, path, texts, **query):
    answer = http.post(f"{path}/_infer", params=query, json={"docs": [{"text_field": text} for text in texts]})
    return np.array([each["predicted_value"] for each in answer.raise_for_status().json()["inference_results"]])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "bert-multilingual", "xlm-roberta"])
def test_eland_uploads_a_folder_and_its_vectors_are_the_encoders(importing, server, folders, kind):
    running, key = server
    folder, url = folders[kind], f"{running.url}/es"
    prefixes = ["--ingest-prefix", "passage: ", "--search-prefix", "query: "]
    done = importing(folder, url, key, "--start", *prefixes)
    assert done.returncode == 0, done.stdout + done.stderr
    id_ = derived_id(str(folder))
    assert f"Model successfully imported with id '{id_}'" in done.stderr
    path = f"/_ml/trained_models/{id_}"
    with httpx.Client(base_url=url, headers={"authorization": f"ApiKey {key}"}, timeout=60) as http:
        with Encoder.load(folder, precision="fp32") as encoder:
            expected = encoder.embed(TEXTS, "raw").vectors
            queries = encoder.embed_queries(TEXTS).vectors
        assert (_vectors(http, path, TEXTS) * expected).sum(axis=1).min() > 0.9999
        settings = {"deployment_id": id_, "model_id": id_}
        body = {"service": "elasticsearch", "service_settings": settings}
        http.put(f"/_inference/text_embedding/{kind}", json=body).raise_for_status()
        answer = http.post(f"/_inference/{kind}", json={"input": TEXTS, "input_type": "search"}).raise_for_status()
        found = np.array([each["embedding"] for each in answer.json()["text_embedding"]])
        assert (found * queries).sum(axis=1).min() > 0.9999


@pytest.mark.slow
def test_eland_replaces_a_model_and_stops_before_one_that_is_there(importing, server, folders):
    running, key = server
    options = [folders["bert"], f"{running.url}/es", key, "--es-model-id", "replaced"]
    assert importing(*options).returncode == 0
    again = importing(*options)
    assert again.returncode == 1
    assert "already exists" in again.stderr
    done = importing(*options, "--clear-previous", "--start")
    assert done.returncode == 0, done.stderr
