"""What a server and the process of an engine say to each other: MessagePack over a socket, never pickles."""

from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import numpy as np

from efive.engines.base import EngineInfo, Floats, Precision, TokenBatch


class Start(msgspec.Struct, array_like=True, tag="start"):
    """The first message: which engine to start on which model."""

    folder: str
    max_tokens: int
    engine: str
    precision: str
    device: str
    reason: str
    threads: int
    nice: int = 0
    """How much it yields to other processes, as `nice` counts."""


class Started(msgspec.Struct, array_like=True, tag="started"):
    """The engine is warm."""

    info: dict[str, Any]
    memory: int
    """Bytes of weights that it holds."""

    def engine_info(self) -> EngineInfo:
        """Return what the engine is."""
        return EngineInfo(**{**self.info, "precision": Precision(self.info["precision"])})


class Work(msgspec.Struct, array_like=True, tag="work"):
    """A batch of token ids."""

    number: int
    rows: int
    ids: bytes
    """int32, rows x longest."""
    lengths: bytes
    """int32, one for each row."""

    @classmethod
    def of(cls, number: int, batch: TokenBatch) -> "Work":
        """Write a batch down."""
        ids, lengths = np.ascontiguousarray(batch.ids, np.int32), np.ascontiguousarray(batch.lengths, np.int32)
        return cls(number, len(ids), ids.tobytes(), lengths.tobytes())

    def batch(self) -> TokenBatch:
        """Read the batch."""
        ids = np.frombuffer(self.ids, dtype=np.int32).reshape(self.rows, -1)
        return TokenBatch(ids, np.frombuffer(self.lengths, dtype=np.int32))


class Done(msgspec.Struct, array_like=True, tag="done"):
    """The vectors of a batch."""

    number: int
    dimension: int
    vectors: bytes
    """float32, rows x dimension."""
    seconds: float
    """What the engine took."""

    def floats(self) -> Floats:
        """Read the vectors: (rows, dimension)."""
        return np.frombuffer(self.vectors, dtype=np.float32).reshape(-1, self.dimension)


class Failed(msgspec.Struct, array_like=True, tag="failed"):
    """A batch, or the start (number -1), met an error; the process lives on after a batch's."""

    number: int
    code: str
    message: str


Message = Start | Started | Work | Done | Failed
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def describe(info: EngineInfo) -> dict[str, Any]:
    """Return an engine's description as plain values."""
    return {**asdict(info), "precision": str(info.precision)}


def send(connection: Connection, message: Message) -> None:
    """Send a message; from one thread at a time."""
    connection.send_bytes(_ENCODER.encode(message))


def receive(connection: Connection) -> Message:
    """Wait for a message.

    Raises:
        EOFError: if the other side is gone.
    """
    return _DECODER.decode(connection.recv_bytes())
