"""Which generation of a collection's passages is open, and whether this process is the one that writes."""

import threading
from dataclasses import dataclass
from pathlib import Path

from efive.encoder import Encoder
from efive.errors import CollectionError, InputError, SpaceMismatchError
from efive.search import terms
from efive.search.calibrating import Fitted
from efive.search.confidence import Background
from efive.search.folder import Folder, Settings, calibration_of, settings_of
from efive.search.lance.table import LanceStore, heal, sound
from efive.search.wanted import Wanted, codec_of


@dataclass
class Generation:
    """A generation that is open, with what is known of it."""

    path: Path
    settings: Settings
    store: LanceStore
    seen: tuple[int, int]
    """What `Folder.changed` said when it was opened."""
    calibration: Fitted | None
    background: tuple[int, Background] | None = None
    """With the number of passages that it was sampled from."""


class Opened:
    """A collection's folder in use. Safe to use from several threads."""

    def __init__(self, folder: Folder, encoder: Encoder | None, wanted: Wanted) -> None:
        """Open nothing yet.

        Args:
            folder: of the collection.
            encoder: whose space it must be; None takes any.
            wanted: what a new collection is to be like.
        """
        self.writing = threading.RLock()
        """Held by whoever writes."""
        self._folder = folder
        self._encoder = encoder
        self._wanted = wanted
        self._opening = threading.RLock()
        self._generation: Generation | None = None
        self._writer = False

    def current(self) -> Generation:
        """Return the current generation; a migration may have changed it.

        Raises:
            CollectionNotFoundError: if there is no collection.
            SpaceMismatchError: if it was embedded in another space than the encoder's.
            CollectionError: if it is damaged, or of another efive.
        """
        with self._opening:
            if self._generation is None or self._generation.seen != self._folder.changed():
                seen = self._folder.changed()  # first: a switch between the two is noticed by the next call
                path = self._folder.generation()
                settings = settings_of(path)
                self._refuse_other_space(settings)
                self._refuse_other_terms(settings)
                self._mend(path)
                stored = calibration_of(path)
                calibration = None if stored is None else Fitted.from_dict(stored)
                self._generation = Generation(path, settings, LanceStore(path, codec_of(settings)), seen, calibration)
            return self._generation

    def _refuse_other_space(self, settings: Settings) -> None:
        if self._encoder is None:
            return
        if difference := settings.space.difference(self._encoder.space):
            raise SpaceMismatchError(
                f"{self._folder.path} was embedded by another model. {difference} Open it with the model that made "
                f"it, or embed it anew with `efive migrate {self._folder.path.absolute()} --model MODEL`"
            )

    def _refuse_other_terms(self, settings: Settings) -> None:
        if settings.terms != terms.VERSION:
            raise CollectionError(
                f"{self._folder.path} was indexed by an efive that cuts words otherwise (version {settings.terms}, now "
                f"{terms.VERSION}); `efive migrate {self._folder.path.absolute()}` brings it up to date"
            )

    def _mend(self, generation: Path) -> None:
        """Undo what a power cut has torn, unless another process writes: then it has done so."""
        if self._writer or sound(generation) or not self.writing.acquire(blocking=False):
            return  # another thread is about to write, which mends first
        try:
            self._mend_alone(generation)
        finally:
            self.writing.release()

    def _mend_alone(self, generation: Path) -> None:
        try:
            self._folder.acquire()
        except CollectionError:
            return  # another process writes, or this one may not: then reading says what is wrong
        try:
            heal(generation)
        finally:
            self._folder.release()

    def writable(self) -> LanceStore:
        """Become the writer, make the collection if there is none, heal it if a power cut has torn it.

        Raises:
            CollectionBusyError: if another process writes.
            InputError: if there is no encoder to make a collection with.
        """
        if not self._writer:
            self._folder.acquire()
            try:
                if self._folder.exists:
                    heal(self._folder.generation())
                    self._folder.tidy()
            except BaseException:
                self._folder.release()
                raise
            self._writer = True
        if not self._folder.exists:
            self._make()
        return self.current().store

    def _make(self) -> None:
        if self._encoder is None:
            raise InputError("this needs an encoder; open the collection with one")
        settings = self._wanted.settings(self._encoder)
        path = self._folder.begin(settings)
        with self._folder.abandoned_on_error(path):
            LanceStore(path, codec_of(settings), create=True)
            self._folder.switch(path)

    def close(self) -> None:
        """Let go of it, so that another process can write."""
        if self._generation is not None:
            self._generation.store.close()
            self._generation = None
        if self._writer:
            self._folder.release()
            self._writer = False
