"""Questions with answers, in several languages, and passages that are near an answer and are none."""

import json
from pathlib import Path

PAIRS = [
    ("how long do I boil an egg", "A soft egg needs five minutes in boiling water, a hard one ten.", "en"),
    ("why do leaves turn red in autumn", "Chlorophyll breaks down in autumn and red pigments become visible.", "en"),
    ("how do I patch a bicycle tube", "Find the hole, sand around it, add glue and press the patch on.", "en"),
    ("when was the printing press invented", "Gutenberg built his printing press in Mainz around 1450.", "en"),
    ("what do bees make honey from", "Bees turn the nectar of flowers into honey in their hive.", "en"),
    ("how far away is the moon", "The moon is about 384,000 kilometres away from the earth.", "en"),
    ("wie koche ich Reis", "Reis mit der doppelten Menge Wasser aufkochen und zugedeckt quellen lassen.", "de"),
    ("warum ist das Meer salzig", "Flüsse tragen gelöste Salze ins Meer, und nur das Wasser verdunstet.", "de"),
    ("wie wechsle ich eine Glühbirne", "Strom abschalten, die alte Birne herausdrehen, die neue einschrauben.", "de"),
    ("wann blüht der Flieder", "Der Flieder blüht in Mitteleuropa im Mai.", "de"),
    ("wie hoch ist die Zugspitze", "Die Zugspitze ist mit 2962 Metern der höchste Berg Deutschlands.", "de"),
    ("comment enlever une tache de café", "Frottez la tache de café avec de l'eau froide et du savon.", "fr"),
    ("pourquoi le pain lève-t-il", "La levure produit du gaz, qui gonfle la pâte du pain.", "fr"),
    ("quelle est la capitale de l'Australie", "La capitale de l'Australie est Canberra, et non Sydney.", "fr"),
    ("combien de pattes a une araignée", "Une araignée a huit pattes, un insecte en a six.", "fr"),
    ("cómo se riega un cactus", "Un cactus se riega poco: cada dos semanas en verano.", "es"),
    ("por qué vuelan los aviones", "Las alas del avión desvían el aire hacia abajo y así se sostiene.", "es"),
    ("qué es un eclipse de sol", "En un eclipse de sol la luna pasa por delante del sol.", "es"),
]
EXTRA = [
    "Eggs keep for three weeks in the refrigerator.",
    "A bicycle chain wants a drop of oil every month.",
    "Honey was used as medicine in ancient Egypt.",
    "Brauner Reis braucht länger als weißer.",
    "Die Ostsee ist weniger salzig als die Nordsee.",
    "Le café vient d'Éthiopie.",
    "Sydney est la plus grande ville de l'Australie.",
    "El cactus saguaro crece en el desierto de Sonora.",
]


def jsonl(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pair_file(folder: Path) -> Path:
    """The pairs as a file that holds its texts."""
    records = [{"query": q, "passage": p, "lang": lang, "source": f"{lang} notes"} for q, p, lang in PAIRS]
    return jsonl(folder / "pairs.jsonl", records)


def corpus_folder(folder: Path) -> Path:
    """The pairs and the other passages in SimLM's form."""
    path = folder / "indexed"
    path.mkdir()
    texts = [*EXTRA, *(p for _, p, _ in PAIRS)]
    jsonl(path / "passages.jsonl", [{"id": str(n), "title": "", "contents": t} for n, t in enumerate(texts)])
    records = [
        {"query_id": str(n), "query": q, "positives": {"doc_id": [str(n + len(EXTRA))]}, "language": lang}
        for n, (q, _, lang) in enumerate(PAIRS)
    ]
    jsonl(path / "train.jsonl", records)
    return path
