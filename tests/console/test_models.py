"""Models in the console: what suits a machine, cards, what is in the store."""

import sys
from pathlib import Path

import pytest

from efive.console import hardware, models, models_card
from efive.console.hardware import Fit, Gpu, Machine
from efive.engines.hardware import Hardware
from efive.errors import DeploymentError, InputError
from efive.models.family import FAMILY
from efive.models.store import BUNDLED

sys.path.append(str(Path(__file__).parents[1] / "models"))

NAME = "someone/a-model"


def machine(cpus=4, sets=("avx512-bf16", "avx2"), gibibytes=16, gpu=None):
    return Machine(Hardware("a processor", cpus, sets), gibibytes << 30, gpu)


# -- what suits a machine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (machine(cpus=2), "multilingual-e5-small"),
        (machine(cpus=4), "multilingual-e5-base"),
        (machine(cpus=64, gibibytes=128), "multilingual-e5-large"),
        (machine(cpus=64, gibibytes=2), "multilingual-e5-small"),  # fast enough for more, and no room for it
        (machine(cpus=1, sets=()), "multilingual-e5-small"),  # none is fast: the fastest
        (machine(cpus=2, gpu=Gpu("a GPU", 24 << 30)), "multilingual-e5-large"),
        (machine(gibibytes=1), None),
    ],
)
def test_one_model_is_recommended(here, expected):
    verdicts = hardware.judge(here)
    assert set(verdicts) == set(FAMILY)
    recommended = [name for name, verdict in verdicts.items() if verdict.fit is Fit.RECOMMENDED]
    assert recommended == ([expected] if expected else [])
    for verdict in verdicts.values():
        assert (verdict.fit is Fit.TOO_LARGE) == (verdict.needs > here.room)


def test_more_of_everything_never_makes_a_model_suit_less():
    order = [Fit.TOO_LARGE, Fit.SLOW, Fit.FITS]
    less, more = hardware.judge(machine(cpus=2, gibibytes=8)), hardware.judge(machine(cpus=16, gibibytes=64))
    for name in FAMILY:
        fits = [Fit.FITS if each[name].fit is Fit.RECOMMENDED else each[name].fit for each in (less, more)]
        assert order.index(fits[0]) <= order.index(fits[1]), name


# -- cards ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlanguage: en\nlicense: mit\n---\n# E", ("en",)),
        ("---\nlanguage: [en, 'de']\n---\n", ("en", "de")),
        ("---\ntags:\n- x\nlanguage:\n- multilingual\n- af\n- zh-Hans\nlicense: mit\n---\n", ("af", "zh-Hans")),
        ("---\nlanguage:\n  - multilingual\n---\n", ("multilingual",)),
        ("# language: de\n", ()),
    ],
)
def test_languages_are_those_of_the_card(card, expected):
    assert models_card.languages(card, "mine") == expected


def test_languages_of_the_family_are_known_without_a_card():
    assert models_card.languages("", "multilingual-e5-small") == ("multilingual",)
    assert models_card.languages("", "mine", "intfloat/e5-base-v2") == ("en",)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](data:text/html,x)",
        "[a](/console/sign-out)",
        "![a](https://tracker.example/p.png)",
        "<style>body { display: none }</style>",
        '<form action="https://evil.example">',
    ],
)
def test_a_hostile_card_does_nothing(hostile):
    html = models_card.html(f"---\nlicense: mit\n---\n# A card\n\n{hostile}\n")
    assert html.startswith("<h3>A card</h3>")
    for tag in ("<script", "<img", "<style", "<form", "href="):
        assert tag not in html


def test_links_within_a_card_lead_to_its_headings():
    html = models_card.html("See [below](#how-it-was-made).\n\n## Data\n\n## How it was made\n")
    assert 'href="#card-how-it-was-made"' in html
    assert '<h4 id="card-how-it-was-made">How it was made</h4>' in html
    assert "<h4>Data</h4>" in html


# -- the store -----------------------------------------------------------------------------------------------------


def test_a_damaged_model_is_listed_with_what_is_wrong(store, bert):
    store.copy(bert, "whole")
    store.copy(bert, "torn")
    store.copy(bert, "unreadable")
    (store.models / "torn" / "config.json").unlink()
    (store.models / "unreadable" / "efive.json").write_text("{")
    found = {model.name: model for model in models.installed(store, {})}
    assert list(found) == [BUNDLED, "torn", "unreadable", "whole"]
    assert (found["whole"].fault, found["whole"].shape) == ("", "3 layers, 64 dimensions, 512 tokens")
    assert "config.json" in found["torn"].fault
    assert "manifest" in found["unreadable"].fault
    assert models.space(store, found["whole"]).startswith("e5-")
    with pytest.raises(InputError):
        models.one(store, "../whole", {})


def test_a_deployed_model_is_not_deleted(store, bert):
    folder = store.copy(bert, "mine").folder
    with pytest.raises(DeploymentError, match="mine is the model of live"):
        models.remove(store, "mine", {folder.resolve(): ["live"]})
    models.remove(store, "mine", {})
    assert not folder.exists()
