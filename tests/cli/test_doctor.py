"""`efive doctor`: what it says, with a model and without."""

import json

import pytest

from efive.cli import doctor
from efive.engines.hardware import Hardware, detect
from efive.errors import ModelNotFoundError
from efive.models.family import FAMILY
from efive.models.store import ModelStore


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(doctor, "_SECONDS", 0.05)


@pytest.fixture
def unbundled(monkeypatch):
    """A build of efive without a model inside."""
    resolve = ModelStore.resolve

    def without(self, model):
        if model is None:
            raise ModelNotFoundError("this build of efive has no bundled model; name a model or a folder")
        return resolve(self, model)

    monkeypatch.setattr(ModelStore, "resolve", without)


def test_json_has_hardware_engine_precision_speed_and_variant(efive, model, encoder):
    result = efive("doctor", *model, "--json")
    assert (result.code, result.err) == (0, "")
    facts = json.loads(result.out)
    hardware = detect()
    assert facts["processor"] == hardware.processor
    assert facts["processors_to_use"] == hardware.cpus
    assert facts["instruction_sets"] == list(hardware.instruction_sets)
    assert facts["variant"] == hardware.variant
    assert (facts["engine"], facts["precision"]) == (encoder.engine_info.name, "fp32")
    assert facts["space"] == encoder.space.fingerprint
    assert facts["tokens_per_second"] > 0
    assert facts["passages_per_second"] == pytest.approx(facts["tokens_per_second"] / 120, rel=0.1, abs=0.1)
    expected = facts["expected_passages_per_second_of_120_tokens"]
    assert list(expected) == list(FAMILY)
    assert expected["e5-small"] > expected["e5-base"] > expected["e5-large"]


def test_for_people_every_fact_is_a_line(efive, model):
    result = efive("doctor", *model)
    assert result.code == 0
    for name in (
        "processor:",
        "instruction sets:",
        "variant:",
        "engine:",
        "precision:",
        "tokens per second:",
        "space:",
    ):
        assert any(line.startswith(name) for line in result.out.splitlines()), name
    assert "  multilingual-e5-small " in result.out
    assert "{" not in result.out


def test_without_a_model_it_still_says_what_the_machine_is(efive, unbundled):
    result = efive("doctor")
    assert (result.code, result.err) == (0, "")
    assert f"processor:               {detect().processor}" in result.out
    assert "precision:" in result.out
    assert "not measured: this build of efive has no bundled model" in result.out


@pytest.mark.parametrize("damage", ["unknown", "broken"])
def test_a_model_that_was_asked_for_and_does_not_load_is_a_failure(efive, tmp_path, damage):
    (tmp_path / "broken").mkdir()
    result = efive("doctor", "--json", "-m", "e5-small" if damage == "unknown" else tmp_path / "broken")
    assert result.code == 1
    facts = json.loads(result.out)
    assert facts["processor"] == detect().processor
    word = "`efive models pull e5-small`" if damage == "unknown" else "config.json is missing"
    assert word in facts["speed"]
    assert word in result.err


@pytest.mark.parametrize(
    ("system", "machine", "sets", "expected"),
    [
        ("Linux", "x86_64", ("avx512", "avx2"), "optimised (linux-x86_64)"),
        ("Linux", "x86_64", ("avx2",), "optimised (linux-x86_64)"),
        ("Linux", "x86_64", (), "portable (platform-agnostic)"),
        ("Linux", "aarch64", ("avx2",), "portable (platform-agnostic)"),
        ("Darwin", "x86_64", ("avx2",), "portable (platform-agnostic)"),
        ("Windows", "AMD64", ("avx2",), "portable (platform-agnostic)"),
    ],
)
def test_variant(monkeypatch, system, machine, sets, expected):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert Hardware("a processor", 2, sets).variant == expected
