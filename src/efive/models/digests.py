"""Hashes of a model's weights and tokenizer, and its space: equal for the same content in whatever files it lies."""

import hashlib
import json
from pathlib import Path

from efive.errors import ModelFileError
from efive.inputs import INSTRUCT_TEMPLATE
from efive.models.checkpoint import Checkpoint, with_end
from efive.models.tensors import fingerprint
from efive.remember import remembered
from efive.space import Space


def of_checkpoint(checkpoint: Checkpoint, cache: Path) -> tuple[str, str]:
    """Return the SHA-256 of the network (arithmetic and weights) and of the tokenizer; `cache` remembers them."""
    # config.json and a shard index decide which tensors of the files are the model's.
    kept = {".safetensors", ".bin"}
    files = [
        p
        for p in sorted(checkpoint.folder.iterdir())
        if p.suffix in kept or p.name == "config.json" or p.name.endswith(".index.json")
    ]
    weights = remembered(cache, ["weights", _state(files)], lambda: fingerprint(checkpoint.tensors))
    path = checkpoint.tokenizer_file
    if not path.is_file():
        raise ModelFileError(f"{path} is missing")
    tokenizer = remembered(
        cache, ["tokenizer", _state([path])], lambda: _tokenizer_digest(path, ended=checkpoint.pooling == "last")
    )
    network = hashlib.sha256(f"{checkpoint.architecture.identity()} {weights}".encode()).hexdigest()
    return network, tokenizer


def space_of(checkpoint: Checkpoint, precision: str, cache: Path) -> Space:
    """Return the space of a checkpoint at an engine's precision; `cache` remembers the hashes."""
    weights, tokenizer = of_checkpoint(checkpoint, cache)
    return Space(
        weights=weights,
        tokenizer=tokenizer,
        query_prefix=INSTRUCT_TEMPLATE if checkpoint.instruct else checkpoint.prompts.query,
        passage_prefix=checkpoint.prompts.passage,
        pooling=checkpoint.pooling,
        normalized=True,
        dimension=checkpoint.architecture.hidden,
        precision=str(precision),
    )


def _state(files: list[Path]) -> list[tuple[str, int, int, int]]:
    """Where the files are, how large, and when last written or replaced: a change of any means hashing again."""
    stats = [(str(p.resolve()), p.stat()) for p in files]
    return [(path, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in stats]


def _tokenizer_digest(path: Path, *, ended: bool) -> str:
    """Hash what decides the ids in `tokenizer.json`: not its spacing, nor stored padding and truncation."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is no readable tokenizer: {error}") from None
    if not isinstance(content, dict):
        raise ModelFileError(f"{path} is no readable tokenizer: it is no JSON object")
    content = with_end(content) if ended else content
    for key in ("padding", "truncation", "version"):
        content.pop(key, None)
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
