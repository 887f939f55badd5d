"""`efive doctor`: the machine, the engine, the speed to expect."""

import json
import platform
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from efive.cli.options import encoder_options, load_encoder
from efive.errors import ModelNotFoundError

if TYPE_CHECKING:
    from efive.encoder import Encoder

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
        "processors to use": hardware.cpus,
        "instruction sets": ", ".join(hardware.instruction_sets) or "none that matter",
        "variant": variant(hardware.instruction_sets),
    }
    try:
        with closing(load_encoder(**engine)) as encoder:
            facts |= {"engine": encoder.reason, "space": encoder.space.fingerprint}
            facts |= _speed(encoder)
    except ModelNotFoundError as error:
        facts["speed"] = f"not measured: {error}"
    if as_json:
        click.echo(json.dumps(facts))
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{key}:")
            for name, inner in value.items():
                click.echo(f"  {name:<32} {inner}")
        else:
            click.echo(f"{key + ':':<20} {value}")


def variant(instruction_sets: tuple[str, ...]) -> str:
    """Say which of the two published builds of a model suits this machine, as Elasticsearch names them."""
    optimised = platform.system() == "Linux" and platform.machine() == "x86_64" and "avx2" in instruction_sets
    return "optimised (linux-x86_64)" if optimised else "portable (platform-agnostic)"


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
    published = {
        name: f"about {rate * own / member.architecture.arithmetic(_PASSAGE_TOKENS) / _PASSAGE_TOKENS:.1f} passages/s"
        for name, member in FAMILY.items()
    }
    return {
        "measured": f"{rate:.0f} tokens/s, {rate / _PASSAGE_TOKENS:.0f} passages/s of {_PASSAGE_TOKENS} tokens",
        "expected, same engine and precision": published,
    }
