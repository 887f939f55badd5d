"""`efive doctor`: the machine, the engine, the speed to expect."""

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from efive.cli.options import encoder_options, load_encoder
from efive.errors import EfiveError, ModelNotFoundError

if TYPE_CHECKING:
    from efive.encoder import Encoder
    from efive.engines.hardware import Hardware

_SECONDS = 2.0
_PASSAGE_TOKENS = 120


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@encoder_options
def command(as_json: bool, **engine: Any) -> None:  # noqa: ANN401, FBT001
    """Say what this machine is, which engine and precision efive uses on it and why, and how fast that is.

    The speed is measured now, for two seconds, with the model that --model names. Speeds of the published
    models are reckoned from it by the arithmetic that they need.
    """
    from efive.engines.hardware import detect

    hardware = detect()
    facts: dict[str, Any] = {
        "processor": hardware.processor,
        "processors_to_use": hardware.cpus,
        "instruction_sets": list(hardware.instruction_sets),
        "variant": hardware.variant,
        "native_engine": _native_engine(),
    }
    failure: EfiveError | None = None
    try:
        with closing(load_encoder(**engine)) as encoder:
            info = encoder.engine_info
            facts |= {"engine": info.name, "precision": str(info.precision), "device": info.device}
            facts |= {"reason": encoder.reason, "space": encoder.space.fingerprint} | _speed(encoder)
    except EfiveError as error:
        failure = error
        facts |= _choice(hardware, engine) | {"speed": f"not measured: {error}"}
    click.echo(json.dumps(facts) if as_json else _for_people(facts))
    if failure and (engine["model"] or not isinstance(failure, ModelNotFoundError)):
        raise failure  # what was asked for does not work


def _native_engine() -> str:
    """Say with which instructions the native engine runs here, or why it does not."""
    from efive.engines.base import Precision
    from efive.engines.native_import import instruction_sets, obstacle

    missing = obstacle()
    return f"no: {missing}" if missing else f"yes, with {instruction_sets(Precision.INT8)[0]}"


def _choice(hardware: "Hardware", options: dict[str, Any]) -> dict[str, Any]:
    """Say what would run an encoder here, without one."""
    from efive.engines.select import choose
    from efive.models.family import FAMILY

    try:
        choice = choose(
            FAMILY["multilingual-e5-small"].architecture,
            hardware,
            options["engine"],
            options["precision"],
            options["device"],
        )
    except EfiveError:
        return {}  # the same error that kept the model from loading, or one that it would meet next
    return {"engine": choice.engine, "precision": str(choice.precision), "device": choice.device} | {
        "reason": choice.reason
    }


def _for_people(facts: dict[str, Any]) -> str:
    lines = []
    for key, value in facts.items():
        name = key.replace("_", " ") + ":"
        if isinstance(value, dict):
            lines += [name, *(f"  {inner:<32} {each}" for inner, each in value.items())]
        else:
            shown = (", ".join(value) or "none that matter") if isinstance(value, list) else value
            lines.append(f"{name:<24} {shown}")
    return "\n".join(lines)


def _speed(encoder: "Encoder") -> dict[str, Any]:
    """Measure tokens per second on passages of about 120 tokens, and reckon the published models' from it."""
    from efive.models.family import FAMILY
    from efive.probe import PROBE

    text = " ".join(passage for _, passage in PROBE)
    words = text.split()
    passages = [" ".join((words[i:] + words[:i])[:45]) for i in range(64)]
    encoder.warmup()
    tokens, start = 0, time.perf_counter()
    while time.perf_counter() - start < _SECONDS:
        tokens += sum(usage.tokens_used for usage in encoder.embed_passages(passages).usage)
    rate = tokens / (time.perf_counter() - start)
    own = encoder.arithmetic(_PASSAGE_TOKENS)
    expected = {
        name: round(rate * own / member.architecture.arithmetic(_PASSAGE_TOKENS) / _PASSAGE_TOKENS, 1)
        for name, member in FAMILY.items()
    }
    return {
        "tokens_per_second": round(rate),
        "passages_per_second": round(rate / _PASSAGE_TOKENS, 1),
        f"expected_passages_per_second_of_{_PASSAGE_TOKENS}_tokens": expected,
    }
