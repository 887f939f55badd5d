"""Whole runs, on tiny models."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from efive import Encoder
from efive.errors import DivergenceError, InputError
from efive.training.runs import read_log
from efive.training.settings import parse
from efive.training.trainer import Watch, train

SUBJECTS = ["river", "engine", "planet", "bread", "letter", "bridge", "violin", "garden", "market", "winter"]
VERBS = ["crosses", "feeds", "hides", "carries", "forgets", "paints", "measures", "repairs"]


def facts(count: int) -> list[tuple[str, str]]:
    """Made-up questions with their answers; no two alike."""
    pairs = [
        (f"what {verb} the {subject} of {other}?", f"The {other} {verb} its {subject} when the {place} is near.")
        for place in SUBJECTS
        for verb in VERBS
        for subject in SUBJECTS
        for other in SUBJECTS
    ]
    return [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))[:count]]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"query": q, "passage": p}) + "\n" for q, p in facts(120)))
    return path


def settings(model: Path, data: Path, **more):
    values = {
        "model": str(model),
        "sources": [{"path": str(data)}],
        "batch": 8,
        "steps": 6,
        "save_every": 3,
        "precision": "fp32",
        "workers": 1,
        "learning": {"rate": 1e-3},
        "loss": {"temperature": 0.05},
    }
    return parse(values | more, "the test")


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_log(run) if "loss" in line]


def test_a_run_leaves_what_the_guide_promises(bert, pairs, tmp_path):
    run = tmp_path / "run"
    folder = train(settings(bert, pairs), run)
    assert json.loads((run / "config.json").read_text())["batch"] == 8
    (data,) = json.loads((run / "data.json").read_text())
    assert data["examples"] == 120
    assert len(data["sha256"]) == 64
    assert {"efive", "torch", "python"} <= set(json.loads((run / "environment.json").read_text()))
    assert len(losses(run)) == 6
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-00000003", "step-00000006"]
    assert list((run / "tensorboard").iterdir())
    with Encoder.load(folder) as encoder:
        ours = encoder.embed_queries(["what feeds the river?"]).vectors
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel

    theirs = SentenceTransformer(str(folder), device="cpu").encode(["what feeds the river?"], prompt_name="query")
    assert np.abs(ours - theirs).max() < 2e-2  # `auto` precision may be bfloat16
    assert AutoModel.from_pretrained(folder).config.hidden_size == 64


def test_training_finds_held_out_answers_better(bert, pairs, tmp_path):
    run = tmp_path / "run"
    train(settings(bert, pairs, sources=[{"path": str(pairs), "held_out": 30}], steps=40, batch=24, save_every=40), run)
    measured = [line["held_out/pairs nDCG@10"] for line in read_log(run) if "held_out/pairs nDCG@10" in line]
    assert measured[-1] > measured[0] + 0.1


def test_two_runs_of_one_seed_are_one(bert, pairs, tmp_path):
    train(settings(bert, pairs), tmp_path / "a")
    train(settings(bert, pairs), tmp_path / "b")
    train(settings(bert, pairs, seed=1), tmp_path / "c")
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


def test_a_killed_run_goes_on_as_if_nothing_had_happened(bert, pairs, tmp_path, one_thread):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    wanted = settings(bert, pairs, steps=30, save_every=4)
    train(wanted, whole)
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]; from pathlib import Path; from test_trainer import *;"
        "torch.set_num_threads(1);"
        "die_after(10, Path(sys.argv[4]));"
        "train(settings(Path(sys.argv[2]), Path(sys.argv[3]), steps=30, save_every=4), Path(sys.argv[4]))"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(bert), str(pairs), str(torn)]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == -signal.SIGKILL
    assert 10 <= len(losses_or_none(torn)) < 30
    assert not (torn / "model").exists()
    train(wanted, torn)
    assert losses(torn) == losses(whole)
    assert (torn / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()


def die_after(steps: int, run: Path) -> None:
    """Kill this process soon after so many steps of a run: seen from outside, it may be at its end by then."""

    def watch() -> None:
        while len(losses_or_none(run)) < steps:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def losses_or_none(run: Path) -> list[float]:
    try:
        return losses(run)
    except ValueError:  # a line is being written
        return []


def test_a_folder_with_another_run_is_left_alone(bert, pairs, tmp_path):
    train(settings(bert, pairs), tmp_path / "run")
    with pytest.raises(InputError, match="finished run"):
        train(settings(bert, pairs), tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no run"):
        train(settings(bert, pairs), tmp_path / "other")


def test_other_settings_do_not_go_on_with_a_run(bert, pairs, tmp_path):
    run = tmp_path / "run"
    train(settings(bert, pairs), run)
    (run / "model").rename(tmp_path / "away")
    with pytest.raises(InputError, match=r"learning\.rate was 0\.001 and is 0\.01"):
        train(settings(bert, pairs, learning={"rate": 0.01}), run)


def test_nan_stops_with_step_and_batch_and_keeps_the_checkpoint(bert, pairs, tmp_path, monkeypatch):
    from efive.training import losses as functions

    calls = []

    def poisoned(batch, rows, contrast):
        calls.append(1)
        value = true(batch, rows, contrast)
        return value * float("nan") if len(calls) == 5 else value

    true = functions.contrastive
    monkeypatch.setattr(functions, "contrastive", poisoned)
    with pytest.raises(DivergenceError, match=r"step 4 on pairs .*step-00000003, is good") as caught:
        train(settings(bert, pairs), tmp_path / "run")
    assert caught.value.step == 4
    with Encoder.load(tmp_path / "run/checkpoints/step-00000003/model", precision="fp32") as encoder:
        assert np.isfinite(encoder.embed_queries(["a"]).vectors).all()


def test_a_loss_that_runs_away_is_noticed():
    falling = [3 / (1 + step / 20) for step in range(200)]
    watch = Watch()
    assert not any(map(watch.runs_away, falling))
    rising = [watch.runs_away(0.3 + step / 10) for step in range(100)]
    assert not rising[0]
    assert rising[-1]


def test_bad_records_are_refused_unless_allowed(bert, pairs, tmp_path):
    with pairs.open("a") as file:
        file.write('{"query": "no passage"}\n')
    with pytest.raises(InputError, match=r"line 121.*--skip-bad"):
        train(settings(bert, pairs), tmp_path / "run")
    said = []
    train(settings(bert, pairs), tmp_path / "again", skip_bad=1, say=said.append)
    assert any("line 121" in line for line in said)


def test_supervised_on_a_sambastudio_folder_beats_its_start(tmp_path):
    """A thousand lines, ids as strings and numbers, the bundled model."""
    folder = tmp_path / "job"
    folder.mkdir()
    made = facts(1000)
    (folder / "passages.jsonl").write_text("".join(json.dumps({"contents": p}) + "\n" for _, p in made))
    with (folder / "train.jsonl").open("w") as file:
        for i, (query, _) in enumerate(made):
            negatives = [(i + 7) % 1000, str((i + 13) % 1000)]
            record = {"query": query, "positives": {"doc_id": [str(i)]}, "negatives": {"doc_id": negatives}}
            file.write(json.dumps(record) + "\n")
    run = tmp_path / "run"
    wanted = {
        "model": "bundled", "sources": [{"path": str(folder), "held_out": 150}], "steps": 12, "batch": 32,
        "negatives": 2, "save_every": 12, "learning": {"rate": 1e-4, "embedding_rate": 1e-3},
        "loss": {"temperature": 0.03},
    }  # fmt: skip
    train(parse(wanted, "the test"), run)
    measured = [line["held_out/job nDCG@10"] for line in read_log(run) if "held_out/job nDCG@10" in line]
    assert measured[-1] > measured[0]


def test_distillation_needs_scores(bert, pairs, tmp_path):
    with pytest.raises(InputError, match="has no scores"):
        train(settings(bert, pairs, objective="distil"), tmp_path / "run")


def test_distillation_learns_the_teachers_order(bert, tmp_path):
    path = tmp_path / "scored.jsonl"
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for q, p in facts(64):
            others = [facts(64)[i][1] for i in rng.integers(0, 64, 3)]
            record = {"query": q, "passage": p, "negatives": others, "positive_scores": [5.0]}
            file.write(json.dumps(record | {"negative_scores": rng.normal(0, 2, 3).tolist()}) + "\n")
    run = tmp_path / "run"
    train(settings(bert, path, objective="distil", negatives=3, steps=30, batch=32), run)
    assert np.mean(losses(run)[-5:]) < 0.8 * np.mean(losses(run)[:5])


def test_imitation_brings_a_translation_to_the_teachers_vector(bert, tmp_path):
    path = tmp_path / "translations.jsonl"
    with path.open("w") as file:
        for q, _ in facts(64):
            file.write(json.dumps({"query": q, "passage": q[::-1], "lang": "en-xx"}) + "\n")
    source = {"path": str(path), "symmetric": True, "teacher_language": "en", "foreign_only": True}
    wanted = settings(
        bert, path, sources=[source], objective="imitate", teacher=str(bert), steps=40, batch=32,
        learning={"rate": 1e-3}, loss={"bank": 64},
    )  # fmt: skip
    folder = train(wanted, tmp_path / "run")
    texts = [q for q, _ in facts(64)]
    with Encoder.load(bert, precision="fp32") as teacher, Encoder.load(folder, precision="fp32") as student:
        target = teacher.embed(texts, "raw").vectors
        backwards = student.embed_queries([text[::-1] for text in texts]).vectors
        before = teacher.embed_queries([text[::-1] for text in texts]).vectors
    assert 1 - (target * backwards).sum(1).mean() < 0.5 * (1 - (target * before).sum(1).mean())


def test_matryoshka_improves_cut_vectors(bert, pairs, tmp_path):
    run = tmp_path / "run"
    train(settings(bert, pairs, steps=30, batch=24, loss={"temperature": 0.05, "matryoshka": (8, 64)}), run)
    assert np.mean(losses(run)[-5:]) < np.mean(losses(run)[:5])


def test_two_processes_have_the_loss_curve_of_one(bert, pairs, tmp_path):
    train(settings(bert, pairs), tmp_path / "one")
    script = tmp_path / "worker.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from test_trainer import *\n"
        "torch.set_num_threads(1)\n"
        f"train(settings(Path({str(bert)!r}), Path({str(pairs)!r})), Path({str(tmp_path / 'two')!r}))\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(launcher, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr[-3000:]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
    one, two = (torch.from_numpy(vectors(tmp_path / name / "model")) for name in ("one", "two"))
    assert (one - two).abs().max() < 1e-4


def vectors(folder: Path) -> np.ndarray:
    with Encoder.load(folder, precision="fp32") as encoder:
        return encoder.embed_queries(["what feeds the river?"]).vectors
