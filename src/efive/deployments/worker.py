"""The process of one engine: `python -m efive.deployments.worker FD`, started by `Allocation` and by nobody else."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from efive.deployments.messages import Done, Failed, Message, Start, Started, Work, describe, receive, send
from efive.engines import select
from efive.engines.base import Engine, Precision
from efive.engines.hardware import detect
from efive.errors import EfiveError
from efive.models import checkpoint
from efive.models.store import ModelStore

_LAST = 60
"""Seconds that a process may live behind its last batch."""


def main() -> None:
    """Start the engine that the first message names, then answer batches until the server hangs up."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # may go to all of a service's processes; the server hangs up later
        signal.signal(stop, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    first = receive(connection)
    if not isinstance(first, Start):
        raise SystemExit("the first message must say what to start")
    try:
        engine = start(first)
    except Exception as error:  # whatever it is, the server must hear why
        text = str(error) if isinstance(error, EfiveError) else f"{type(error).__name__}: {error}"
        send(connection, Failed(-1, getattr(error, "code", "engine"), text))
        return
    send(connection, Started(describe(engine.info), engine.memory_bytes()))
    answer(connection, engine)


def start(wanted: Start) -> Engine:
    """Start and warm an engine."""
    if wanted.nice:
        os.nice(wanted.nice)
    choice = select.Choice(wanted.engine, Precision(wanted.precision), wanted.device, wanted.reason)
    model = checkpoint.read(Path(wanted.folder)).with_max_tokens(wanted.max_tokens)
    engine = select.start(
        model, choice, detect(), wanted.threads, threads_per_batch=wanted.threads, cache=ModelStore().cache
    )
    engine.warmup()
    return engine


def answer(connection: Connection, engine: Engine) -> None:
    """Compute batches, as many at once as the engine takes."""
    sending = threading.Lock()

    def run(work: Work) -> None:
        begun = time.perf_counter()
        message: Message
        try:
            vectors = engine.embed(work.batch())
            message = Done(work.number, vectors.shape[1], vectors.tobytes(), time.perf_counter() - begun)
        except Exception as error:  # whatever it is, the batch's sender must hear of it
            message = Failed(work.number, getattr(error, "code", "engine"), f"{type(error).__name__}: {error}")
        with sending:
            send(connection, message)

    with ThreadPoolExecutor(engine.info.parallel) as pool:
        while True:
            try:
                work = receive(connection)
            except (EOFError, OSError):
                signal.alarm(_LAST)  # the server hung up, or is gone: nobody may be left to end a process that hangs
                break
            if isinstance(work, Work):
                pool.submit(run, work)
    engine.close()


if __name__ == "__main__":
    main()
