"""The card of a trained model, README.md: what it came from, how to load it, how the run went.

Everything is read from the run's folder, so the card says what was done and nothing else. Paths are shortened to their
last part: a card travels.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from efive.models.family import FAMILY
from efive.models.store import BUNDLED
from efive.training.runs import read_log

_HELD_OUT = "held_out/"
_ENDS = 20
"""Steps whose losses are averaged at each end of a run, but at most a quarter of the run."""


def write_card(run: Path) -> None:
    """Write `model/README.md` of a finished run, from what its folder holds.

    Args:
        run: a run's folder (efive.training.runs says what lies in it) with a `model` folder.
    """
    settings, data, made = (_json(run / name) for name in ("config.json", "data.json", "environment.json"))
    log = read_log(run)
    parts = [
        front_matter(settings, data),
        f"# {run.resolve().name}\n\n{_origin(settings)}",
        _use(run / "model"),
        f"## Data\n\n{data_table(data)}",
        f"## How it went\n\n{summary(log, settings, made)}",
        f"## Settings\n\n```json\n{json.dumps(_shortened(settings), indent=2, ensure_ascii=False)}\n```",
    ]
    if figures := held_out_table(log):
        parts.insert(-1, f"## Held-out figures\n\n{figures}")
    (run / "model" / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def front_matter(settings: dict[str, Any], data: list[dict[str, Any]]) -> str:
    """Return the YAML block that model hubs read. JSON strings are YAML strings, so names need no other quoting."""
    base = FAMILY.get(settings["model"])
    languages = sorted({part for source in data for code in source["languages"] for part in code.split("-") if part})
    fields: dict[str, str | list[str]] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "e5", "efive"],
        # A hub knows published models only, no folder of somebody's machine.
        "base_model": base.repository if base else [],
        "language": languages,
        "datasets": list(dict.fromkeys(source["name"] for source in data)),
    }
    lines = ["---"]
    for name, value in fields.items():
        if isinstance(value, str):
            lines.append(f"{name}: {json.dumps(value, ensure_ascii=False)}")
        elif value:
            lines += [f"{name}:", *(f"- {json.dumps(item, ensure_ascii=False)}" for item in value)]
    return "\n".join([*lines, "---"])


def _origin(settings: dict[str, Any]) -> str:
    start = _named(settings["model"])
    teacher = settings.get("teacher")
    return f"An E5 text encoder, trained with efive from {start}." + (
        f" Its teacher was {_named(teacher)}." if teacher else ""
    )


def _use(model: Path) -> str:
    described = _json(model / "config_sentence_transformers.json")
    prompts = {key: described.get("prompts", {}).get(key, "") for key in ("query", "document")}
    put = zip(prompts.values(), ("queries", "passages"), strict=True)
    said = [f"`{escaped}` before {what}" for text, what in put if (escaped := text.replace("\n", "\\n"))]
    return f"""## Use

With efive, which adds the prefixes:

```python
from efive import Encoder

with Encoder.load("FOLDER") as encoder:
    queries = encoder.embed_queries(["how high is Mount Kenya?"]).vectors
    passages = encoder.embed_passages(["Mount Kenya rises to 5,199 metres."]).vectors
    print(queries @ passages.T)
```

With sentence-transformers, whose prompts must be named:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("FOLDER")
queries = model.encode(["how high is Mount Kenya?"], prompt_name="query", normalize_embeddings=True)
passages = model.encode(["Mount Kenya rises to 5,199 metres."], prompt_name="document", normalize_embeddings=True)
print(queries @ passages.T)
```

The model wants {" and ".join(said) or "no prefix"}. For similarity, clustering and translations both sides
are queries."""


def data_table(data: list[dict[str, Any]]) -> str:
    """Return the sources as a table: the SHA-256 is of the examples as they were read."""
    rows = [
        (
            source["name"],
            source["objective"],
            f"{source['examples']:,}",
            _languages(source["languages"]),
            f"{source['weight']:.4g}",
            f"`{source['sha256']}`",
        )
        for source in data
    ]
    return _table(("source", "objective", "examples", "languages", "weight", "SHA-256"), rows)


def _languages(codes: list[str], most: int = 12) -> str:
    known = [code for code in codes if code]
    if len(known) > most:
        return f"{', '.join(known[:most])} and {len(known) - most} more"
    return ", ".join(known) or "not said"


def summary(log: list[dict[str, Any]], settings: dict[str, Any], made: dict[str, str]) -> str:
    """Return seed, steps, time, loss at both ends, and versions as a table."""
    steps = [line for line in log if "loss" in line]
    seconds = sum(line["examples"] / line["examples_per_second"] for line in steps)
    ends = max(1, min(_ENDS, len(steps) // 4))
    rows = [
        ("seed", str(settings["seed"])),
        ("steps", f"{steps[-1]['step'] if steps else 0:,}"),
        ("examples seen", f"{sum(line['examples'] for line in steps):,}"),
        ("tokens seen", f"{sum(line['tokens'] for line in steps):,}"),
        ("time of the steps", f"{seconds / 60:,.1f} minutes"),
    ]
    if steps:
        first, last = (sum(line["loss"] for line in part) / ends for part in (steps[:ends], steps[-ends:]))
        rows += [(f"loss, mean of the first {ends} steps", f"{first:.4f}")]
        rows += [(f"loss, mean of the last {ends} steps", f"{last:.4f}")]
    rows += list(made.items())
    return _table(("", ""), rows)


def held_out_table(log: list[dict[str, Any]]) -> str:
    """Return each held-out figure at the start, at the end and at its best, or nothing if none was measured."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in log:
        for name, value in line.items():
            if name.startswith(_HELD_OUT):
                found.setdefault(name.removeprefix(_HELD_OUT), []).append((line["step"], value))
    rows = []
    for name, curve in found.items():
        step, best = max(curve, key=lambda point: point[1])
        rows.append((name, f"{curve[0][1]:.4f}", f"{curve[-1][1]:.4f}", f"{best:.4f} (step {step})"))
    return _table(("figure", "start", "end", "best"), rows) if rows else ""


def _table(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    # A bar would end the cell.
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(heads), ["---"] * len(heads), *lines])


def _named(model: str) -> str:
    """A model as it may be told to others: its name, or its folder's."""
    if model == BUNDLED:
        return "efive's bundled model"
    return FAMILY[model].repository if model in FAMILY else Path(model).name or model


def _shortened(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the last part of each path."""
    short = settings | {"model": _named(settings["model"])}
    short["sources"] = [source | {"path": Path(source["path"]).name} for source in settings["sources"]]
    short["development"] = [Path(path).name for path in settings.get("development", [])]
    if settings.get("teacher"):
        short["teacher"] = _named(settings["teacher"])
    return short


def _json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(path.read_text(encoding="utf-8"))
