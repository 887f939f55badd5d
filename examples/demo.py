"""Index this project's documentation and some hundred short passages in 18 languages, then ask in other languages.

    python examples/demo.py

Nothing is fetched: the model is the small one in the package. The last line says how often it is right on all the
questions of questions.jsonl, not only on the ones that are shown.
"""

import json
import logging
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from efive import Collection, Encoder
from efive.cli.hits import passage
from efive.search.indexing import Watcher, index
from efive.search.searching import Hit

HERE = Path(__file__).parent
ASKED = (
    ("de", "Wie viele Tokens liest ein E5-Modell?"),
    ("fr", "Comment entraîner un modèle avec mes propres paires ?"),
    ("es", "¿Qué hago si me sangra la nariz?"),
    ("en", "how hot should the water be for green tea?"),
    ("zh", "太阳光要多久才能到达地球？"),
    ("it", "Come trovo il nord di notte guardando le stelle?"),
    ("ja", "安全なパスワードの作り方を教えてください。"),
    ("ru", "Как сделать йогурт дома?"),
    ("tr", "Avrupa'da acil durumda hangi numara aranır?"),
    ("es", "¿Quedamos para ir al cine el sábado?"),
)


def main() -> None:
    """Index, ask, print."""
    logging.disable(logging.WARNING)
    console = Console()
    with (
        tempfile.TemporaryDirectory() as folder,
        Encoder.load() as encoder,
        Collection.open(Path(folder) / "demo", encoder) as collection,
    ):
        began = time.monotonic()
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("indexing docs/ and examples/passages.jsonl", total=None)
            watcher = Watcher(console.print, safe=lambda count: progress.advance(task, count))
            done = index(collection, [HERE.parent / "docs", HERE / "passages.jsonl"], watcher)
            collection.calibrate()
        took = time.monotonic() - began
        console.print(f"{done.documents.new} documents, {done.documents.passages} passages in {took:.1f} s\n")
        console.print(answers(collection))
        console.print(record(collection))


def answers(collection: Collection) -> Table:
    """Return the questions with their best hits."""
    table = Table(title="Questions, and the best passage for each", show_lines=True, title_style="bold")
    table.add_column("asked in")
    table.add_column("question", ratio=2, overflow="fold")
    table.add_column("found in")
    table.add_column("best passage", ratio=4, overflow="fold")
    table.add_column("sure", justify="right")
    for language, question in ASKED:
        # By meaning alone: across languages, words lead astray.
        hit = collection.highlight(question, collection.search(question, 1, mode="dense"))[0]
        sure = "" if hit.confidence is None else f"{hit.confidence:.0%}"
        table.add_row(language, question, str(hit.passage.metadata.get("lang", "docs")), shown(hit), sure)
    return table


def shown(hit: Hit) -> Text:
    """Return a hit's heading, its passage, and where that is."""
    title = Text(" › ".join(hit.passage.headings), style="bold")
    return Text("\n").join([title, passage(hit), Text(hit.place(HERE.parent), style="dim")])


def record(collection: Collection) -> str:
    """Return how often the right passage comes first, and among the first three, over all questions."""
    asked = [json.loads(line) for line in (HERE / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    ranks = []
    for question in asked:
        names = [hit.document.rpartition("#")[2] for hit in collection.search(question["question"], 3, mode="dense")]
        ranks.append(names.index(question["answer"]) + 1 if question["answer"] in names else 0)
    return (
        "\nThese were chosen to show what is possible. Of all "
        f"{len(asked)} questions in examples/questions.jsonl, in 18 languages and each in another one than its answer, "
        f"the small model in the package answers {ranks.count(1)} first and {sum(map(bool, ranks))} among the first "
        "three. Larger ones do better: `efive models pull multilingual-e5-small`."
    )


if __name__ == "__main__":
    main()
