"""Low-rank adapters: they alone learn, and merged they compute the same."""

import json

import numpy as np
import pytest
import torch

from efive import Encoder
from efive.models import checkpoint as checkpoints
from efive.models import network as networks
from efive.models.attention import Layout
from efive.training import lora
from efive.training.runs import read_log
from efive.training.settings import Lora, parse
from efive.training.trainer import train


@pytest.mark.parametrize("kind", ["bert", "mistral"])
def test_merged_weights_compute_the_same(tiny_models, kind):
    checkpoint = checkpoints.read(tiny_models[kind])
    network = networks.load(checkpoint.architecture, checkpoint.tensors)
    names = set(network.state_dict())
    lora.attach(network, Lora(rank=4, alpha=8))
    torch.manual_seed(0)
    with torch.no_grad():
        for adapter in lora.adapters(network).values():
            adapter.copy_(torch.randn_like(adapter) * 0.1)
    merged = lora.merged(network)
    assert set(merged) == names
    plain = networks.load(checkpoint.architecture, networks.stored_tensors(merged))
    untouched = networks.load(checkpoint.architecture, checkpoint.tensors)
    ids, layout = torch.arange(5, 25), Layout.of(torch.tensor([12, 8]))
    with torch.no_grad():
        expected = network(ids, layout)
        assert (plain(ids, layout) - expected).abs().max() < 1e-4
        assert (untouched(ids, layout) - expected).abs().max() > 1e-2


def test_a_run_with_adapters_learns_and_goes_on(tiny_models, tmp_path, one_thread):
    path = tmp_path / "pairs.jsonl"
    with path.open("w") as file:
        for i in range(64):
            file.write(json.dumps({"query": f"question {i * 7919}", "passage": f"answer of {i * 7919}"}) + "\n")

    def settings(steps: int):
        values = {
            "model": str(tiny_models["mistral"]), "sources": [{"path": str(path)}], "batch": 16, "steps": steps,
            "save_every": 5, "precision": "fp32", "workers": 1, "lora": {"rank": 4, "alpha": 8},
            "learning": {"rate": 1e-2, "decay": 0.0, "warmup": 2.0}, "loss": {"temperature": 0.05},
        }  # fmt: skip
        return parse(values, "the test")

    run = tmp_path / "run"
    folder = train(settings(20), run)
    losses = [line["loss"] for line in read_log(run) if "loss" in line]
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])
    state = torch.load(run / "checkpoints" / "step-00000020" / "state.pt", weights_only=True)
    assert all("lora_" in name for name in state["adapters"])
    with (
        Encoder.load(folder, precision="fp32") as trained,
        Encoder.load(tiny_models["mistral"], precision="fp32") as start,
    ):
        texts = [f"question {i * 7919}" for i in range(8)]
        assert np.abs(trained.embed_queries(texts).vectors - start.embed_queries(texts).vectors).max() > 1e-3

    # The same run without its last checkpoint, as if it had been killed, takes up its adapters.
    torch.set_num_threads(1)  # the encoders above have changed it
    torn = tmp_path / "torn"
    train(settings(20), torn)
    (torn / "model").rename(tmp_path / "away")
    (torn / "checkpoints" / "step-00000020").rename(tmp_path / "last")
    train(settings(20), torn)
    assert [line["loss"] for line in read_log(torn) if "loss" in line] == losses
