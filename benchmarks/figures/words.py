"""What a card says of its figures in words: aims and how far they are missed, weak sides, BM25, cosines."""

from dataclasses import dataclass
from typing import Any

from figures import tables


@dataclass(frozen=True)
class Aim:
    """A figure that the project set itself, and the least it would accept."""

    name: str
    group: str
    entry: str
    aim: float
    floor: float | None = None
    """What the static baseline reaches, a table of token vectors trained from scratch."""
    percent: bool = False

    def values(self, figures: dict[str, Any]) -> dict[str, float]:
        """Return the figure by system; empty if it was not measured."""
        found: dict[str, float] = figures[self.group].get(self.entry, {})
        return found

    def written(self, value: float | None) -> str:
        """Write a value of this figure."""
        return tables.percent(value) if self.percent else tables.short(value)


AIMS = (
    Aim("XQuAD, English", "ndcg", "xquad_en", 0.88),
    Aim("XQuAD, mean of six languages", "means", "xquad", 0.84, 0.79),
    Aim("XQuAD, questions in five languages, English paragraphs", "means", "cross", 0.55, 0.37),
    Aim("SciFact", "ndcg", "scifact", 0.58, 0.44),
    Aim("Tatoeba, mean of seven languages, %", "means", "tatoeba trained", 50, 32, percent=True),
)


def verdict(aim: Aim, value: float) -> str:
    """Say whether a figure reaches its aim, and by how much it misses aim and floor."""
    said = f"misses the aim by {aim.written(aim.aim - value)}" if value < aim.aim else "reached"
    if aim.floor is not None and value < aim.floor:
        said += f", the baseline by {aim.written(aim.floor - value)}"
    return said


def aims_table(figures: dict[str, Any]) -> str:
    """Return the figures that the aims speak of, beside everything they may be compared with."""
    systems = ("model", "bm25", "hybrid", "teacher")
    heads = ["", *(tables.SYSTEMS[system] for system in systems), "static baseline", "aim", "outcome"]
    rows = []
    for aim in AIMS:
        values = aim.values(figures)
        outcome = verdict(aim, values["model"]) if "model" in values else "not measured"
        cells = [*(values.get(system) for system in systems), aim.floor, aim.aim]
        rows.append([aim.name, *map(aim.written, cells), outcome])
    return tables.table(heads, rows)


def bm25_sentences(figures: dict[str, Any]) -> str:
    """Say on how many sets the model is behind BM25, and on which the hybrid is not ahead of it."""
    sets, behind = figures["ndcg"], figures["hybrid behind bm25"]
    alone = sum(scores["model"] < scores["bm25"] for scores in sets.values())
    said = f"Alone it is behind BM25 on {alone} of {len(sets)} sets of one language; together "
    if not behind:
        return said + "they are ahead of BM25 alone on each."
    return said + f"they are ahead of BM25 alone on {len(sets) - len(behind)}, not on {and_list(behind)}."


def weakest_sentence(figures: dict[str, Any], count: int = 3) -> str:
    """Name the languages that are worst at finding their own passages and their translations."""
    xquad = {name.removeprefix("xquad_"): s["model"] for name, s in figures["ndcg"].items() if "xquad_" in name}
    said = []
    for what, scores, written in (("XQuAD", xquad, tables.short), ("Tatoeba", figures["tatoeba"], tables.percent)):
        lowest = sorted(scores, key=lambda language: scores[language])[:count]
        if lowest:
            said.append(f"{and_list([f'{language} {written(scores[language])}' for language in lowest])} on {what}")
    return f"Weakest: {'; '.join(said)}."


def cosine_sentence(figures: dict[str, Any]) -> str:
    """Say where cosines lie, so that nobody takes over another model's threshold."""
    xquad, flores = figures["cosines"]["XQuAD"]["mean"], figures["cosines"]["FLORES"]["mean"]
    said = [
        f"{what} {tables.short(spread['p5'])} to {tables.short(spread['p95'])}, mean {tables.short(spread['mean'])}"
        for what, spread in (
            ("questions with any passage", xquad["unrelated"]),
            ("questions with the passage that answers them", xquad["related"]),
            ("translations with English", flores["related"]),
        )
    ]
    return f"Cosines of {'; of '.join(said)} (5th to 95th percentile, means over languages)."


def and_list(names: list[str]) -> str:
    """Write a list as a sentence does."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
