"""What a trained model says of itself: the body of PUT, checked, and what GET shows."""

import platform
import re
from collections.abc import Mapping
from typing import Any

import orjson

from efive.models.architecture import Kind
from efive.models.checkpoint import Checkpoint
from efive.models.vocabulary import BERT, XLM_R
from efive.server.elastic.errors import illegal, invalid_action, unparsable, unsupported

RESULTS_FIELD = "predicted_value"
_ID = re.compile(r"[a-z0-9](?:[a-z0-9_\-.]*[a-z0-9])?")
_LONGEST_ID = 64
_FIELDS = {
    "description": str,
    "inference_config": dict,
    "input": dict,
    "metadata": dict,
    "model_size_bytes": int,
    "model_type": str,
    "platform_architecture": str,
    "prefix_strings": dict,
    "tags": list,
}
_PLATFORMS = ("linux-x86_64", "linux-aarch64", "darwin-aarch64", "windows-x86_64")
_TOKENIZATIONS = ("bert", "bert_ja", "deberta_v2", "mpnet", "roberta", "xlm_roberta")
_TRUNCATIONS = ("first", "none", "second")
_DEFAULTS = {
    "do_lower_case": False,
    "with_special_tokens": True,
    "max_sequence_length": 512,
    "truncate": "first",
    "span": -1,
}
_WIDE = 60_000
"""Pieces from which on a vocabulary is a multilingual one."""


def check_id(model_id: str) -> None:
    """Refuse ids that Elasticsearch refuses."""
    if not _ID.fullmatch(model_id):
        raise invalid_action(
            f"Invalid model_id; '{model_id}' can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores; "
            "must start and end with alphanumeric"
        )
    if len(model_id) > _LONGEST_ID:
        raise invalid_action(
            f"The model_id cannot contain more than {_LONGEST_ID} characters; '{model_id}' has {len(model_id)}"
        )


def uploaded(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a model whose definition will be uploaded.

    Raises:
        ElasticError: for what cannot be, or is not supported.
    """
    if "definition" in body or "compressed_definition" in body:
        raise unsupported("[definition] in the body; upload a TorchScript in parts")
    if unknown := sorted(set(body) - set(_FIELDS)):
        raise unparsable(f"[trained_model_config] unknown field [{unknown[0]}]")
    for name, value in body.items():
        if value is not None and not isinstance(value, _FIELDS[name]):
            raise unparsable(f"[trained_model_config] {name} doesn't support values of type: {type(value).__name__}")
    try:
        orjson.dumps(body)  # what cannot be shown must not be kept: every list of models would fail
    except TypeError as error:
        raise unparsable(f"[trained_model_config] has a value that answers cannot have: {error}") from None
    faults = []
    if "model_type" not in body:
        faults.append("[model_type] must be set if [definition] is not defined.")
    if not body.get("inference_config"):
        faults.append("[inference_config] must not be null.")
    if faults:
        raise invalid_action(*faults)
    if body["model_type"] != "pytorch":
        raise unsupported(f"[model_type] [{body['model_type']}]")
    if body.get("platform_architecture") not in {None, *_PLATFORMS}:
        raise illegal(f"[platform_architecture] must be one of [{', '.join(_PLATFORMS)}]")
    given = {name: value for name, value in body.items() if value is not None}
    return given | {
        "inference_config": {"text_embedding": embedding(body["inference_config"])},
        "prefix_strings": prefixes(body.get("prefix_strings")),
        "input": {"field_names": _field_names(body.get("input"))},
        "tags": [str(tag) for tag in body.get("tags") or ()],
        "metadata": body.get("metadata") or {},
    }


def prefixes(given: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the prefixes that a model's configuration has; none is none."""
    given = {name: value for name, value in (given or {}).items() if value is not None}
    if unknown := set(given) - {"ingest", "search"}:
        raise unparsable(f"[prefix_strings] unknown field [{sorted(unknown)[0]}]")
    if not all(isinstance(value, str) for value in given.values()):
        raise unparsable("[prefix_strings] ingest and search are strings")
    return {name: value for name, value in given.items() if value}


def embedding(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `text_embedding` of an `inference_config`, with its defaults."""
    if list(config) != ["text_embedding"]:
        raise unsupported(f"[inference_config] [{', '.join(config) or 'empty'}]; efive has text_embedding")
    given = config["text_embedding"] or {}
    if not isinstance(given, dict):
        raise unparsable("[text_embedding] must be an object")
    kind, tokenization = tokenization_of(given)
    if kind not in {BERT, XLM_R}:
        raise unsupported(f"[tokenization] [{kind}]; E5 models have {BERT} or {XLM_R}")
    if not tokenization.get("with_special_tokens", True):
        raise unsupported("[with_special_tokens] false")
    shown: dict[str, Any] = {"tokenization": {kind: _DEFAULTS | tokenization}}
    if (size := given.get("embedding_size")) is not None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise illegal(f"[embedding_size] is [{size}]; it must be a positive integer")
        shown["embedding_size"] = size
    if field := results_field(given):
        shown["results_field"] = field
    return shown


def results_field(given: Mapping[str, Any]) -> str | None:
    """Return the name that vectors have in answers, where settings say it."""
    field = given.get("results_field")
    if field is not None and not isinstance(field, str):
        raise unparsable("[results_field] must be a string")
    return field or None


def tokenization_of(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the kind of a tokenization and its settings, checked; BERT where nothing is said, as Elasticsearch."""
    tokenization = given.get("tokenization") or {BERT: {}}
    if not isinstance(tokenization, dict) or len(tokenization) != 1:
        raise unparsable("[tokenization] must be an object with one of [" + ", ".join(_TOKENIZATIONS) + "]")
    ((kind, settings),) = tokenization.items()
    if kind not in _TOKENIZATIONS:
        raise unparsable(f"[tokenization] unknown field [{kind}]")
    if not isinstance(settings, dict | None):
        raise unparsable(f"[{kind}_tokenization] must be an object")
    settings = {name: value for name, value in (settings or {}).items() if value is not None}
    if unknown := set(settings) - set(_DEFAULTS) - {"vocabulary"}:
        raise unparsable(f"[{kind}_tokenization] unknown field [{sorted(unknown)[0]}]")
    settings.pop("vocabulary", None)
    if settings.get("truncate", "first") not in _TRUNCATIONS:
        raise illegal(f"Unknown truncate [{settings['truncate']}]; must be one of [{', '.join(_TRUNCATIONS)}]")
    longest = settings.get("max_sequence_length", 512)
    if isinstance(longest, bool) or not isinstance(longest, int) or longest < 8:
        raise illegal(f"[max_sequence_length] is [{longest}]; it must be a whole number of at least 8")
    return kind, settings


def _field_names(given: Mapping[str, Any] | None) -> list[str]:
    names = (given or {}).get("field_names") or ["text_field"]
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise illegal("[input.field_names] must have exactly one field for a text_embedding model")
    return [names[0]]


def of_checkpoint(model_id: str, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the configuration of a model that the store has from elsewhere."""
    shape = checkpoint.architecture
    kind = XLM_R if shape.kind is not Kind.BERT or shape.vocabulary > _WIDE else BERT
    given = {"ingest": checkpoint.prompts.passage, "search": checkpoint.prompts.query}
    tokenization = _DEFAULTS | {"max_sequence_length": checkpoint.max_tokens, "do_lower_case": kind == BERT}
    return {
        "description": f"{model_id}, as efive has it",
        "model_type": "pytorch",
        "inference_config": {"text_embedding": {"tokenization": {kind: tokenization}, "embedding_size": shape.hidden}},
        "prefix_strings": {name: prefix for name, prefix in given.items() if prefix},
        "input": {"field_names": ["text_field"]},
        "tags": [],
        "metadata": {},
    }


def recommended(config: Mapping[str, Any]) -> bool:
    """Say whether a variant is the better one on this machine: the optimised one where it is made for it."""
    system, machine = platform.system().lower(), platform.machine().lower()
    here = f"{system}-{ {'amd64': 'x86_64', 'arm64': 'aarch64'}.get(machine, machine) }"
    wanted = config.get("platform_architecture")
    return wanted == here if wanted else here != "linux-x86_64"
