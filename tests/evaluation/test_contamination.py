import pytest

from efive.evaluation.contamination import NO_CARD, contamination
from efive.models.store import ModelStore

CARD = """---
license: mit
datasets:
- someone/ms_marco
- "squad_v2"
model-index:
- name: x
  results:
  - dataset: {name: MTEB ArguAna}
---
# A model

Better than others on FiQA.

## Training details

### Data

| set | rows |
|---|---|
| Mr. TyDi | 50k |

### Results

| NFCorpus | .4 |

## Use

It was fine-tuned on HotpotQA, too.

## Data

```sh
# Results
get CISI
```
"""
TOLD = "where the model's training is told of"


@pytest.fixture
def card(tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["CISI"], [f'CISI is named {TOLD} (its card, "Data"): get CISI']),
        (["MS MARCO", "MSMARCO"], ["trained on someone/ms_marco, according to its card's list of datasets"]),
        (
            ["XQuAD"],
            ["trained on squad_v2, which shares texts with XQuAD, according to its card's list of datasets"],
        ),
        (
            ["Mr. TyDi", "MrTyDi", "TyDi QA"],
            [f'Mr. TyDi is named {TOLD} (its card, "Data"): | Mr. TyDi | 50k |'],
        ),
        (
            ["TyDi QA"],
            [f'what shares texts with TyDi QA is named {TOLD} (its card, "Data"): | Mr. TyDi | 50k |'],
        ),
        (
            ["HotpotQA"],
            [f'HotpotQA is named {TOLD} (its card, "Use"): It was fine-tuned on HotpotQA, too.'],
        ),
    ],
)
def test_a_sentence_for_each_overlap(card, sources, said):
    assert contamination(card, sources) == said


@pytest.mark.parametrize("name", ["ArguAna", "FiQA", "NFCorpus", "QA"])
def test_what_a_model_was_measured_on_is_no_training(card, name):
    assert contamination(card, [name]) == [
        f"unknown: no training on {name} is stated, which does not show that there was none"
    ]


def test_nothing_known_is_never_called_clean(tmp_path, card):
    assert contamination(tmp_path / "none", ["SQuAD"]) == [NO_CARD]
    assert contamination(card, []) == ["unknown: the task does not say what it is made of"]
    (card / "README.md").write_text("# A model\n\nIt is good.\n")
    assert contamination(card, ["SQuAD"]) == ["unknown: the card does not say what the model was trained on"]


@pytest.mark.parametrize(
    "front", ["---\n[broken\n---\n", "---\n- a list\n---\n", "---\nno end\n", "---\ndate: 2026-99-99\n---\n"]
)
def test_front_matter_that_cannot_be_read_hides_nothing_else(card, front):
    (card / "README.md").write_text(f"{front}# A\n## Training\nSQuAD\n")
    assert len(contamination(card, ["SQuAD"])) == 1
    assert contamination(card, ["SQuAD"])[0].startswith("SQuAD is named")


def test_published_models_without_a_card(tmp_path):
    def said(model, *sources):
        return contamination(tmp_path / model, sources)

    assert said("multilingual-e5-small", "MIRACL") == [
        "trained on MIRACL, according to the paper on multilingual-e5-small"
    ]
    assert said("e5-base", "XQuAD", "SQuAD")[0].startswith("unknown: no training on XQuAD, SQuAD")
    seen = "pre-trained, on pairs that nobody judged, on S2ORC, which shares texts with SciFact"
    assert said("e5-base", "SciFact") == [f"{seen}, according to the paper on e5-base"]
    assert said("e5-base-unsupervised", "NQ")[0].startswith("unknown: no training on NQ")
    assert said("e5-base", "NQ") == ["trained on Natural Questions, according to the paper on e5-base"]
    assert "is not published" in said("e5-base-v2", "FiQA")[0]
    assert said("e5-mistral-7b-instruct", "T2Ranking")[0].startswith("trained on T2Ranking")


@pytest.mark.parametrize(
    "told", ["---\nbase_model: intfloat/multilingual-e5-small\n---\n# X\n", "Trained from multilingual-e5-small.\n"]
)
def test_a_model_has_seen_what_it_was_made_from_has_seen(card, told):
    (card / "README.md").write_text(told)
    assert contamination(card, ["DuReader"]) == [
        "trained on DuReader, according to the paper on multilingual-e5-small, which it was made from"
    ]
    assert contamination(card, ["S2ORC"])[0].startswith("pre-trained, on pairs that nobody judged, on S2ORC")


def test_the_bundled_model_and_its_teacher():
    folder = ModelStore().resolve(None)
    assert any("Data and licences" in sentence for sentence in contamination(folder, ["TyDi QA"]))
    assert any("all-MiniLM-L6-v2, which it was made from" in sentence for sentence in contamination(folder, ["SQuAD"]))
    assert contamination(folder, ["CISI"])[0].startswith("unknown")
