"""The last lines of the server's log, kept in memory for their page."""

import contextlib
import logging
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "taskName", "stack"}
_MOST = 500
"""Lines of each level: many requests must not push out what went wrong."""
REQUESTS = "efive.access"
LEVELS = {"Everything": logging.DEBUG, "Warnings and errors": logging.WARNING, "Errors": logging.ERROR}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log. As in the log itself, there are no texts and no keys in it."""

    number: int
    """Counts up."""
    time: float
    """Seconds since 1970."""
    level: int
    logger: str
    message: str
    fields: str
    """Whatever else was said, as `name=value`."""
    stack: str
    """Where an exception came from and its kind, not its message: that may hold a text."""


class Memory(logging.Handler):
    """Keeps the last lines. Used from any thread."""

    def __init__(self, most: int = _MOST) -> None:
        super().__init__()
        self._most = most
        self._levels: dict[int, deque[Line]] = {}
        self._numbers = count(1)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        said = [f"{key}={value}" for key, value in vars(record).items() if key not in _STANDARD]
        line = Line(
            next(self._numbers),
            record.created,
            record.levelno,
            record.name,
            record.getMessage(),
            " ".join(said),
            _stack(record),
        )
        self._levels.setdefault(record.levelno, deque(maxlen=self._most)).append(line)

    def lines(self, *, after: int = 0, least: int = logging.DEBUG, requests: bool = True) -> list[Line]:
        """Return lines, oldest first.

        Args:
            after: the number of the last line that is known.
            least: the least level.
            requests: whether those about single requests are among them.
        """
        self.acquire()
        try:
            kept = [line for level, lines in self._levels.items() if level >= least for line in lines]
        finally:
            self.release()
        wanted = (line for line in kept if line.number > after and (requests or line.logger != REQUESTS))
        return sorted(wanted, key=lambda line: line.number)

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Keep what is logged within the block."""
        logging.getLogger().addHandler(self)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(self)


def name(level: int) -> str:
    """Return what a level is called in the log."""
    return logging.getLevelName(level).lower()


def _stack(record: logging.LogRecord) -> str:
    given = str(vars(record).get("stack", ""))
    if record.exc_info and record.exc_info[0] is not None:
        given += "".join(traceback.format_tb(record.exc_info[2])) + record.exc_info[0].__name__
    return given.rstrip()


MEMORY = Memory()
"""Of this process, as the log is."""
