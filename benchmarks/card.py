r"""Make the bundled model's card, README.md, and its training curve, curve.svg.

    efive evaluate --suite small --data DATA --json run.json
    efive evaluate --model TEACHER --prefix-policy none --no-baselines --data DATA --json teacher.json \
        --task={xquad_en,scifact} --task=xquad_{es,vi,zh,ru,ar}@xquad_en
    python benchmarks/card.py run.json [TRAINED …] --teacher teacher.json --flores DATA/flores \
        --output src/efive/models/bundled

With TRAINED, the folders of `efive train` in their order, it also says anew how the model was made and draws the
curve; without them that part of the card stays as it is. The prose stands in card.md and making.md beside this file,
and figures/sources.tsv says where data came from and on what terms.
"""

import argparse
import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from figures import measured, pieces, tables
from figures.words import aims_table, and_list, bm25_sentences, cosine_sentence, weakest_sentence

from efive.evaluation.results import Run

HERE = Path(__file__).parent
MAKING = "## How it was made\n"
"""Where the part begins that says what TRAINED said."""
_TERMS = ("-SA", "GPL", "GFDL", "MPL")
"""What licences that ask for the same licence in return have in their names."""


@dataclass(frozen=True)
class Trained:
    """What a folder of `efive train` says."""

    settings: dict[str, Any]
    data: list[dict[str, Any]]
    environment: dict[str, str]
    log: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "Trained":
        """Read the folder; efive.training.runs says what lies in it."""
        from efive.training.runs import read_log

        files = (folder / f"{name}.json" for name in ("config", "data", "environment"))
        settings, data, environment = (json.loads(file.read_text(encoding="utf-8")) for file in files)
        return cls(settings, data, environment, read_log(folder))


def sources() -> dict[str, dict[str, str]]:
    """Return origin and licence of every source by its name."""
    with (HERE / "figures" / "sources.tsv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


def used(runs: Iterable[Trained], also: Iterable[str], derived: Iterable[str]) -> dict[str, int]:
    """Return the examples of each source that the model was made of; 0 where only its vocabulary was.

    Args:
        runs: where the data was used.
        also: names of sources that only the vocabulary or its first rows were made of.
        derived: names of sets that were made of other sources, as mined ones are.

    Raises:
        SystemExit: for a source whose licence figures/sources.tsv does not tell.
    """
    examples = dict.fromkeys(also, 0)
    for run in runs:
        for source in run.data:
            if source["name"] not in derived:
                examples[source["name"]] = max(examples.get(source["name"], 0), source["examples"])
    if unknown := sorted(set(examples) - set(sources())):
        raise SystemExit(
            f"figures/sources.tsv does not say where {', '.join(unknown)} came from and on what terms; "
            "name with --derived what was made of other sources"
        )
    return examples


def data_table(examples: dict[str, int]) -> str:
    """Return what was read, by origin, with licences."""
    known = sources()
    by_origin: dict[tuple[str, str], list[str]] = {}
    for name in sorted(examples):
        by_origin.setdefault((known[name]["origin"], known[name]["licence"]), []).append(name)
    rows = []
    for (origin, licence), names in sorted(by_origin.items(), key=lambda entry: entry[1]):
        total = sum(examples[name] for name in names)
        rows.append([origin, ", ".join(names), licence, f"{total:,}" if total else tables.NONE])
    return tables.table(["source", "parts", "licence", "examples"], rows)


def terms_sentence(names: Iterable[str]) -> str:
    """Name the sources whose licences ask for the same licence in return."""
    known = sources()
    asking = sorted({known[n]["origin"] for n in names if any(term in known[n]["licence"] for term in _TERMS)})
    if not asking:
        return "No source has share-alike or copyleft terms."
    return f"These sources have share-alike or copyleft terms for their texts: {and_list(asking)}."


def making(runs: list[Trained]) -> str:
    """Return seed, steps, time and batches of each run as a table."""
    rows = []
    for number, run in enumerate(runs, 1):
        steps = [line for line in run.log if "loss" in line]
        minutes = sum(line["examples"] / line["examples_per_second"] for line in steps) / 60
        rows.append(
            [
                str(number),
                str(run.settings["seed"]),
                f"{steps[-1]['step'] if steps else 0:,}",
                f"{sum(line['examples'] for line in steps):,}",
                f"{sum(line['tokens'] for line in steps) / 1e6:,.1f}",
                f"{minutes:,.0f}",
                run.environment["torch"],
            ]
        )
    heads = ["run", "seed", "steps", "examples", "million tokens", "minutes of steps", "torch"]
    return tables.table(heads, rows)


def languages(runs: Iterable[Trained]) -> list[str]:
    """Return the languages of the data, without those of a source that does not say."""
    codes = (code for run in runs for source in run.data for code in source["languages"])
    return sorted({part for code in codes for part in code.split("-") if part})


def shape(model: Path) -> dict[str, str]:
    """Return what the card says of the weights."""
    from efive.models import checkpoint

    a = checkpoint.read(model).architecture
    parameters = sum(math.prod(of_tensor) for of_tensor in a.tensors().values())
    size = (model / "model.safetensors").stat().st_size
    return {
        "layers": str(a.layers),
        "hidden": str(a.hidden),
        "vocabulary": f"{a.vocabulary:,}",
        "parameters": f"{parameters / 1e6:.0f} M",
        "megabytes": f"{size / 1e6:.0f} MB",
    }


def figures_part(figures: dict[str, Any], model: Path) -> str:
    """Return the card's first part: what the model is, and what it reaches."""
    filled = {f"table_{name}": table for name, table in tables.sections(figures).items()}
    filled |= shape(model) | {
        "aims": aims_table(figures),
        "bm25": bm25_sentences(figures),
        "bm25_how": figures["how"]["bm25"],
        "hybrid_how": figures["how"]["hybrid"],
        "weakest": weakest_sentence(figures),
        "cosines": cosine_sentence(figures),
        "window": str(figures["window"]),
        "precision": figures["precision"],
        "teacher_window": str((figures["teacher"] or {}).get("window", tables.NONE)),
    }
    return _filled("card.md", filled)


def making_part(trained: list[Trained], examples: dict[str, int]) -> str:
    """Return the card's second part: how the model was made, and of what."""
    spoken = languages(trained)
    filled = {
        "languages": ", ".join(spoken),
        "language_count": str(len(spoken)),
        "making": making(trained),
        "data": data_table(examples),
        "terms": terms_sentence(examples),
    }
    return MAKING + _filled("making.md", filled)


def kept_making(card: Path) -> str:
    """Return the second part of a card that was written before."""
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    if MAKING not in text:
        raise SystemExit(f"{card} does not say how the model was made; name the folders of its training")
    return MAKING + text.partition(MAKING)[2]


def _filled(name: str, values: dict[str, str]) -> str:
    template = Template((HERE / name).read_text(encoding="utf-8"))
    if missing := sorted(set(template.get_identifiers()) - set(values)):
        raise SystemExit(f"{name} wants {', '.join(missing)}; measure with all sets and the teacher")
    return template.substitute(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="what `efive evaluate --suite small --json` wrote")
    parser.add_argument("trained", type=Path, nargs="*", help="folders of the training, in their order")
    parser.add_argument("--teacher", type=Path, help="what `efive evaluate --json` wrote of the teacher")
    parser.add_argument("--flores", type=Path, required=True, help="the folder of FLORES, whose words are cut")
    parser.add_argument("--output", type=Path, required=True, help="the model's folder")
    parser.add_argument(
        "--also", nargs="*", default=[], help="sources that only the vocabulary or its first rows were made of"
    )
    parser.add_argument("--derived", nargs="*", default=["mined"], help="sets that were made of other sources")
    options = parser.parse_args()
    figures = measured.figures(Run.read(options.run), Run.read(options.teacher) if options.teacher else None)
    figures["pieces"] = pieces.fertility(options.output, options.flores)
    file: Path = options.output / "README.md"
    trained = [Trained.read(folder) for folder in options.trained]
    made = making_part(trained, used(trained, options.also, options.derived)) if trained else kept_making(file)
    file.write_text(f"{figures_part(figures, options.output)}\n{made}", encoding="utf-8")
    if trained:
        from figures import curve

        curve.draw([run.log for run in trained], [run.data for run in trained], options.output / "curve.svg")


if __name__ == "__main__":
    main()
