"""A process that brings, copies, unpacks or checks one model, and says how far it is: it can be ended at any time.

`python -m efive.console.models_child` reads an order as JSON from its argument and writes lines of JSON: how many
bytes of how many are done, and at its end what went wrong, if anything did.
"""

import contextlib
import json
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from efive.errors import EfiveError
from efive.models import bundles
from efive.models.store import ModelStore, read_manifest

_LOOK = 0.3
"""Seconds between looks at a folder that grows."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done."""

    kind: str
    """`pull`, `copy`, `unpack` or `verify`."""
    home: str
    name: str = ""
    """The model's; empty is the one that it has already."""
    path: str = ""
    """The folder to copy, or the bundle to unpack."""
    revision: str = "main"
    endpoint: str | None = None
    """A mirror of the hub."""


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the process."""

    done: int | None = None
    total: int | None = None
    error: str | None = None
    unexpected: str | None = None
    """Where and what, of an error that nobody expected."""


def main() -> None:
    """Do what the argument says."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    order = msgspec.json.decode(sys.argv[1], type=Order)
    try:
        _DO[order.kind](order, ModelStore(Path(order.home)))
    except EfiveError as error:
        _say(Said(error=str(error)))
    except Exception as error:
        stack = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
        said = str(error) if isinstance(error, OSError) else type(error).__name__  # a full disk, no permission
        _say(Said(error=f"That failed: {said}", unexpected=stack))


def _pull(order: Order, store: ModelStore) -> None:
    with _watched(store.incoming(store.repository(order.name), order.revision)):
        store.pull(
            order.name, revision=order.revision, endpoint=order.endpoint, sized=lambda size: _say(Said(total=size))
        )


def _copy(order: Order, store: ModelStore) -> None:
    source = Path(order.path).expanduser()
    _say(Said(total=_size(source)))
    staging = store.home / "incoming" / f"copy-{order.name}"
    try:
        with _watched(staging):
            store.copy(source, order.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack(order: Order, store: ModelStore) -> None:
    bundle = Path(order.path).expanduser()
    if bundle.is_file():
        _say(Said(total=bundle.stat().st_size))
    bundles.import_bundle(bundle, store, name=order.name or None, progress=_counting())


def _verify(order: Order, store: ModelStore) -> None:
    described = store.describe(order.name)
    _say(Said(total=sum(entry["bytes"] for entry in read_manifest(described.folder)["files"].values())))
    store.verify(order.name, _counting())


_DO: dict[str, Callable[[Order, ModelStore], None]] = {
    "pull": _pull,
    "copy": _copy,
    "unpack": _unpack,
    "verify": _verify,
}


def _counting() -> Callable[[int], None]:
    done = said = 0

    def progress(size: int) -> None:
        nonlocal done, said
        done += size
        if done - said >= 1 << 24:
            said = done
            _say(Said(done=done))

    return progress


@contextlib.contextmanager
def _watched(folder: Path) -> Iterator[None]:
    """Say within the block how many bytes a folder has."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK):
            _say(Said(done=_size(folder)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # moved or deleted meanwhile
            size += path.stat().st_size if path.is_file() else 0
    return size


_LOCK = threading.Lock()


def _say(line: Said) -> None:
    with _LOCK:
        sys.stdout.write(json.dumps(msgspec.to_builtins(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
