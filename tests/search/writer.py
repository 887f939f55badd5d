"""A writer to be killed: forks itself, so that each one starts warm, and says what it begins and what is safe.

    writer.py MODEL         reads a line of JSON for each writer: {"path": …, "work": [{"do": "add", …}, …]}

It writes lines: `ready PID`, `begin N`, `safe N COUNT`, `done N`, `failed WHAT`, `ended`. A writer that is killed is
followed by the next one at once. The process that forks has not used the library: nothing runs in it that a fork
could break.
"""

import json
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from efive import Encoder
from efive.search.collection import Collection
from efive.search.documents import Document
from efive.search.migration import migrate
from efive.search.wanted import Wanted

Say = Callable[[str], object]


def documents(rows: list) -> list[Document]:
    return [Document(name, text, metadata) for name, text, metadata in rows]


def act(path: Path, encoder: Encoder, task: dict, safe: Say, collection: Collection) -> None:
    match task["do"]:
        case "add":
            collection.add(documents(task["documents"]), progress=safe)
        case "update":
            collection.update(task["id"], text=task.get("text"), metadata=task.get("metadata"))
        case "delete":
            collection.delete(task["ids"])
        case "maintain":
            collection._opened.writable().maintain(force=True)
        case "migrate":
            collection.close()
            migrate(path, encoder, Wanted(window=task["window"]), progress=safe)


def write(model: str, command: Callable[[], str], say: Say) -> None:
    with closing(Encoder.load(model, precision="fp32", threads=1)) as encoder:
        encoder.embed_passages(["warm"])
        say(f"ready {os.getpid()}")
        order = json.loads(command())
        path = Path(order["path"])
        with Collection.open(path, encoder, window=order["window"]) as collection:
            for number, task in enumerate(order["work"]):
                say(f"begin {number}")
                act(path, encoder, task, lambda count, number=number: say(f"safe {number} {count}"), collection)
                say(f"done {number}")


def main(model: str) -> None:
    warnings.simplefilter("ignore")  # the library warns of every fork
    while True:
        child = os.fork()
        if child == 0:
            try:
                write(model, sys.stdin.readline, say)
            except BaseException as error:
                say(f"failed {type(error).__name__}: {error}".replace("\n", " "))
                os._exit(1)
            os._exit(0)
        os.waitpid(child, 0)
        say("ended")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1])
