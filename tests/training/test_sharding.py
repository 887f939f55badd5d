"""Weights spread over two processes: the same curve and the same model as whole ones in one process."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from efive import Encoder
from efive.errors import InputError
from efive.models import checkpoint as checkpoints
from efive.models.network import Network
from efive.training.gradients import Gradients
from efive.training.processes import Processes
from efive.training.runs import read_log
from efive.training.settings import Settings, parse
from efive.training.sharding import Shards
from efive.training.trainer import train

TEXTS = ["what feeds the river?", "who carries a letter over the bridge?"]
RUNS: dict[str, tuple[str, dict[str, object]]] = {
    "bert": ("bert", {}),
    "mistral": ("mistral", {}),
    "kept": ("xlm-roberta", {"keep_tokens": 10_000}),  # its one row of token types leaves a process without any
    "adapters": ("mistral", {"lora": {"rank": 4, "alpha": 8}}),
    "half": ("mistral", {"lora": {"rank": 4, "alpha": 8}, "precision": "bf16"}),
}
"""What is trained in one process and in two: the kind of model, settings."""
TORN = ("bert", "adapters")
"""Runs that lose their last checkpoint and go on."""


def settings(model: Path, data: Path, **more: object) -> Settings:
    """Of a run that sees each text once, so that the rows of many tokens rest in many steps."""
    values = {
        "model": str(model), "sources": [{"path": str(data)}], "batch": 6, "batches": 2, "steps": 6, "save_every": 3,
        "precision": "fp32", "workers": 1, "chunk_tokens": 60, "keep_tokens": 100,
        "learning": {"rate": 1e-3, "embedding_rate": 5e-3}, "loss": {"temperature": 0.05},
    }  # fmt: skip
    return parse(values | more, "the test")


def write_pairs(path: Path) -> Path:
    words = ["river", "engine", "planet", "bread", "letter", "bridge", "violin", "garden", "market", "winter"]
    with path.open("w") as file:
        for i, (a, b) in enumerate((a, b) for a in words for b in words):
            record = {"query": f"what {a} has the {b}?", "passage": f"The {b} {'of old ' * (i % 9)}has its {a}."}
            file.write(json.dumps(record) + "\n")
    return path


def work(models: dict[str, Path], root: Path) -> None:
    """Do all runs, as one of two processes."""
    torch.set_num_threads(1)
    idle, shares = [], []
    encode, shard = Gradients.encode, Shards.__init__

    def noting_encode(self: Gradients, texts: list) -> torch.Tensor:
        idle.append(not texts)
        return encode(self, texts)

    def noting_shard(self: Shards, network: Network, processes: Processes) -> None:
        shard(self, network, processes)
        learning = [p for p in network.parameters() if p.requires_grad]
        shares.append(sum(self.own(p).numel() for p in learning) / sum(p.numel() for p in learning))

    Gradients.encode, Shards.__init__ = noting_encode, noting_shard
    leave, Processes.leave = Processes.leave, lambda _self: None  # the next run needs the others too
    for name, (kind, more) in RUNS.items():
        run = root / "two" / name
        asked = settings(models[kind], root / "pairs.jsonl", shard=True, **more)
        train(asked, run)
        if name in TORN:
            if dist.get_rank() == 0:
                shutil.rmtree(run / "model")
                shutil.rmtree(run / "checkpoints" / "step-00000006")
            dist.barrier()
            train(asked, run)
    assert all(0.4 < share < 0.6 for share in shares), shares
    if dist.get_rank() == 1:
        assert any(idle)
    leave(Processes(dist.get_rank(), 2))


@pytest.fixture(scope="module")
def both(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every run, done in one process and in two."""
    root = tmp_path_factory.mktemp("runs")
    data = write_pairs(root / "pairs.jsonl")
    script = root / "worker.py"
    models = {kind: str(folder) for kind, folder in tiny_models.items()}
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from test_sharding import *\n"
        f"work({{kind: Path(folder) for kind, folder in {models!r}.items()}}, Path({str(root)!r}))\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(launcher, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr[:6000]
    for name, (kind, more) in RUNS.items():
        train(settings(tiny_models[kind], data, **more), root / "one" / name)
    return root


def noted(run: Path, name: str) -> list[float]:
    return [line[name] for line in read_log(run) if name in line]


def vectors(run: Path) -> np.ndarray:
    with Encoder.load(run / "model", precision="fp32") as encoder:
        return encoder.embed_queries(TEXTS).vectors


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RUNS if name != "half"])
def test_a_sharded_run_is_that_of_one_process(both, name):
    one, two = both / "one" / name, both / "two" / name
    assert len(noted(one, "loss")) == 6
    assert noted(two, "loss") == pytest.approx(noted(one, "loss"), abs=1e-4)
    assert noted(two, "gradient_norm") == pytest.approx(noted(one, "gradient_norm"), rel=1e-3)
    assert np.abs(vectors(one) - vectors(two)).max() < 1e-4


@pytest.mark.slow
def test_weights_that_travel_in_bfloat16_learn_the_same(both):
    one, two = both / "one" / "half", both / "two" / "half"
    assert noted(two, "loss") == pytest.approx(noted(one, "loss"), rel=0.03)
    assert noted(two, "gradient_norm") == pytest.approx(noted(one, "gradient_norm"), rel=0.03)
    assert noted(two, "loss") != pytest.approx(noted(both / "two" / "adapters", "loss"), abs=1e-4)
    (folder,) = (two / "checkpoints").glob("step-*6")
    adapters = torch.load(folder / "state.pt", weights_only=True)["adapters"]
    assert any((value != value.bfloat16()).any() for value in adapters.values()), "the weights held are float32"


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_sharded_checkpoint_is_whole(both, name):
    """The same tensors of the same shapes, in the model and in the state, as one process writes."""
    shapes = []
    for processes in ("one", "two"):
        folder = both / processes / name / "checkpoints" / "step-00000006"
        state = torch.load(folder / "state.pt", weights_only=True)
        moments = [values["exp_avg"].shape for values in state["optimizer"]["layers"]["state"].values()]
        adapters = {key: value.shape for key, value in state.get("adapters", {}).items()}
        shapes.append((moments, adapters, {k: v.shape for k, v in checkpoints.read(folder / "model").tensors.items()}))
    assert shapes[0] == shapes[1]


def test_one_process_is_told_to_use_torchrun(bert, tmp_path):
    with pytest.raises(InputError, match="torchrun"):
        train(settings(bert, write_pairs(tmp_path / "pairs.jsonl"), shard=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()
