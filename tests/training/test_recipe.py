"""The recipe of the bundled model, end to end, in its smoke form; and what recipes refuse."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from efive import Encoder
from efive.errors import InputError
from efive.training.recipe import Folders, cook
from efive.training.runs import read_log

NANO = Path(__file__).parents[2] / "recipes" / "nano.toml"

# Sentences in three languages, word for word.
WHO = [
    ("the baker", "der Bäcker", "el panadero"), ("the teacher", "der Lehrer", "el maestro"),
    ("the sailor", "der Matrose", "el marinero"), ("the queen", "die Königin", "la reina"),
    ("the doctor", "der Arzt", "el médico"), ("the child", "das Kind", "el niño"),
    ("the painter", "der Maler", "el pintor"), ("the farmer", "der Bauer", "el granjero"),
]  # fmt: skip
DOES = [
    ("sees", "sieht", "ve"), ("finds", "findet", "encuentra"), ("sells", "verkauft", "vende"),
    ("paints", "malt", "pinta"), ("carries", "trägt", "lleva"),
]  # fmt: skip
WHAT = [
    ("the bread", "das Brot", "el pan"), ("the book", "das Buch", "el libro"), ("the ship", "das Schiff", "el barco"),
    ("the house", "das Haus", "la casa"), ("the river", "den Fluss", "el río"), ("the moon", "den Mond", "la luna"),
    ("the horse", "das Pferd", "el caballo"),
]  # fmt: skip
WHERE = [
    ("in the town", "in der Stadt", "en la ciudad"), ("at the sea", "am Meer", "junto al mar"),
    ("in the garden", "im Garten", "en el jardín"), ("on the hill", "auf dem Hügel", "en la colina"),
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    sentences = [tuple(map(" ".join, zip(*parts, strict=True))) for parts in itertools.product(WHO, DOES, WHAT, WHERE)]
    with (folder / "bitext.jsonl").open("w") as bitext, (folder / "retrieval.jsonl").open("w") as retrieval:
        for english, german, spanish in sentences:
            for language, text in (("de", german), ("es", spanish)):
                bitext.write(json.dumps({"query": english, "passage": text, "lang": f"en-{language}"}) + "\n")
        for number, parts in enumerate(itertools.product(WHO, WHERE)):
            for side, language in enumerate(("en", "de", "es")):
                who, where = (part[side] for part in parts)
                passage = ". ".join(f"{who} {does[side]} {what[side]} {where}" for does in DOES for what in WHAT[:3])
                record = {"query": f"{who} {where} {number}", "passage": passage, "lang": language}
                retrieval.write(json.dumps(record) + "\n")
    return folder


def test_the_recipe_of_the_bundled_model_in_its_smoke_form(bert, data, tmp_path):
    said: list[str] = []
    folders = Folders(tmp_path / "run", data, bert, tmp_path / "run" / "cache")
    folder = cook(NANO, folders, smoke=True, say=said.append)
    run = tmp_path / "run"
    assert folder == run / "model"
    for name, steps in (("transfer", 6), ("supervised", 4)):
        assert [line["step"] for line in read_log(run / name) if "loss" in line] == list(range(1, steps + 1))
        assert (run / name / "model" / "README.md").is_file()
    mined = (run / "mined" / "train.jsonl").read_text().splitlines()
    assert all(json.loads(line)["positives"]["doc_id"] for line in mined)
    texts = ["the baker sells the bread", "der Bäcker verkauft das Brot"]
    with Encoder.load(folder, precision="fp32") as packed:
        vectors = packed.embed_queries(texts).vectors
        assert packed.prompts.query == "query: "
    with Encoder.load(run / "supervised" / "model", precision="fp32") as whole:
        assert (vectors * whole.embed_queries(texts).vectors).sum(1).min() > 0.999  # int8 rows
    assert np.isfinite(vectors).all()
    # What is done is not done again.
    before = (folder / "model.safetensors").stat().st_mtime_ns
    said.clear()
    assert cook(NANO, folders, smoke=True, say=said.append) == folder
    assert not said
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no \[\[step\]\]"),
        ('[[step]]\nname = "a"\ndo = "bake"', "step 1: needs a name .* tokenizer"),
        ('[[step]]\nname = "../a"\ndo = "mine"', "step 1: needs a name"),
        ('[[step]]\nname = "a"\ndo = "compact"\nmodel = "m"\ncolour = 1', "step a: .*colour"),
        ('[[step]]\nname = "a"\ndo = "train"\nmodel = "m"', "step a: .*sources"),
        ('[[step]]\nname = "a"\ndo = "compact"\nmodel = "{shared.m}"', r"no m in its \[shared\] table"),
        ("[[step]", "cannot be read"),
    ],
)
def test_broken_recipes_are_refused_by_name(text, message, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    with pytest.raises(InputError, match=message):
        cook(recipe, Folders(tmp_path / "run", tmp_path, tmp_path, tmp_path / "cache"))


def test_groups_name_files_with_weights_and_limits(tmp_path):
    from efive.training.recipe import _sources

    group = {
        "folder": "{data}/x",
        "suffix": ".jsonl.xz",
        "files": {"a": 2.0, "b": 1.0},
        "limits": {"b": 7},
        "spans": 0.5,
    }
    assert _sources(group) == [
        {"path": "{data}/x/a.jsonl.xz", "weight": 2.0, "spans": 0.5},
        {"path": "{data}/x/b.jsonl.xz", "weight": 1.0, "limit": 7, "spans": 0.5},
    ]
