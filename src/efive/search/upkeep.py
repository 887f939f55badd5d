"""Indices that build themselves: upkeep in a thread of its own, while documents are added and searched."""

import threading

from efive.errors import StoreError
from efive.search.store import Store

_EVERY = 10_000
"""Passages after which the store is asked whether anything pays by now."""


class Upkeep:
    """Looks after a store from time to time. At most one thread at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written = 0
        self._thread: threading.Thread | None = None
        self._failed: StoreError | None = None

    def wrote(self, passages: int) -> None:
        """Note that passages were written; begin upkeep if they have become many.

        Raises:
            StoreError: if the upkeep before has failed, as on a full disk.
        """
        self._written += passages
        if self._written < _EVERY or (self._thread is not None and self._thread.is_alive()):
            return
        self.wait()
        self._written = 0
        self._thread = threading.Thread(target=self._run, name="efive-upkeep")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._store.maintain()
        except StoreError as error:
            self._failed = error

    def wait(self) -> None:
        """Return when nothing is under way.

        Raises:
            StoreError: if upkeep has failed; the collection is as it was before it.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
