"""A trained model's card: it says what the run's folder says, and hubs can read it."""

import json

import huggingface_hub
import pytest

from efive.training.card import data_table, front_matter, held_out_table, summary, write_card

SETTINGS = {
    "model": "multilingual-e5-small",
    "sources": [{"path": "/home/someone/secret/pairs.jsonl"}],
    "development": ["/home/someone/secret/dev.jsonl"],
    "teacher": "/home/someone/secret/teacher-large",
    "seed": 7,
    "loss": {"temperature": 0.05},
}
DATA = [
    {"name": "pairs: odd | name", "files": ["/home/someone/secret/pairs.jsonl"], "sha256": "ab" * 32, "examples": 12345,
     "objective": "contrastive", "weight": 111.1, "languages": ["en", "de-en", "no"]},
    {"name": "plain", "files": ["x"], "sha256": "cd" * 32, "examples": 9, "objective": "imitate", "weight": 3.0,
     "languages": [""]},
]  # fmt: skip
VERSIONS = {"efive": "0.1.0", "torch": "2.13.0", "python": "3.11.7"}


def step(number, loss):
    return {"step": number, "loss": loss, "tokens": 100, "examples": 30, "examples_per_second": 2.0}


LOG = [
    {"step": 0, "held_out/pairs nDCG@10": 0.5, "held_out/pairs R@100": 0.9},
    *(step(n, 8.0 - n) for n in range(1, 5)),
    {"step": 4, "held_out/pairs nDCG@10": 0.75, "held_out/pairs R@100": 0.95},
    *(step(n, 8.0 - n) for n in range(5, 9)),
    {"step": 8, "held_out/pairs nDCG@10": 0.7, "held_out/pairs R@100": 0.96},
]


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "my-run"
    (folder / "model").mkdir(parents=True)
    for name, content in (("config", SETTINGS), ("data", DATA), ("environment", VERSIONS)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG))
    prompts = {"prompts": {"query": "query: ", "document": "passage: "}}
    (folder / "model" / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def test_a_hub_reads_its_front_matter(run):
    write_card(run)
    card = huggingface_hub.ModelCard.load(run / "model" / "README.md")
    assert card.data.base_model == "intfloat/multilingual-e5-small"
    assert card.data.library_name == "sentence-transformers"
    assert card.data.pipeline_tag == "sentence-similarity"
    assert card.data.datasets == ["pairs: odd | name", "plain"]
    assert card.data.language == ["de", "en", "no"], "YAML 1.1 reads a bare no as false"


def test_a_folder_is_no_base_model_for_a_hub():
    assert "base_model" not in front_matter(SETTINGS | {"model": "/home/someone/start"}, DATA)


def test_it_tells_nothing_of_the_machine_s_folders(run):
    write_card(run)
    text = (run / "model" / "README.md").read_text()
    assert "/home" not in text
    assert "teacher-large" in text
    assert '"seed": 7' in text


def test_held_out_figures_at_start_end_and_best():
    assert cells(held_out_table(LOG))[2:] == [
        ["pairs nDCG@10", "0.5000", "0.7000", "0.7500 (step 4)"],
        ["pairs R@100", "0.9000", "0.9600", "0.9600 (step 8)"],
    ]
    assert held_out_table([step(1, 2.0)]) == ""


def test_the_run_in_numbers():
    found = dict(cells(summary(LOG, SETTINGS, VERSIONS)))
    assert found["steps"] == "8"
    assert found["examples seen"] == "240"
    assert found["time of the steps"] == "2.0 minutes"
    assert found["loss, mean of the first 2 steps"] == "6.5000"
    assert found["loss, mean of the last 2 steps"] == "0.5000"
    assert found["torch"] == "2.13.0"


def test_sources_with_digests_and_languages():
    rows = cells(data_table(DATA))
    assert rows[2] == ["pairs: odd \\| name", "contrastive", "12,345", "en, de-en, no", "111.1", f"`{'ab' * 32}`"]
    assert rows[3][3] == "not said"


def test_the_model_s_own_prefixes_are_named(run):
    write_card(run)
    text = (run / "model" / "README.md").read_text()
    assert "`query: ` before queries and `passage: ` before passages" in text
    (run / "model" / "config_sentence_transformers.json").write_text('{"prompts": {"query": "", "document": ""}}')
    write_card(run)
    assert "wants no prefix" in (run / "model" / "README.md").read_text()
